"""What is tuned: the knobs, the values that are tried, and the YAML that puts them into a configuration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

import yaml

from soteirad.config import CameraConfig

_PLACES: dict[str, tuple[str, str]] = {
    "motion_threshold": ("motion", "threshold"),
    "scene_distance": ("scene", "distance"),
    "scene_ssim": ("scene", "ssim"),
    "scene_interval": ("scene", "interval"),
    "stride": ("objects", "stride"),
    "still_interval": ("objects", "still_interval"),
    "min_score": ("objects", "min_score"),
}

MOTION = (0.005, 0.01, 0.02, 0.03, 0.04, 0.06)
STRIDE = (2, 4, 6, 8)
SCENE = ((0.10, 0.90), (0.20, 0.80), (0.35, 0.65), (0.60, 0.40))
"""Distance and SSIM together, from careful to careless."""
INTERVAL = (1.0, 4.0, 6.0)
STILL = (5.0, 20.0, 30.0)
SCORE = (0.3, 0.5, 0.6)
LAZIER = ((4.0, 6.0), (20.0, 30.0))
"""What the second round tries of the two intervals."""
STRIDES_BETWEEN = (3, 10, 12)
MOST_REFINED = 5


@dataclass(frozen=True)
class Knobs:
    """One camera's tuned settings, by the configuration's keys."""

    motion_threshold: float
    scene_distance: float
    scene_ssim: float
    scene_interval: float
    stride: int
    still_interval: float
    min_score: float

    @classmethod
    def of(cls, camera: CameraConfig) -> Knobs:
        """Return what a camera has."""
        return cls(**{name: getattr(getattr(camera, section), key) for name, (section, key) in _PLACES.items()})

    def apply(self, camera: CameraConfig) -> CameraConfig:
        """Return the camera with these settings."""
        sections: dict[str, dict[str, Any]] = {}
        for name, (section, key) in _PLACES.items():
            sections.setdefault(section, {})[key] = getattr(self, name)
        changed = {name: getattr(camera, name).model_copy(update=keys) for name, keys in sections.items()}
        return camera.model_copy(update=changed)

    def changes(self, present: Knobs) -> dict[str, tuple[Any, Any]]:
        """Return what differs from the present settings, as key -> (present, new)."""
        return {
            ".".join(_PLACES[f.name]): (getattr(present, f.name), getattr(self, f.name))
            for f in fields(self)
            if getattr(present, f.name) != getattr(self, f.name)
        }

    def distance(self, other: Knobs) -> float:
        """Return how far settings are from others: doublings of each key, and steps of 0.2 of the shares of a scene."""
        ratios = ("motion_threshold", "scene_interval", "stride", "still_interval")
        doublings: float = sum(abs(math.log2(getattr(self, n) / getattr(other, n))) for n in ratios)
        shares = ("scene_distance", "scene_ssim", "min_score")
        steps: float = sum(abs(getattr(self, n) - getattr(other, n)) for n in shares) / 0.2
        return doublings + steps

    def values(self) -> dict[str, Any]:
        """Return all settings by their key in the configuration."""
        return {".".join(place): getattr(self, name) for name, place in _PLACES.items()}

    def as_yaml(self, present: Knobs, camera: str | None) -> str:
        """Return the lines that change the present settings into these; empty if nothing differs.

        They stand under `cameras.<camera>`, or in the global sections for None.
        """
        sections: dict[str, dict[str, Any]] = {}
        for key, (_, new) in self.changes(present).items():
            section, _, name = key.partition(".")
            sections.setdefault(section, {})[name] = new
        if not sections:
            return ""
        return yaml.safe_dump(sections if camera is None else {"cameras": {camera: sections}}, sort_keys=False)


def first_round(present: Knobs, floor: Knobs, camera: CameraConfig, scores: bool) -> list[Knobs]:
    """Return the settings to try first: the present ones, motion x stride x scene, and each other knob by itself.

    `floor` is the most careless that may miss nothing: where that is not the present ones, it is tried with all motion
    and strides that are as careful.
    `scores` tries `min_score` too, which only the owner's labels can judge: by itself the detector is always right.
    """
    scenes = [(present.scene_distance, present.scene_ssim), *SCENE]
    motions = [m for m in (present.motion_threshold, *MOTION) if m < camera.motion.ceiling]
    tried = [present]
    for motion, stride, (distance, ssim) in product(motions, (present.stride, *STRIDE), scenes):
        tried.append(replace(present, motion_threshold=motion, stride=stride, scene_distance=distance, scene_ssim=ssim))
    tried += [replace(floor, motion_threshold=motion, stride=stride)
              for motion, stride in product((floor.motion_threshold, *MOTION), (floor.stride, *STRIDE))
              if motion <= floor.motion_threshold and stride <= floor.stride]  # fmt: skip
    for distance, ssim in SCENE:
        tried += [replace(present, scene_distance=distance), replace(present, scene_ssim=ssim)]
    tried += [replace(present, scene_interval=value) for value in INTERVAL]
    tried += [replace(present, still_interval=value) for value in STILL]
    if scores:
        tried += [replace(present, min_score=value) for value in SCORE]
    return unique(tried)


def second_round(best: Iterable[Knobs], present: Knobs, scores: bool) -> list[Knobs]:
    """Return the neighbours of the best of the first round: rarer looks without motion, and strides between."""
    tried: list[Knobs] = []
    for knobs in list(best)[:MOST_REFINED]:
        tried += [replace(knobs, scene_interval=i, still_interval=s) for i, s in product(*LAZIER)]
        tried += [replace(knobs, stride=s) for s in STRIDES_BETWEEN]
        if scores:
            tried += [replace(knobs, min_score=value) for value in SCORE]
    return unique(tried)


def unique(knobs: Iterable[Knobs]) -> list[Knobs]:
    """Return each of the settings once, in order."""
    return list(dict.fromkeys(knobs))


def groups(knobs: list[Knobs], count: int) -> Iterator[list[int]]:
    """Yield `count` groups of indices; settings with the same scene thresholds share most work, and stay together."""
    order = sorted(range(len(knobs)), key=lambda i: (knobs[i].scene_distance, knobs[i].scene_ssim, i))
    size = -(-len(order) // max(1, count))
    for start in range(0, len(order), max(1, size)):
        yield order[start : start + size]
