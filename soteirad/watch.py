"""One camera's watch: pipeline, detector and reporter together, from frame to events.

`step` does it all at once, as clips want it, and `take` with a frame of which the pipeline was asked already. A live
camera takes it apart: `analyse` on the gate thread, `detect` on the detector's, `conclude` on the gate thread again.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from soteirad.asking import Present
from soteirad.assembly import detector_facts, make_detector, model_card, pipeline_settings, zones
from soteirad.capture.frame import Frame
from soteirad.config import CameraConfig
from soteirad.detect.choice import Choice
from soteirad.detect.detection import Detections
from soteirad.errors import DetectorUnavailable
from soteirad.event import Event, iso_time
from soteirad.gates.objects import Zone
from soteirad.gates.view import View
from soteirad.live import LastLook, live_values
from soteirad.near_misses import NearMiss, NearMissWatch
from soteirad.pipeline import Analysis, Pipeline
from soteirad.report import MakeId, Reporter
from soteirad.snapshot import make_snapshot
from soteirad.state import camera_state
from soteirad.track.tracker import Visit


@dataclass(frozen=True)
class LookResult:
    """What the detector found in an analysed frame, and how long the frame waited for it and was detected.

    `found` is None when no detector could answer.
    """

    analysis: Analysis
    found: Detections | None
    wait_ms: float
    detect_ms: float


OnStep = Callable[[Analysis, LookResult | None], None]


@dataclass(frozen=True)
class Outcome:
    """A confirmed event, the frame to make its snapshot of, if it names one, and the event's moment in media time."""

    event: Event
    frame: Frame
    moment: float


class CameraWatch:
    """Watches one camera; all but `detect` belongs to one thread."""

    RECENT = 500
    """Latencies kept for percentiles."""

    def __init__(self, name: str, camera: CameraConfig, make_id: MakeId, choice: Choice | None,
                 snapshots: bool = True, every_frame: bool = False) -> None:  # fmt: skip
        card = model_card(camera)
        self._camera = camera
        self._card = card
        self._zones = zones(camera)
        self._snapshots = snapshots
        self._detector = make_detector(camera, card, choice.engine if choice else None)
        self._detector_facts = detector_facts(card, choice)
        self.pipeline = Pipeline(pipeline_settings(camera, card, every_frame))
        rate = 1.0 if camera.live or camera.speed == "max" else float(camera.speed)
        self._reporter = Reporter(name, card.class_names, self._zones, make_id, rate, not camera.live)
        self._last: Analysis | None = None
        self._last_look: LastLook | None = None
        self._near = NearMissWatch(card.class_names)
        self._missed: list[NearMiss] = []
        self.latencies_ms: deque[float] = deque(maxlen=self.RECENT)
        self.stage_ms: dict[str, deque[float]] = {}
        self.events = 0

    def load(self) -> None:
        """Load the model. Raises ModelError."""
        self._detector.load()

    def close(self) -> None:
        """Free the model."""
        self._detector.close()

    def step(self, frame: Frame, on_step: OnStep | None = None) -> list[Outcome]:
        """Take a frame through all gates; returns what was confirmed.

        `on_step` is given what the gates said of an analysed frame, and what the detector found if it was asked.
        """
        return self.take(frame, on_step) if self.pipeline.wants(frame) else []

    def take(self, frame: Frame, on_step: OnStep | None = None) -> list[Outcome]:
        """Do the same with a frame that the pipeline wants, as it has said already."""
        analysis, outcomes = self.analyse(frame)
        result: LookResult | None = None
        if analysis.look is not None:
            self.pipeline.begin_look(analysis)
            result = self.detect(analysis)
            outcomes += self.conclude(result)
        if on_step is not None:
            on_step(analysis, result)
        return outcomes

    def analyse(self, frame: Frame) -> tuple[Analysis, list[Outcome]]:
        """Run gates 1 and 2 on a frame that the pipeline wants; returns also what a changed view or a gap confirms."""
        self._last = analysis = self.pipeline.analyse(frame)
        self._missed += self._near.motion(analysis.motion, frame.time, *self.pipeline.motion_limits)
        self._time_stages({"decode": frame.decode_ms, **analysis.ms})
        outcomes = [self._visit(v, analysis) for v in analysis.closed]
        if analysis.view is View.CHANGED:
            why = {**analysis.why(), "closed_tracks": [v.track_id for v in analysis.displaced]}
            event = self._reporter.camera_event("scene_changed", frame.captured, frame.time, why, self._snapshots)
            outcomes.append(self._outcome(event, frame, frame.time))
        return analysis, outcomes

    def detect(self, analysis: Analysis) -> LookResult:
        """Run the detector on an analysed frame; the one method for another thread."""
        began = time.monotonic()
        frame = analysis.frame
        spent = frame.received + (sum(analysis.ms.values())) / 1000
        found: Detections | None = None
        with contextlib.suppress(DetectorUnavailable):  # told once where it is noticed; here it is one look less
            found = self._detector.detect(frame.bgr(*self._detector.picture_size(frame.width, frame.height)))
        ended = time.monotonic()
        return LookResult(analysis, found, max(0.0, began - spent) * 1000, (ended - began) * 1000)

    def conclude(self, result: LookResult) -> list[Outcome]:
        """Give the detector's result to the tracker; returns what it confirms."""
        analysis = result.analysis
        if result.found is None:
            self.pipeline.lose_look(analysis)
            return []
        visits = self.pipeline.observe(analysis, result.found)
        self._note(analysis, result.found)
        frame, now = analysis.frame, time.monotonic()
        # A live frame was captured at its media time; a file's has no age.
        total = (now - frame.time if self._camera.live else now - frame.received + frame.decode_ms / 1000) * 1000
        self.latencies_ms.append(total)
        self._time_stages({"wait": result.wait_ms, "detect": result.detect_ms})
        latency = {"decode": analysis.frame.decode_ms, **analysis.ms, "wait": result.wait_ms,
                   "detect": result.detect_ms, "total": total}  # fmt: skip
        return [self._visit(v, analysis, latency) for v in visits]

    def end(self, reason: str) -> list[Outcome]:
        """Close the open visits with `reason`: the source ended or was lost."""
        outcomes = self._ended(self.pipeline.restart(reason))
        self._last = self._last_look = None  # when the source is back, this is not what it shows
        return outcomes

    def adjust(self, camera: CameraConfig) -> list[Outcome]:
        """Go on with other thresholds, or with or without gate 3; returns the visits that this ends.

        What else differs in `camera` has no effect.
        """
        self._camera = camera
        return self._ended(
            self.pipeline.adjust(pipeline_settings(camera, self._card, self.pipeline.settings.every_frame))
        )

    def picture(self, width: int, since: float | None = None) -> tuple[bytes, float] | None:
        """Return a JPEG, at most `width` pixels wide, of the last frame that was analysed, and its media time.

        None if there is none yet, or none but that of the media time `since`.
        """
        frame = self.last_frame
        if frame is None or frame.time == since:
            return None
        return make_snapshot(frame, max_width=width), frame.time

    def source_event(self, restored: bool, captured: float, reason: str) -> Event:
        """Return the event that says that the source was lost or came back at `captured` (seconds since the epoch)."""
        kind: Any = "source_restored" if restored else "source_lost"
        self.events += 1
        return self._reporter.camera_event(kind, captured, 0.0, {"reason": reason})

    def state(self) -> dict[str, Any]:
        """Return the `<camera>/state` payload."""
        present = [(p.label, p.box) for p in self.present()]
        return camera_state(self._camera, self._zones, present, self.pipeline.moving, self.pipeline.view_seen)

    def present(self) -> list[Present]:
        """Return the objects that are there now."""
        names = self._card.class_names
        return [Present(t.id, names[t.class_index], t.box) for t in self.pipeline.tracker.open_tracks]

    @property
    def last_frame(self) -> Frame | None:
        """The last frame that was analysed, unless its source was lost since."""
        return self._last.frame if self._last is not None else None

    @property
    def labels(self) -> Sequence[str]:
        """The model's words, by class index."""
        return self._card.class_names

    @property
    def zones(self) -> Sequence[Zone]:
        """The camera's zones."""
        return self._zones

    def live(self) -> dict[str, Any] | None:
        """Return what a page shows beside the last frame that was analysed; None if there is none."""
        if self._last is None:
            return None
        return live_values(self._last, self._last_look, self.pipeline.tracker.open_tracks, self._card.class_names,
                           self.pipeline.settings.filters, self._zones, not self._camera.live)  # fmt: skip

    def take_near_misses(self) -> list[tuple[str, NearMiss]]:
        """Return what the gates let go since the last call, each with its time (UTC)."""
        if not self._missed:
            return []
        missed, self._missed = self._missed, []
        last = self._last
        # Both count seconds: a file that is played faster has media seconds of its own, and its last frame is now.
        offset = last.frame.captured - last.frame.time if last is not None else time.time() - time.monotonic()
        return [(iso_time(offset + miss.time), miss) for miss in missed]

    def detector_state(self) -> dict[str, Any]:
        """Return what diagnostics say of the detector."""
        return {**self._detector_facts, **getattr(self._detector, "state", {})}

    def _visit(self, visit: Visit, analysis: Analysis, latency_ms: dict[str, float] | None = None) -> Outcome:
        picture = self._snapshots and visit.kind != "left"
        why = analysis.why()
        if visit.kind != "left":
            why["trigger"] = self.pipeline.trigger(visit) or why["trigger"]
        event = self._reporter.visit(visit, analysis.frame, why, latency_ms or {}, picture)
        return self._outcome(event, analysis.frame, visit.time)

    def _note(self, analysis: Analysis, found: Detections) -> None:
        """Keep what a look found for the page."""
        reason = analysis.look.value if analysis.look else "none"
        self._last_look = LastLook(analysis.frame.time, reason, found)
        tracker = self.pipeline.tracker
        self._missed += self._near.look(found, analysis.frame.time, self.pipeline.settings.filters, tracker.tracks,
                                        tracker.lapsed)  # fmt: skip

    def _ended(self, visits: list[Visit]) -> list[Outcome]:
        """Return the events of visits that end without a look at a frame."""
        frame = self.last_frame
        if frame is None:
            return []
        return [self._outcome(self._reporter.visit(v, frame, {}, {}), frame, v.time) for v in visits]

    def _outcome(self, event: Event, frame: Frame, moment: float) -> Outcome:
        self.events += 1
        return Outcome(event, frame, moment)

    def _time_stages(self, ms: dict[str, float]) -> None:
        for stage, value in ms.items():
            self.stage_ms.setdefault(stage, deque(maxlen=self.RECENT)).append(value)
