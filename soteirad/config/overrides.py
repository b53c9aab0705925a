"""Overrides: settings of a camera that were changed over MQTT or on the page, and stay so until they are changed back.

Pure functions. An override has the same meaning as the key in the file that it stands over.
"""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from soteirad.config.schema import LOWEST_THRESHOLD, CameraConfig, Config

Value = bool | float
Overrides = Mapping[tuple[str, str], Value]
"""(camera, setting) -> value."""

_PLACES: dict[str, tuple[str, ...]] = {
    "enabled": ("enabled",),
    "detect": ("detect",),
    "motion_threshold": ("motion", "threshold"),
    "min_score": ("objects", "min_score"),
    "scene_distance": ("scene", "distance"),
    "scene_ssim": ("scene", "ssim"),
}
SETTINGS = tuple(_PLACES)
THRESHOLDS = ("motion_threshold", "scene_distance", "scene_ssim", "min_score")
"""What can be dragged on the page."""
LOWEST_SHARE = 0.01
"""The smallest threshold of gate 2 that the page offers: it may not be 0."""


def limits(camera: CameraConfig, setting: str) -> tuple[float, float]:
    """Return the lowest and highest value of a number."""
    if setting == "motion_threshold":
        # Not the ceiling itself: a threshold has to be under it. Whole thousandths, which are a slider's steps.
        return LOWEST_THRESHOLD, round(camera.motion.ceiling - 0.001, 3)
    return (LOWEST_SHARE if setting.startswith("scene_") else 0.0), 1.0


def value_of(camera: CameraConfig, setting: str) -> Value:
    """Return what a camera's setting is."""
    value: object = camera
    for key in _PLACES[setting]:
        value = getattr(value, key)
    return value if isinstance(value, bool) else float(value)  # type: ignore[arg-type]


def settings_of(camera: CameraConfig) -> dict[str, Value]:
    """Return all settings of a camera that can be changed while it is watched."""
    return {setting: value_of(camera, setting) for setting in SETTINGS}


def with_value(camera: CameraConfig, setting: str, value: Value) -> CameraConfig:
    """Return the camera with another value of a setting, which has to be within `limits`."""
    *sections, key = _PLACES[setting]
    if not sections:
        return camera.model_copy(update={key: value})
    section = getattr(camera, sections[0])
    return camera.model_copy(update={sections[0]: section.model_copy(update={key: value})})


def changeable(config: Config, setting: str) -> bool:
    """Say whether somebody may change a setting, over MQTT or on the page."""
    return setting in config.mqtt.commands or (config.web.enabled and setting in THRESHOLDS)


def usable(config: Config, overrides: Overrides) -> dict[tuple[str, str], Value]:
    """Return the overrides that still mean something: their camera is there, they may be changed (or nobody
    could take them back), their value is possible, and the file says something else."""
    found: dict[tuple[str, str], Value] = {}
    for (name, setting), value in overrides.items():
        camera = config.cameras.get(name)
        if camera is None or not changeable(config, setting) or value == value_of(camera, setting):
            continue
        low, high = limits(camera, setting)
        if isinstance(value, bool) or low <= value <= high:
            found[name, setting] = value
    return found


def effective(config: Config, overrides: Overrides) -> Config:
    """Return the configuration with its overrides in force."""
    cameras = dict(config.cameras)
    for (name, setting), value in overrides.items():
        cameras[name] = with_value(cameras[name], setting, value)
    return config.model_copy(update={"cameras": cameras})


def alike(one: CameraConfig, other: CameraConfig) -> bool:
    """Say whether two cameras differ at most in what a process can change while it watches."""
    kept = {"retain_days": other.clips.retain_days, "max_size": other.clips.max_size}  # is the hub's business
    one = one.model_copy(update={"name": other.name, "preview": other.preview, "questions": other.questions,
                                 "clips": one.clips.model_copy(update=kept)})  # fmt: skip
    for setting in SETTINGS:
        if setting != "enabled":
            one = with_value(one, setting, value_of(other, setting))
    return one == other


def as_yaml(overrides: Overrides) -> str:
    """Return the lines that keep the overrides when they are put into the configuration file."""
    cameras: dict[str, dict[str, object]] = {}
    for (name, setting), value in sorted(overrides.items()):
        *sections, key = _PLACES[setting]
        place: dict[str, object] = cameras.setdefault(name, {})
        for section in sections:
            place = place.setdefault(section, {})  # type: ignore[assignment]
        place[key] = value
    return yaml.safe_dump({"cameras": cameras}, sort_keys=False) if cameras else ""
