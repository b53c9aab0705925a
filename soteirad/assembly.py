"""From configuration to parts: which detector, which pipeline settings and which zones a camera has."""

from __future__ import annotations

from soteirad.config import CameraConfig
from soteirad.detect.card import ModelCard, load_card
from soteirad.detect.detector import Detector
from soteirad.gates.cadence import CadenceSettings
from soteirad.gates.objects import LabelFilter, ObjectFilter, Zone
from soteirad.pipeline import PipelineSettings
from soteirad.track.tracker import TrackerSettings


def model_card(camera: CameraConfig) -> ModelCard:
    """Return the camera's model card, which knows all tracked labels. Raises ModelError.

    The model's file is looked at when the detector is loaded.
    """
    card = load_card(camera.detector.model)
    for label in camera.objects.track:
        card.class_index(label)
    return card


def make_detector(camera: CameraConfig, card: ModelCard) -> Detector:
    """Return the camera's detector, not loaded yet; it reports detections down to the weakest that keep a track."""
    return Detector.create(
        card, camera.objects.track, min_score=ObjectFilter.WEAK_SCORE, nms_iou=camera.objects.nms_iou,
        backend=camera.detector.backend, threads=camera.detector.threads,
    )  # fmt: skip


def pipeline_settings(camera: CameraConfig, card: ModelCard, every_frame: bool = False) -> PipelineSettings:
    """Return the pipeline settings for a camera and its model."""
    objects, motion = camera.objects, camera.motion
    return PipelineSettings(
        filters={card.class_index(label): _label_filter(camera, label) for label in objects.track},
        fps=camera.fps,
        motion_threshold=motion.threshold,
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
        every_frame=every_frame,
    )


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
