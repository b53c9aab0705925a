"""Real video for a box that is made up: a walk of eight seconds, in pieces as a camera process sends them, for ever."""

from __future__ import annotations

import io
import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import av
import cv2
import numpy as np

FPS = 25
SECONDS = 8
GOP = 2 * FPS
OVERLAY_EVERY = 5
"""Pictures between two overlays: 5 a second. The camera analyses no more."""
SIZES = {"source": (640, 360), "detail": (1280, 720)}
MOST_WAITING = 4 * FPS
TIMESCALE = 12800


@dataclass(frozen=True)
class Walk:
    """A clip as fragmented MP4: its head, and a piece for each picture. `key` pieces begin a group of pictures."""

    codec: str
    head: bytes
    pieces: tuple[bytes, ...]

    def piece(self, index: int) -> bytes:
        """Return the piece of picture `index` of a walk that goes on for ever: its time is `index / FPS`."""
        piece = bytearray(self.pieces[index % len(self.pieces)])
        at = piece.index(b"tfdt") + 4
        assert piece[at] == 1, "64 bits of time"
        piece[at + 4 : at + 12] = (index * TIMESCALE // FPS).to_bytes(8, "big")
        return bytes(piece)


def is_key(index: int) -> bool:
    """Say whether playing can begin with a picture."""
    return index % GOP == 0


def walker(index: int) -> tuple[float, float, float, float]:
    """Return the box of somebody who walks to and fro, in fractions of the picture."""
    x = 0.1 + 0.6 * abs(math.sin(math.pi * index / (FPS * SECONDS)))
    return x, 0.4, x + 0.12, 0.9


@lru_cache(maxsize=2)
def walk(stream: str) -> Walk:
    """Draw and encode the walk as one of a camera's streams."""
    width, height = SIZES[stream]
    sink = io.BytesIO()
    sink.seek = None  # type: ignore[assignment,method-assign] # so that it is written as a stream
    options = {"movflags": "empty_moov+default_base_moof+frag_every_frame", "video_track_timescale": str(TIMESCALE)}
    with av.open(sink, "w", format="mp4", options=options) as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.time_base = Fraction(1, FPS)
        video.codec_context.gop_size = GOP
        video.codec_context.options = {"preset": "veryfast", "tune": "zerolatency", "profile": "baseline",
                                       "sc_threshold": "0"}  # fmt: skip
        for index in range(FPS * SECONDS):
            frame = av.VideoFrame.from_ndarray(_draw(index, width, height, stream), "bgr24")
            frame.pts = index
            container.mux(video.encode(frame))
        container.mux(video.encode())
    head, pieces = _split(sink.getvalue())
    assert len(pieces) == FPS * SECONDS
    at = head.index(b"avcC") + 5
    return Walk(f"avc1.{head[at : at + 3].hex()}", head, pieces)


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and bytes of each MP4 box."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        assert size >= 8
        yield data[at + 4 : at + 8], data[at : at + size]
        at += size


def _split(data: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    head, pieces, moof = b"", [], b""
    for kind, box in boxes(data):
        if kind in (b"ftyp", b"moov"):
            head += box
        elif kind == b"moof":
            moof = box
        elif kind == b"mdat":
            pieces.append(moof + box)
    return head, tuple(pieces)


def _draw(index: int, width: int, height: int, stream: str) -> np.ndarray:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:] = np.linspace((200, 170, 120), (60, 110, 70), height).astype(np.uint8)[:, None, :]
    x1, y1, x2, y2 = walker(index)
    corners = (int(x1 * width), int(y1 * height)), (int(x2 * width), int(y2 * height))
    cv2.rectangle(picture, *corners, (40, 40, 160), -1)
    text = f"{stream} {index / FPS:.2f}"
    cv2.putText(picture, text, (12, height - 14), cv2.FONT_HERSHEY_SIMPLEX, height / 600, (255, 255, 255), 1)
    return picture


Part = dict[str, Any] | bytes


class FakeVideoViewer:
    """Implements `soteirad.web.box.VideoViewer`: who takes nothing goes on with a later key frame."""

    def __init__(self, on_news: Callable[[], None], on_close: Callable[[FakeVideoViewer], None]) -> None:
        self._on_news = on_news
        self._on_close = on_close
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Part, ...]] = deque()
        self._asked = True
        self._lost = False
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    def next(self) -> Sequence[Part]:
        assert threading.current_thread().name == "web", "it belongs to the loop"
        with self._lock:
            if self._closed or not self._waiting:
                self._asked = True
                return ()
            return self._waiting.popleft()

    def close(self) -> None:
        with self._lock:
            first, self._closed = not self._closed, True
        if first:
            self._on_close(self)
            self._on_news()

    def put(self, *parts: Part, begins: bool = False) -> None:
        """Queue what belongs together, and tell, if it was asked for since. `begins`: playing can begin with it."""
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.clear()
                self._lost = True
            self._lost = self._lost and not begins
            if self._lost:
                return
            self._waiting.append(parts)
            told, self._asked = self._asked, False
        if told:
            self._on_news()


class FakeVideo:
    """One stream of one camera, at real pace, while somebody watches. `values` makes the overlay of a picture."""

    def __init__(self, stream: str, values: Callable[[int], dict[str, Any]], encoded: bool = False) -> None:
        self._stream = stream
        self._values = values
        self._encoded = encoded
        self._lock = threading.Lock()
        self._viewers: list[FakeVideoViewer] = []
        self._gone = ""
        self._begins = True
        self._index = 0
        self._running = False

    @property
    def watching(self) -> int:
        """How many watch."""
        with self._lock:
            return len(self._viewers)

    def watch(self, on_news: Callable[[], None]) -> FakeVideoViewer:
        """Let one more watch: from the last key frame on."""
        viewer = FakeVideoViewer(on_news, self._forget)
        with self._lock:
            self._viewers.append(viewer)
            if self._gone:
                viewer.put({"kind": "gone", "reason": self._gone}, begins=True)
            elif not self._begins:
                self._begin(viewer)
                for index in range((self._index - 1) // GOP * GOP, self._index):
                    viewer.put(walk(self._stream).piece(index))
            if not self._running:
                self._running = True
                threading.Thread(target=self._play, name="fake-video", daemon=True).start()
        return viewer

    def go(self, reason: str) -> None:
        """Be away for this reason."""
        with self._lock:
            self._gone, self._begins = reason, True
            for viewer in self._viewers:
                viewer.put({"kind": "gone", "reason": reason}, begins=True)

    def come(self) -> None:
        """Be back: the stream begins anew."""
        with self._lock:
            self._gone, self._begins = "", True

    def skip(self, pictures: int) -> None:
        """Lose so many pictures, up to the key frame after them, as a slow viewer does."""
        with self._lock:
            self._index = -(-(self._index + pictures) // GOP) * GOP

    def end(self) -> None:
        """Send all away."""
        with self._lock:
            viewers = list(self._viewers)
        for viewer in viewers:
            viewer.close()

    def _play(self) -> None:
        walk(self._stream)  # drawn before the clock runs, and not by the thread of the server's loop
        due = time.monotonic()
        for _ in itertools.count():
            with self._lock:
                if not self._viewers:
                    self._running, self._begins = False, True
                    return
                if not self._gone:
                    self._step()
            due += 1 / FPS
            time.sleep(max(0.0, due - time.monotonic()))

    def _step(self) -> None:
        if self._begins:
            self._begins, self._index = False, 0
            for viewer in self._viewers:
                self._begin(viewer)
        index, self._index = self._index, self._index + 1
        piece = walk(self._stream).piece(index)
        for viewer in self._viewers:
            viewer.put(piece, begins=is_key(index))
            if index % OVERLAY_EVERY == 0:
                viewer.put({"kind": "overlay", "at": index / FPS, "values": self._values(index)})

    def _begin(self, viewer: FakeVideoViewer) -> None:
        width, height = SIZES[self._stream]
        found = walk(self._stream)
        start = {"kind": "start", "codec": found.codec, "width": width, "height": height, "encoded": self._encoded}
        viewer.put(start, found.head, begins=True)

    def _forget(self, viewer: FakeVideoViewer) -> None:
        with self._lock:
            if viewer in self._viewers:
                self._viewers.remove(viewer)
