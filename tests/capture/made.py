"""Small clips, made with PyAV, and a clock that a test moves."""

from __future__ import annotations

import threading
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from soteirad.capture.frame import Frame


class FakeClock:
    """Time passes only while somebody waits; `stop_after` waits sets the stop event instead."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.now = 1000.0
        self.waits: list[float] = []
        self._stop_after = stop_after

    def wall(self) -> float:
        return 1_800_000_000.0 + self.now

    def monotonic(self) -> float:
        return self.now

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        if self._stop_after is not None and len(self.waits) >= self._stop_after:
            stop.set()
        if not stop.is_set():
            self.now += max(0.0, seconds)
        return stop.is_set()


def picture(index: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """Return a grey RGB picture whose level says which one it is."""
    return np.full((height, width, 3), 20 + 10 * index, np.uint8)


def write_clip(path: Path, frames: int = 10, rate: int = 10, codec: str = "libx264", first_pts: int = 0,
               gop: int = 5, faststart: bool = False) -> Path:  # fmt: skip
    """Write `frames` pictures of rising level; with x264 this has B frames, so decoding order is not showing order."""
    options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.gop_size = gop
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            frame.pts, frame.time_base = first_pts + index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    return path


def frame_of(bgr: NDArray[np.uint8], pixel_format: str = "yuv420p", index: int = 0, time: float = 0.0,
             captured: float = 0.0, privacy: tuple[tuple[float, ...], ...] = (), rotate: int = 0,
             corrupt: bool = False) -> Frame:  # fmt: skip
    """Return a frame that holds a BGR picture in some pixel format."""
    video = av.VideoFrame.from_ndarray(np.ascontiguousarray(bgr), format="bgr24")
    picture = video.reformat(format=pixel_format)
    return Frame(index, time, captured, 0.0, 0.0, picture, privacy, rotate=rotate, corrupt=corrupt)
