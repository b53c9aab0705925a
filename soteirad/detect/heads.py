"""Heads: raw model outputs to boxes in pixels of the model's input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soteirad.detect.backend import Outputs
from soteirad.detect.card import ModelCard
from soteirad.detect.detection import FloatArray, IntArray

Candidates = tuple[FloatArray, FloatArray, IntArray]
"""Boxes (n, 4) x1 y1 x2 y2 in input pixels, scores (n,), classes (n,)."""


class GflHead:
    """Generalised focal loss head (Li et al., 2020, arXiv 2006.04388).

    Each cell of a level gives a probability for each class and, for each side of the box, a distribution over
    `bins` distances. A side's distance is the distribution's expectation times the stride, measured from the
    cell's centre (i + 0.5) * stride. Only cells that pass the score are decoded.
    """

    def __init__(self, card: ModelCard) -> None:
        self._strides = card.strides
        self._bins = np.arange(card.bins, dtype=np.float32)
        self._centres = [_centres(card.input.width, card.input.height, s) for s in card.strides]

    def decode(self, outputs: Outputs, classes: IntArray, min_score: float) -> Candidates:
        """Return a candidate for each cell and class of `classes` whose score is at least `min_score`."""
        boxes, scores, labels = [], [], []
        for stride, centres in zip(self._strides, self._centres, strict=True):
            level = outputs[f"scores_{stride}"][0][:, classes]
            cells, columns = np.nonzero(level >= min_score)
            if not len(cells):
                continue
            boxes.append(self._boxes(outputs[f"boxes_{stride}"][0][cells], centres[cells], stride))
            scores.append(level[cells, columns])
            labels.append(classes[columns])
        if not boxes:
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
        return np.concatenate(boxes), np.concatenate(scores), np.concatenate(labels)

    def _boxes(self, distribution: FloatArray, centres: FloatArray, stride: int) -> FloatArray:
        logits = distribution.reshape(-1, 4, len(self._bins))
        weights = np.exp(logits - logits.max(axis=2, keepdims=True))
        left, top, right, bottom = ((weights @ self._bins) / weights.sum(axis=2) * stride).T
        x, y = centres.T
        return np.stack([x - left, y - top, x + right, y + bottom], axis=1)


def _centres(width: int, height: int, stride: int) -> NDArray[np.float32]:
    x = (np.arange(-(-width // stride), dtype=np.float32) + 0.5) * stride
    y = (np.arange(-(-height // stride), dtype=np.float32) + 0.5) * stride
    grid_x, grid_y = np.meshgrid(x, y)
    return np.stack([grid_x.ravel(), grid_y.ravel()], axis=1)
