"""OpenCV's own network runner: a yardstick for `bench`, never chosen for a camera."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from soteirad.detect.backend import FileBackend, Outputs
from soteirad.detect.card import Format
from soteirad.detect.facts import read_facts
from soteirad.detect.preprocess import TensorSpec


class OpenCvBackend(FileBackend):
    """Runs a card's ONNX file with `cv2.dnn`."""

    format: Format = "onnx"
    library = "OpenCV"
    _net: Any = None

    def open(self, path: Path) -> TensorSpec:
        """Read the network. The number of threads is OpenCV's for the whole process."""
        cv2.setNumThreads(self.engine.threads)
        facts = read_facts(path, (self.card.input.width, self.card.input.height))
        self._net = cv2.dnn.readNetFromONNX(str(path))
        self._outputs = list(self._net.getUnconnectedOutLayersNames())
        return facts.tensor

    def run(self, tensor: NDArray[Any]) -> Outputs:
        """Run the network."""
        self._net.setInput(tensor)
        return dict(zip(self._outputs, map(np.asarray, self._net.forward(self._outputs)), strict=True))

    def drop(self) -> None:
        """Drop the network."""
        self._net = None
