"""A film whose pictures say which one they are, and a small server that sends it live, as the daemon's would."""

from __future__ import annotations

import functools
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import av
import cv2
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tests.web.video import boxes

WIDTH, HEIGHT = 320, 180
BITS = 12
CELL = 24
"""Side of the cells in the top left corner: one for each bit of the picture's number, the lowest first, white for 1."""
FPS = 10
PICTURES = 600
KEY_EVERY = 10
OVERLAY_LATE_S = 0.06


@dataclass(frozen=True)
class Film:
    """Fragmented MP4: `head` is ftyp and moov, each of `pieces` one picture."""

    codec: str
    head: bytes
    pieces: tuple[bytes, ...]


def box_of(number: int) -> list[float]:
    """Where somebody stands in a picture, as shares of it: x1, y1, x2, y2."""
    left = 0.05 + 0.7 * (number % 50) / 50
    return [left, 0.45, left + 0.15, 0.95]


def values_of(number: int) -> dict[str, Any]:
    """Return what the daemon says of a picture; the track's number is the picture's."""
    track = {"id": number, "label": "person", "score": 0.8, "box": box_of(number), "still": False, "seconds": 3.0,
             "zones": []}  # fmt: skip
    return {
        "time": "2026-11-23T06:00:00.000Z", "media_time": None, "frame_size": [WIDTH, HEIGHT],
        "motion": {"ratio": 0.05, "blob": 0.03, "open": True, "flood": False},
        "scene": {"distance": 0.1, "ssim": 0.9, "open": False, "view": "same"},
        "look": "motion", "looked": 0.0, "score": 0.8, "detections": [], "tracks": [track],
    }  # fmt: skip


def picture(number: int) -> np.ndarray:
    """Return a picture, HEIGHT x WIDTH x 3, BGR: its number in bits, and somebody where `box_of` says."""
    drawn = np.full((HEIGHT, WIDTH, 3), (90, 110, 80), np.uint8)
    for bit in range(BITS):
        shade = 255 if number >> bit & 1 else 0
        drawn[:CELL, bit * CELL : (bit + 1) * CELL] = shade
    x1, y1, x2, y2 = (round(v * side) for v, side in zip(box_of(number), (WIDTH, HEIGHT) * 2, strict=True))
    cv2.rectangle(drawn, (x1, y1), (x2, y2), (40, 40, 170), -1)
    return drawn


@functools.cache
def film(pictures: int = PICTURES, fragmented: bool = True, key_every: int = KEY_EVERY) -> Film:
    """Return a film in H.264 of baseline profile; without `fragmented` the whole file is its `head`."""
    flags = "frag_every_frame+empty_moov+default_base_moof" if fragmented else "faststart"
    with NamedTemporaryFile(suffix=".mp4") as file:
        _write(file.name, pictures, flags, key_every)
        data = Path(file.name).read_bytes()
    at = data.index(b"avcC") + 4
    codec = f"avc1.{data[at + 1 : at + 4].hex()}"
    if not fragmented:
        return Film(codec, data, ())
    found = list(boxes(data))
    head = b"".join(part for kind, part in found if kind in (b"ftyp", b"moov"))
    moofs = [part for kind, part in found if kind == b"moof"]
    mdats = [part for kind, part in found if kind == b"mdat"]
    return Film(codec, head, tuple(a + b for a, b in zip(moofs, mdats, strict=True)))


def _write(path: str, pictures: int, flags: str, key_every: int) -> None:
    with av.open(path, "w", format="mp4", options={"movflags": flags}) as container:
        stream = container.add_stream("libx264", rate=FPS, options={
            "profile": "baseline", "preset": "ultrafast", "tune": "zerolatency", "crf": "20", "g": str(key_every),
            "sc_threshold": "0",
        })  # fmt: skip
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for number in range(pictures):
            frame = av.VideoFrame.from_ndarray(picture(number), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


class Studio:
    """Sends the film at its pace to whoever connects: a newcomer gets at once what came since the last key frame.

    A test sets `codec`, `encoded`, `skipping` (pieces are dropped, up to the next key frame after it) and `refusing`.
    """

    def __init__(self, key_every: int = KEY_EVERY) -> None:
        self.film = film(key_every=key_every)
        self._key_every = key_every
        self.codec = self.film.codec
        self.encoded = self.skipping = self.refusing = False
        self.opened: list[str] = []
        self.sent = 0
        self._open: set[ServerConnection] = set()
        self._began = time.monotonic()
        self._takes = 0

    @property
    def looking(self) -> int:
        """How many are connected."""
        return len(self._open)

    def anew(self, ago: float = 0.0) -> None:
        """Begin the stream anew, as if it had been `ago` seconds ago: a new head, and time from 0."""
        self._began = time.monotonic() - ago
        self._takes += 1

    def say(self, message: dict[str, Any]) -> None:
        """Tell everybody who is connected."""
        for connection in list(self._open):
            connection.send(json.dumps(message))

    def hang_up(self) -> None:
        """Cut everybody off."""
        for connection in list(self._open):
            with suppress(OSError):  # it went by itself
                connection.socket.shutdown(socket.SHUT_RDWR)

    def answer(self, connection: ServerConnection) -> None:
        """Send until the other end goes away."""
        self.opened.append(connection.request.path if connection.request else "")
        if self.refusing:
            return
        self._open.add(connection)
        try:
            while True:
                self._take(connection)
        except (ConnectionClosed, OSError):
            pass
        finally:
            self._open.discard(connection)

    def _take(self, connection: ServerConnection) -> None:
        """Send one stream, from its start to where another one begins."""
        take = self._takes
        start = {"kind": "start", "codec": self.codec, "width": WIDTH, "height": HEIGHT, "encoded": self.encoded}
        connection.send(json.dumps(start))
        connection.send(self.film.head)
        now = self._now()
        number = now - now % self._key_every
        skipped = False
        while take == self._takes and number < len(self.film.pieces):
            if number > self._now():
                time.sleep(0.005)
                if connection.protocol.state.name != "OPEN":
                    raise ConnectionClosed(None, None)
                continue
            skipped = self.skipping or (skipped and number % self._key_every != 0)
            if not skipped:
                connection.send(self.film.pieces[number])
                self.sent = number
            threading.Timer(OVERLAY_LATE_S, self._overlay, (connection, number)).start()
            number += 1
        if take == self._takes:
            self.anew()

    def _overlay(self, connection: ServerConnection, number: int) -> None:
        message = {"kind": "overlay", "at": round(number / FPS, 3), "values": values_of(number)}
        with suppress(ConnectionClosed, OSError):
            connection.send(json.dumps(message))

    def _now(self) -> int:
        return int((time.monotonic() - self._began) * FPS)


@contextmanager
def studio(key_every: int = KEY_EVERY) -> Iterator[tuple[Studio, int]]:
    """Run a studio on a free port; yields it with the port. Every `key_every`-th picture is a key frame."""
    found = Studio(key_every)
    server: Server = serve(found.answer, "127.0.0.1", 0, compression=None)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found, server.socket.getsockname()[1]
    finally:
        found.hang_up()
        server.shutdown()
        thread.join()
