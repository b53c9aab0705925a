"""The proof that a Core ML package computes what its ONNX file does, on systems that cannot run Core ML.

The converted program, with the weights as the package holds them, is translated back to ONNX and run by onnxruntime.
So it is the package that is measured, not the converter's intentions. What this cannot show is Core ML itself: its
kernels, their order of additions, and what the Neural Engine does to FP16.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from soteirad.convert.coreml import need
from soteirad.convert.mil_operations import OPERATIONS, Call, Graph
from soteirad.convert.mil_package import Tensor, read_package
from soteirad.errors import ModelError

OPSET, IR_VERSION = 17, 8
FLOATS = ("float16", "float32")


def mil_to_onnx(package: Path, half: bool = False) -> Any:
    """Translate a package's program to an `onnx.ModelProto` with the package's own weights.

    It computes in float32; with `half` every result that Core ML would hold in FP16 is rounded to FP16, which also
    shows overflow. Run that one with onnxruntime's optimisations off, or the roundings may be optimised away.
    Raises ModelError, naming the operation when one is not covered.
    """
    (onnx,) = need("onnx")
    program = read_package(package)
    graph = Graph(program.constants)
    for operation in program.operations:
        if operation.kind not in OPERATIONS:
            raise ModelError(f"{package}: the comparison does not cover the MIL operation {operation.kind}")
        found = OPERATIONS[operation.kind](Call(graph, operation))
        for value, output in zip([found] if isinstance(found, str) else found, operation.outputs, strict=True):
            rounded = value
            if half and output.dtype == "float16":
                narrow = graph.node("Cast", [value], to=onnx.TensorProto.FLOAT16)
                (rounded,) = graph.node("Cast", narrow, to=onnx.TensorProto.FLOAT)
            graph.name_as(rounded, output.name)
    inputs, outputs = ([_declare(onnx, t) for t in tensors] for tensors in (program.inputs, program.outputs))
    made = onnx.helper.make_graph(graph.nodes, "mil", inputs, outputs, list(graph.initialisers.values()))
    return onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _declare(onnx: Any, tensor: Tensor) -> Any:
    dtype = np.dtype("float32" if tensor.dtype in FLOATS else tensor.dtype)
    kind = onnx.helper.np_dtype_to_tensor_dtype(dtype)
    return onnx.helper.make_tensor_value_info(tensor.name, kind, tensor.shape)
