"""The survey: one pass over a clip that measures everything, and looks at every analysed frame."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import av
import av.error
import cv2

from soteirad.assembly import (
    ObjectDetector,
    choose_engine,
    make_detector,
    model_card,
    pipeline_settings,
    source_settings,
)
from soteirad.capture.frame import Frame
from soteirad.capture.source import open_source
from soteirad.config import CameraConfig
from soteirad.detect.detection import Detections
from soteirad.errors import DetectorUnavailable, ModelError, SoteiraError, SourceEnded
from soteirad.gates.scene import histogram
from soteirad.pipeline import Pipeline
from soteirad.senses import SCENE_SIZE
from soteirad.snapshot import encode_jpeg
from soteirad.tune.recording import Facts, RecordingWriter

THUMBNAIL_WIDTH = 360
THUMBNAIL_QUALITY = 70
SHORTEST_S = 3.0
"""A clip under this many seconds has nothing to tune by: who is found in its first two seconds was there before."""
FEWEST_FRAMES = 20


@dataclass
class _Times:
    """Milliseconds that the runs of each stage took."""

    total: dict[str, float] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)

    def add(self, stage: str, ms: float) -> None:
        self.total[stage] = self.total.get(stage, 0.0) + ms
        self.runs[stage] = self.runs.get(stage, 0) + 1

    def means(self) -> dict[str, float]:
        return {stage: round(total / self.runs[stage], 3) for stage, total in sorted(self.total.items())}


def survey(camera: CameraConfig, writer: RecordingWriter, on_frame: Callable[[float], None] = lambda _: None) -> None:
    """Measure the camera's file source from its beginning to its end, and write it down.

    `on_frame` is given the share of the clip that is done, as far as its length is known. Raises SourceError,
    ModelError, OSError, and SoteiraError for a clip that is too short.
    """
    cv2.setNumThreads(1)
    unpaced = camera.model_copy(update={"speed": "max", "detect": True})
    card = model_card(unpaced)
    choice = choose_engine(unpaced, card)
    detector = make_detector(unpaced, card, choice.engine if choice else None)
    source = open_source(unpaced.source, source_settings(unpaced))
    source.open()
    length = _length(Path(unpaced.source))
    surveyor = _Surveyor(Pipeline(pipeline_settings(unpaced, card, every_frame=True)), detector, writer)
    try:
        detector.load()
        while True:
            frame = source.read()
            surveyor.step(frame)
            on_frame(min(1.0, frame.time / length) if length else 0.0)
    except SourceEnded:
        writer.finish(surveyor.facts(Path(unpaced.source)))
    except DetectorUnavailable as error:
        raise ModelError(f"the model's server gave no answer ({error}): start it, or take another backend") from None
    finally:
        source.close()
        detector.close()


def _length(path: Path) -> float:
    """Return how many seconds a clip says it has; 0 if it says nothing."""
    try:
        with av.open(str(path)) as container:
            return (container.duration or 0) / av.time_base
    except (av.error.FFmpegError, OSError):
        return 0.0


class _Surveyor:
    """Takes frames through a live pipeline, for its times, and keeps what it measured."""

    def __init__(self, pipeline: Pipeline, detector: ObjectDetector, writer: RecordingWriter) -> None:
        self._pipeline = pipeline
        self._detector = detector
        self._writer = writer
        self._times = _Times()
        self._size: tuple[int, int] | None = None
        self._analysed = 0
        self._last = 0.0

    def step(self, frame: Frame) -> None:
        """Measure one frame of the clip."""
        self._last = frame.time
        self._size = self._size or (frame.width, frame.height)
        self._times.add("decode", frame.decode_ms)
        self._writer.frame(frame.time, frame.corrupt)
        if not self._pipeline.wants(frame):
            return
        self._analysed += 1
        analysis = self._pipeline.analyse(frame)
        for stage, ms in analysis.ms.items():
            self._times.add(stage, ms)
        began = time.perf_counter()
        found = self._detector.detect(frame.bgr(*self._detector.picture_size(frame.width, frame.height)))
        self._times.add("detect", (time.perf_counter() - began) * 1000)
        if analysis.look is not None:
            self._pipeline.begin_look(analysis)
            self._pipeline.observe(analysis, found)
        self._keep(frame, found)

    def facts(self, clip: Path) -> Facts:
        """Return what else is known when the clip has ended. Raises SoteiraError when it is too short."""
        if self._last < SHORTEST_S or self._analysed < FEWEST_FRAMES:
            raise SoteiraError(f"{clip}: this clip has {self._last:.1f} s and {self._analysed} frames to analyse, too "
                               f"few to tune by: give one of a minute or more, with people in it")  # fmt: skip
        return Facts(clip.name, self._last, self._size or (0, 0), self._times.means())

    def _keep(self, frame: Frame, found: Detections) -> None:
        width = min(THUMBNAIL_WIDTH, frame.width)
        picture = frame.bgr(width, max(1, round(frame.height * width / frame.width)))
        grey = frame.grey(self._pipeline.settings.motion_lines)
        self._writer.analysed(grey, histogram(frame.bgr(*SCENE_SIZE)), found, encode_jpeg(picture, THUMBNAIL_QUALITY))
