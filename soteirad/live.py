"""The live view: what the gates make of the latest frame, for those who look at the page; nothing while nobody does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from soteirad.detect.detection import Detections
from soteirad.detect.nms import areas
from soteirad.event import iso_time
from soteirad.gates.objects import LabelFilter, Zone, zones_of
from soteirad.messages import LiveFrame
from soteirad.near_misses import shortcoming
from soteirad.track.track import Track

if TYPE_CHECKING:
    from soteirad.pipeline import Analysis
    from soteirad.watch import CameraWatch

EVERY_S = 0.5
"""Time between two frames: enough to see what a threshold does, and little beside what the gates themselves cost."""
WIDTH = 640
MOST_BOXES = 30


@dataclass(frozen=True)
class LastLook:
    """What the last look found, at media time `time`, and why it was made."""

    time: float
    reason: str
    found: Detections


class LiveView:
    """Decides which frames are shown; `wanted` says whether anybody looks. For the gate thread."""

    def __init__(self, watch: CameraWatch) -> None:
        self._watch = watch
        self._due = float("-inf")
        self._shown: float | None = None
        self.wanted = False

    def show(self, wanted: bool) -> None:
        """Begin or end to show frames; whoever begins sees one at once, even if it is an old one."""
        if wanted != self.wanted:
            self._due = float("-inf")
        self.wanted, self._shown = wanted, None

    def step(self, now: float) -> LiveFrame | None:
        """Return the latest frame if it is due at `now` (monotonic seconds) and was not shown yet."""
        if not self.wanted or now < self._due:
            return None
        self._due = now + EVERY_S
        values, picture = self._watch.live(), self._watch.picture(WIDTH, self._shown)
        if values is None or picture is None:
            return None
        jpeg, self._shown = picture
        return LiveFrame(values, jpeg)


def live_values(
    analysis: Analysis, look: LastLook | None, tracks: Sequence[Track], names: Sequence[str],
    filters: Mapping[int, LabelFilter], zones: Sequence[Zone], is_file: bool,
) -> dict[str, Any]:  # fmt: skip
    """Return what a page shows beside a frame: what each gate measured, and the boxes, in fractions of the frame."""
    frame, motion, scene = analysis.frame, analysis.motion, analysis.scene
    return {
        "time": iso_time(frame.captured),
        "media_time": round(frame.time, 3) if is_file else None,
        "frame_size": [frame.width, frame.height],
        "motion": {"ratio": round(motion.ratio, 5), "blob": round(motion.blob, 5), "open": motion.open,
                   "flood": motion.flood},
        "scene": {"distance": round(scene.distance, 4), "ssim": round(scene.ssim, 4), "open": scene.open,
                  "view": analysis.view.value},
        "look": look.reason if look is not None and look.time == frame.time else None,
        "looked": None if look is None else round(max(0.0, frame.time - look.time), 2),
        **_detections(look.found if look is not None else Detections.empty(), names, filters),
        "tracks": [_track(t, names, zones, frame.time) for t in tracks[:MOST_BOXES]],
    }  # fmt: skip


def _detections(found: Detections, names: Sequence[str], filters: Mapping[int, LabelFilter]) -> dict[str, Any]:
    """Return what a look found of what is looked for, and the best score among it."""
    rows = zip(found.boxes.tolist(), found.scores.tolist(), areas(found.boxes).tolist(), found.classes.tolist(),
               strict=True)  # fmt: skip
    judged = [(names[index], score, box, shortcoming(score, area, filters[index]))
              for box, score, area, index in rows if index in filters]  # fmt: skip
    shown = [
        {"label": label, "score": round(score, 3), "box": _box(box), "counts": verdict is None,
         "why": verdict and verdict.partition("_")[0]}
        for label, score, box, verdict in judged
    ]  # fmt: skip
    return {"score": shown[0]["score"] if shown else None, "detections": shown[:MOST_BOXES]}


def _track(track: Track, names: Sequence[str], zones: Sequence[Zone], now: float) -> dict[str, Any]:
    """Return a track at media time `now`; its box is where it was `ago` seconds before."""
    label, box = names[track.class_index], _box(track.box)
    return {
        "id": track.id, "label": label, "score": round(track.score, 3), "box": box, "still": track.still,
        "seconds": round(track.last_seen - track.first_seen, 1), "zones": list(zones_of(zones, label, box)),
        "ago": round(max(0.0, now - track.last_seen), 3),
    }  # fmt: skip


def _box(box: Sequence[float]) -> list[float]:
    return [round(v, 4) for v in box]
