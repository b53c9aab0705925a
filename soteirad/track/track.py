"""One track: a visit of one object, and what is known of where it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BoxArray = NDArray[np.float32]
"""x1, y1, x2, y2 in fractions of the frame."""


@dataclass
class Track:
    """The tracker's own record. Boxes are fractions of the frame, times media seconds.

    A *firm* hit is a strong detection. Faint ones are often parts of the object or of something beside it: they move
    the track, but its size and the time since which its place is uncertain are left to firm hits.
    """

    id: int
    class_index: int
    box: BoxArray
    score: float
    first_seen: float
    last_seen: float
    born_present: bool
    hits: int = 1
    """Consecutive hits that count towards confirmation."""
    misses: float = 0.0
    confirmed: bool = False
    best_score: float = 0.0
    last_firm: float = 0.0
    size: BoxArray = field(default_factory=lambda: np.zeros(2, np.float32))
    """Smoothed width and height."""
    velocity: BoxArray = field(default_factory=lambda: np.zeros(2, np.float32))
    """Of the centre, in frames per second."""
    shift: BoxArray = field(default_factory=lambda: np.zeros(2, np.float32))
    """How far the centre moved with the last hit."""
    anchor: BoxArray = field(default_factory=lambda: np.zeros(4, np.float32))
    anchor_time: float = 0.0

    STILL_S = 1.5
    """A track whose centre stayed within a tenth of its size for this long stands still."""
    STILL_SHARE = 0.1
    VELOCITY_S = 0.8
    """Time constant of the velocity's smoothing: about a step and a half of somebody who walks."""
    SIZE_S = 1.0
    """Time constant of the size's smoothing: longer than a gait's swing or a half hidden moment."""
    PREDICT_S = 1.5
    """A velocity is trusted for this long without a hit."""

    def __post_init__(self) -> None:
        self.best_score = self.score
        self.last_firm = self.last_seen
        self.size = self.box[2:] - self.box[:2]
        self.anchor, self.anchor_time = self.box, self.first_seen

    @property
    def still(self) -> bool:
        """Whether the object has stood still for `STILL_S` up to its last hit."""
        return self.last_seen - self.anchor_time >= self.STILL_S

    def predicted(self, time: float) -> BoxArray:
        """Return the box expected at `time`: smoothed size, constant velocity for a while; a still object stays."""
        middle = _centre(self.box)
        if not self.still:
            middle = middle + self.velocity * np.float32(min(max(0.0, time - self.last_seen), self.PREDICT_S))
        half = self.size * np.float32(0.5)
        box: BoxArray = np.concatenate([middle - half, middle + half])
        return box

    def hit(self, box: BoxArray, score: float, time: float, firm: bool = True, counts: bool = True,
            growing: bool = False) -> None:  # fmt: skip
        """Take a matched detection: new box, smoothed velocity and size, and whether it still stands where it stood.

        `counts` says whether it counts towards confirmation, for which hits must be consecutive. `growing` takes the
        box's size as it is: at the picture's edge an object shows more of itself with each look.
        """
        elapsed = max(0.0, time - self.last_seen)
        self.shift = _centre(box) - _centre(self.box)
        if elapsed > 0:
            self.velocity = self.velocity + _share(elapsed, self.VELOCITY_S) * (
                self.shift / np.float32(elapsed) - self.velocity)  # fmt: skip
        if growing:
            self.size = box[2:] - box[:2]
        elif firm:
            self.size = self.size + _share(elapsed, self.SIZE_S) * (box[2:] - box[:2] - self.size)
        if firm:
            self.last_firm = time
        self.box, self.score, self.last_seen = box, score, time
        self.best_score = max(self.best_score, score)
        self.hits, self.misses = (self.hits + 1 if counts else 0), 0.0
        off = np.abs(_centre(box) - _centre(self.anchor)) - self.STILL_SHARE * (self.anchor[2:] - self.anchor[:2])
        if off.max() > 0:
            self.anchor, self.anchor_time = box, time

    def carry(self, shift: BoxArray) -> None:
        """Move the box of a hidden object along with whoever hides it."""
        self.box = self.box + np.concatenate([shift, shift])
        self.velocity = np.zeros(2, np.float32)


def _centre(box: BoxArray) -> BoxArray:
    result: BoxArray = (box[:2] + box[2:]) * np.float32(0.5)
    return result


def _share(elapsed: float, constant: float) -> np.float32:
    """Return the weight of a new measurement after `elapsed` seconds, for exponential smoothing."""
    return np.float32(1.0 - math.exp(-elapsed / constant))
