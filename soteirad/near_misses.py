"""Near misses: what a gate saw and let go, and by how little. Pure: results of the gates in, findings out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from soteirad.detect.detection import Detections
from soteirad.detect.nms import areas, iou_of
from soteirad.gates.geometry import Box
from soteirad.gates.motion import Motion
from soteirad.gates.objects import LabelFilter
from soteirad.track.association import meeting
from soteirad.track.track import Track

Kind = Literal["motion_below", "flood", "score_below", "area_below", "area_above", "not_confirmed"]
Shortcoming = Literal["score_below", "area_below", "area_above"]


@dataclass(frozen=True)
class NearMiss:
    """Something that a gate let go. `time` is media time, `box` fractions of the frame (x1, y1, x2, y2).

    `values` holds what was measured and the limit that it missed.
    """

    kind: Kind
    gate: int
    time: float
    text: str
    label: str | None = None
    box: Box | None = None
    values: Mapping[str, float] = field(default_factory=dict)

    def payload(self) -> dict[str, Any]:
        """Return it as JSON-ready data, without its media time."""
        found = {key: value for key, value in asdict(self).items() if key != "time"}
        return {**found, "box": None if self.box is None else list(self.box)}


def shortcoming(score: float, area: float, limits: LabelFilter) -> Shortcoming | None:
    """Return why a detection of a label that is looked for cannot start a track; None if it can."""
    if area > limits.max_area:
        return "area_above"
    if area < limits.min_area:
        return "area_below"
    return "score_below" if score < limits.min_score else None


class NearMissWatch:
    """Notices near misses; each thing is told once in a while, however often it is seen.

    A frame's motion is near when it reaches half of what opens gate 1. It is told when it is over, and not at all when
    the gate opened meanwhile: then it was only the rise.
    """

    NEAR = 0.5
    """Share of a limit from which missing it is near."""
    OVER = 0.25
    """Motion under this share of its limit is over."""
    AGAIN_S = 30.0
    """The same kind of thing in the same place is told again after this long ..."""
    SOON_S = 2.0
    """... and anything of the same kind after this."""
    SAME_IOU = 0.3
    MOST_KEPT = 50

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._peak: tuple[float, Motion, float, tuple[float, float]] | None = None
        """How near, what, when, and the limits then."""
        self._flooding = False
        self._told: list[NearMiss] = []

    def motion(self, motion: Motion, time: float, threshold: float, min_blob: float, ceiling: float) -> list[NearMiss]:
        """Take gate 1's result for a frame at media time `time`, and its limits."""
        flood, self._flooding = motion.flood and not self._flooding, motion.flood
        if flood:
            self._peak = None
            text = f"{motion.ratio:.0%} of the picture changed at once: that was light, and no object"
            return self._new(NearMiss("flood", 1, time, text, values={"ratio": _r(motion.ratio), "limit": ceiling}))
        near = max(motion.ratio / threshold, motion.blob / min_blob if min_blob > 0 else 0.0)
        if motion.open or motion.flood:
            self._peak = None
        elif near >= self.NEAR and (self._peak is None or near > self._peak[0]):
            self._peak = near, motion, time, (threshold, min_blob)
        elif near < self.OVER and self._peak is not None:
            (_, at_peak, when, (threshold, min_blob)), self._peak = self._peak, None
            text = (f"{at_peak.ratio:.2%} of the picture changed, the largest piece {at_peak.blob:.2%}: "
                    f"{threshold:.2%}, or a piece of {min_blob:.2%}, would have been motion")  # fmt: skip
            values = {"ratio": _r(at_peak.ratio), "limit": threshold, "blob": _r(at_peak.blob), "blob_limit": min_blob}
            return self._new(NearMiss("motion_below", 1, when, text, values=values))
        return []

    def look(self, found: Detections, time: float, filters: Mapping[int, LabelFilter], tracks: Sequence[Track],
             lapsed: Sequence[Track]) -> list[NearMiss]:  # fmt: skip
        """Take what the detector found at media time `time`, the tracks that there are, and those it gave up."""
        news: list[NearMiss] = []
        for track in (t for t in lapsed if t.hits):
            label = self._names[track.class_index]
            text = f"a {label} was seen {_times(track.hits)} and not again: too little to be sure"
            news += self._new(NearMiss("not_confirmed", 3, time, text, label, _box(track.box),
                                       {"score": _r(track.best_score), "hits": track.hits}))  # fmt: skip
        quiet, held = self._just_told(time), [t.box for t in tracks]
        rows = zip(found.boxes.tolist(), found.scores.tolist(), areas(found.boxes).tolist(), found.classes.tolist(),
                   strict=True)  # fmt: skip
        for corners, score, area, index in rows:
            limits = filters.get(index)
            if limits is None or score < self.NEAR * limits.min_score:  # most are as faint as that
                continue
            kind = shortcoming(score, area, limits)
            if kind is None or kind in quiet:
                continue
            x1, y1, x2, y2 = corners
            box = x1, y1, x2, y2
            if any(iou_of(box, held[i]) >= self.SAME_IOU for i in meeting(box, held)):
                continue  # what belongs to a track keeps it, and misses nothing
            missed = self._missed(kind, box, score, area, self._names[index], limits, time)
            news += [] if missed is None else self._new(missed)
        return news

    def _missed(self, kind: Shortcoming, box: Box, score: float, area: float, label: str,
                limits: LabelFilter, time: float) -> NearMiss | None:  # fmt: skip
        """Return what a detection fell short of, if it did so by little."""
        if kind == "score_below":
            text = f"a {label} of score {score:.2f} was not enough: min_score is {limits.min_score:.2f}"
            return NearMiss(kind, 3, time, text, label, _box(box),
                            {"score": _r(score), "limit": limits.min_score})  # fmt: skip
        if score < limits.min_score:
            return None
        if kind == "area_below" and area >= self.NEAR * limits.min_area:
            text = f"a {label} filled {area:.2%} of the picture: min_area is {limits.min_area:.2%}"
            return NearMiss(kind, 3, time, text, label, _box(box),
                            {"area": _r(area), "limit": limits.min_area, "score": _r(score)})  # fmt: skip
        if kind == "area_above":
            text = f"a {label} filled {area:.0%} of the picture: max_area is {limits.max_area:.0%}"
            return NearMiss(kind, 3, time, text, label, _box(box),
                            {"area": _r(area), "limit": limits.max_area, "score": _r(score)})  # fmt: skip
        return None

    def _new(self, miss: NearMiss) -> list[NearMiss]:
        """Return the finding, unless the like was told a moment ago."""
        self._told = [t for t in self._told if 0 <= miss.time - t.time < self.AGAIN_S][-self.MOST_KEPT :]
        if miss.kind in self._just_told(miss.time) or any(self._alike(told, miss) for told in self._told):
            return []
        self._told.append(miss)
        return [miss]

    def _just_told(self, time: float) -> set[Kind]:
        """Return the kinds of what was told so shortly before `time` that nothing more of them is told."""
        return {t.kind for t in self._told if 0 <= time - t.time < self.SOON_S}

    def _alike(self, told: NearMiss, miss: NearMiss) -> bool:
        if told.kind != miss.kind:
            return False
        if told.box is None or miss.box is None:
            return told.box is miss.box
        return told.label == miss.label and iou_of(told.box, miss.box) >= self.SAME_IOU


def _box(box: Box) -> Box:
    x1, y1, x2, y2 = box
    return _r(x1), _r(y1), _r(x2), _r(y2)


def _times(count: int) -> str:
    return "once" if count == 1 else "twice" if count == 2 else f"{count} times"


def _r(value: float) -> float:
    return round(value, 4)
