"""Heads of models that need no NMS: DETR queries, SSD with NMS inside, end-to-end rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from soteirad.detect.backend import Outputs
from soteirad.detect.card import DetrSpec, EndToEndSpec, ModelCard, SsdSpec
from soteirad.detect.detection import FloatArray, IntArray
from soteirad.detect.heads.base import Candidates, Head, corners, rows_of, shapes_of, sigmoid
from soteirad.errors import ModelError


class DetrHead(Head):
    """DETR queries: RT-DETR (arXiv 2304.08069), D-FINE (2410.13842), DEIM (2412.04234).

    Either postprocessed in the graph (labels, boxes as corners in pixels of the input, scores, best first), or raw:
    class scores (1, queries, classes) and boxes (1, queries, 4) as centre and size in fractions of the input.
    One query can come under several labels, with one and the same box.
    """

    finish = "one_label"

    def __init__(self, card: ModelCard, spec: DetrSpec) -> None:
        super().__init__(card)
        self._logits = spec.scores == "logit"
        self._raw = False
        self._labels = self._boxes = self._scores = ("", False)

    def bind(self, outputs: Outputs) -> None:
        """Find boxes, and scores with or without labels."""
        self._boxes = self.find(outputs, None, 4, "boxes")
        if self.count == 4:  # scores look like boxes: boxes have the name, or are all fractions
            first = self._boxes[0]
            second = next((n for n, a in outputs.items() if n != first and a.shape == outputs[first].shape), "")
            named = "box" in first.lower() or "box" in second.lower()
            if second and ("box" in second.lower() if named else not _fractions(outputs[first])):
                self._boxes = (second, False)
        queries = rows_of(outputs[self._boxes[0]], self._boxes[1]).shape[0]
        flat = {name: a for name, a in outputs.items() if a.shape == (1, queries)}
        if len(flat) == 2:
            labels = [n for n, a in flat.items() if a.dtype.kind in "iu"] or [n for n in flat if "label" in n.lower()]
            if len(labels) == 1:
                self._raw, self._labels = False, (labels[0], False)
                self._scores = (next(n for n in flat if n != labels[0]), False)
                return
        self._raw = True
        self._scores = self.find(outputs, queries, self.count, "class scores of the queries", self._boxes[0])

    def decode(self, outputs: Outputs, classes: IntArray, min_score: float) -> Candidates:
        """Return a candidate for each query and class of `classes` whose score is at least `min_score`."""
        boxes = rows_of(outputs[self._boxes[0]], self._boxes[1])
        if self._raw:
            scores = self._probabilities(rows_of(outputs[self._scores[0]], self._scores[1])[:, classes])
            queries, columns = np.nonzero(scores >= min_score)
            return self.scaled(corners(boxes[queries]), "fraction"), scores[queries, columns], classes[columns]
        scores = self._probabilities(outputs[self._scores[0]][0])
        labels = outputs[self._labels[0]][0].astype(np.int64)
        keep = (scores >= min_score) & np.isin(labels, classes)
        return boxes[keep], scores[keep], labels[keep]

    def parts(self, outputs: Outputs) -> dict[str, FloatArray]:
        """Return the scores, best first: the order of the queries themselves hangs on their last digits."""
        name, transposed = self._scores
        array = rows_of(outputs[name], transposed).max(axis=1) if self._raw else outputs[name][0]
        return {"scores": -np.sort(-self._probabilities(array))}

    def _probabilities(self, scores: FloatArray) -> FloatArray:
        return sigmoid(scores) if self._logits else scores


def _whole(classes: NDArray[Any]) -> IntArray:
    """Return class numbers as integers; what is not a number is no class."""
    return np.asarray(np.rint(np.nan_to_num(classes, nan=-1.0)), np.int64)


def _fractions(array: NDArray[Any]) -> bool:
    return bool(array.min() >= 0 and array.max() <= 1)


class SsdHead(Head):
    """SSD (Liu et al., 2015, arXiv 1512.02325) that ends in TensorFlow Lite's `TFLite_Detection_PostProcess`.

    Boxes (1, n, 4) are top, left, bottom, right in fractions of the input; classes and scores are (1, n).
    """

    finish = "none"

    def __init__(self, card: ModelCard, spec: SsdSpec) -> None:
        super().__init__(card)
        self._spec = spec

    def bind(self, outputs: Outputs) -> None:
        """Check that the outputs that the card names are there, in the right shapes."""
        spec = self._spec
        boxes, classes, scores = (outputs.get(n) for n in (spec.boxes, spec.classes, spec.scores))
        if boxes is None or classes is None or scores is None:
            raise ModelError(f"{self.card.name}: the model's outputs are {shapes_of(outputs)}, the card names "
                             f"{spec.boxes}, {spec.classes} and {spec.scores}")  # fmt: skip
        n = classes.size
        if boxes.shape != (1, n, 4) or classes.shape != (1, n) or scores.shape != (1, n):
            raise ModelError(f"{self.card.name}: an SSD gives boxes [1, N, 4], classes and scores [1, N]: "
                             f"the model has {shapes_of(outputs)}")  # fmt: skip

    def decode(self, outputs: Outputs, classes: IntArray, min_score: float) -> Candidates:
        """Return the boxes of `classes` whose score is at least `min_score`."""
        scores, labels = outputs[self._spec.scores][0], _whole(outputs[self._spec.classes][0])
        keep = (scores >= min_score) & np.isin(labels, classes)
        boxes = outputs[self._spec.boxes][0][keep][:, [1, 0, 3, 2]]
        return self.scaled(boxes, "fraction"), scores[keep], labels[keep]

    def parts(self, outputs: Outputs) -> dict[str, FloatArray]:
        """Return the scores, best first."""
        return {"scores": -np.sort(-outputs[self._spec.scores][0])}


class EndToEndHead(Head):
    """Networks trained to give each object once, such as YOLOv10 (Wang et al., 2024, arXiv 2405.14458): (1, n, 6).

    A row is the corners, the score and the class.
    """

    finish = "none"

    def __init__(self, card: ModelCard, spec: EndToEndSpec) -> None:
        super().__init__(card)
        self._unit = spec.boxes
        self._name, self._transposed = "", False

    def bind(self, outputs: Outputs) -> None:
        """Find the rows."""
        self._name, self._transposed = self.find(outputs, None, 6, "corners, score and class")

    def decode(self, outputs: Outputs, classes: IntArray, min_score: float) -> Candidates:
        """Return the rows of `classes` whose score is at least `min_score`."""
        rows: NDArray[Any] = rows_of(outputs[self._name], self._transposed)
        labels = _whole(rows[:, 5])
        keep = (rows[:, 4] >= min_score) & np.isin(labels, classes)
        return self.scaled(rows[keep, :4], self._unit), rows[keep, 4], labels[keep]

    def parts(self, outputs: Outputs) -> dict[str, FloatArray]:
        """Return the scores, best first."""
        return {"scores": -np.sort(-rows_of(outputs[self._name], self._transposed)[:, 4])}
