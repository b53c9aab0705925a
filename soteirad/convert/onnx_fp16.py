"""ONNX with half the bytes: weights stored as float16, arithmetic still float32.

Each weight is followed by a Cast to float32 that keeps the weight's name, so that nothing else in the graph changes.
onnxruntime folds these Casts when it loads the file: it runs at the speed of the original.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from soteirad.errors import ModelError

if TYPE_CHECKING:
    import onnx

# Smaller tensors save less than the Cast that they need, and often are parameters rather than weights.
SMALLEST = 16
# Before this version of the file format every stored weight had to be an input of the graph too.
FIRST_IR_WITHOUT_WEIGHT_INPUTS = 4


def onnx_to_fp16(source: Path, target: Path) -> None:
    """Write `source` to `target` with float16 weights; inputs and outputs stay as they are. Raises ModelError."""
    model = read_onnx(source)
    try:
        halved = _halve(model)
    except Exception as error:
        raise _damaged(source, error) from error
    if halved == 0:
        raise ModelError(
            f"{source}: there are no FP32 weights in it to store in FP16 (is it stored so already?): use it as it is"
        )
    write_model(target, model.SerializeToString(deterministic=True))


def read_onnx(source: Path) -> onnx.ModelProto:
    """Return the model in `source`. Raises ModelError."""
    try:
        import onnx
    except ImportError:
        raise ModelError(
            f"{source}: cannot be converted, because the package onnx is not installed here: install soteirad[convert]"
        ) from None
    try:
        model = onnx.load(source)
    except OSError as error:
        raise ModelError(f"{source}: the model file cannot be read ({error.strerror}): check its path") from error
    except Exception as error:
        raise _damaged(source, error) from error
    if not model.graph.node:
        raise _damaged(source, ValueError("it has no operations"))
    return model


def write_model(target: Path, data: bytes) -> None:
    """Write a converted model. Raises ModelError."""
    try:
        target.write_bytes(data)
    except OSError as error:
        raise ModelError(
            f"{target}: the converted model cannot be written ({error.strerror}): choose another place"
        ) from error


def _damaged(source: Path, error: Exception) -> ModelError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return ModelError(f"{source}: this is not an ONNX model, or it is damaged ({reason}): get the file again")


def _halve(model: onnx.ModelProto) -> int:
    """Change the model in place; returns how many weights were stored in half the bytes."""
    from onnx import NodeProto, TensorProto, helper

    graph = model.graph
    stored = {weight.name for weight in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    if len(inputs) < len(graph.input):
        # A weight that is an input too could be replaced by a caller, so no runtime would fold its Cast.
        del graph.input[:]
        graph.input.extend(inputs)
        model.ir_version = max(model.ir_version, FIRST_IR_WITHOUT_WEIGHT_INPUTS)
    exact, taken = _needed_exactly(graph), _names(graph)
    casts: list[NodeProto] = []

    def store(weight: TensorProto, name: str) -> TensorProto | None:
        half = None if name in exact else _as_half(weight)
        if half is None:
            return None
        half.name = f"{name}_fp16"
        while half.name in taken:
            half.name += "_"
        taken.add(half.name)
        casts.append(helper.make_node("Cast", [half.name], [name], name=half.name, to=TensorProto.FLOAT))
        return half

    weights = [store(weight, weight.name) or weight for weight in graph.initializer]
    nodes = []
    for node in graph.node:
        values = [a.t for a in node.attribute if a.name == "value"] if node.op_type == "Constant" else []
        half = store(values[0], node.output[0]) if values else None
        if half is None:
            nodes.append(node)
        else:
            weights.append(half)
    if casts:
        del graph.initializer[:]
        graph.initializer.extend(weights)
        del graph.node[:]
        graph.node.extend([*casts, *nodes])
    return len(casts)


def _as_half(weight: onnx.TensorProto) -> onnx.TensorProto | None:
    """Return the weight in float16, or None when it is to be left alone."""
    from onnx import TensorProto, numpy_helper

    # One number of a bias moves a whole channel, and all biases together are a hundredth of a file.
    if weight.data_type != TensorProto.FLOAT or len(weight.dims) < 2 or np.prod(weight.dims, dtype=np.int64) < SMALLEST:
        return None
    values = numpy_helper.to_array(weight)
    largest = float(np.abs(values).max())
    # Beyond these limits float16 keeps no sign of the number, or only a few bits of it; NaN is beyond them as well.
    limits = np.finfo(np.float16)
    if largest and not float(limits.tiny) <= largest <= float(limits.max):
        return None
    return numpy_helper.from_array(values.astype(np.float16))


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield the graph and all graphs inside its operations (branches and loops)."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                if inner.node:
                    yield from _graphs(inner)


def _needed_exactly(graph: onnx.GraphProto) -> set[str]:
    """Return the names that runtimes want as stored numbers: by how much to resize, and which part."""
    nodes = (node for inner in _graphs(graph) for node in inner.node)
    return {name for node in nodes if node.op_type in {"Resize", "Upsample"} for name in node.input[1:]}


def _names(graph: onnx.GraphProto) -> set[str]:
    found: set[str] = set()
    for inner in _graphs(graph):
        found.update(weight.name for weight in inner.initializer)
        for node in inner.node:
            found.update(node.output)
    return found
