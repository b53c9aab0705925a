"""The detector: picture in, detections out; what gate 3 calls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from soteirad.detect.backend import Backend, Outputs, create_backend
from soteirad.detect.card import ModelCard
from soteirad.detect.detection import Detections, FloatArray, IntArray
from soteirad.detect.engine import Engine
from soteirad.detect.heads import make_head
from soteirad.detect.nms import best, nms, one_label
from soteirad.detect.preprocess import Canvas, Letterbox, Picture, limited

REFERENCE = Engine("onnx", "fp32")


class Detector:
    """A model card, its backend and its head, for the labels that an owner tracks.

    `min_score` is the lowest score that is returned; NMS runs at `nms_iou` (0.7, as in the published pipeline). A box
    that a DETR gives under several labels keeps its best one, unless `every_label`: COCO's AP counts them all.
    """

    def __init__(self, card: ModelCard, backend: Backend, labels: Sequence[str], min_score: float,
                 nms_iou: float = 0.7, every_label: bool = False) -> None:  # fmt: skip
        self.card = card
        self.backend = backend
        self.head = make_head(card)
        self._canvas = Canvas(card.input)
        self._sizes: dict[tuple[int, int], tuple[int, int]] = {}
        self._classes = np.unique([card.class_index(label) for label in labels]).astype(np.int64)
        self._min_score = min_score
        self._nms_iou = nms_iou
        self._every_label = every_label

    @classmethod
    def create(cls, card: ModelCard, labels: Sequence[str], min_score: float, nms_iou: float = 0.7,
               engine: Engine = REFERENCE, every_label: bool = False) -> Detector:  # fmt: skip
        """Make a detector with an engine of its own, not loaded yet. Raises ModelError for an unknown label."""
        return cls(card, create_backend(card, engine), labels, min_score, nms_iou, every_label)

    def load(self) -> None:
        """Load the model, run it once and compare its outputs with the card. Raises ModelError."""
        self.head.bind(self.backend.load())

    def close(self) -> None:
        """Free the model."""
        self.backend.close()

    def picture_size(self, frame_width: int, frame_height: int) -> tuple[int, int]:
        """Return the (width, height) at which `detect` wants a frame of that size."""
        frame = frame_width, frame_height
        if frame not in self._sizes:
            content = Letterbox.fit(*frame, self.card.input)
            self._sizes[frame] = content.width, content.height
        return self._sizes[frame]

    def detect(self, picture: Picture) -> Detections:
        """Detect in a BGR picture (h, w, 3) of `picture_size`; boxes come as fractions of the frame."""
        content, outputs = self.infer(picture)
        return self.read(content, outputs)

    def infer(self, picture: Picture) -> tuple[Letterbox, Outputs]:
        """Run the model on a picture of `picture_size`: the first half of `detect`."""
        content, image = self.place(picture)
        return content, self.backend.infer(image)

    def place(self, picture: Picture) -> tuple[Letterbox, Picture]:
        """Return a picture on the model's canvas, and where it lies there; the canvas is reused by the next call."""
        return self._canvas.fill(picture), self._canvas.image

    def read(self, content: Letterbox, outputs: Outputs) -> Detections:
        """Decode a model's outputs, the second half of `detect`; a box that is not finite is none.

        Scores are between 0 and 1, whatever the model says.
        """
        boxes, scores, classes = self.head.decode(outputs, self._classes, self._min_score)
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
            boxes, scores, classes = boxes[finite], scores[finite], classes[finite]
        found = self._finish(boxes, scores, classes)
        scores = limited(found.scores).astype(np.float32, copy=False)  # a score of another kind is no score
        return Detections(content.to_frame(found.boxes), scores, found.classes)

    def _finish(self, boxes: FloatArray, scores: FloatArray, classes: IntArray) -> Detections:
        if self.head.finish == "nms":
            return nms(boxes, scores, classes, self._nms_iou)
        if self.head.finish == "one_label" and not self._every_label:
            return one_label(boxes, scores, classes)
        return best(boxes, scores, classes)
