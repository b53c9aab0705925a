"""What a detector returns: plain arrays, best first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Detections:
    """Boxes found in one picture, highest score first.

    `boxes` (n, 4) float32: x1, y1, x2, y2 as fractions 0-1 of the frame; `scores` (n,) float32, 0-1;
    `classes` (n,) int64, indices into the model card's labels.
    """

    boxes: FloatArray
    scores: FloatArray
    classes: IntArray

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, keep: NDArray[np.bool_] | IntArray) -> Detections:
        """Return the detections that an index or boolean mask names."""
        return Detections(self.boxes[keep], self.scores[keep], self.classes[keep])

    @classmethod
    def empty(cls) -> Detections:
        """Return no detections."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
