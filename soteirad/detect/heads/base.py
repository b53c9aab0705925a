"""What all heads share: candidates, and finding their outputs by shape."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from soteirad.detect.backend import Outputs
from soteirad.detect.card import ModelCard
from soteirad.detect.detection import FloatArray, IntArray
from soteirad.errors import ModelError

Candidates = tuple[FloatArray, FloatArray, IntArray]
"""Boxes (n, 4) x1 y1 x2 y2 in pixels of the model's input, scores (n,), classes (n,)."""


class Head(ABC):
    """Turns a model's raw outputs into candidates. `bind` looks once at outputs of the real model."""

    finish: Literal["nms", "one_label", "none"] = "nms"
    """What candidates still need: NMS class by class, the best label of each box, or nothing."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card
        self.width, self.height = card.input.width, card.input.height
        self.count = len(card.class_names)

    @abstractmethod
    def bind(self, outputs: Outputs) -> None:
        """Find this head's tensors among the outputs. Raises ModelError when they are not what the card says."""

    @abstractmethod
    def decode(self, outputs: Outputs, classes: IntArray, min_score: float) -> Candidates:
        """Return a candidate for each box and class of `classes` whose score is at least `min_score`."""

    @abstractmethod
    def parts(self, outputs: Outputs) -> dict[str, FloatArray]:
        """Return the raw numbers by role, in one order and layout whatever the file format, to compare backends by."""

    def find(self, outputs: Outputs, rows: int | None, columns: int, role: str, but: str = "") -> tuple[str, bool]:
        """Return the name of the output (1, rows, columns), and whether it is stored as (1, columns, rows).

        `rows` None means any number; the output `but` is another one. Raises ModelError when none has that shape.
        """
        for name, array in outputs.items():
            shape = array.shape
            if len(shape) == 3 and shape[0] == 1 and name != but:
                if shape[2] == columns and rows in (None, shape[1]):
                    return name, False
                if shape[1] == columns and rows in (None, shape[2]):
                    return name, True
        wanted = f"[1, {'N' if rows is None else rows}, {columns}]"
        raise ModelError(f"{self.card.name}: no output of the model is {wanted} ({role}), as the head "
                         f"{self.card.head.type} and {self.count} labels need, but {shapes_of(outputs)}")  # fmt: skip

    def scaled(self, boxes: FloatArray, unit: str) -> FloatArray:
        """Return boxes (n, 4) in pixels of the input, given in `pixels` or as a `fraction` of it."""
        if unit == "pixels":
            return boxes
        return boxes * np.array([self.width, self.height, self.width, self.height], np.float32)


def shapes_of(outputs: Outputs) -> str:
    """Name all outputs with their shapes, for a message."""
    return ", ".join(f"{name} {list(array.shape)}" for name, array in outputs.items())


def rows_of(array: NDArray[Any], transposed: bool) -> NDArray[Any]:
    """Return a (1, n, c) or transposed (1, c, n) output as a view (n, c)."""
    rows: NDArray[Any] = array[0]
    return rows.T if transposed else rows


def corners(boxes: FloatArray) -> FloatArray:
    """Turn boxes (n, 4) of centre x, centre y, width, height into corners."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def grid(width: int, height: int, stride: int, offset: float) -> FloatArray:
    """Return (cells, 2) x and y, in pixels, of each cell of a level, row by row, `offset` of a cell from its corner."""
    x = (np.arange(-(-width // stride), dtype=np.float32) + offset) * stride
    y = (np.arange(-(-height // stride), dtype=np.float32) + offset) * stride
    grid_x, grid_y = np.meshgrid(x, y)
    return np.stack([grid_x.ravel(), grid_y.ravel()], axis=1)


def sigmoid(values: FloatArray) -> FloatArray:
    """Return the logistic function, without overflow for any float32."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), np.float32)


def logit(score: float) -> float:
    """Return the value whose sigmoid is `score`, infinite at the ends."""
    with np.errstate(divide="ignore"):
        return float(np.log(score) - np.log1p(-score))


def wanted_cells(scores: FloatArray, wanted: NDArray[np.bool_], least: float) -> tuple[IntArray, IntArray]:
    """Return rows and classes of the scores (n, all classes) that are at least `least`; `wanted` tells of each class.

    All scores are compared, and then few remain: gathering the wanted columns first takes several times as long.
    """
    found = (scores >= least).ravel().nonzero()[0]
    if not len(found):
        return found, found
    rows, columns = np.divmod(found, scores.shape[1])
    keep = wanted[columns]
    return rows[keep], columns[keep]


def no_candidates() -> Candidates:
    """Return no candidates."""
    return np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
