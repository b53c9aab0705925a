"""The sweep: many pipelines, each with settings of its own, taken through one recording together.

They are the pipelines that watch cameras; only their senses and the detector's answers come from the recording. So what
one reports is, visit by visit, what `soteirad replay` reports with its settings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import cv2

from soteirad.capture.frame import Frame
from soteirad.pipeline import Analysis, Pipeline, PipelineSettings
from soteirad.track.tracker import Visit
from soteirad.tune.recording import Moment, Recording
from soteirad.tune.senses import SharedSenses

Path_ = list[tuple[float, tuple[float, float, float, float]]]
"""Media times and boxes (fractions of the frame), oldest first."""


@dataclass(frozen=True)
class Seen:
    """One object's visit: when it was reported, and where it was at each look until it `left` (None: never told).

    `kind` is `entered` or `present`; `path` is kept for the reference only, else it holds where it was reported.
    """

    kind: str
    class_index: int
    time: float
    score: float
    left: float | None
    path: tuple[tuple[float, tuple[float, float, float, float]], ...]


@dataclass(frozen=True)
class Trace:
    """What one pipeline said of each analysed frame, for a picture of it; scene is (ordinal, distance, ssim)."""

    motion: tuple[float, ...]
    scene: tuple[tuple[int, float, float], ...]
    looks: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Ran:
    """What one pipeline made of a recording: `visits` as `replay` reports them, and how often each stage ran."""

    visits: tuple[Visit, ...]
    seen: tuple[Seen, ...]
    frames: int
    analysed: int
    scene_runs: int
    looks: int
    views: int
    """How often the view changed."""
    trace: Trace | None = None


def sweep(recording: Recording, settings: Sequence[PipelineSettings], traced: Sequence[int] = (),
          on_frame: Callable[[], None] = lambda: None) -> list[Ran]:  # fmt: skip
    """Take a pipeline for each of the settings through the recording; `traced` are those whose trace is wanted.

    All of them must agree in what was recorded: how often frames are analysed, and how the background learns.
    """
    if not settings:
        return []
    motion, fps = settings[0].motion, settings[0].fps
    if any(s.motion != motion or s.fps != fps for s in settings):
        raise ValueError("settings of one sweep differ in thresholds only")
    cv2.setNumThreads(1)
    senses = SharedSenses(recording, motion)
    runners = [_Runner(s, senses, i in traced) for i, s in enumerate(settings)]
    analysed = iter(recording.analysed.tolist())
    due = next(analysed, None)
    for moment in recording.moments:
        wanted = moment.index == due
        if wanted:
            due = next(analysed, None)
            senses.move()
        for runner in runners:
            runner.step(moment, recording, senses.ordinal if wanted else None)
        on_frame()
    return [runner.finish() for runner in runners]


@dataclass
class _Open:
    """A visit that has begun, and what is known of it so far."""

    visit: Visit
    path: Path_ = field(default_factory=list)


class _Runner:
    """One pipeline on its way through a recording."""

    def __init__(self, settings: PipelineSettings, senses: SharedSenses, traced: bool) -> None:
        self._pipeline = Pipeline(settings, senses)
        self._follow = settings.every_frame
        self._traced = traced
        self._visits: list[Visit] = []
        self._open: dict[int, _Open] = {}
        self._seen: list[Seen] = []
        self._motion: list[float] = []
        self._scene: list[tuple[int, float, float]] = []
        self._looks: list[tuple[int, str]] = []
        self._views = 0

    def step(self, moment: Moment, recording: Recording, ordinal: int | None) -> None:
        """Take the next frame of the clip; `ordinal` is its number among the analysed ones."""
        # A pipeline reads of a frame what a moment has, and asks its senses for the rest.
        frame = cast("Frame", moment)
        if not self._pipeline.wants(frame):
            return
        if ordinal is None:
            raise ValueError(f"the frame at {moment.time} s was not recorded")
        runs = self._pipeline.counters.scene_runs
        analysis = self._pipeline.analyse(frame)
        if self._traced:
            self._trace(analysis, ordinal, self._pipeline.counters.scene_runs > runs)
        if analysis.closed:
            self._take(analysis.closed)
        if analysis.change is not None:
            self._views += 1
            self._close(analysis.displaced)  # the change is the event that is told
        if analysis.look is not None:
            self._pipeline.begin_look(analysis)
            self._take(self._pipeline.observe(analysis, recording.found(ordinal)))
            if self._follow:
                self._note_places()

    def finish(self) -> Ran:
        """End with the clip."""
        self._take(self._pipeline.restart("source_ended"))
        counters = self._pipeline.counters
        trace = Trace(tuple(self._motion), tuple(self._scene), tuple(self._looks)) if self._traced else None
        seen = tuple(sorted(self._seen, key=lambda s: (s.time, s.class_index, s.path)))
        return Ran(tuple(self._visits), seen, counters.frames, counters.analysed, counters.scene_runs,
                   counters.detector_runs, self._views, trace)  # fmt: skip

    def _take(self, visits: Sequence[Visit]) -> None:
        self._visits += visits
        for visit in visits:
            if visit.kind != "left":
                self._open[visit.track_id] = _Open(visit, [(visit.time, visit.box)])
        self._close([v for v in visits if v.kind == "left"])

    def _close(self, visits: Sequence[Visit]) -> None:
        for visit in visits:
            begun = self._open.pop(visit.track_id, None)
            if begun is not None:
                first = begun.visit
                self._seen.append(Seen(first.kind, first.class_index, first.time, first.score, visit.time,
                                       tuple(begun.path)))  # fmt: skip

    def _note_places(self) -> None:
        for track in self._pipeline.tracker.open_tracks:
            begun = self._open.get(track.id)
            if begun is not None and track.last_seen > begun.path[-1][0]:
                begun.path.append((track.last_seen, track.box))

    def _trace(self, analysis: Analysis, ordinal: int, scene_ran: bool) -> None:
        self._motion.append(analysis.motion.ratio)
        if scene_ran:
            self._scene.append((ordinal, analysis.scene.distance, analysis.scene.ssim))
        if analysis.look is not None:
            self._looks.append((ordinal, analysis.look.value))
