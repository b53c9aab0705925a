"""What tests of tuning share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from soteirad.config import CameraConfig
from soteirad.tune.advice import Score
from soteirad.tune.knobs import Knobs
from soteirad.tune.recording import Recording

PRESENT = Knobs(0.02, 0.2, 0.8, 2.0, 4, 10.0, 0.4)
"""The defaults."""


@dataclass(frozen=True)
class Measured:
    camera: CameraConfig
    recording: Recording


def score(found: int, extra: int = 0, looks: float = 10.0, delay: float | None = 0.0, entries: int = 10,
          scene_runs: float = 30.0, **knobs: Any) -> Score:  # fmt: skip
    """A score of settings that only say what they came to: the present ones, unless `knobs` says otherwise."""
    chosen = Knobs(**{**PRESENT.__dict__, **knobs})
    return Score(chosen, found, entries, extra, delay, looks, scene_runs, 0.1)
