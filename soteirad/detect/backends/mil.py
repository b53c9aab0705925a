"""A Core ML package's program, translated back to ONNX: what proves a conversion where Core ML does not run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from soteirad.detect.backend import FileBackend, Outputs
from soteirad.detect.card import Format
from soteirad.detect.preprocess import TensorSpec


class MilBackend(FileBackend):
    """Runs a card's .mlpackage with onnxruntime, every FP16 result rounded to FP16. For proof, not for speed."""

    format: Format = "coreml"
    library = "the translation of Core ML programs"
    _session: Any = None

    def open(self, path: Path) -> TensorSpec:
        """Translate the program and make a session of it."""
        from soteirad.convert.mil import mil_to_onnx

        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # it would drop the rounding
        options.intra_op_num_threads = self.engine.threads
        options.log_severity_level = 3
        program = mil_to_onnx(path, half=True).SerializeToString()
        self._session = ort.InferenceSession(program, options, providers=["CPUExecutionProvider"])
        (wanted,) = self._session.get_inputs()
        self._outputs = [o.name for o in self._session.get_outputs()]
        return TensorSpec(wanted.name, tuple(wanted.shape), np.dtype(np.float32))

    def run(self, tensor: NDArray[Any]) -> Outputs:
        """Run the session."""
        results = self._session.run(self._outputs, {self._session.get_inputs()[0].name: tensor})
        return dict(zip(self._outputs, results, strict=True))

    def drop(self) -> None:
        """Drop the session."""
        self._session = None
