"""An RTSP camera in which every packet is what a test wants: H.264 over RTSP's own TCP connection, in plain Python.

What GStreamer will not do: time stamps that jump, packets whose bits are wrong, stalls, connections that are reset,
refusals with any status. The clip is sent to each client from its beginning.
"""

from __future__ import annotations

import base64
import random
import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tests.clips import flip, nals
from tests.rtsp_server import read_packets

RTP_CLOCK = 90_000
MTU = 1400
JOIN_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Unit:
    """One picture: when it is sent, the time stamp of its RTP packets, its data (Annex B), and whether it is intact."""

    at: float
    stamp: float
    data: bytes
    key: bool = False
    intact: bool = True
    lost: frozenset[int] = frozenset()
    """Which of its RTP packets never leave the camera, counted from 0."""


def units(clip: Path) -> list[Unit]:
    """Return the pictures of an H.264 clip in the order of decoding."""
    return [Unit(dts / 1e9, pts / 1e9, data, key) for pts, dts, key, data in read_packets(clip)[1]]


def jump(pictures: Sequence[Unit], after: float, seconds: float) -> list[Unit]:
    """Let the time stamps jump by `seconds` from `after` on; the pictures come as regularly as before."""
    return [replace(unit, stamp=unit.stamp + seconds) if unit.at >= after else unit for unit in pictures]


def stall(pictures: Sequence[Unit], after: float, seconds: float) -> list[Unit]:
    """Send nothing for so long; then the camera goes on with its clock at the right time."""
    return [
        replace(unit, at=unit.at + seconds, stamp=unit.stamp + seconds) if unit.at >= after else unit
        for unit in pictures
    ]


def corrupt(pictures: Sequence[Unit], share: float, seed: int = 1, *, keys: bool = True) -> list[Unit]:
    """Turn bits over in a share of the pictures; with `keys` off, key pictures are spared."""
    chance = random.Random(seed)
    return [
        replace(unit, data=flip(unit.data, chance), intact=False)
        if chance.random() < share and (keys or not unit.key)
        else unit
        for unit in pictures
    ]


def lose(pictures: Sequence[Unit], share: float, seed: int = 1) -> list[Unit]:
    """Lose a share of the RTP packets."""
    chance = random.Random(seed)
    found = []
    for unit in pictures:
        sizes = range(sum(len(_payloads(nal)) for nal in nals(unit.data)))
        lost = frozenset(index for index in sizes if chance.random() < share)
        found.append(replace(unit, lost=lost, intact=not lost))
    return found


def _payloads(nal: bytes) -> list[bytes]:
    """Return the RTP payloads of one NAL unit (RFC 6184): itself, or its fragments."""
    if len(nal) <= MTU:
        return [nal]
    head, body = nal[0], nal[1:]
    pieces = [body[start : start + MTU - 2] for start in range(0, len(body), MTU - 2)]
    flags = [0x80 * (index == 0) | 0x40 * (index == len(pieces) - 1) for index in range(len(pieces))]
    return [bytes([head & 0xE0 | 28, flag | head & 0x1F]) + piece for flag, piece in zip(flags, pieces, strict=True)]


class ScriptedRtsp:
    """Sends the pictures in real time times `speed`, then keeps silent, or hangs up with `hang_up`.

    `answers` gives the status to answer a method with: `{"SETUP": 461}`. `encoding` is what it calls its codec,
    `location` where a refusal (302) says that it is to be found. With `announces` off, parameter sets come only with
    the key pictures.
    """

    def __init__(self, pictures: Sequence[Unit], *, speed: float = 1.0, hang_up: bool = False,
                 answers: Mapping[str, int] | None = None, encoding: str = "H264",
                 location: str = "", announces: bool = True) -> None:  # fmt: skip
        self._pictures = pictures
        self._speed = speed
        self._hang_up = hang_up
        self._answers = dict(answers or {})
        self._encoding = encoding
        self._location = location
        self._announces = announces
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = int(self._listener.getsockname()[1])
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._ended, self._running = threading.Event(), threading.Event()
        self._running.set()
        self._spawn(self._accept)

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self._port}/clip"

    def __enter__(self) -> ScriptedRtsp:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def freeze(self) -> None:
        """Say nothing more, with all connections open."""
        self._running.clear()

    def thaw(self) -> None:
        """Go on after `freeze`."""
        self._running.set()

    def reset(self) -> None:
        """Cut all connections with a reset (RST); new ones are served."""
        for connection in list(self._connections):
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RD)  # wakes its thread, which closes it

    def stop(self) -> None:
        """End it."""
        self._ended.set()
        self._running.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(JOIN_TIMEOUT_S)

    def _spawn(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._ended.is_set():
                connection = self._listener.accept()[0]
                self._connections.append(connection)
                self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        lock = threading.Lock()
        with suppress(OSError), connection, connection.makefile("rb") as incoming:
            while first := incoming.read(1):
                if first == b"$":  # the client's RTCP
                    incoming.read(struct.unpack(">xH", incoming.read(3))[0])
                    continue
                method = (first + incoming.readline()).split()[0].decode()
                head = {}
                while line := incoming.readline().strip().decode():
                    name, _, value = line.partition(":")
                    head[name.lower()] = value.strip()
                self._running.wait()
                status = self._answers.get(method, 200)
                with lock:
                    connection.sendall(self._answer(method, status, head))
                if method == "PLAY" and status == 200:
                    self._spawn(self._play, connection, lock)
                if method == "TEARDOWN":
                    return

    def _answer(self, method: str, status: int, head: Mapping[str, str]) -> bytes:
        lines, body = [f"RTSP/1.0 {status} {'OK' if status == 200 else 'No'}", f"CSeq: {head.get('cseq', '0')}"], ""
        if status == 200 and method == "OPTIONS":
            lines.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
        elif status == 200 and method == "DESCRIBE":
            sets = [nal for nal in nals(self._pictures[0].data) if nal[0] & 0x1F in (7, 8)]
            sprop = ",".join(base64.b64encode(nal).decode() for nal in sets)
            body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
            body += f"a=rtpmap:96 {self._encoding}/{RTP_CLOCK}\r\na=control:video\r\n"
            body += "a=fmtp:96 packetization-mode=1"
            body += f";sprop-parameter-sets={sprop}\r\n" if self._announces else "\r\n"
            lines += ["Content-Type: application/sdp", f"Content-Base: {self.url}/", f"Content-Length: {len(body)}"]
        elif status == 200 and method == "SETUP":
            lines += ["Session: 1;timeout=60", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"]
        elif status == 200:
            lines.append("Session: 1")
        elif self._location:
            lines.append(f"Location: {self._location}")
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

    def _play(self, connection: socket.socket, lock: threading.Lock) -> None:
        began, sequence = time.monotonic(), 0
        with suppress(OSError):
            for unit in self._pictures:
                if self._ended.wait(max(0.0, began + unit.at / self._speed - time.monotonic())):
                    return
                self._running.wait()
                payloads = [payload for nal in nals(unit.data) for payload in _payloads(nal)]
                for index, payload in enumerate(payloads):
                    marker = 0x80 * (index == len(payloads) - 1)
                    stamp = round(unit.stamp * RTP_CLOCK) % 2**32
                    head = struct.pack(">BBHII", 0x80, marker | 96, sequence % 2**16, stamp, 0x50_7E_12_A0)
                    sequence += 1
                    if index not in unit.lost:
                        with lock:
                            connection.sendall(struct.pack(">cBH", b"$", 0, 12 + len(payload)) + head + payload)
            if self._hang_up:
                connection.shutdown(socket.SHUT_RDWR)
