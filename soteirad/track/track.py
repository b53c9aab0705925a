"""One track: a visit of one object, and what is known of where it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BoxArray = NDArray[np.float32]


@dataclass
class Track:
    """The tracker's own record. Boxes are x1, y1, x2, y2 in fractions of the frame, times media seconds."""

    id: int
    class_index: int
    box: BoxArray
    score: float
    first_seen: float
    last_seen: float
    born_present: bool
    hits: int = 1
    misses: float = 0.0
    confirmed: bool = False
    entered: bool = False
    moved: bool = False
    best_score: float = 0.0
    velocity: BoxArray = field(default_factory=lambda: np.zeros(2, np.float32))
    shift: BoxArray = field(default_factory=lambda: np.zeros(2, np.float32))
    """How far the centre moved with the last hit."""
    anchor: BoxArray = field(default_factory=lambda: np.zeros(4, np.float32))
    anchor_time: float = 0.0

    STILL_S = 1.5
    """A track whose centre stayed within a tenth of its size for this long stands still."""
    STILL_SHARE = 0.1
    SMOOTH_S = 0.4
    """Time constant of the velocity's smoothing."""
    PREDICT_S = 1.5
    """A velocity is trusted for this long without a hit."""

    def __post_init__(self) -> None:
        self.best_score = self.score
        self.anchor, self.anchor_time = self.box, self.first_seen

    @property
    def still(self) -> bool:
        """Whether the object has stood still for `STILL_S` up to its last hit."""
        return self.last_seen - self.anchor_time >= self.STILL_S

    def predicted(self, time: float) -> BoxArray:
        """Return the box expected at `time`: constant velocity, for a while; a still object stays where it is."""
        if self.still:
            return self.box
        step = self.velocity * np.float32(min(max(0.0, time - self.last_seen), self.PREDICT_S))
        return self.box + np.concatenate([step, step])

    def hit(self, box: BoxArray, score: float, time: float, counts: bool = True) -> None:
        """Take a matched detection: new box, smoothed velocity, and whether it still stands where it stood.

        `counts` says whether it counts towards confirmation.
        """
        elapsed = time - self.last_seen
        self.shift = _centre(box) - _centre(self.box)
        if elapsed > 0:
            measured = (_centre(box) - _centre(self.box)) / np.float32(elapsed)
            share = np.float32(1.0 - np.exp(-elapsed / self.SMOOTH_S) if self.moved else 1.0)
            self.moved = True
            self.velocity = share * measured + (1 - share) * self.velocity
        self.box, self.score, self.last_seen = box, score, time
        self.best_score = max(self.best_score, score)
        self.hits, self.misses = self.hits + counts, 0.0
        size = np.maximum(self.anchor[2:] - self.anchor[:2], 1e-6)
        if np.any(np.abs(_centre(box) - _centre(self.anchor)) / size > self.STILL_SHARE):
            self.anchor, self.anchor_time = box, time

    def carry(self, shift: BoxArray) -> None:
        """Move the box of a hidden object along with whoever hides it."""
        self.box = self.box + np.concatenate([shift, shift])
        self.velocity = np.zeros(2, np.float32)


def _centre(box: BoxArray) -> BoxArray:
    return (box[:2] + box[2:]) / 2
