"""One camera's pipeline: gates, cadence and tracker wired together, without threads, clock or I/O.

The caller decodes and detects: `analyse` says whether a frame deserves a look, `observe` takes the look's result.
A live camera calls `observe` when its detector thread is done, a file at once; the pipeline is the same. Its `Senses`
measure the frame, and it decides.
"""

from __future__ import annotations

import time as _time
from dataclasses import dataclass, field, replace
from typing import Any

from soteirad.capture.frame import Frame
from soteirad.capture.sampler import Sampler
from soteirad.detect.detection import Detections
from soteirad.gates.cadence import Cadence, CadenceSettings, Look
from soteirad.gates.geometry import Polygon
from soteirad.gates.motion import Motion, MotionGate
from soteirad.gates.novelty import Novelty
from soteirad.gates.objects import LabelFilter, ObjectFilter
from soteirad.gates.scene import Scene, SceneGate
from soteirad.gates.structure import Seen
from soteirad.gates.view import Change, View, ViewWatch
from soteirad.senses import LiveSenses, MotionSettings, Senses
from soteirad.track.tracker import Tracker, TrackerSettings, Visit


@dataclass(frozen=True)
class PipelineSettings:
    """Everything a pipeline needs; `filters` maps class indices of the model to their limits."""

    filters: dict[int, LabelFilter]
    fps: float = 10.0
    motion_threshold: float = 0.02
    motion_ceiling: float = 0.8
    motion_history: int = 300
    motion_var_threshold: float = 16.0
    motion_lines: int = 180
    motion_masks: tuple[Polygon, ...] = ()
    scene_distance: float = 0.20
    scene_ssim: float = 0.80
    cadence: CadenceSettings = field(default_factory=CadenceSettings)
    tracker: TrackerSettings = field(default_factory=TrackerSettings)
    detect: bool = True
    """Whether objects are looked for at all."""
    every_frame: bool = False
    """Look at every analysed frame: the ungated reference."""

    @property
    def motion(self) -> MotionSettings:
        """How the background learns, which no threshold has an effect on."""
        return MotionSettings(self.motion_lines, self.motion_history, self.motion_var_threshold, self.motion_masks,
                              self.motion_ceiling)  # fmt: skip


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
    the visits that ended before this frame, with a gap in the stream or another view; `change` is set on the one frame
    on which it is sure that the view is another one, and `displaced` are the visits that end with it.
    """

    frame: Frame
    motion: Motion
    scene: Scene
    view: View
    look: Look | None
    ms: dict[str, float]
    closed: tuple[Visit, ...] = ()
    generation: int = 0
    change: Change | None = None
    displaced: tuple[Visit, ...] = ()

    def why(self) -> dict[str, Any]:
        """Return the evidence for an event's `why`."""
        return {
            "trigger": self.look.value if self.look else None,
            "motion_ratio": round(self.motion.ratio, 4),
            "motion_blob": round(self.motion.blob, 4),
            "scene_distance": round(self.scene.distance, 3),
            "ssim": round(self.scene.ssim, 3),
            **(_seen(self.change) if self.change else {}),
        }


class Pipeline:
    """The gates, the cadence and the tracker of one camera. Not thread-safe: the gate thread owns it.

    Of a frame it reads `time` and `corrupt`; all else it asks its senses, by default those that look at the picture.
    """

    SETTLE_S = 2.0
    """Tracks born this soon after a start are `present`: they were there before."""
    GAP_S = 3.0
    GAP_FRAMES = 5.0
    """A gap in media time of that many seconds and frame intervals is a new start: what happened is unknown."""

    MUCH = 0.3
    """When this share of the picture changes, the view watch sees every frame: the camera may be turning."""
    LONG_DOUBT_S = 1.0
    """After so long a doubt about the view, what moved in it is no evidence."""

    def __init__(self, settings: PipelineSettings, senses: Senses | None = None) -> None:
        self.settings = settings
        self._senses = senses or LiveSenses(settings.motion)
        self.counters = Counters()
        self._filter = ObjectFilter(settings.filters)
        self._sampler = Sampler(settings.fps)
        self._motion = MotionGate(settings.motion_threshold, self._filter.smallest_area / 2)
        self._background = self._senses.background()
        self._map = self._senses.changes()
        self._novelty = Novelty()
        self._scene = SceneGate(settings.scene_distance, settings.scene_ssim)
        self._view = ViewWatch()
        self._cadence = Cadence(settings.cadence, settings.motion_threshold, settings.every_frame)
        self.tracker = Tracker(settings.tracker)
        self._last_scene = Scene(0.0, 1.0, False)
        self._last_view = View.SAME
        self._doubt_since = float("-inf")
        self._flooding = False
        self._started: float | None = None
        self._generation = 0
        self._looking = False
        self._triggers: dict[int, str] = {}
        self._last_frame = float("-inf")
        self._interval = 0.0
        self._gap = False
        self.moving = False

    def due(self, time: float) -> bool:
        """Say whether a whole frame at that media time would be analysed; any thread may ask."""
        return self._sampler.due(time)

    def wants(self, frame: Frame) -> bool:
        """Count a frame of the source and say whether it is analysed; a damaged one never is."""
        self.pass_over(frame.time)
        return not frame.corrupt and self._sampler.wants(frame.time)

    def pass_over(self, time: float) -> None:
        """Count a frame of the source at that media time, and notice whether there was a gap before it."""
        self.counters.frames += 1
        step, self._last_frame = time - self._last_frame, time
        longest = max(self.GAP_S, self.GAP_FRAMES * self._interval)
        if self._interval and step > longest:
            self._gap = True
        # A source that became slow must not be all gaps for ever, nor one long gap hide the next.
        if 0 < step < float("inf"):
            self._interval = 0.9 * self._interval + 0.1 * min(step, longest) if self._interval else step

    def analyse(self, frame: Frame) -> Analysis:
        """Run gates 1 and 2 and the cadence on a frame."""
        self.counters.analysed += 1
        closed: list[Visit] = []
        if self._gap:
            self._gap = False
            closed = self.restart("gap")
        began = _time.perf_counter()
        motion = self._motion.step(self._background.step(frame))
        calm, self._flooding = self._flooding and not motion.flood, motion.flood
        if not self._blind:  # what a moving or covered camera sees change is no evidence
            self._map.step(motion, frame.time)
        self.moving = motion.open
        self.counters.motion += motion.open
        ms = {"motion": _ms_since(began)}
        began = _time.perf_counter()
        # The first calm frame after a flood is gate 2's new reference: the look that follows serves for both.
        often = motion.open or motion.flood or self._view.unsure
        ran = calm or self._cadence.scene_due(frame.time, often)
        if ran:
            self._run_scene(frame, motion.flood)
        if ran or motion.ratio >= self.MUCH:
            closed += self._watch_view(frame)
            ms["scene"] = _ms_since(began)
        if self._started is None or self._blind:
            # While the view is in doubt nobody looks, so the first looks are still to come.
            self._started = frame.time if self._settling(frame.time) else self._started
        needs = self.tracker.needs(self._map.share, frame.time)
        if self._looking:  # the look that runs is the one that confirms
            needs = replace(needs, confirm=False)
        opened = ran and self._last_scene.open
        novel = motion.open and not self.settings.every_frame and self._novel(motion, frame.time)
        look = self._cadence.step(frame.time, motion.open, motion.ratio, opened, needs, motion.flood, novel)
        changed = self._last_view is View.CHANGED
        if changed or not self.settings.detect or (self._blind and not self.settings.every_frame):
            look = None
        analysis = Analysis(frame, motion, self._last_scene, self._last_view, look, ms,
                            tuple(closed), self._generation)  # fmt: skip
        return self._displace(analysis) if changed else analysis

    def begin_look(self, analysis: Analysis) -> None:
        """Note that the detector starts on this frame."""
        self._looking = True
        self._cadence.looked(analysis.frame.time)
        self._novelty.looked(analysis.motion.changed)
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
        if self._blind:
            self._looking = False
            return []
        kept, strong = self._filter.step(found)
        time = analysis.frame.time
        visits = self.tracker.step(time, kept, strong, self._map.share, self._settling(time))
        self._cadence.observed(self.tracker.needs(self._map.share, time))
        self._looking = False
        reason = analysis.look.value if analysis.look else "none"
        known = {t.id for t in self.tracker.tracks} | {v.track_id for v in visits}
        self._triggers = {i: self._triggers.get(i, reason) for i in known}
        return visits

    @property
    def view_seen(self) -> Seen | None:
        """What became of the camera's view; None while it is the normal one."""
        return self._view.change.seen if self._view.change else None

    @property
    def motion_limits(self) -> tuple[float, float, float]:
        """What opens gate 1: a ratio, or the share of one blob; and the ratio from which it is a flood."""
        return self._motion.threshold, self._motion.min_blob, self.settings.motion_ceiling

    def trigger(self, visit: Visit) -> str | None:
        """Return why the look that first saw the visit's object was made."""
        return self._triggers.get(visit.track_id)

    def adjust(self, settings: PipelineSettings) -> list[Visit]:
        """Take over the thresholds of gates 1 and 2, the limits of labels, and whether to detect at all.

        Returns the visits that end because nobody looks any more. What is there when looks begin again is `present`.
        """
        turned = settings.detect != self.settings.detect
        self.settings = replace(
            self.settings, motion_threshold=settings.motion_threshold, scene_distance=settings.scene_distance,
            scene_ssim=settings.scene_ssim, filters=settings.filters, detect=settings.detect,
        )  # fmt: skip
        self._filter = ObjectFilter(settings.filters)
        self._motion.min_blob = self._filter.smallest_area / 2
        self._motion.threshold = self._cadence.motion_threshold = settings.motion_threshold
        self._scene.distance, self._scene.ssim = settings.scene_distance, settings.scene_ssim
        return self.restart("detection_off") if turned else []

    def restart(self, reason: str) -> list[Visit]:
        """Begin anew with the next frame: what its looks find is `present`. Returns the visits that this closes.

        For a gap, a source that was lost, and a view that is another one.
        """
        closed = self.tracker.close(reason)
        self._forget_motion()
        self._view.restart()
        self._last_view = View.SAME if self._view.change is None else View.OTHER
        self._looking = False
        self._started = None
        self.moving = False
        self._generation += 1
        self._cadence.restart()
        return closed

    def _novel(self, motion: Motion, time: float) -> bool:
        """Say whether something moves that no track explains and the last look did not see."""
        known = [t.predicted(time) for t in self.tracker.tracks]
        return self._novelty.step(motion.changed, known, self._motion.min_blob)

    def _settling(self, time: float) -> bool:
        """Say whether what is found now was there before: soon after a start."""
        return self._started is None or time - self._started < self.SETTLE_S

    def _displace(self, analysis: Analysis) -> Analysis:
        """Begin anew in a view that is another one, and say what became of the old one."""
        change = self._view.change
        return replace(analysis, change=change, displaced=tuple(self.restart("scene_changed")))

    def _forget_motion(self) -> None:
        """Start the background and the evidence over."""
        self._background, self._map, self._flooding = self._senses.background(), self._senses.changes(), False

    @property
    def _blind(self) -> bool:
        """Whether nothing can be learned of objects: the view is in doubt, or the lens is covered."""
        change = self._view.change
        return self._last_view is View.DOUBTFUL or (change is not None and change.seen is Seen.COVERED)

    def _run_scene(self, frame: Frame, flood: bool) -> None:
        """Run gate 2. In a flood it waits: it would take one of its pictures for the reference."""
        if flood:
            self._last_scene = replace(self._last_scene, open=False)
        else:
            self._last_scene = self._scene.step(self._senses.sight(frame), frame.time, self._cadence.last_motion)
        self.counters.scene_runs += 1
        self.counters.scene += self._last_scene.open
        self._cadence.scene_ran(frame.time, self._last_scene.open)

    def _watch_view(self, frame: Frame) -> list[Visit]:
        """Run the view watch; returns the visits that end with a view that is back, or has come to rest."""
        time = frame.time
        view = self._view.step(self._senses.structure(frame), time)
        before, self._last_view = self._last_view, view
        if view is View.DOUBTFUL:
            self._doubt_since = time if before is not View.DOUBTFUL else self._doubt_since
        elif view is View.SETTLED:
            closed = self.restart("scene_changed")
            self._last_view = view
            return closed
        elif before is View.DOUBTFUL and view is not View.CHANGED and time - self._doubt_since >= self.LONG_DOUBT_S:
            self._forget_motion()  # the camera turned away and back: what changed is not what came or went
        return []


def _seen(change: Change) -> dict[str, Any]:
    shift = {} if change.shift is None else {"shift": [round(v, 3) for v in change.shift]}
    return {"seen": change.seen.value, "lost": round(change.lost, 3), "changed": round(change.changed, 3), **shift}


def _ms_since(began: float) -> float:
    return (_time.perf_counter() - began) * 1000
