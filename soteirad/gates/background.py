"""Gate 1's background: MOG2 in tiles, each of which is asked only about what is new there."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
Tiles = NDArray[np.bool_]
"""One value for each tile, (rows, columns) of the grid."""


class Background:
    """A mixture-of-Gaussians background (MOG2), then a 3x3 erosion and a 5x5 dilation with crosses.

    MOG2 takes as long for a still pixel as for one that changes, and most of a picture is still. So the picture is cut
    into tiles with a model each. Where MOG2 found nothing, a tile that is like the last one that its model saw is not
    given to it: the model learns from every fourth of them at four times the rate, and catches up before it judges one
    that differs. What differs by less than `STILL_SHARE` of the smallest change that MOG2 can see is the same; isolated
    pixels do not count, as the erosion takes them anyway.
    """

    GRID = (4, 4)
    """Rows and columns of tiles. Smaller ones leave more of a busy picture out (57 % of vtest.avi instead of 49 %), and
    the calls for them cost more than that saves; one for all is due in nearly every frame with noise (measured)."""
    STILL_FRAMES = 3
    """So many frames in a row a tile is passed over at most: what creeps in more slowly is seen that much later."""
    STILL_SHARE = 0.75
    LEAST_DEVIATION = 2.0
    """The smallest standard deviation, in grey levels, that OpenCV's MOG2 believes of a pixel (its variance is 4)."""
    MOST_AT_ONCE = 0.5
    """No rate that makes up for passed frames is higher: at 1 MOG2 would begin anew."""

    def __init__(self, history: int, var_threshold: float) -> None:
        self._history = history
        self._var_threshold = var_threshold
        self._tolerance = self.STILL_SHARE * self.LEAST_DEVIATION * var_threshold**0.5
        self._small = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
        self._large = cv2.getStructuringElement(cv2.MORPH_CROSS, (5, 5))
        self._models: list[Any] = []
        self._places: list[tuple[slice, slice]] = []
        self._seen: Mask = np.zeros((0, 0), np.uint8)
        self._empty = self._seen
        self._quiet: Tiles = np.zeros(self.GRID, np.bool_)
        self._passed = np.zeros(self.GRID, np.intp)
        self.frames = 0
        """How many frames it has learned from since it began."""

    def begin(self, grey: Mask) -> None:
        """Take a uint8 picture (height, width) of any size for the whole background."""
        if grey.shape != self._seen.shape:
            self._lay_out(*grey.shape)
        for model, place in zip(self._models, self._places, strict=True):
            model.apply(grey[place], learningRate=1.0)
        self._seen = grey.copy()
        self._quiet[:], self._passed[:] = False, 0
        self.frames = 1

    def step(self, grey: Mask) -> Mask:
        """Learn from the next picture, of the same size; returns where it differs, uint8 (height, width), 255 or 0.

        The mask is not to be written to.
        """
        self.frames += 1
        new = self._any(self._differing(grey))
        due = new | ~self._quiet | (self._passed >= self.STILL_FRAMES)
        if due.any():
            found = self._ask(grey, due, new)
            mask: Mask = np.asarray(cv2.dilate(cv2.erode(found, self._small), self._large), np.uint8)
            self._quiet = ~self._any(mask)
        else:
            mask = self._empty
        self._passed = np.where(due, 0, self._passed + 1)
        return mask

    def _lay_out(self, height: int, width: int) -> None:
        rows, columns = self.GRID
        tops, lefts = range(0, height, -(-height // rows)), range(0, width, -(-width // columns))
        self._places = [
            (slice(top, bottom), slice(left, right))
            for top, bottom in zip(tops, [*tops[1:], height], strict=True)
            for left, right in zip(lefts, [*lefts[1:], width], strict=True)
        ]
        self._models = [
            cv2.createBackgroundSubtractorMOG2(self._history, self._var_threshold, detectShadows=False)
            for _ in self._places
        ]
        self._quiet = np.zeros((len(tops), len(lefts)), np.bool_)
        self._passed = np.zeros(self._quiet.shape, np.intp)
        self._empty = np.zeros((height, width), np.uint8)

    def _differing(self, grey: Mask) -> Mask:
        """Return where the picture is not like the last one that was learned there."""
        _, differs = cv2.threshold(cv2.absdiff(grey, self._seen), self._tolerance, 255, cv2.THRESH_BINARY)
        return np.asarray(cv2.erode(differs, self._small), np.uint8)

    def _any(self, mask: Mask) -> Tiles:
        """Say in which tiles a mask is set anywhere."""
        if not cv2.countNonZero(mask):
            return np.zeros(self._quiet.shape, np.bool_)
        return np.array([cv2.hasNonZero(mask[place]) for place in self._places]).reshape(self._quiet.shape)

    def _ask(self, grey: Mask, due: Tiles, new: Tiles) -> Mask:
        """Give the tiles that are due to their models; returns what those say."""
        found = np.zeros_like(self._empty)
        usual = 1 / min(2 * self.frames, self._history)  # MOG2's own rate
        for index in np.flatnonzero(due):
            model, place = self._models[index], self._places[index]
            rate, passed = usual, self._passed.flat[index]
            if passed and new.flat[index]:
                model.apply(self._seen[place], learningRate=min(self.MOST_AT_ONCE, usual * passed))
            else:
                rate = min(self.MOST_AT_ONCE, usual * (1 + passed))
            model.apply(grey[place], fgmask=found[place], learningRate=rate)
            self._seen[place] = grey[place]
        return found
