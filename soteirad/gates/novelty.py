"""What moves where no known object can be, and where nothing moved at the last look: the reason to look at once."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
BoxArray = NDArray[np.float32]


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
        self._seen: Mask = np.zeros((1, 1), np.uint8)

    def step(self, changed: Mask, known: Sequence[BoxArray], smallest: float) -> bool:
        """Say whether a frame shows new motion.

        `changed` is the uint8 mask (height, width) of what changed, `known` are the boxes (fractions of the frame) in
        which objects are expected, `smallest` is the least share of the picture that a region must have.
        """
        if changed.shape != self._seen.shape:
            self._seen = np.zeros(changed.shape, np.uint8)
        left = self._unexplained(changed, known)
        fresh = (left > 0) & (self._seen == 0)
        least = max(1.0, smallest * changed.size)
        if np.count_nonzero(fresh) < least:
            return False
        count, regions, stats, _ = cv2.connectedComponentsWithStats(left, connectivity=8)
        new = np.bincount(regions[fresh], minlength=count)[1:]
        return bool(((new >= least) & (new >= self.SHARE * stats[1:, cv2.CC_STAT_AREA])).any())

    def looked(self, changed: Mask) -> None:
        """Note that the detector looks at the frame in which `changed` changed."""
        side = 2 * self.MARGIN + 1
        self._seen = np.asarray(cv2.dilate(changed, np.ones((side, side), np.uint8)), np.uint8)

    def _unexplained(self, changed: Mask, known: Sequence[BoxArray]) -> Mask:
        """Return what changed out of reach of all known objects."""
        left = changed.copy()
        scale = np.array(changed.shape[::-1], np.float32)
        for box in known:
            low, high = box[:2] * scale, box[2:] * scale
            reach = self.REACH * float(np.hypot(*(high - low)))
            x1, y1 = np.maximum(0, low - reach).astype(int)
            x2, y2 = np.ceil(np.maximum(0, high + reach)).astype(int)
            left[y1:y2, x1:x2] = 0
        return left
