"""One track: a visit of one object, and what is known of where it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from soteirad.gates.geometry import Box

Pair = tuple[float, float]
"""x and y."""


@dataclass
class Track:
    """The tracker's own record. Boxes are fractions of the frame, times media seconds.

    A *firm* hit is a strong detection. Faint ones are often parts of the object or of something beside it: they move
    the track, but its size and the time since which its place is uncertain are left to firm hits.
    """

    id: int
    class_index: int
    box: Box
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
    size: Pair = (0.0, 0.0)
    """Smoothed width and height."""
    velocity: Pair = (0.0, 0.0)
    """Of the centre, in frames per second."""
    outgrown: bool = False
    """Whether the last firm hit was larger than the size then."""
    shift: Pair = (0.0, 0.0)
    """How far the centre moved with the last hit."""
    anchor: Box = (0.0, 0.0, 0.0, 0.0)
    anchor_time: float = 0.0

    STILL_S = 1.5
    """A track whose centre stayed within a tenth of its size for this long stands still."""
    STILL_SHARE = 0.1
    VELOCITY_S = 0.8
    """Time constant of the velocity's smoothing: about a step and a half of somebody who walks."""
    SIZE_S = 1.0
    """Time constant of the size's smoothing: longer than a gait's swing or a half hidden moment."""
    GROWTH_S = 0.3
    """The same from the second larger box in a row on: a car that comes towards the camera doubles its area in less
    than half a second."""
    ODD = 0.5
    """The first larger box may be an odd one: the size takes on this share of it at most, after however long."""
    LARGER = 1.1
    """A box of so many times the area is larger than the size; below that boxes just vary."""
    PREDICT_S = 1.5
    """A velocity is trusted for this long without a hit."""

    def __post_init__(self) -> None:
        self.best_score = self.score
        self.last_firm = self.last_seen
        self.size = _size(self.box)
        self.anchor, self.anchor_time = self.box, self.first_seen

    @property
    def still(self) -> bool:
        """Whether the object has stood still for `STILL_S` up to its last hit."""
        return self.last_seen - self.anchor_time >= self.STILL_S

    def predicted(self, time: float) -> Box:
        """Return the box expected at `time`: smoothed size, constant velocity for a while; a still object stays."""
        x, y = _centre(self.box)
        if not self.still:
            ahead = min(max(0.0, time - self.last_seen), self.PREDICT_S)
            x, y = x + self.velocity[0] * ahead, y + self.velocity[1] * ahead
        half_width, half_height = self.size[0] / 2, self.size[1] / 2
        return x - half_width, y - half_height, x + half_width, y + half_height

    def hit(self, box: Box, score: float, time: float, firm: bool = True, counts: bool = True,
            growing: bool = False) -> None:  # fmt: skip
        """Take a matched detection: new box, smoothed velocity and size, and whether it still stands where it stood.

        `counts` says whether it counts towards confirmation, for which hits must be consecutive. `growing` takes the
        box's size as it is: at the picture's edge an object shows more of itself with each look.
        """
        elapsed = max(0.0, time - self.last_seen)
        (x, y), (old_x, old_y) = _centre(box), _centre(self.box)
        self.shift = x - old_x, y - old_y
        if elapsed > 0:
            speed = self.shift[0] / elapsed, self.shift[1] / elapsed
            self.velocity = _towards(self.velocity, speed, _share(elapsed, self.VELOCITY_S))
        if growing:
            self.size = _size(box)
        elif firm:
            self._resize(_size(box), elapsed)
        if firm:
            self.last_firm = time
        self.box, self.score, self.last_seen = box, score, time
        self.best_score = max(self.best_score, score)
        self.hits, self.misses = (self.hits + 1 if counts else 0), 0.0
        (anchor_x, anchor_y), (width, height) = _centre(self.anchor), _size(self.anchor)
        if abs(x - anchor_x) > self.STILL_SHARE * width or abs(y - anchor_y) > self.STILL_SHARE * height:
            self.anchor, self.anchor_time = box, time

    def _resize(self, found: Pair, elapsed: float) -> None:
        """Follow the size of a firm hit `elapsed` seconds after the last hit."""
        larger = found[0] * found[1] > self.LARGER * self.size[0] * self.size[1]
        share = _share(elapsed, self.GROWTH_S if larger and self.outgrown else self.SIZE_S)
        if larger and not self.outgrown:
            share = min(share, self.ODD)
        self.size, self.outgrown = _towards(self.size, found, share), larger

    def carry(self, shift: Pair) -> None:
        """Move the box of a hidden object along with whoever hides it."""
        (x, y), (x1, y1, x2, y2) = shift, self.box
        self.box = x1 + x, y1 + y, x2 + x, y2 + y
        self.velocity = 0.0, 0.0


def _centre(box: Box) -> Pair:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _size(box: Box) -> Pair:
    return box[2] - box[0], box[3] - box[1]


def _share(elapsed: float, constant: float) -> float:
    """Return how much of a new value exponential smoothing takes on after `elapsed` seconds; `constant` in seconds."""
    return 1.0 - math.exp(-elapsed / constant)


def _towards(before: Pair, now: Pair, share: float) -> Pair:
    return before[0] + share * (now[0] - before[0]), before[1] + share * (now[1] - before[1])
