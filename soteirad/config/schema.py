"""The configuration's one schema: every key, its default, its unit and what it may be.

All models are frozen, refuse unknown keys, and report all their problems together in the owner's words
(see `messages`). Defaults marked (S) are those of the three-gate design that Soteira builds on
(A. Jindal, 2025).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic_core import InitErrorDetails

from soteirad.config.address import is_device, is_live
from soteirad.config.broker import HomeAssistantConfig, MqttConfig, WebhookConfig
from soteirad.config.clips import ClipsConfig, detail_nowhere
from soteirad.config.detector import DetectorConfig
from soteirad.config.inherit import inherit, known_nowhere, names_twice, question_problems
from soteirad.config.llm import LlmConfig
from soteirad.config.messages import KEY, detail, show_key
from soteirad.config.question import AD_HOC, Questions
from soteirad.config.section import Section, from_plain
from soteirad.config.storage import StorageConfig
from soteirad.config.values import (
    CAMERA_EXAMPLE,
    CAMERAS,
    DEFAULT_LABELS,
    NONE_IS_EMPTY,
    NONE_IS_NO_ITEM,
    Count,
    Detail,
    Float,
    Fraction,
    Int,
    Labels,
    Name,
    Polygon,
    Polygons,
    Seconds,
    Share,
    Size,
    Source,
    Speed,
    Switch,
    Title,
    is_number,
    raw_get,
    slug,
    tracked_labels,
    untracked_text,
)
from soteirad.config.web import WebConfig

LOWEST_THRESHOLD = 0.001
"""The smallest step that Home Assistant knows; at 180 lines it is 58 pixels."""
RESERVED = ("hub", "set")
"""`<prefix>_hub` is the box itself for Home Assistant, and `<prefix>/set/...` its commands."""


class MotionConfig(Section):
    """Gate 1: which share of the picture changed (MOG2 background model)."""

    threshold: Share = Field(
        default=0.02, ge=LOWEST_THRESHOLD, description="Changed share of the picture that counts as motion, 0 to 1 (S)."
    )
    ceiling: Share = Field(
        default=0.8, ge=0.1,
        description="Changed share from which it is the light that changed, and no object; over threshold."
    )
    history: Count = Field(default=300, description="Frames that the background model remembers (S).")
    var_threshold: Float = Field(
        default=16.0, gt=0, le=10_000, description="Squared distance, in variances, of a changed pixel (S)."
    )
    lines: Int = Field(
        default=180, ge=90, le=720, description="Height in pixels of the picture that is analysed for motion."
    )
    mask: Polygons = Field(default=(), description="Polygons in which motion is ignored.")

    @classmethod
    def contradictions(cls, data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
        """Nothing would ever count as motion under a ceiling that is not over the threshold."""
        defaults = cls.model_fields
        low = data.get("threshold", defaults["threshold"].default)
        high = data.get("ceiling", defaults["ceiling"].default)
        if is_number(low) and is_number(high) and low >= high:
            key = "ceiling" if "ceiling" in data else "threshold"
            yield detail((key,), "motion.ceiling must be larger than motion.threshold")


class SceneConfig(Section):
    """Gate 2: whether the picture differs enough from a reference to be worth a look."""

    distance: Share = Field(default=0.20, description="Colour distance that opens the gate, 0 to 1 (S).")
    ssim: Share = Field(
        default=0.80, description="Structural similarity below which the gate opens, 0 to 1 (S)."
    )
    interval: Seconds = Field(default=2.0, description="Seconds between two looks while nothing moves (S).")


class FilterConfig(Section):
    """Limits for one label; a limit that is left out is that of the objects section."""

    min_area: Fraction | None = Field(
        default=None, description="Smallest box, as a fraction of the picture's area."
    )
    max_area: Fraction | None = Field(
        default=None, description="Largest box, as a fraction of the picture's area."
    )
    min_score: Fraction | None = Field(default=None, description="Lowest score that starts a track, 0 to 1.")

    @classmethod
    def contradictions(cls, data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
        """No box can be larger than `min_area` and smaller than `max_area` if they are swapped."""
        low, high = data.get("min_area"), data.get("max_area")
        if is_number(low) and is_number(high) and low > high:  # type: ignore[operator]
            yield detail(("max_area",), "smaller than min_area: give max_area the larger number")


class ObjectsConfig(Section):
    """Gate 3 and the tracker: what is looked for and when it counts."""

    track: Labels = Field(
        default=DEFAULT_LABELS, description="Labels to look for; the model card lists those it knows."
    )
    stride: Count = Field(
        default=4, description="Look at every Nth analysed frame while there is motion (S)."
    )
    min_area: Fraction = Field(
        default=0.01, description="Smallest box, as a fraction of the picture's area (S)."
    )
    min_score: Fraction = Field(default=0.4, description="Lowest score that starts a track, 0 to 1 (S).")
    nms_iou: Share = Field(
        default=0.7, description="Overlap (IoU) above which two boxes are one object, 0 to 1 (S)."
    )
    track_iou: Share = Field(
        default=0.5, description="Overlap (IoU) from which a box continues a track, 0 to 1 (S)."
    )
    confirm: Count = Field(
        default=2, description="Consecutive looks that must see an object before it has entered (S)."
    )
    still_interval: Seconds = Field(
        default=10.0, description="Seconds between two looks at an object that stands still."
    )
    filters: Annotated[dict[str, FilterConfig], NONE_IS_EMPTY] = Field(
        default_factory=dict, description="Limits for single labels, by label."
    )

    @classmethod
    def contradictions(cls, data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
        """A filter for a label that is not tracked would silently do nothing."""
        tracked, filters = tracked_labels(data), data.get("filters")
        if tracked is not None and isinstance(filters, Mapping):
            for label in filters:
                if label not in tracked:
                    yield detail(("filters", label), untracked_text(tracked), KEY)


class ZoneConfig(Section):
    """A named part of the picture."""

    coordinates: Polygon = Field(
        description="The polygon around the zone: x1, y1, x2, y2, x3, y3, ... from 0 to 1."
    )
    objects: Labels | None = Field(
        default=None, description="Labels that count in this zone; none means all tracked ones."
    )


class CameraConfig(Section):
    """One camera: its stream, and where it differs from the global sections."""

    source: Source = Field(
        repr=False,
        description="The address (rtsp://, rtsps://, http:// or https://), a camera on this machine (/dev/video0, "
        "avfoundation:0) or the path of a video file. The camera's small stream is best.",
    )
    detail: Detail | None = Field(
        default=None, repr=False,
        description="The address of a larger stream, or of a snapshot picture, that is fetched for each confirmed "
        "object."
    )
    name: Title | None = Field(
        default=None, description="What people call this camera, in any script; none means its key here."
    )
    enabled: Switch = Field(default=True, description="Whether this camera is watched.")
    detect: Switch = Field(
        default=True, description="Whether objects are looked for; without it there is motion and scene only."
    )
    preview: Float = Field(
        default=0, ge=0, le=3600, description="Seconds between two small pictures on <camera>/preview; 0 means none."
    )
    fps: Float = Field(
        default=10, ge=0, le=120, description="Frames to analyse in a second; 0 means every frame."
    )
    speed: Speed = Field(
        default=1.0, description='How fast a video file is played: 1 is real time, or "max". Files only.'
    )
    transport: Literal["tcp", "udp"] = Field(
        default="tcp", description="How RTSP carries the video; a camera that refuses udp is asked for tcp."
    )
    stream: Int = Field(
        default=0, ge=0, le=31, description="Which video stream of the source, if it has several; 0 is the first."
    )
    rotate: Literal[0, 90, 180, 270] = Field(
        default=0, description="Degrees by which the picture is turned clockwise before anything else."
    )
    hwaccel: Literal["auto", "none", "videotoolbox", "vaapi", "cuda", "qsv", "drm", "vulkan", "v4l2m2m"] = Field(
        default="auto", description="What decodes the video; what this machine cannot do is decoded in software."
    )
    size: Size | None = Field(
        default=None, description="Picture size to ask a camera on this machine for, such as 1280x720."
    )
    connect_timeout: Seconds = Field(default=10.0, description="Seconds to wait for the camera to answer.")
    read_timeout: Seconds = Field(
        default=10.0, description="Seconds without a frame after which the stream is lost."
    )
    privacy_mask: Polygons = Field(
        default=(), description="Polygons painted black before anything is stored or sent."
    )
    detector: DetectorConfig = Field(default=DetectorConfig(), description="This camera's model.")
    motion: MotionConfig = Field(default=MotionConfig(), description="This camera's gate 1.")
    scene: SceneConfig = Field(default=SceneConfig(), description="This camera's gate 2.")
    objects: ObjectsConfig = Field(default=ObjectsConfig(), description="This camera's gate 3 and tracker.")
    clips: ClipsConfig = Field(default=ClipsConfig(), description="This camera's videos of visits.")
    zones: Annotated[dict[Name, ZoneConfig], NONE_IS_EMPTY] = Field(
        default_factory=dict, description="Named parts of the picture."
    )
    questions: Questions = Field(default=(), description="What a vision model is asked about this camera.")

    @property
    def live(self) -> bool:
        """True for a camera, False for a video file."""
        return is_live(self.source)

    @classmethod
    def contradictions(cls, data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
        """Some keys are for some kinds of source, and zones and questions can only be for what the camera tracks."""
        yield from question_problems(data)
        source = str(data.get("source"))
        if "speed" in data and is_live(source):
            yield detail(("speed",), "a live camera has no speed: leave this key out, it is for video files")
        if data.get("detail") is not None and not is_live(source):
            yield detail(("detail",), "a video file has no second stream: leave this key out", KEY)
        if data.get("size") is not None and not is_device(source):
            yield detail(("size",), "only a camera on this machine (/dev/video0) is asked for a size: leave this key "
                         "out", KEY)  # fmt: skip
        tracked, zones = tracked_labels(data.get("objects")), data.get("zones")
        if tracked is None or not isinstance(zones, Mapping):
            return
        for name, zone in zones.items():
            labels = raw_get(zone, "objects")
            for index, label in enumerate(labels if isinstance(labels, (list, tuple)) else ()):
                if isinstance(label, str) and label not in tracked:
                    yield detail(("zones", name, "objects", index), untracked_text(tracked))


class Config(Section):
    """The whole configuration; each camera carries its own complete sections."""

    mqtt: MqttConfig = Field(default=MqttConfig(), description="The broker that events are published to.")
    homeassistant: HomeAssistantConfig = Field(
        default=HomeAssistantConfig(), description="What Home Assistant is told, so that cameras appear there."
    )
    webhooks: Annotated[tuple[WebhookConfig, ...], NONE_IS_NO_ITEM] = Field(
        default=(), description="HTTP requests for events, for recorders that are started that way."
    )
    storage: StorageConfig = Field(default=StorageConfig(), description="Where events and pictures are kept.")
    web: WebConfig = Field(default=WebConfig(), description="The page that shows what the gates see.")
    detector: DetectorConfig = Field(default=DetectorConfig(), description="Default model of all cameras.")
    motion: MotionConfig = Field(default=MotionConfig(), description="Default gate 1 of all cameras.")
    scene: SceneConfig = Field(default=SceneConfig(), description="Default gate 2 of all cameras.")
    objects: ObjectsConfig = Field(default=ObjectsConfig(), description="Default gate 3 of all cameras.")
    clips: ClipsConfig = Field(default=ClipsConfig(), description="Default videos of visits of all cameras.")
    questions: Questions = Field(default=(), description="Questions about all cameras.")
    llm: LlmConfig | None = Field(
        default=None, description="The vision models that answer questions. Without it nothing is ever sent anywhere."
    )
    cameras: Annotated[dict[Name, CameraConfig], Field(min_length=1), CAMERAS] = Field(
        description=f"A section with a key for each camera; {CAMERA_EXAMPLE}."
    )

    @property
    def watched(self) -> dict[str, CameraConfig]:
        """The cameras that are not switched off, by name."""
        return {name: camera for name, camera in self.cameras.items() if camera.enabled}

    @property
    def offered(self) -> dict[str, CameraConfig]:
        """The cameras of which there is something to tell: watched, or to be switched on over MQTT."""
        return self.cameras if "enabled" in self.mqtt.commands else self.watched

    def asked_of(self, camera: str) -> tuple[str, ...]:
        """The names of the questions that may be asked about a camera; none without a model to answer them."""
        if self.llm is None:
            return ()
        standing = tuple(question.name for question in self.cameras[camera].questions if question.enabled)
        return (*standing, AD_HOC) if "ask" in self.mqtt.commands else standing

    @classmethod
    def contradictions(cls, data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
        """Names that mean something else, or that are one name where capitals do not count."""
        cameras = data.get("cameras")
        seen: dict[str, str] = {}
        for name in cameras if isinstance(cameras, Mapping) else ():
            if name in RESERVED:
                yield detail(("cameras", name), f"this name is taken by Soteira itself: choose another than "
                             f"{' and '.join(RESERVED)}", KEY)  # fmt: skip
            if isinstance(name, str) and (other := seen.setdefault(slug(name), name)) != name:
                yield detail(("cameras", name), f"too like the camera {show_key(other)}: Home Assistant and some disks "
                             "take both names for one; choose another", KEY)  # fmt: skip
        yield from names_twice(data)
        yield from known_nowhere(data)
        yield from detail_nowhere(data)
        yield from _unknown_in_webhooks(data)

    @classmethod
    def prepare(cls, data: Any) -> Any:
        """Give each camera the global sections, key by key, under its own."""
        if not isinstance(data, Mapping) or not isinstance(data.get("cameras"), Mapping):
            return super().prepare(data)
        cameras = {name: inherit(data, camera) for name, camera in data["cameras"].items()}
        return {**data, "cameras": cameras}


def _unknown_in_webhooks(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """A webhook for a camera that there is not would silently do nothing."""
    cameras, webhooks = data.get("cameras"), data.get("webhooks")
    if not isinstance(cameras, Mapping) or not isinstance(webhooks, (list, tuple)):
        return
    for index, webhook in enumerate(webhooks):
        wanted = raw_get(raw_get(webhook, "when"), "cameras")
        for place, name in enumerate(wanted if isinstance(wanted, (list, tuple)) else ()):
            if name not in cameras:
                known = ", ".join(show_key(str(key)) for key in cameras)
                yield detail(("webhooks", index, "when", "cameras", place), f"there is no such camera: use {known}")


def camera_from(data: Mapping[str, Any]) -> CameraConfig:
    """Return a camera's configuration from plain data that comes from no file. Raises ConfigError."""
    return from_plain(CameraConfig, data)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the configuration file, for editors."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {**Config.model_json_schema(), "$schema": dialect, "title": "Soteira configuration"}
