"""OpenVINO on Intel and AMD processors, in single precision, half precision or bfloat16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soteirad.detect.backend import FileBackend, Outputs, may_write_programs, missing, picture_input, size_value
from soteirad.detect.card import Format
from soteirad.detect.preprocess import TensorSpec
from soteirad.errors import ModelError

_HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}
_CAPABILITIES = {"fp32": "FP32", "fp16": "FP16", "bf16": "BF16"}


class OpenVinoBackend(FileBackend):
    """Runs a card's ONNX file with OpenVINO's CPU plugin, tuned for the latency of one picture at a time."""

    format: Format = "onnx"
    library = "OpenVINO"
    _request: Any = None

    def open(self, path: Path) -> TensorSpec:
        """Compile the model for this processor. Raises ModelError for an arithmetic that it lacks."""
        try:
            from soteirad.detect.backends.openvino_library import openvino as ov
        except ImportError:
            raise missing("OpenVINO", "openvino") from None
        try:
            return self._compile(ov, path)
        except RuntimeError as error:  # OpenVINO's own are of this kind
            if may_write_programs():
                raise
            raise ModelError("OpenVINO writes its programs at run time, and this process may not "
                             "(MemoryDenyWriteExecute): the drop-in openvino.conf allows it") from error  # fmt: skip

    def _compile(self, ov: Any, path: Path) -> TensorSpec:
        core, precision = ov.Core(), self.engine.precision
        capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if _CAPABILITIES[precision] not in capabilities:
            raise ModelError(f"this processor computes no {precision}: OpenVINO lists {', '.join(capabilities)}")
        model = core.read_model(str(path))
        shapes = {i.any_name: _shape(i.partial_shape) for i in model.inputs}
        name, size = picture_input(shapes, str(path))
        height, width = self.card.input.height, self.card.input.width
        whole = [1, 3, height, width] if shapes[name][1] == 3 else [1, height, width, 3]
        fixed = {name: [n or w for n, w in zip(shapes[name], whole, strict=True)]}
        model.reshape(fixed | ({size: [1, 2]} if size else {}))
        compiled = core.compile_model(model, "CPU", {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": self.engine.threads,
            "ENABLE_CPU_PINNING": False,
        })  # fmt: skip
        self._compiled, self._name = compiled, name
        self._request = compiled.create_infer_request()
        self._fixed = {size: size_value(self.card)} if size else {}
        # A tensor can have several names, in no order; its result node has the file's.
        self._outputs = [r.get_friendly_name().removesuffix("/sink_port_0") for r in model.get_results()]
        return TensorSpec(name, shapes[name], np.dtype(compiled.input(name).element_type.to_dtype()))

    def run(self, tensor: NDArray[Any]) -> Outputs:
        """Run the compiled model; the outputs are views of its own memory."""
        self._request.infer({self._name: tensor, **self._fixed}, share_inputs=True, share_outputs=True)
        return {name: self._request.get_output_tensor(i).data for i, name in enumerate(self._outputs)}

    def drop(self) -> None:
        """Drop the compiled model."""
        self._request = self._compiled = None

    def executed_precisions(self) -> dict[str, int]:
        """Return how many of the compiled graph's convolutions and matrix products run in which number type.

        Read from the graph that the plugin really executes (`runtimePrecision` of its nodes).
        """
        counts: dict[str, int] = {}
        for node in self._compiled.get_runtime_model().get_ops():
            info = node.get_rt_info()
            if info["layerType"].astype(str) in ("Convolution", "MatMul", "FullyConnected"):
                kind = info["runtimePrecision"].astype(str)
                counts[kind] = counts.get(kind, 0) + 1
        return counts


def _shape(partial: Any) -> tuple[int, ...]:
    return tuple(d.get_length() if d.is_static else 0 for d in partial)
