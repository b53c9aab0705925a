"""Gate 1: what changed, and whether that is enough to open it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from soteirad.gates.background import Background, Mask
from soteirad.gates.geometry import Box, Polygon, polygon_mask, regions, set_part


@dataclass(frozen=True)
class Changed:
    """What changed in one frame: gate 1's measurement, which hangs on no threshold.

    `ratio` is the share of the picture that changed, 0-1, motion masks left out; `mask` is the uint8 mask (height,
    width), 255 where the picture changed, motion masks not applied, and `counted` the same with them; `area` is how
    many pixels count. In a `flood` nearly the whole picture changed at once and the mask is empty. `known` is False
    while the background is too young to tell.
    """

    ratio: float
    mask: Mask
    counted: Mask
    area: int
    flood: bool = False
    known: bool = True

    @cached_property
    def blob(self) -> float:
        """The share of the largest connected region, 0-1; worked out when it is first asked for."""
        return largest_blob(self.counted) / self.area


@dataclass(frozen=True)
class Motion:
    """Gate 1's result for one frame.

    `ratio` is the share of the picture that changed, 0-1, motion masks left out; `blob` is the share of the largest
    connected region (0 where it was not needed); `changed` is the uint8 mask (height, width), 255 where the picture
    changed, motion masks not applied; `open` says whether the gate opened. In a `flood` nearly the whole picture
    changed at once: the light did, and no object; the gate stays shut and the mask is empty.
    """

    ratio: float
    blob: float
    open: bool
    changed: Mask
    flood: bool = False


class MotionGate:
    """The decision about what changed.

    Opens when the ratio reaches `threshold` (0.02) or when one blob is larger than `min_blob`, a share of the picture:
    a lone person of one or two per cent cannot reach the ratio. A flood never opens it.
    """

    def __init__(self, threshold: float = 0.02, min_blob: float = 0.005) -> None:
        self.threshold = threshold
        self.min_blob = min_blob

    def step(self, changed: Changed) -> Motion:
        """Judge what changed in a frame."""
        ratio = changed.ratio
        if changed.flood or not changed.known:
            return Motion(ratio, 0.0, False, changed.mask, changed.flood)
        blob = changed.blob if self.min_blob < ratio < self.threshold else 0.0
        return Motion(ratio, blob, ratio >= self.threshold or blob > self.min_blob, changed.mask)


class MotionMeter:
    """What changed, by a background that learns, and the share of the picture that it is.

    History 300 and variance threshold 16 without shadow detection are the published pipeline's values.

    A ratio of `ceiling` or more is a flood: the background starts over from that frame, so that the new light is the
    background at once. Exposure goes on settling after it, so for a while less is enough to start over again. A flood
    lasts until a frame that is calm by the new background.
    """

    WARM_UP_FRAMES = 3
    """MOG2 calls everything foreground until it has seen a few frames."""
    AFTERMATH_FRAMES = 10
    """So many frames after the last real flood, a ratio of ..."""
    AFTERMATH_SHARE = 0.25
    """... this share of the ceiling belongs to it."""

    def __init__(self, history: int = 300, var_threshold: float = 16.0, masks: Sequence[Polygon] = (),
                 ceiling: float = 0.8) -> None:  # fmt: skip
        self.ceiling = ceiling
        self._background = Background(history, var_threshold)
        self._masks = masks
        self._ignored: Mask | None = None
        self._area = 0
        self._flooding = False
        self._aftermath = 0
        self._shape: tuple[int, ...] = ()

    def step(self, grey: Mask) -> Changed:
        """Measure the next frame, a uint8 luma picture (height, width); a new size starts a new background."""
        self._aftermath = max(0, self._aftermath - 1)
        if grey.shape != self._shape:
            self._resize(grey.shape)
            self._background.begin(grey)
            return self._nothing(0.0, False)
        changed = self._background.step(grey)
        if self._background.frames <= self.WARM_UP_FRAMES:
            return self._nothing(0.0, self._flooding)
        counted = changed if self._ignored is None else _mask(cv2.bitwise_and(changed, self._ignored))
        ratio = cv2.countNonZero(counted) / self._area
        if self._is_flood(ratio):
            self._background.begin(grey)
            return self._nothing(ratio, True)
        return Changed(ratio, changed, counted, self._area)

    def _nothing(self, ratio: float, flood: bool) -> Changed:
        empty = np.zeros(self._shape, np.uint8)
        return Changed(ratio, empty, empty, self._area, flood, known=False)

    def _is_flood(self, ratio: float) -> bool:
        if ratio >= self.ceiling:
            self._aftermath = self.AFTERMATH_FRAMES
            self._flooding = True
        else:
            hunting = self._aftermath > 0 and ratio >= self.AFTERMATH_SHARE * self.ceiling
            self._flooding = self._flooding and hunting
        return self._flooding

    def _resize(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._flooding = False
        height, width = shape
        self._ignored = None
        if self._masks:
            self._ignored = _mask(cv2.bitwise_not(polygon_mask(self._masks, width, height)))
        self._area = max(1, height * width if self._ignored is None else cv2.countNonZero(self._ignored))


def largest_blob(mask: Mask) -> int:
    """Return the pixel count of the largest 8-connected region of a uint8 mask."""
    place = set_part(mask)
    return 0 if place is None else int(regions(mask[place])[1].max())


def _mask(array: Any) -> Mask:
    """Give OpenCV's result the type that it has."""
    return np.asarray(array, np.uint8)


class MotionMap:
    """When each pixel of the analysed picture last changed: the evidence that something came or went.

    Times are media seconds. Nothing enters or leaves a place without changing the picture there. A flood is no such
    evidence, and neither is the rise to it: a light that fades in, or a frame that it caught half exposed.
    """

    RISE = 0.3
    """A ratio from which a frame may be the rise to a flood ..."""
    RISE_S = 0.5
    """... that comes within this time."""

    def __init__(self) -> None:
        self._last: NDArray[np.float64] = np.full((1, 1), -np.inf)
        self._before: tuple[NDArray[np.float64], float] | None = None

    def step(self, motion: Motion, time: float) -> None:
        """Remember that the pixels of `motion.changed` changed at `time`."""
        if self._last.shape != motion.changed.shape:
            self._last = np.full(motion.changed.shape, -np.inf)
            self._before = None
        if motion.flood:
            if self._before is not None and time - self._before[1] <= self.RISE_S:
                self._last = self._before[0]
            self._before = None
        elif motion.ratio < self.RISE:
            self._before = None
        elif self._before is None:
            self._before = self._last.copy(), time
        if cv2.countNonZero(motion.changed):  # the ratio leaves masks out
            self._last[motion.changed > 0] = time

    def copy(self) -> MotionMap:
        """Return another map with the same memory; what one is told from then on, the other does not know."""
        other = MotionMap()
        other._last, other._before = self._last.copy(), self._before
        return other

    def share(self, box: Box, since: float) -> float:
        """Return the share of the box that changed after `since`.

        A box that reaches out of the frame is judged by what is inside.
        """
        height, width = self._last.shape
        # A detector's fractions are in single precision: a little less than the pixel's border is the border.
        left, top = int(box[0] * width + 1e-4), int(box[1] * height + 1e-4)
        x1, y1 = min(max(0, left), width - 1), min(max(0, top), height - 1)
        x2, y2 = max(x1 + 1, round(box[2] * width)), max(y1 + 1, round(box[3] * height))
        region = self._last[y1:y2, x1:x2]
        return float(np.count_nonzero(region > since) / region.size)
