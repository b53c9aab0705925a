"""One camera's pipeline: gates, cadence and tracker wired together, without threads, clock or I/O.

The caller decodes and detects: `analyse` says whether a frame deserves a look, `observe` takes the look's result.
A live camera calls `observe` when its detector thread is done, a file at once; the pipeline is the same.
"""

from __future__ import annotations

import time as _time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from soteirad.capture.frame import Frame
from soteirad.capture.sampler import Sampler
from soteirad.detect.detection import Detections
from soteirad.gates.cadence import Cadence, CadenceSettings, Look
from soteirad.gates.geometry import Polygon
from soteirad.gates.motion import Motion, MotionGate, MotionMap
from soteirad.gates.objects import LabelFilter, ObjectFilter
from soteirad.gates.scene import Scene, SceneGate
from soteirad.gates.view import View, ViewWatch
from soteirad.track.tracker import Tracker, TrackerSettings, Visit

SCENE_SIZE = (320, 180)
"""Gate 2's colour picture, width and height: SSIM's cost is proportional to pixels."""


@dataclass(frozen=True)
class PipelineSettings:
    """Everything a pipeline needs; `filters` maps class indices of the model to their limits."""

    filters: dict[int, LabelFilter]
    fps: float = 10.0
    motion_threshold: float = 0.02
    motion_history: int = 300
    motion_var_threshold: float = 16.0
    motion_lines: int = 180
    motion_masks: tuple[Polygon, ...] = ()
    scene_distance: float = 0.20
    scene_ssim: float = 0.80
    cadence: CadenceSettings = field(default_factory=CadenceSettings)
    tracker: TrackerSettings = field(default_factory=TrackerSettings)
    every_frame: bool = False
    """Look at every analysed frame: the ungated reference."""


@dataclass
class Counters:
    """How many frames came how far."""

    frames: int = 0
    analysed: int = 0
    motion: int = 0
    scene_runs: int = 0
    scene: int = 0
    detector_runs: int = 0
    looks_lost: int = 0
    looks: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Analysis:
    """What gates 1 and 2 and the cadence said of one frame; `look` is the reason for a look or None.

    `scene` is gate 2's last result, which may be of an earlier frame; `ms` holds each stage's own time; `closed` are
    the visits that a gap in the stream ended before this frame.
    """

    frame: Frame
    motion: Motion
    scene: Scene
    view: View
    look: Look | None
    ms: dict[str, float]
    closed: tuple[Visit, ...] = ()
    generation: int = 0

    def why(self) -> dict[str, Any]:
        """Return the evidence for an event's `why`."""
        return {
            "trigger": self.look.value if self.look else None,
            "motion_ratio": round(self.motion.ratio, 4),
            "motion_blob": round(self.motion.blob, 4),
            "scene_distance": round(self.scene.distance, 3),
            "ssim": round(self.scene.ssim, 3),
        }


class Pipeline:
    """The gates, the cadence and the tracker of one camera. Not thread-safe: the gate thread owns it."""

    SETTLE_S = 2.0
    """Tracks born this soon after a start are `present`: they were there before."""
    GAP_S = 3.0
    GAP_FRAMES = 5.0
    """A gap in media time of that many seconds and frame intervals is a new start: what happened is unknown."""

    def __init__(self, settings: PipelineSettings) -> None:
        self.settings = settings
        self.counters = Counters()
        self._filter = ObjectFilter(settings.filters)
        self._sampler = Sampler(settings.fps)
        self._motion = self._new_motion()
        self._map = MotionMap()
        self._scene = SceneGate(settings.scene_distance, settings.scene_ssim)
        self._view = ViewWatch()
        self._cadence = Cadence(settings.cadence, settings.motion_threshold, settings.every_frame)
        self.tracker = Tracker(settings.tracker)
        self._last_scene = Scene(0.0, 1.0, False)
        self._last_view = View.SAME
        self._started: float | None = None
        self._generation = 0
        self._looking = False
        self._triggers: dict[int, str] = {}
        self._last_frame = float("-inf")
        self._interval = 0.0
        self._gap = False
        self.moving = False

    def wants(self, frame: Frame) -> bool:
        """Count a frame of the source and say whether it is analysed; a damaged one never is."""
        self.counters.frames += 1
        step, self._last_frame = frame.time - self._last_frame, frame.time
        if self._interval and step > max(self.GAP_S, self.GAP_FRAMES * self._interval):
            self._gap = True
        # A source that became slow must not be all gaps for ever.
        if 0 < step < float("inf"):
            self._interval = step if not self._interval else 0.9 * self._interval + 0.1 * step
        return not frame.corrupt and self._sampler.wants(frame.time)

    def analyse(self, frame: Frame) -> Analysis:
        """Run gates 1 and 2 and the cadence on a frame."""
        self.counters.analysed += 1
        closed: list[Visit] = []
        if self._gap:
            self._gap = False
            closed = self.restart("gap")
        if self._started is None or self._last_view is View.DOUBTFUL:
            # While the view is in doubt nobody looks, so the first looks are still to come.
            self._started = frame.time if self._settling(frame.time) else self._started
        began = _time.perf_counter()
        motion = self._motion.step(frame.grey(self.settings.motion_lines))
        self._map.step(motion, frame.time)
        self.moving = motion.open
        self.counters.motion += motion.open
        ms = {"motion": _ms_since(began)}
        began = _time.perf_counter()
        ran = self._cadence.scene_due(frame.time, motion.open)
        if ran:
            self._run_scene(frame)
            ms["scene"] = _ms_since(began)
        needs = self.tracker.needs(self._map.share)
        if self._looking:  # the look that runs is the one that confirms
            needs = replace(needs, confirm=False)
        look = self._cadence.step(frame.time, motion.open, motion.ratio, ran and self._last_scene.open, needs)
        if self._last_view is View.DOUBTFUL and not self.settings.every_frame:
            look = None
        return Analysis(frame, motion, self._last_scene, self._last_view, look, ms,
                        tuple(closed), self._generation)  # fmt: skip

    def begin_look(self, analysis: Analysis) -> None:
        """Note that the detector starts on this frame."""
        self._looking = True
        self._cadence.looked(analysis.frame.time)
        self.counters.detector_runs += 1
        reason = analysis.look.value if analysis.look else "none"
        self.counters.looks[reason] = self.counters.looks.get(reason, 0) + 1

    def lose_look(self, analysis: Analysis) -> None:
        """Note that a look gave nothing, because no detector could answer; the next frame may be looked at."""
        if analysis.generation == self._generation:
            self._looking = False
        self.counters.looks_lost += 1

    def observe(self, analysis: Analysis, found: Detections) -> list[Visit]:
        """Take a look's detections; returns the visits that begin or end. A look from before a restart is void."""
        if analysis.generation != self._generation:
            return []
        if self._last_view is View.DOUBTFUL:
            self._looking = False
            return []
        kept, strong = self._filter.step(found)
        time = analysis.frame.time
        visits = self.tracker.step(time, kept, strong, self._map.share, self._settling(time))
        self._cadence.observed(self.tracker.needs(self._map.share))
        self._looking = False
        reason = analysis.look.value if analysis.look else "none"
        known = {t.id for t in self.tracker.tracks} | {v.track_id for v in visits}
        self._triggers = {i: self._triggers.get(i, reason) for i in known}
        return visits

    def trigger(self, visit: Visit) -> str | None:
        """Return why the look that first saw the visit's object was made."""
        return self._triggers.get(visit.track_id)

    def restart(self, reason: str) -> list[Visit]:
        """Begin anew with the next frame: what its looks find is `present`. Returns the visits that this closes.

        For a gap, a source that was lost, and a view that is another one (`View.CHANGED`).
        """
        closed = self.tracker.close(reason)
        self._motion = self._new_motion()
        self._map = MotionMap()
        self._last_view = View.SAME
        self._looking = False
        self._started = None
        self.moving = False
        self._generation += 1
        self._cadence.restart()
        return closed

    def _settling(self, time: float) -> bool:
        """Say whether what is found now was there before: soon after a start."""
        return self._started is None or time - self._started < self.SETTLE_S

    def _new_motion(self) -> MotionGate:
        s = self.settings
        return MotionGate(s.motion_threshold, self._filter.smallest_area / 2, s.motion_history,
                          s.motion_var_threshold, s.motion_masks)  # fmt: skip

    def _run_scene(self, frame: Frame) -> None:
        grey = frame.grey(self.settings.motion_lines)
        self._last_scene = self._scene.step(grey, frame.bgr(*SCENE_SIZE), frame.time, self._cadence.last_motion)
        self._last_view = self._view.step(grey, frame.time)
        self.counters.scene_runs += 1
        self.counters.scene += self._last_scene.open
        self._cadence.scene_ran(frame.time, self._last_scene.open)


def label_counts(tracker: Tracker, labels: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return `{label: {"present": bool, "count": int}}` of the open tracks for each label an owner tracks."""
    found = [names[t.class_index] for t in tracker.open_tracks]
    return {label: {"present": label in found, "count": found.count(label)} for label in labels}


def _ms_since(began: float) -> float:
    return (_time.perf_counter() - began) * 1000
