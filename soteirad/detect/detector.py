"""The detector: picture in, detections out; what gate 3 calls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from soteirad.detect.backend import Backend, create_backend
from soteirad.detect.card import ModelCard
from soteirad.detect.detection import Detections
from soteirad.detect.heads import GflHead
from soteirad.detect.nms import nms
from soteirad.detect.preprocess import InputBuffer, Letterbox


class Detector:
    """A model card, its backend and its head, for the labels that an owner tracks.

    `min_score` is the lowest score that is returned; NMS runs at `nms_iou` (0.7, as in the published pipeline).
    """

    def __init__(self, card: ModelCard, backend: Backend, labels: Sequence[str], min_score: float,
                 nms_iou: float = 0.7) -> None:  # fmt: skip
        self.card = card
        self._backend = backend
        self._head = GflHead(card)
        self._input = InputBuffer(card.input)
        self._classes = np.array(sorted(card.class_index(label) for label in labels), np.int64)
        self._min_score = min_score
        self._nms_iou = nms_iou

    @classmethod
    def create(cls, card: ModelCard, labels: Sequence[str], min_score: float, nms_iou: float = 0.7,
               backend: str = "auto", threads: int = 1) -> Detector:  # fmt: skip
        """Make a detector with a named backend, not loaded yet. Raises ModelError for an unknown label."""
        return cls(card, create_backend(card, backend, threads), labels, min_score, nms_iou)

    def load(self) -> None:
        """Load the model and run it once. Raises ModelError."""
        self._backend.load()

    def close(self) -> None:
        """Free the model."""
        self._backend.close()

    def picture_size(self, frame_width: int, frame_height: int) -> tuple[int, int]:
        """Return the (width, height) at which `detect` wants a frame of that size."""
        content = Letterbox.fit(frame_width, frame_height, self.card.input)
        return content.width, content.height

    def detect(self, picture: NDArray[np.uint8]) -> Detections:
        """Detect in a BGR picture (h, w, 3) of `picture_size`; boxes come as fractions of the frame."""
        content = self._input.fill(picture)
        outputs = self._backend.infer(self._input.array)
        found = nms(*self._head.decode(outputs, self._classes, self._min_score), self._nms_iou)
        return Detections(content.to_frame(found.boxes), found.scores, found.classes)
