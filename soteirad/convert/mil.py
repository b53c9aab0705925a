"""The proof that a Core ML package computes what its ONNX file does, on systems that cannot run Core ML.

The converted program, with the weights as the package holds them, is translated back to ONNX and run by onnxruntime.
So it is the package that is measured, not the converter's intentions. What this cannot show is Core ML itself: its
kernels, their order of additions, and what the Neural Engine does to FP16.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from soteirad.convert.coreml import SIZE_INPUT, need, picture_input, picture_size, read_onnx
from soteirad.convert.mil_operations import OPERATIONS, Call, Graph
from soteirad.convert.mil_package import Tensor, read_package
from soteirad.errors import ModelError

OPSET, IR_VERSION = 17, 8
FLOATS = ("float16", "float32")


class Agreement(NamedTuple):
    """How well an output of the package agrees with the ONNX file's, the worst of all pictures."""

    cosine: float  # not a number when the package's output has numbers that are not finite
    difference: float  # largest absolute one
    largest: float  # largest absolute value of the ONNX file's output: what `difference` is to be judged by


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


def compare(
    source: Path,
    package: Path,
    pictures: Sequence[NDArray[np.uint8]],
    *,
    mean: Sequence[float] = (0.0, 0.0, 0.0),
    std: Sequence[float] = (1.0, 1.0, 1.0),
    half: bool = False,
) -> dict[str, Agreement]:
    """Run an ONNX file and its Core ML package on pictures (height, width, 3); the result is by ONNX output name.

    Pictures have the model's size and channel order. A model whose graph does not normalise is given
    (picture - mean) / std: far from the numbers it was trained on, FP16 tells nothing about it. Raises ModelError.
    """
    asked = picture_input(read_onnx(source), source)
    channels_last = asked.type.tensor_type.shape.dim[3].dim_value == 3
    original = _session(source.read_bytes(), source)
    translated = _session(mil_to_onnx(package, half).SerializeToString(), package)
    inputs, (wanted,) = {i.name: i.type for i in original.get_inputs()}, translated.get_inputs()
    sizes = {SIZE_INPUT: picture_size(asked)} if SIZE_INPUT in inputs else {}
    names = [o.name for o in original.get_outputs()]
    if len(names) != len(translated.get_outputs()):
        raise ModelError(f"{package}: this package has not the outputs of {source}: convert the model again")
    found: dict[str, list[Agreement]] = {name: [] for name in names}
    for picture in pictures:
        is_plain = inputs[asked.name] == "tensor(uint8)"
        pixels = picture if is_plain else ((picture - np.array(mean)) / std).astype(np.float32)
        last, first = pixels[None], pixels.transpose(2, 0, 1)[None]
        expected = original.run(None, {asked.name: last if channels_last else first, **sizes})
        again = last if wanted.shape[3] == 3 else first
        actual = translated.run(None, {wanted.name: again.astype(np.float32)})
        for name, one, other in zip(names, expected, actual, strict=True):
            if one.shape != other.shape:
                raise ModelError(f"{package}: the output {name} has the shape {other.shape}, the ONNX's is {one.shape}")
            found[name].append(_agreement(one.astype(np.float64).ravel(), other.astype(np.float64).ravel()))
    return {name: _worst(rows) for name, rows in found.items()}


def _declare(onnx: Any, tensor: Tensor) -> Any:
    dtype = np.dtype("float32" if tensor.dtype in FLOATS else tensor.dtype)
    kind = onnx.helper.np_dtype_to_tensor_dtype(dtype)
    return onnx.helper.make_tensor_value_info(tensor.name, kind, tensor.shape)


def _session(model: bytes, path: Path) -> Any:
    options = ort.SessionOptions()
    # Optimisations would remove the roundings to FP16, and here speed does not matter.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exception classes have no common public base
        raise ModelError(f"{path}: onnxruntime cannot run this program: {str(error).splitlines()[0]}") from error


def _agreement(expected: NDArray[np.float64], actual: NDArray[np.float64]) -> Agreement:
    largest = float(np.abs(expected).max(initial=0.0))
    if not np.isfinite(actual).all():
        return Agreement(float("nan"), float("inf"), largest)
    difference = float(np.abs(expected - actual).max(initial=0.0))
    lengths = float(np.linalg.norm(expected) * np.linalg.norm(actual))
    cosine = float(expected @ actual) / lengths if lengths else float(difference == 0.0)
    return Agreement(cosine, difference, largest)


def _worst(rows: Sequence[Agreement]) -> Agreement:
    cosines, differences, sizes = zip(*rows, strict=True)
    return Agreement(float(np.min(cosines)), max(differences), max(sizes))
