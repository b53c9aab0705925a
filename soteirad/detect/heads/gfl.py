"""Generalised focal loss heads: NanoDet, PicoDet."""

from __future__ import annotations

import numpy as np

from soteirad.detect.backend import Outputs
from soteirad.detect.card import GflSpec, ModelCard
from soteirad.detect.detection import FloatArray, IntArray
from soteirad.detect.heads.base import Candidates, Head, grid, logit, no_candidates, rows_of, sigmoid, wanted_cells
from soteirad.errors import ModelError


class GflHead(Head):
    """Generalised focal loss (Li et al., 2020, arXiv 2006.04388), as NanoDet and PicoDet (arXiv 2111.00902) use it.

    Each cell of a level gives a score for each class and, for each side of the box, a distribution over `bins`
    distances. A side's distance is the distribution's expectation times the stride, measured from the cell's centre
    (i + 0.5) * stride, or i * stride in NanoDet-Plus. The outputs are a pair for each level, or one tensor with all
    levels and both side by side. Only cells that pass the score are decoded.
    """

    def __init__(self, card: ModelCard, spec: GflSpec) -> None:
        super().__init__(card)
        self._strides = spec.strides
        self._bins = np.arange(spec.bins, dtype=np.float32)[:, None]
        self._places = [_places(grid(self.width, self.height, s, spec.centre), s) for s in spec.strides]
        self._logits = spec.scores == "logit"
        self._pairs: list[tuple[tuple[str, bool], tuple[str, bool]]] = []
        self._joined: tuple[str, bool] | None = None

    def bind(self, outputs: Outputs) -> None:
        """Find a pair of outputs for each level, or the one that joins them."""
        sides = 4 * len(self._bins)
        cells = [len(places) for places in self._places]
        try:
            self._joined = self.find(outputs, sum(cells), self.count + sides, "all levels in one")
        except ModelError:
            self._joined = None
            self._pairs = [self._pair(outputs, n, s) for n, s in zip(cells, self._strides, strict=True)]

    def _pair(self, outputs: Outputs, cells: int, stride: int) -> tuple[tuple[str, bool], tuple[str, bool]]:
        """Find scores and distributions of a level; where both have one shape, probabilities tell which is which."""
        sides = 4 * len(self._bins)
        scores = self.find(outputs, cells, self.count, f"class scores at stride {stride}")
        boxes = self.find(outputs, cells, sides, f"box distributions at stride {stride}", scores[0])
        if sides == self.count and not self._logits:
            values = outputs[scores[0]]
            if values.min() < 0 or values.max() > 1:
                return boxes, scores
        return scores, boxes

    def decode(self, outputs: Outputs, classes: IntArray, min_score: float) -> Candidates:
        """Return a candidate for each cell and class of `classes` whose score is at least `min_score`."""
        least = logit(min_score) if self._logits else min_score
        wanted = np.zeros(self.count, np.bool_)
        wanted[classes] = True
        found = []
        for (scores, distributions), places in zip(self._levels(outputs), self._places, strict=True):
            cells, labels = wanted_cells(scores, wanted, least)
            if len(cells):
                # Of a level that is a view, `take` would copy the whole first.
                found.append((scores[cells, labels], distributions[cells], places.take(cells, 0), labels))
        if not found:
            return no_candidates()
        scores, distributions, places, labels = map(np.concatenate, zip(*found, strict=True))
        return self._boxes(distributions, places), sigmoid(scores) if self._logits else scores, labels

    def parts(self, outputs: Outputs) -> dict[str, FloatArray]:
        """Return scores and distributions of all levels."""
        scores, distributions = zip(*self._levels(outputs), strict=True)
        return {"scores": np.concatenate(scores), "boxes": np.concatenate(distributions)}

    def _levels(self, outputs: Outputs) -> list[tuple[FloatArray, FloatArray]]:
        if self._joined is None:
            return [(rows_of(outputs[s], s_t), rows_of(outputs[b], b_t)) for (s, s_t), (b, b_t) in self._pairs]
        name, transposed = self._joined
        rows = rows_of(outputs[name], transposed)
        ends = np.cumsum([len(places) for places in self._places])[:-1]
        return [(level[:, : self.count], level[:, self.count :]) for level in np.split(rows, ends)]

    def _boxes(self, distributions: FloatArray, places: FloatArray) -> FloatArray:
        # A row for each bin: sums and maxima of many short rows take numpy several times as long. In half
        # precision each step of a sum would be rounded.
        logits = np.ascontiguousarray(distributions.reshape(-1, len(self._bins)).T, np.float32)
        weights = np.exp(logits - logits.max(axis=0))
        distances = (weights * self._bins).sum(axis=0) / weights.sum(axis=0)
        boxes: FloatArray = places[:, 0] + distances.reshape(-1, 4) * places[:, 1]
        return boxes


def _places(centres: FloatArray, stride: int) -> FloatArray:
    """Return (cells, 2, 4) in pixels: x, y, x, y of each cell's centre, and by how much a distance of 1 moves each."""
    reach = np.broadcast_to(np.array([-1, -1, 1, 1], np.float32) * stride, (len(centres), 4))
    return np.stack([np.tile(centres, 2), reach], axis=1)
