"""ONNX Runtime: the CPU everywhere, and other execution providers by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from soteirad.detect.backend import FileBackend, Outputs, picture_input, size_value, unknown_device
from soteirad.detect.card import Format
from soteirad.detect.preprocess import TensorSpec
from soteirad.errors import ModelError

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}

DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8,
           "tensor(int8)": np.int8}  # fmt: skip


class OnnxBackend(FileBackend):
    """Runs a card's ONNX file; FP16 weights are folded to FP32 at load on the CPU, which has no faster FP16 kernels."""

    format: Format = "onnx"
    library = "onnxruntime"
    _session: Any = None

    def open(self, path: Path) -> TensorSpec:
        """Make a session with the engine's threads and provider."""
        session = ort.InferenceSession(str(path), self._options(), providers=self._providers())
        wanted = PROVIDERS[self.engine.device]
        if wanted not in session.get_providers():
            raise ModelError(f"{path}: onnxruntime could not start {wanted}, and fell back to the CPU: see its log")
        shapes = {i.name: tuple(n if isinstance(n, int) else 0 for n in i.shape) for i in session.get_inputs()}
        name, size = picture_input(shapes, str(path))
        kind = next(i.type for i in session.get_inputs() if i.name == name)
        if kind not in DTYPES:
            raise ModelError(f"{path}: the input '{name}' is {kind}: only float and 8-bit inputs are known")
        self._session, self._name = session, name
        self._fixed = {size: size_value(self.card)} if size else {}
        self._outputs = [o.name for o in session.get_outputs()]
        return TensorSpec(name, shapes[name], np.dtype(DTYPES[kind]))

    def run(self, tensor: NDArray[Any]) -> Outputs:
        """Run the session."""
        results = self._session.run(self._outputs, {self._name: tensor, **self._fixed})
        return dict(zip(self._outputs, results, strict=True))

    def drop(self) -> None:
        """Drop the session."""
        self._session = None

    def _options(self) -> Any:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.engine.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Idle threads must sleep: the gates share these cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return options

    def _providers(self) -> list[Any]:
        if self.engine.device not in PROVIDERS:
            raise unknown_device(self.engine, PROVIDERS)
        wanted = PROVIDERS[self.engine.device]
        if wanted not in ort.get_available_providers():
            there = [name for name, provider in PROVIDERS.items() if provider in ort.get_available_providers()]
            raise ModelError(
                f"this onnxruntime has no {wanted}, only {', '.join(there)}: install the onnxruntime build for your "
                f"device (onnxruntime-gpu on a Jetson or with an NVIDIA card), or set detector.device: cpu"
            )
        if wanted == PROVIDERS["cpu"]:
            # The arena grows in steps of what is asked for instead of powers of two.
            return [(wanted, {"arena_extend_strategy": "kSameAsRequested"})]
        options = {"trt_fp16_enable": self.engine.precision == "fp16"} if self.engine.device == "tensorrt" else {}
        return [(wanted, options), PROVIDERS["cpu"]]
