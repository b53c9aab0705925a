"""Gate 3's filters: which detections count, and in which zones an object stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soteirad.detect.detection import Detections
from soteirad.detect.nms import areas
from soteirad.gates.geometry import inside


@dataclass(frozen=True)
class LabelFilter:
    """Limits for one label: `min_score` 0-1 starts a track, areas are shares of the frame."""

    min_score: float = 0.4
    min_area: float = 0.01
    max_area: float = 1.0


@dataclass(frozen=True)
class Zone:
    """A named polygon in fractions of the frame; `labels` limits who counts there, None is everybody."""

    name: str
    polygon: tuple[float, ...]
    labels: frozenset[str] | None = None


class ObjectFilter:
    """Sorts detections into those that may start a track, those that may only keep one, and noise.

    A detection under `WEAK_SCORE` (0.1) is noise. To keep a track half of `min_area` is enough, so that an object at
    the limit does not flicker.
    """

    WEAK_SCORE = 0.1
    WEAK_AREA = 0.5

    def __init__(self, filters: Mapping[int, LabelFilter]) -> None:
        self._filters = filters

    @property
    def smallest_area(self) -> float:
        """The smallest `min_area` of all labels."""
        return min(f.min_area for f in self._filters.values())

    def step(self, found: Detections) -> tuple[Detections, NDArray[np.bool_]]:
        """Return the detections that count and, for each, whether it is strong enough to start a track."""
        sizes = areas(found.boxes)
        keep, strong = np.zeros(len(found), bool), np.zeros(len(found), bool)
        for class_index, limits in self._filters.items():
            ours = (found.classes == class_index) & (sizes <= limits.max_area)
            keep |= ours & (found.scores >= self.WEAK_SCORE) & (sizes >= limits.min_area * self.WEAK_AREA)
            strong |= ours & (found.scores >= limits.min_score) & (sizes >= limits.min_area)
        return found.select(keep), strong[keep]


def zones_of(zones: Sequence[Zone], label: str, box: Sequence[float]) -> tuple[str, ...]:
    """Return the names of the zones in which the object's foot (bottom centre of its box) stands."""
    x, y = (box[0] + box[2]) / 2, box[3]
    return tuple(z.name for z in zones if (z.labels is None or label in z.labels) and inside(z.polygon, x, y))
