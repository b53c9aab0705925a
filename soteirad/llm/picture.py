"""Pictures for a vision model: the whole frame or an object with some room around it, small enough to be sent, and
the 32 x 32 picture by which two of them are compared. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from soteirad.capture.frame import Frame
from soteirad.snapshot import encode_jpeg

LONGEST_SIDE = 768
QUALITY = 80
ROOM = 0.5
"""How much of its own size is shown around an object on each side: what it does shows beside it."""
SMALLEST_SIDE = 224
"""Pixels of a crop's sides, if the frame has them: what vision models were trained on at the least."""
GRID = 32
PATCH = 28
"""Pixels of a side that make one token in Qwen2.5-VL (arXiv 2502.13923, section 2.1); others take about as many."""

Region = tuple[float, float, float, float]
"""x1, y1, x2, y2 in fractions of the frame."""
WHOLE: Region = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Shot:
    """One picture for a model: a JPEG, its size in pixels, and when it was captured (seconds since the epoch)."""

    jpeg: bytes
    width: int
    height: int
    captured: float


def region_around(box: Sequence[float], width: int, height: int) -> Region:
    """Return the region that shows a box (x1, y1, x2, y2 in fractions) with room around it, in a frame of that size."""
    spans = []
    for low, high, pixels in ((box[0], box[2], width), (box[1], box[3], height)):
        side = max((high - low) * (1 + 2 * ROOM), SMALLEST_SIDE / pixels)
        start = min(max(0.0, (low + high - side) / 2), max(0.0, 1.0 - side))
        spans.append((start, min(1.0, start + side)))
    (x1, x2), (y1, y2) = spans
    return x1, y1, x2, y2


def make_shot(frame: Frame, region: Region = WHOLE) -> tuple[Shot, bytes]:
    """Return a region of a frame, at most 768 pixels on the long side, never enlarged, privacy masks black; and its
    `signature`."""
    x1, y1, x2, y2 = region
    scale = min(1.0, LONGEST_SIDE / max((x2 - x1) * frame.width, (y2 - y1) * frame.height))
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    left, top = math.floor(x1 * width), math.floor(y1 * height)
    right, bottom = (min(end, start + LONGEST_SIDE, max(start + 1, math.ceil(share * end)))
                     for start, share, end in ((left, x2, width), (top, y2, height)))  # fmt: skip
    picture = frame.bgr(width, height)[top:bottom, left:right]
    shot = Shot(encode_jpeg(picture, QUALITY), picture.shape[1], picture.shape[0], frame.captured)
    return shot, signature(picture)


def signature(picture: NDArray[np.uint8]) -> bytes:
    """Return the mean grey of 32 x 32 fields of a BGR picture, row by row."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, (GRID, GRID), interpolation=cv2.INTER_AREA), np.uint8).tobytes()


def similarity(one: bytes, other: bytes) -> float:
    """Return how alike two signatures are, 0 to 1: one minus the largest difference of any field. They may be those of
    several pictures, one after the other; of other numbers of pictures, or of none, they are not alike at all.

    The largest, not the mean: a parcel changes one field of a doorstep, and the mean would lose it among the others. On
    pedestrians of two public clips (PETS09-S2L1, TUD-Stadtmitte) put into the empty scene, this took the share of the
    first column for the empty scene although they have 1 % of the frame or more, that of the second with less, and that
    of the third for somebody else in the same scene; the last two are crops and whole frames ten seconds apart in which
    nobody is (passers-by without a label are in some):

        8 x 8, largest >= 0.97     15 %     18 %     5.8 %      88 %     58 %
        16 x 16, largest >= 0.96    0 %    2.8 %     0.4 %      87 %     51 %
        32 x 32, largest >= 0.94    0 %      0 %       0 %      80 %     38 %
    """
    if not one or len(one) != len(other):
        return 0.0
    fields = [np.frombuffer(s, np.uint8).astype(np.int16) for s in (one, other)]
    return 1.0 - float(np.abs(fields[0] - fields[1]).max()) / 255.0


def estimate_tokens(shots: Sequence[Shot], characters: int) -> int:
    """Return about how many tokens pictures and a text of so many characters are."""
    patches = sum(math.ceil(shot.width / PATCH) * math.ceil(shot.height / PATCH) for shot in shots)
    return patches + math.ceil(characters / 4)
