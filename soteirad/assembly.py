"""From configuration to parts: which detector, which pipeline settings and which zones a camera has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from soteirad.capture.source import SourceSettings
from soteirad.config import CameraConfig
from soteirad.detect.card import ModelCard, load_card
from soteirad.detect.choice import Choice, Wanted, choose
from soteirad.detect.detection import Detections
from soteirad.detect.detector import Detector
from soteirad.detect.engine import Engine
from soteirad.detect.preprocess import Picture
from soteirad.errors import ModelError
from soteirad.gates.cadence import CadenceSettings
from soteirad.gates.objects import LabelFilter, ObjectFilter, Zone
from soteirad.pipeline import PipelineSettings
from soteirad.resources import cache_folder
from soteirad.track.tracker import TrackerSettings


def model_card(camera: CameraConfig) -> ModelCard:
    """Return the camera's model card, which knows all tracked labels. Raises ModelError.

    The model's file is looked at when its engine is chosen.
    """
    card = load_card(camera.detector.model)
    for label in camera.objects.track:
        card.class_index(label)
    return card


def choose_engine(camera: CameraConfig, card: ModelCard, stop: Callable[[], bool] = lambda: False) -> Choice | None:
    """Prove and choose the engine for the camera's model on this machine, or recall it. Raises ModelError.

    None for a model on a server that nothing here stands in for. Raises Stopped when `stop` says so meanwhile.
    """
    wanted = wanted_engine(camera)
    return None if wanted is None else choose(card, wanted, cache_folder(), stop)


def wanted_engine(camera: CameraConfig) -> Wanted | None:
    """Return what a camera asks of the engine on this machine; None where nothing here stands in for a server."""
    detector = camera.detector
    if detector.backend == "kserve":
        if detector.server is None or not detector.server.fallback:
            return None
        return Wanted(threads=detector.threads)
    return Wanted(detector.backend, detector.precision, detector.threads, detector.device)


class ObjectDetector(Protocol):
    """What gate 3 needs: a `Detector`, or a `ServedDetector`."""

    def load(self) -> None:
        """Load the model. Raises ModelError."""

    def close(self) -> None:
        """Free the model."""

    def picture_size(self, frame_width: int, frame_height: int) -> tuple[int, int]:
        """Return the (width, height) at which `detect` wants a frame of that size."""

    def detect(self, picture: Picture) -> Detections:
        """Detect in a BGR picture. Raises DetectorUnavailable while nothing can answer."""


def make_detector(camera: CameraConfig, card: ModelCard, engine: Engine | None) -> ObjectDetector:
    """Return the camera's detector, not loaded yet; it reports detections down to the weakest that keep a track.

    `engine` runs the model here; beside a server it stands in, and None means that nothing does.
    """
    labels, score, iou = camera.objects.track, ObjectFilter.WEAK_SCORE, camera.objects.nms_iou
    local = None if engine is None else Detector.create(card, labels, score, iou, engine)
    if camera.detector.server is not None:
        from soteirad.detect.backends.kserve import KserveBackend, Server
        from soteirad.detect.served import ServedDetector

        server = Server(**camera.detector.server.model_dump(exclude={"fallback"}))
        return ServedDetector(Detector(card, KserveBackend(card, server), labels, score, iou), local)
    if local is None:
        raise ModelError(f"{card.name}: no engine was chosen")
    return local


def detector_facts(card: ModelCard, choice: Choice | None) -> dict[str, Any]:
    """Return what diagnostics say of the detector: its model, and the engine that was chosen and why."""
    if choice is None:
        return {"model": card.name}
    return {"model": card.name, "backend": choice.engine.backend, "precision": choice.engine.precision,
            "device": choice.engine.device, "threads": choice.engine.threads, "trial_ms": choice.model_ms,
            "golden": choice.verdict, "rejected": list(choice.others)}  # fmt: skip


def pipeline_settings(camera: CameraConfig, card: ModelCard, every_frame: bool = False) -> PipelineSettings:
    """Return the pipeline settings for a camera and its model."""
    objects, motion = camera.objects, camera.motion
    return PipelineSettings(
        filters={card.class_index(label): _label_filter(camera, label) for label in objects.track},
        fps=camera.fps,
        motion_threshold=motion.threshold,
        motion_ceiling=motion.ceiling,
        motion_history=motion.history,
        motion_var_threshold=motion.var_threshold,
        motion_lines=motion.lines,
        motion_masks=motion.mask,
        scene_distance=camera.scene.distance,
        scene_ssim=camera.scene.ssim,
        cadence=CadenceSettings(
            stride=objects.stride, safeguard=camera.scene.interval, still_interval=objects.still_interval
        ),
        tracker=TrackerSettings(iou=objects.track_iou, confirm=objects.confirm),
        detect=camera.detect,
        every_frame=every_frame,
    )


def source_settings(camera: CameraConfig, hwaccel: str = "none") -> SourceSettings:
    """Return how the camera's source is opened; `hwaccel` is what `usable_hardware` gave."""
    return SourceSettings(
        speed=camera.speed, transport=camera.transport, connect_timeout=camera.connect_timeout,
        read_timeout=camera.read_timeout, hwaccel=hwaccel, stream=camera.stream, rotate=camera.rotate,
        size=camera.size, privacy=camera.privacy_mask,
    )  # fmt: skip


def zones(camera: CameraConfig) -> tuple[Zone, ...]:
    """Return the camera's zones."""
    return tuple(
        Zone(name, zone.coordinates, None if zone.objects is None else frozenset(zone.objects))
        for name, zone in camera.zones.items()
    )


def _label_filter(camera: CameraConfig, label: str) -> LabelFilter:
    objects, own = camera.objects, camera.objects.filters.get(label)
    if own is None:
        return LabelFilter(objects.min_score, objects.min_area)
    return LabelFilter(
        objects.min_score if own.min_score is None else own.min_score,
        objects.min_area if own.min_area is None else own.min_area,
        1.0 if own.max_area is None else own.max_area,
    )
