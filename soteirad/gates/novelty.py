"""What moves where no known object can be, and where nothing moved at the last look: the reason to look at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from soteirad.gates.geometry import Box, regions, set_part

Mask = NDArray[np.uint8]


class Novelty:
    """Compares what changes in a frame with what changed in the frame that was looked at last.

    A region is new when at least half of it did not move at the last look, and known objects do not explain it. So
    somebody who comes in is looked at when half of what shows is new: at once, and again as often as what shows has
    doubled; who cannot be recognised is looked at again when gone on by half of itself.
    """

    SHARE = 0.5
    """Share of a region that must be new."""
    REACH = 0.35
    """How far a known object may be from where it is expected, in diagonals of its box. Within half a diagonal the
    tracker takes any detection of like size for it, and a look would bring nothing new; less leaves room for others."""
    MARGIN = 2
    """What moves within so many pixels of what moved at the last look is the same."""

    def __init__(self) -> None:
        self._unseen: Mask = np.full((1, 1), 255, np.uint8)
        """255 where nothing moved at the last look."""

    def step(self, changed: Mask, known: Sequence[Box], smallest: float) -> bool:
        """Say whether a frame shows new motion.

        `changed` is the uint8 mask (height, width) of what changed, `known` are the boxes (fractions of the frame) in
        which objects are expected, `smallest` is the least share of the picture that a region must have.
        """
        if changed.shape != self._unseen.shape:
            self._unseen = np.full(changed.shape, 255, np.uint8)
        left = self._unexplained(changed, known)
        place = set_part(left)
        if place is None:
            return False
        fresh = cv2.bitwise_and(left[place], self._unseen[place])
        least = max(1.0, smallest * changed.size)
        if cv2.countNonZero(fresh) < least:
            return False
        labels, sizes = regions(left[place])
        new = np.bincount(labels[fresh > 0], minlength=len(sizes) + 1)[1:]
        return bool(((new >= least) & (new >= self.SHARE * sizes)).any())

    def looked(self, changed: Mask) -> None:
        """Note that the detector looks at the frame in which `changed` changed."""
        side = 2 * self.MARGIN + 1
        moved = cv2.dilate(changed, np.ones((side, side), np.uint8))
        self._unseen = np.asarray(cv2.bitwise_not(moved), np.uint8)

    def _unexplained(self, changed: Mask, known: Sequence[Box]) -> Mask:
        """Return what changed out of reach of all known objects."""
        left = changed.copy()
        height, width = changed.shape
        for box in known:
            x1, y1, x2, y2 = box[0] * width, box[1] * height, box[2] * width, box[3] * height
            reach = self.REACH * math.hypot(x2 - x1, y2 - y1)
            low_x, low_y = int(max(0.0, x1 - reach)), int(max(0.0, y1 - reach))
            left[low_y : math.ceil(max(0.0, y2 + reach)), low_x : math.ceil(max(0.0, x2 + reach))] = 0
        return left
