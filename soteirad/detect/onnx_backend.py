"""ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from soteirad.detect.backend import Outputs
from soteirad.detect.card import ModelCard
from soteirad.errors import ModelError


class OnnxBackend:
    """Runs a card's model with onnxruntime's CPU provider; FP16 weights are folded to FP32 at load."""

    name = "onnx"

    def __init__(self, card: ModelCard, threads: int = 1) -> None:
        self._card = card
        self._threads = threads
        self._session: Any = None
        self._outputs: list[str] = []

    def load(self) -> None:
        """Open the model, compare its signature with the card and run it once. Raises ModelError."""
        self._card.verify_file()
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Idle threads must sleep: the gates share these cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = self._card.path
        try:
            session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exception classes have no common public base
            raise ModelError(f"{path}: onnxruntime cannot read this model: {str(error).splitlines()[0]}") from error
        self._check_signature(session)
        self._session = session
        self._outputs = [o.name for o in session.get_outputs()]
        spec = self._card.input
        try:
            self.infer(np.full((1, spec.height, spec.width, 3), spec.pad, np.uint8))
        except Exception as error:
            self.close()
            raise ModelError(f"{path}: onnxruntime cannot run this model: {str(error).splitlines()[0]}") from error

    def infer(self, image: NDArray[np.uint8]) -> Outputs:
        """Run the model on a uint8 array (1, height, width, 3). Raises ModelError if it was not loaded."""
        if self._session is None:
            raise ModelError(f"{self._card.name}: the model is not loaded")
        results = self._session.run(self._outputs, {self._card.input.name: image})
        return dict(zip(self._outputs, results, strict=True))

    def close(self) -> None:
        """Drop the session and its memory."""
        self._session = None

    def _check_signature(self, session: Any) -> None:
        spec, path = self._card.input, self._card.path
        wanted = (spec.name, [1, spec.height, spec.width, 3], "tensor(uint8)")
        found = [(i.name, list(i.shape), i.type) for i in session.get_inputs()]
        if found != [wanted]:
            raise ModelError(f"{path}: the model's input is {found}, the card {self._card.name} says {wanted}")
        shapes = {o.name: list(o.shape) for o in session.get_outputs()}
        for stride in self._card.strides:
            cells = -(-spec.width // stride) * -(-spec.height // stride)
            wanted_shapes = {
                f"scores_{stride}": [1, cells, len(self._card.class_names)],
                f"boxes_{stride}": [1, cells, 4 * self._card.bins],
            }
            for name, shape in wanted_shapes.items():
                if shapes.get(name) != shape:
                    raise ModelError(
                        f"{path}: the model's output {name} has the shape {shapes.get(name, 'missing')}, "
                        f"the card {self._card.name} says {shape}"
                    )
