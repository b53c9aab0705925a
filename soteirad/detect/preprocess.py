"""Letterbox: a frame of any size into the model's fixed input, and boxes back into the frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soteirad.detect.card import InputSpec
from soteirad.detect.detection import FloatArray


@dataclass(frozen=True)
class Letterbox:
    """Where a frame's content lies in the model's input: `width` x `height` pixels from the top left corner."""

    width: int
    height: int

    @classmethod
    def fit(cls, frame_width: int, frame_height: int, spec: InputSpec) -> Letterbox:
        """Return the largest content size with the frame's aspect that fits the input."""
        scale = min(spec.width / frame_width, spec.height / frame_height)
        return cls(max(1, round(frame_width * scale)), max(1, round(frame_height * scale)))

    def to_frame(self, boxes: FloatArray) -> FloatArray:
        """Turn boxes (n, 4) in pixels of the input into fractions of the frame, clipped to it."""
        size = np.array([self.width, self.height, self.width, self.height], np.float32)
        return np.asarray(np.clip(boxes / size, 0.0, 1.0), np.float32)


class InputBuffer:
    """The model's input array, made once; only the content is copied for each picture."""

    def __init__(self, spec: InputSpec) -> None:
        self._pad = spec.pad
        self._content = Letterbox(0, 0)
        self.array: NDArray[np.uint8] = np.full((1, spec.height, spec.width, 3), spec.pad, np.uint8)

    def fill(self, picture: NDArray[np.uint8]) -> Letterbox:
        """Copy a BGR picture (h, w, 3), already at the size that `Letterbox.fit` gives, into the top left corner."""
        height, width = picture.shape[:2]
        content = Letterbox(width, height)
        if content != self._content:
            self.array.fill(self._pad)
            self._content = content
        self.array[0, :height, :width] = picture
        return content
