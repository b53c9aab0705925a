"""What `check` looks at, and the settings that `replay` uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from soteirad.assembly import choose_engine, make_detector, model_card
from soteirad.config import CameraConfig, Config, DetectorConfig, load_config
from soteirad.config.schema import camera_from
from soteirad.detect.card import ModelCard
from soteirad.errors import BrokerError, ConfigError, ModelError, SoteiraError
from soteirad.mqtt.broker import broker_of, tls_context


def check_config(path: Path) -> Config:
    """Load the configuration, the files for the broker's encryption, and each camera's model with its labels as its
    process would. Raises ConfigError.
    """
    config = load_config(path)
    problems = _mqtt_problems(path, config)
    tried: dict[DetectorConfig, ModelError | None] = {}
    for name, camera in config.cameras.items():
        try:
            card = model_card(camera)
            if camera.detector not in tried:
                tried[camera.detector] = _try_detector(camera, card)
            if error := tried[camera.detector]:
                raise error
        except ModelError as error:
            problems.append(f"{path}: cameras.{name}: {error}")
    if problems:
        raise ConfigError(problems)
    return config


def _mqtt_problems(path: Path, config: Config) -> list[str]:
    tls = broker_of(config.mqtt).tls
    try:
        if tls is not None:
            tls_context(tls)
    except BrokerError as error:
        return [f"{path}: {error}"]
    return []


def _try_detector(camera: CameraConfig, card: ModelCard) -> ModelError | None:
    """Choose and load the camera's detector; returns what is wrong with it."""
    try:
        choice = choose_engine(camera, card)
        detector = make_detector(camera, card, choice.engine if choice else None)
        detector.load()
        detector.close()
    except ModelError as error:
        return error
    return None


def replay_camera(clip: Path, config: Path | None, camera: str | None, speed: str,
                  overrides: dict[str, Any]) -> tuple[str, CameraConfig]:  # fmt: skip
    """Return a camera name and settings that play `clip`: of a configured camera, or the defaults.

    `overrides` may hold `fps`, `track` and `min_area`; None means unchanged. Raises ConfigError or SoteiraError.
    """
    base: dict[str, Any] = {}
    name = camera or "replay"
    if config is not None:
        loaded = load_config(config)
        name = camera or next(iter(loaded.cameras))
        if name not in loaded.cameras:
            raise SoteiraError(f"{config}: there is no camera '{name}': it has {', '.join(loaded.cameras)}")
        base = loaded.cameras[name].model_dump(exclude_unset=True)
    elif camera is not None:
        raise SoteiraError("--camera names a camera of a configuration: give its file with --config")
    # A clip has none of these, and nobody is asked about it.
    base = {key: value for key, value in base.items() if key not in ("detail", "size", "stream", "questions")}
    base |= {"source": str(clip), "speed": _speed(speed), "enabled": True}
    if overrides.get("fps") is not None:
        base["fps"] = overrides["fps"]
    objects = {k: v for k, v in overrides.items() if k != "fps" and v is not None}
    base["objects"] = {**base.get("objects", {}), **objects}
    return name, camera_from(base)


def _speed(text: str) -> float | str:
    if text == "max":
        return "max"
    try:
        return float(text)
    except ValueError:
        raise SoteiraError(f"--speed {text}: use a number such as 1 or 10, or max") from None
