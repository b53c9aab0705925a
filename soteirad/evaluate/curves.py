"""Precision, recall and F1 against confidence, and precision against recall, at one IoU; and how far two lie apart.

Every detection was judged once: it is a hit (it took an object of its label, IoU at least 0.5), or a false one. For one
label with n objects, let TP(c) and FP(c) count hits and false detections whose score is at least c.

* At each score s that occurs: precision(s) = TP(s) / (TP(s) + FP(s)), recall(s) = TP(s) / n. Detections of equal score
  count together, so that their order does not matter.
* Between two scores that follow one another both are interpolated linearly. Below the lowest score they keep its value;
  above the highest, where nothing is detected, precision is 1 and recall is 0.
* F1(c) = 2 precision(c) recall(c) / (precision(c) + recall(c)), and 0 where both are 0.
* The precision-recall curve gives at recall r the highest precision(s) of all s with recall(s) >= r, and 0 if there is
  none: this is the interpolation of COCO's AP, whose AP50 is the mean of this curve at 101 points.
* A label with objects of which nothing is detected at any score has 0 in all four curves.

Each is taken at 1000 points from 0 to 1 (confidence, or recall) and averaged over all labels that have objects; the
mean F1 is the mean of the labels' F1. That is Ultralytics' definition, except that there detections of equal score
count one by one. Beside this mean stand the pooled curves, all objects and detections taken as if they had one label:
in the mean, a label with a single object moves by 1 / (number of labels) at once when one score moves past a point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
CurveName = Literal["precision", "recall", "f1", "pr"]

CURVES: tuple[CurveName, ...] = get_args(CurveName)
POINTS = 1000


@dataclass(frozen=True)
class Judged:
    """All detections of one label: `scores` and `hits` (n,), in any order; and how many objects there are."""

    scores: Values
    hits: NDArray[np.bool_]
    objects: int

    @classmethod
    def together(cls, parts: list[Judged]) -> Judged:
        """Return the detections of several labels as if they had one."""
        return cls(np.concatenate([p.scores for p in parts]), np.concatenate([p.hits for p in parts]),
                   sum(p.objects for p in parts))  # fmt: skip

    def steps(self) -> tuple[Values, NDArray[np.int64], NDArray[np.int64]]:
        """Return the scores that occur, rising, and for each how many hits and detections score at least that."""
        scores, place = np.unique(self.scores, return_inverse=True)
        hits = np.bincount(place, weights=self.hits, minlength=len(scores)).astype(np.int64)
        detections = np.bincount(place, minlength=len(scores)).astype(np.int64)
        return scores, hits[::-1].cumsum()[::-1], detections[::-1].cumsum()[::-1]


def curves_of(judged: Judged, points: int = POINTS) -> dict[CurveName, Values]:
    """Return the four curves of one label, each at `points` points from 0 to 1; see the module."""
    if not len(judged.scores) or not judged.objects:
        return {name: np.zeros(points) for name in CURVES}
    scores, hits, detections = judged.steps()
    grid = np.linspace(0.0, 1.0, points)
    precision = np.interp(grid, scores, hits / detections, right=1.0)
    recall = np.interp(grid, scores, hits / judged.objects, right=0.0)
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)
    pr = _against_recall(judged.objects, hits, detections, points)
    return {"precision": precision, "recall": recall, "f1": f1, "pr": pr}


def _against_recall(objects: int, hits: NDArray[np.int64], detections: NDArray[np.int64], points: int) -> Values:
    """Return the highest precision at each recall or a greater one."""
    # In whole objects, since recalls such as 1/3 would be compared by their last bit.
    needed = -(-np.arange(points) * objects // (points - 1))
    from_high = hits[::-1]
    best = np.maximum.accumulate(hits / detections)[::-1]
    first = np.searchsorted(from_high, needed, side="left")
    return np.where(first < len(best), best[np.minimum(first, len(best) - 1)], 0.0)


@dataclass(frozen=True)
class Curves:
    """The curves of each label that has objects (`each`: labels x points, in the order of `labels`), and pooled."""

    labels: tuple[str, ...]
    objects: tuple[int, ...]
    each: Mapping[CurveName, Values]
    pooled: Mapping[CurveName, Values]

    @classmethod
    def of(cls, judged: Mapping[str, Judged]) -> Curves:
        """Return the curves of judged detections by label; a label without objects is left out."""
        kept = {label: part for label, part in judged.items() if part.objects}
        every = [curves_of(part) for part in kept.values()]
        return cls(tuple(kept), tuple(part.objects for part in kept.values()),
                   {name: np.stack([curves[name] for curves in every]) for name in CURVES},
                   curves_of(Judged.together(list(kept.values()))))  # fmt: skip

    @cached_property
    def mean(self) -> dict[CurveName, Values]:
        """The four curves, averaged over the labels."""
        return {name: self.each[name].mean(axis=0) for name in CURVES}

    def best_f1(self) -> tuple[float, float]:
        """Return the highest mean F1 and the confidence where it is reached."""
        best = int(self.mean["f1"].argmax())
        return float(self.mean["f1"][best]), best / (POINTS - 1)


@dataclass(frozen=True)
class Cause:
    """What one label contributes to a difference of mean curves, and how many objects it has."""

    label: str
    objects: int
    part: float


@dataclass(frozen=True)
class Difference:
    """Where two curves lie farthest apart: `largest` is other minus base at `at` (confidence, or recall for `pr`).

    `slipped` is the largest distance from the nearest of three points of the other curve: the same and its neighbours,
    0.001 before and behind; it is small where a step only moved. `mean` is the mean distance over all points.
    `largest_pooled` and `at_pooled` are those of the pooled curves.
    """

    largest: float
    at: float
    base: float
    other: float
    slipped: float
    mean: float
    causes: tuple[Cause, ...]
    largest_pooled: float
    at_pooled: float


def difference(base: Curves, other: Curves, name: CurveName, causes: int = 3) -> Difference:
    """Return how far a curve of `other` lies from that of `base`; both must come from the same data."""
    apart = other.mean[name] - base.mean[name]
    where = int(np.abs(apart).argmax())
    parts = (other.each[name][:, where] - base.each[name][:, where]) / len(base.labels)
    first = [i for i in np.argsort(-np.abs(parts), kind="stable")[:causes].tolist() if parts[i]]
    pooled = other.pooled[name] - base.pooled[name]
    where_pooled = int(np.abs(pooled).argmax())
    return Difference(
        float(apart[where]), where / (POINTS - 1), float(base.mean[name][where]), float(other.mean[name][where]),
        _slipped(base.mean[name], other.mean[name]), float(np.abs(apart).mean()),
        tuple(Cause(base.labels[i], base.objects[i], float(parts[i])) for i in first),
        float(pooled[where_pooled]), where_pooled / (POINTS - 1),
    )  # fmt: skip


def _slipped(base: Values, other: Values) -> float:
    padded = np.pad(other, 1, mode="edge")
    return float(np.min([np.abs(padded[i : i + len(base)] - base) for i in range(3)], axis=0).max())
