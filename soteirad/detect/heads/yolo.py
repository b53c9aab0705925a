"""YOLO heads that still need NMS: YOLOv5, YOLOv8 and its kin, YOLOX."""

from __future__ import annotations

import numpy as np

from soteirad.detect.backend import Outputs
from soteirad.detect.card import ModelCard, YoloV5Spec, YoloV8Spec, YoloxSpec
from soteirad.detect.detection import FloatArray, IntArray
from soteirad.detect.heads.base import Candidates, Head, corners, grid, rows_of


class YoloV5Head(Head):
    """YOLOv5 (Jocher, 2020, github.com/ultralytics/yolov5), anchors already applied: rows (1, n, 5 + classes).

    A row is centre x, centre y, width, height, objectness and a probability for each class; a class's score is the
    product of the last two.
    """

    def __init__(self, card: ModelCard, spec: YoloV5Spec) -> None:
        super().__init__(card)
        self._unit: str = spec.boxes
        self._name, self._transposed = "", False

    def bind(self, outputs: Outputs) -> None:
        """Find the rows."""
        self._name, self._transposed = self.find(outputs, None, 5 + self.count, "boxes, objectness and classes")

    def decode(self, outputs: Outputs, classes: IntArray, min_score: float) -> Candidates:
        """Return a candidate for each row and class of `classes` whose score is at least `min_score`."""
        rows = rows_of(outputs[self._name], self._transposed)
        # A product cannot exceed its factor: most rows end here.
        rows = rows[rows[:, 4] >= min_score]
        scores = rows[:, 4:5] * rows[:, 5 + classes]
        cells, columns = np.nonzero(scores >= min_score)
        return self.boxes(rows[cells, :4]), scores[cells, columns], classes[columns]

    def parts(self, outputs: Outputs) -> dict[str, FloatArray]:
        """Return boxes and scores."""
        rows = rows_of(outputs[self._name], self._transposed)
        return {"scores": rows[:, 4:5] * rows[:, 5:], "boxes": self.scaled(rows[:, :4], self._unit)}

    def boxes(self, rows: FloatArray) -> FloatArray:
        """Return the corners, in pixels, of a model's boxes (n, 4)."""
        return self.scaled(corners(rows), self._unit)


class YoloV8Head(Head):
    """YOLOv8, YOLO11 and YOLOv5u (Jocher et al., 2023, github.com/ultralytics/ultralytics): (1, 4 + classes, n).

    A column is centre x, centre y, width, height and a probability for each class.
    """

    def __init__(self, card: ModelCard, spec: YoloV8Spec) -> None:
        super().__init__(card)
        self._unit = spec.boxes
        self._name, self._transposed = "", False

    def bind(self, outputs: Outputs) -> None:
        """Find the rows."""
        self._name, self._transposed = self.find(outputs, None, 4 + self.count, "boxes and classes")

    def decode(self, outputs: Outputs, classes: IntArray, min_score: float) -> Candidates:
        """Return a candidate for each box and class of `classes` whose score is at least `min_score`."""
        columns = self._columns(outputs)
        scores = columns[4 + classes]
        index, cells = np.nonzero(scores >= min_score)
        return self.scaled(corners(columns[:4, cells].T), self._unit), scores[index, cells], classes[index]

    def parts(self, outputs: Outputs) -> dict[str, FloatArray]:
        """Return boxes and scores."""
        columns = self._columns(outputs)
        return {"scores": columns[4:].T, "boxes": self.scaled(columns[:4].T, self._unit)}

    def _columns(self, outputs: Outputs) -> FloatArray:
        return rows_of(outputs[self._name], self._transposed).T


class YoloxHead(Head):
    """YOLOX (Ge et al., 2021, arXiv 2107.08430) before its grid is added: rows (1, n, 5 + classes).

    A row is x and y from the cell's corner in strides, the logarithms of width and height in strides, objectness and a
    probability for each class; a class's score is the product of the last two.
    """

    def __init__(self, card: ModelCard, spec: YoloxSpec) -> None:
        super().__init__(card)
        levels = [grid(self.width, self.height, s, 0.0) for s in spec.strides]
        self._corners = np.concatenate(levels)
        sizes = [np.full((len(level), 1), s, np.float32) for level, s in zip(levels, spec.strides, strict=True)]
        self._strides = np.concatenate(sizes)
        self._name, self._transposed = "", False

    def bind(self, outputs: Outputs) -> None:
        """Find the rows, one for each cell."""
        self._name, self._transposed = self.find(
            outputs, len(self._corners), 5 + self.count, "boxes, objectness and classes"
        )

    def decode(self, outputs: Outputs, classes: IntArray, min_score: float) -> Candidates:
        """Return a candidate for each cell and class of `classes` whose score is at least `min_score`."""
        rows = rows_of(outputs[self._name], self._transposed)
        likely = np.nonzero(rows[:, 4] >= min_score)[0]
        scores = rows[likely, 4:5] * rows[likely][:, 5 + classes]
        found, columns = np.nonzero(scores >= min_score)
        cells = likely[found]
        centres = rows[cells, :2] * self._strides[cells] + self._corners[cells]
        # Sizes are exponentials: a wild one must stay a number.
        sizes = np.exp(np.minimum(rows[cells, 2:4], 20.0)) * self._strides[cells]
        return corners(np.concatenate([centres, sizes], axis=1)), scores[found, columns], classes[columns]

    def parts(self, outputs: Outputs) -> dict[str, FloatArray]:
        """Return boxes (as the model gives them) and scores."""
        rows = rows_of(outputs[self._name], self._transposed)
        return {"scores": rows[:, 4:5] * rows[:, 5:], "boxes": rows[:, :4]}
