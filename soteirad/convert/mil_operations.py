"""MIL's operations as ONNX nodes: one table from the name of an operation to a small function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from soteirad.convert.coreml import need
from soteirad.convert.mil_package import Array, Operation
from soteirad.errors import ModelError

INT32 = 6  # onnx.TensorProto.INT32
INT_MAX = np.iinfo(np.int64).max


class Graph:
    """Collects ONNX nodes and initialisers; all floats are float32."""

    def __init__(self, constants: dict[str, Array]) -> None:
        self.constants = constants
        self.nodes: list[Any] = []
        self.initialisers: dict[str, Any] = {}
        (self._onnx,) = need("onnx")

    def store(self, array: Array, name: str = "") -> str:
        """Keep `array` as an initialiser and return its name."""
        name = name or f"constant/{len(self.initialisers)}"
        if name not in self.initialisers:
            array = array.astype(np.float32) if array.dtype.kind == "f" else array
            self.initialisers[name] = self._onnx.numpy_helper.from_array(array.copy(), name)
        return name

    def tensor(self, name: str) -> str:
        """Return the ONNX name of a MIL value; a constant becomes an initialiser."""
        constant = self.constants.get(name)
        return name if constant is None else self.store(constant, name)

    def node(self, kind: str, inputs: Sequence[str], count: int = 1, **attributes: Any) -> list[str]:
        """Add a node and return the names of its outputs."""
        names = [f"node/{len(self.nodes)}/{i}" for i in range(count)]
        self.nodes.append(self._onnx.helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def name_as(self, value: str, name: str) -> None:
        """Make `name` another name of `value`."""
        self.nodes.append(self._onnx.helper.make_node("Identity", [value], [name]))


class Call:
    """One MIL operation while it is translated: its arguments by name, and where to write ONNX nodes."""

    def __init__(self, graph: Graph, operation: Operation) -> None:
        self._graph = graph
        self.operation = operation

    def tensors(self, key: str) -> list[str]:
        """Return the ONNX names of an argument's values; constants become initialisers."""
        return [self._graph.tensor(name) for name in self.operation.arguments[key]]

    def value(self, key: str, default: object = None) -> Any:
        """Return a constant argument as Python numbers, or `default` when the operation does not have it."""
        if key not in self.operation.arguments:
            return default
        name = self.operation.arguments[key][0]
        if name not in self._graph.constants:
            raise self.refusal(f"{key} that is computed")
        return self._graph.constants[name].tolist()

    def emit(self, kind: str, *inputs: str, count: int = 1, **attributes: Any) -> str:
        """Write a node and return the name of its (first) output."""
        return self.emit_all(kind, *inputs, count=count, **attributes)[0]

    def emit_all(self, kind: str, *inputs: str, count: int, **attributes: Any) -> list[str]:
        """Write a node and return the names of its `count` outputs."""
        return self._graph.node(kind, inputs, count, **attributes)

    def store(self, value: Any, dtype: type = np.int64) -> str:
        """Keep a constant and return its name."""
        return self._graph.store(np.array(value, dtype))

    def refusal(self, what: str) -> ModelError:
        """Return the error for a parameter that this translation does not know."""
        return ModelError(f"the comparison does not cover the MIL operation {self.operation.kind} with {what}")


Translation = Callable[[Call], str | list[str]]


def _plain(kind: str, *keys: str, **parameters: str) -> Translation:
    """Return the translation to an ONNX operation with tensors `keys` and attributes taken from MIL parameters."""

    def translate(call: Call) -> str:
        inputs = [call.tensors(key)[0] for key in keys]
        attributes: dict[str, Any] = {name: call.value(key) for name, key in parameters.items()}
        return call.emit(kind, *inputs, **attributes)

    return translate


def _cast(call: Call) -> str | list[str]:
    # FP16 and FP32 are both float32 here; mil_to_onnx does the rounding.
    if call.value("dtype") not in ("fp16", "fp32"):
        raise call.refusal(f"dtype {call.value('dtype')}")
    return call.tensors("x")


def _silu(call: Call) -> str:
    (x,) = call.tensors("x")
    return call.emit("Mul", x, call.emit("Sigmoid", x))


def _clip(call: Call) -> str:
    return call.emit("Clip", *call.tensors("x"), *call.tensors("alpha"), *call.tensors("beta"))


def _pads(call: Call, rank: int) -> list[int]:
    """Return ONNX's pads (all starts, then all ends) for MIL's (start and end of each axis)."""
    kind, pad = call.value("pad_type"), call.value("pad", [0] * rank * 2)
    if kind not in ("valid", "custom"):
        raise call.refusal(f"pad_type {kind}")
    return [0] * rank * 2 if kind == "valid" else [*pad[0::2], *pad[1::2]]


def _conv(call: Call) -> str:
    bias = call.tensors("bias") if "bias" in call.operation.arguments else []
    strides, dilations = call.value("strides", [1, 1]), call.value("dilations", [1, 1])
    pads, groups = _pads(call, len(strides)), call.value("groups", 1)
    inputs = [*call.tensors("x"), *call.tensors("weight"), *bias]
    return call.emit("Conv", *inputs, strides=strides, dilations=dilations, pads=pads, group=groups)


def _pool(call: Call) -> str:
    kernel = call.value("kernel_sizes")
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": call.value("strides", kernel),
        "pads": _pads(call, len(kernel)),
        "ceil_mode": int(call.value("ceil_mode", False)),
    }
    if call.operation.kind == "max_pool":
        return call.emit("MaxPool", *call.tensors("x"), **attributes)
    include = int(not call.value("exclude_padding_from_average", False))
    return call.emit("AveragePool", *call.tensors("x"), count_include_pad=include, **attributes)


def _concat(call: Call) -> str:
    axis = call.value("axis")
    if not call.value("interleave", False):
        return call.emit("Concat", *call.tensors("values"), axis=axis)
    # One slice of each value in turn: a new axis behind `axis`, filled by the values, then folded into it.
    one = call.store([axis + 1])
    parts = [call.emit("Unsqueeze", value, one) for value in call.tensors("values")]
    shape = call.store(call.operation.outputs[0].shape)
    return call.emit("Reshape", call.emit("Concat", *parts, axis=axis + 1), shape)


def _split(call: Call) -> list[str]:
    sizes = call.value("split_sizes")
    if sizes is None:
        raise call.refusal("num_splits")
    return call.emit_all("Split", *call.tensors("x"), call.store(sizes), count=len(sizes), axis=call.value("axis"))


def _transpose(call: Call) -> str:
    perm = call.value("perm")
    return call.emit("Transpose", *call.tensors("x"), perm=[axis % len(perm) for axis in perm])


def _reduce(call: Call) -> str:
    keep, axes = int(call.value("keep_dims", False)), call.value("axes")
    kind = {"reduce_max": "ReduceMax", "reduce_mean": "ReduceMean", "reduce_sum": "ReduceSum"}[call.operation.kind]
    if kind == "ReduceSum":  # the first that ONNX changed
        return call.emit(kind, *call.tensors("x"), call.store(axes), keepdims=keep)
    return call.emit(kind, *call.tensors("x"), axes=axes, keepdims=keep)


def _by_list(kind: str, key: str) -> Translation:
    """Return the translation to an ONNX operation whose second input is the list of numbers `key`."""
    return lambda call: call.emit(kind, *call.tensors("x"), call.store(call.value(key)))


def _gather(call: Call) -> str:
    kind = {"gather": "Gather", "gather_along_axis": "GatherElements"}[call.operation.kind]
    if call.value("batch_dims", 0):
        raise call.refusal("batch_dims")
    return call.emit(kind, *call.tensors("x"), *call.tensors("indices"), axis=call.value("axis", 0))


def _matmul(call: Call) -> str:
    if call.value("transpose_x", False) or call.value("transpose_y", False):
        raise call.refusal("a transposed side")
    return call.emit("MatMul", *call.tensors("x"), *call.tensors("y"))


def _linear(call: Call) -> str:
    weight = call.emit("Transpose", *call.tensors("weight"), perm=[1, 0])
    product = call.emit("MatMul", *call.tensors("x"), weight)
    return call.emit("Add", product, *call.tensors("bias")) if "bias" in call.operation.arguments else product


def _pad(call: Call) -> str:
    pad, rank = call.value("pad"), len(call.operation.outputs[0].shape)
    if call.value("mode", "constant") != "constant":
        raise call.refusal(f"mode {call.value('mode')}")
    pad = [0] * (2 * rank - len(pad)) + pad
    return call.emit("Pad", *call.tensors("x"), call.store([*pad[0::2], *pad[1::2]]), *call.tensors("constant_val"))


def _topk(call: Call) -> list[str]:
    largest, axis = int(not call.value("ascending", False)), call.value("axis", -1)
    found = call.emit_all(
        "TopK", *call.tensors("x"), call.store([call.value("k")]), count=2, axis=axis, largest=largest
    )
    return [found[0], call.emit("Cast", found[1], to=INT32)]


def _log(call: Call) -> str:
    return call.emit("Log", call.emit("Add", *call.tensors("x"), *call.tensors("epsilon")))


def _resample(call: Call) -> str:
    asked = [call.value(key) for key in ("sampling_mode", "padding_mode", "padding_value", "coordinates_mode")]
    if asked != ["bilinear", "constant", 0.0, "normalized_minus_one_to_one"]:
        raise call.refusal(f"{asked}")
    corners = int(call.value("align_corners"))
    return call.emit("GridSample", *call.tensors("x"), *call.tensors("coordinates"), align_corners=corners)


def _softmax(call: Call) -> str:
    return call.emit("Softmax", *call.tensors("x"), axis=call.value("axis", -1))


def _slice(call: Call) -> str:
    begin, end = call.value("begin"), call.value("end")
    no = [False] * len(begin)
    steps = call.value("stride", [1] * len(begin))
    if any(call.value("squeeze_mask", no)):
        raise call.refusal("squeeze_mask")
    if any(step < 1 for step in steps):
        raise call.refusal("a negative stride")
    starts = [0 if open_ else at for at, open_ in zip(begin, call.value("begin_mask", no), strict=True)]
    ends = [INT_MAX if open_ else at for at, open_ in zip(end, call.value("end_mask", no), strict=True)]
    places = [call.store(row) for row in (starts, ends, list(range(len(begin))), steps)]
    return call.emit("Slice", *call.tensors("x"), *places)


def _upsample(call: Call) -> str:
    scales = [1.0, 1.0, call.value("scale_factor_height", 1.0), call.value("scale_factor_width", 1.0)]
    inputs = [*call.tensors("x"), "", call.store(scales, np.float32)]
    if call.operation.kind == "upsample_nearest_neighbor":
        mode, nearest = "asymmetric", "floor"
        return call.emit("Resize", *inputs, mode="nearest", coordinate_transformation_mode=mode, nearest_mode=nearest)
    corners = call.value("align_corners", True)
    centres = "half_pixel" if call.value("half_pixel_centers", not corners) else "asymmetric"
    mode = "align_corners" if corners else centres
    return call.emit("Resize", *inputs, mode="linear", coordinate_transformation_mode=mode)


# What occurs in the conversions of NanoDet, YOLOX, PicoDet and DEIM.
OPERATIONS: dict[str, Translation] = {
    "add": _plain("Add", "x", "y"),
    "sub": _plain("Sub", "x", "y"),
    "mul": _plain("Mul", "x", "y"),
    "relu": _plain("Relu", "x"),
    "sigmoid": _plain("Sigmoid", "x"),
    "leaky_relu": _plain("LeakyRelu", "x", alpha="alpha"),
    "sigmoid_hard": _plain("HardSigmoid", "x", alpha="alpha", beta="beta"),
    "avg_pool": _pool,
    "cast": _cast,
    "identity": lambda call: call.tensors("x"),
    "clip": _clip,
    "concat": _concat,
    "conv": _conv,
    "max_pool": _pool,
    "expand_dims": _by_list("Unsqueeze", "axes"),
    "gather": _gather,
    "gather_along_axis": _gather,
    "linear": _linear,
    "log": _log,
    "matmul": _matmul,
    "pad": _pad,
    "pow": _plain("Pow", "x", "y"),
    "real_div": _plain("Div", "x", "y"),
    "reduce_max": _reduce,
    "reduce_mean": _reduce,
    "reduce_sum": _reduce,
    "resample": _resample,
    "softmax": _softmax,
    "sqrt": _plain("Sqrt", "x"),
    "squeeze": _by_list("Squeeze", "axes"),
    "tile": _by_list("Tile", "reps"),
    "topk": _topk,
    "reshape": _by_list("Reshape", "shape"),
    "silu": _silu,
    "slice_by_index": _slice,
    "space_to_depth": _plain("SpaceToDepth", "x", blocksize="block_size"),
    "split": _split,
    "transpose": _transpose,
    "upsample_bilinear": _upsample,
    "upsample_nearest_neighbor": _upsample,
}
