"""Generalised focal loss heads: NanoDet, PicoDet."""

from __future__ import annotations

import numpy as np

from soteirad.detect.backend import Outputs
from soteirad.detect.card import GflSpec, ModelCard
from soteirad.detect.detection import FloatArray, IntArray
from soteirad.detect.heads.base import Candidates, Head, grid, logit, no_candidates, rows_of, sigmoid
from soteirad.errors import ModelError


class GflHead(Head):
    """Generalised focal loss (Li et al., 2020, arXiv 2006.04388), as NanoDet and PicoDet (arXiv 2111.00902) use it.

    Each cell of a level gives a score for each class and, for each side of the box, a distribution over `bins`
    distances. A side's distance is the distribution's expectation times the stride, measured from the cell's centre
    (i + 0.5) * stride. The outputs are a pair for each level, or one tensor with all levels and both side by side.
    Only cells that pass the score are decoded.
    """

    def __init__(self, card: ModelCard, spec: GflSpec) -> None:
        super().__init__(card)
        self._strides = spec.strides
        self._bins = np.arange(spec.bins, dtype=np.float32)
        self._centres = [grid(self.width, self.height, s, 0.5) for s in spec.strides]
        self._logits = spec.scores == "logit"
        self._pairs: list[tuple[tuple[str, bool], tuple[str, bool]]] = []
        self._joined: tuple[str, bool] | None = None

    def bind(self, outputs: Outputs) -> None:
        """Find a pair of outputs for each level, or the one that joins them."""
        sides = 4 * len(self._bins)
        cells = [len(c) for c in self._centres]
        try:
            self._joined = self.find(outputs, sum(cells), self.count + sides, "all levels in one")
        except ModelError:
            self._joined = None
            self._pairs = [
                (self.find(outputs, n, self.count, f"class scores at stride {s}"),
                 self.find(outputs, n, sides, f"box distributions at stride {s}"))
                for n, s in zip(cells, self._strides, strict=True)
            ]  # fmt: skip

    def decode(self, outputs: Outputs, classes: IntArray, min_score: float) -> Candidates:
        """Return a candidate for each cell and class of `classes` whose score is at least `min_score`."""
        found = []
        least = logit(min_score) if self._logits else min_score
        levels = zip(self._levels(outputs), self._centres, self._strides, strict=True)
        for (scores, distributions), centres, stride in levels:
            wanted = scores[:, classes]
            cells, columns = np.nonzero(wanted >= least)
            if len(cells):
                boxes = self._boxes(distributions[cells], centres[cells], stride)
                found.append((boxes, wanted[cells, columns], classes[columns]))
        if not found:
            return no_candidates()
        boxes, scores, labels = (np.concatenate(part) for part in zip(*found, strict=True))
        return boxes, sigmoid(scores) if self._logits else scores, labels

    def parts(self, outputs: Outputs) -> dict[str, FloatArray]:
        """Return scores and distributions of all levels."""
        scores, distributions = zip(*self._levels(outputs), strict=True)
        return {"scores": np.concatenate(scores), "boxes": np.concatenate(distributions)}

    def _levels(self, outputs: Outputs) -> list[tuple[FloatArray, FloatArray]]:
        if self._joined is None:
            return [(rows_of(outputs[s], s_t), rows_of(outputs[b], b_t)) for (s, s_t), (b, b_t) in self._pairs]
        name, transposed = self._joined
        rows = rows_of(outputs[name], transposed)
        ends = np.cumsum([len(c) for c in self._centres])[:-1]
        return [(level[:, : self.count], level[:, self.count :]) for level in np.split(rows, ends)]

    def _boxes(self, distribution: FloatArray, centres: FloatArray, stride: int) -> FloatArray:
        logits = distribution.reshape(-1, 4, len(self._bins))
        weights = np.exp(logits - logits.max(axis=2, keepdims=True))
        left, top, right, bottom = ((weights @ self._bins) / weights.sum(axis=2) * stride).T
        x, y = centres.T
        return np.stack([x - left, y - top, x + right, y + bottom], axis=1)
