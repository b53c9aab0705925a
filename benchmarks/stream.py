"""A live stream whose every frame can be recognised: numbers in its pictures, and when the server sent which one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.clips import SIZE, encode, made_once
from tests.rtsp_server import RtspServer
from tests.shared_data import DEMO

FPS = 10
WALK = (5.6, 8.6)
"""Seconds of the demonstration: nobody, a person walks in (visible at 6.1) up to the middle of the room ..."""
PAUSE_S = 1.5
"""... from where it walks back, and for so long nobody is there."""
BLOCK, BITS, CONTRAST = 16, 8, 5
"""A frame's number: for each bit two blocks (pixels), one a little lighter than grey (levels), one a little darker."""
_GREY = 112

Picture = NDArray[np.uint8]


def write_number(luma: Picture, number: int) -> None:
    """Write a frame's number into the upper right corner of a luma plane: so faint that gate 1 does not open."""
    for bit in range(BITS):
        sign = 1 if number >> bit & 1 else -1
        for half, level in enumerate((_GREY + sign * CONTRAST, _GREY - sign * CONTRAST)):
            luma[:BLOCK, _column(luma, bit, half)] = level


def read_number(luma: Picture) -> int:
    """Return the number that `write_number` wrote, from a picture that may have been compressed."""
    means = [[float(luma[2 : BLOCK - 2, _column(luma, bit, half, 2)].mean()) for half in (0, 1)] for bit in range(BITS)]
    return sum((first > second) << bit for bit, (first, second) in enumerate(means))


def _column(luma: Picture, bit: int, half: int, inset: int = 0) -> slice:
    left = luma.shape[1] - BLOCK * (2 * BITS - 2 * bit - half)
    return slice(left + inset, left + BLOCK - inset)


def visits_clip() -> Path:
    """Return a clip for a loop: a person walks in, turns round and walks out, 1280x720, 10 a second; made once."""
    return made_once("visits-720p.mp4", lambda path: encode(path, FPS, {"crf": "23", "g": "20"}, _numbered()))


def _numbered() -> Iterator[Picture]:
    with av.open(str(DEMO)) as container:
        there = [f for f in container.decode(video=0) if WALK[0] <= float(f.time or 0.0) < WALK[1]]
    for index, frame in enumerate([*there, *there[::-1], *[there[0]] * round(PAUSE_S * FPS)]):
        planes = np.asarray(frame.reformat(*SIZE, "yuv420p", interpolation="BICUBIC").to_ndarray(), np.uint8)
        write_number(planes[: SIZE[1]], index)
        yield planes


def length(clip: Path) -> int:
    """Return how many frames a clip has."""
    with av.open(str(clip)) as container:
        return sum(packet.size > 0 for packet in container.demux(video=0))


def number_of(jpeg: bytes) -> int:
    """Return the number in a snapshot."""
    return read_number(np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE), np.uint8))


@dataclass(frozen=True)
class Schedule:
    """When a looped clip's frames are handed out; `zero` is the monotonic second of the first frame of some round."""

    zero: float
    frames: int

    def sent(self, number: int, before: float) -> float:
        """Return when the frame with this number was handed out for the last time before a monotonic second."""
        period = self.frames / FPS
        first = self.zero + number / FPS
        return first + (before - first) // period * period


@contextmanager
def visits_stream(folder: Path) -> Iterator[tuple[RtspServer, Path]]:
    """Serve the visits for ever; yields the server, and the file in which it says when it began."""
    server, told = RtspServer(), folder / "began.json"
    server.start(visits_clip(), loop=True, told=told)
    try:
        yield server, told
    finally:
        server.kill()


def schedule(told: Path) -> Schedule:
    """Return the schedule of a stream that somebody watches."""
    return Schedule(json.loads(told.read_text().splitlines()[-1])["zero_ns"] / 1e9, length(visits_clip()))
