"""Tensors that a broken or hostile model could give: any shape, NaN and infinity among the numbers."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soteirad.detect.card import ModelCard
from soteirad.detect.detector import Detector
from soteirad.errors import ModelError
from tests.detect.small import GivenBackend, make_card
from tests.fuzz.given import Given

CLASSES = 3
HEADS: tuple[dict[str, Any], ...] = (
    {"type": "gfl", "strides": [32, 64], "bins": 4},
    {"type": "gfl", "strides": [32, 64], "bins": 4, "scores": "logit"},
    {"type": "yolox", "strides": [32, 64]},
    {"type": "yolov5", "boxes": "fraction"},
    {"type": "yolov8"},
    {"type": "detr"},
    {"type": "detr", "scores": "logit"},
    {"type": "ssd", "boxes": "a", "classes": "b", "scores": "c"},
    {"type": "end2end"},
)
ODD = (0.0, -0.0, 0.5, 1.0, 2.0, -1.0, 1e-30, 1e30, -1e30, 3.4e38, float("nan"), float("inf"), float("-inf"), 63.0, 1e9)
SIDES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 16, 19, 20, 100)
LARGEST = 1_000_000
"""Numbers in one tensor; more only costs the harness time."""
DTYPES = (np.float32, np.float32, np.float32, np.int64, np.int32, np.uint8, np.float16, np.float64)


@cache
def _card(index: int) -> ModelCard:
    return make_card(Path(mkdtemp()), HEADS[index], CLASSES)


def heads(data: bytes) -> None:
    """A model's outputs: at load a `ModelError`, later boxes inside the frame with scores that are numbers."""
    given = Given(data)
    card = _card(given.byte() % len(HEADS))
    shapes = [(name, *_shape(given)) for name in "abc"[: given.byte() % 4]]
    seed = given.rest()
    first = {name: np.zeros(shape, kind) for name, shape, kind in shapes}
    backend = GivenBackend(first)
    detector = Detector(card, backend, ["label0", "label2"], 0.3)
    try:
        detector.load()
    except ModelError:
        return
    backend.outputs = {name: _filled(shape, kind, seed) for name, shape, kind in shapes}
    with np.errstate(all="ignore"):
        found = detector.detect(np.zeros((64, 64, 3), np.uint8))
    assert found.boxes.shape == (len(found), 4)
    assert ((found.boxes >= 0) & (found.boxes <= 1)).all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert set(found.classes.tolist()) <= {0, 2}
    assert len(found) <= 300


def _shape(given: Given) -> tuple[tuple[int, ...], Any]:
    sides: list[int] = []
    for _ in range(given.byte() % 5):
        side = given.one_of(SIDES)
        sides.append(side if math.prod(sides) * side <= LARGEST else 1)
    return tuple(sides), given.one_of(DTYPES)


def _filled(shape: tuple[int, ...], kind: Any, seed: bytes) -> NDArray[Any]:
    values = np.array([ODD[b % len(ODD)] if b < 128 else b / 255 for b in seed] or [0.0], np.float64)
    with np.errstate(all="ignore"):
        return np.resize(values, shape).astype(kind)
