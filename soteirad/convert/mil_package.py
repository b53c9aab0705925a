"""Reads an `.mlpackage` on any system: the operations, attributes and weights that Core ML would run."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soteirad.convert.coreml import need
from soteirad.errors import ModelError

Array = NDArray[Any]
# MIL's numbers for types: what numpy calls them, and what a blob of weight.bin calls them.
TYPES = {1: "bool", 2: "str", 10: "float16", 11: "float32", 21: "int8", 22: "int16", 23: "int32", 31: "uint8"}
BLOB_TYPES = {1: "float16", 2: "float32", 3: "uint8", 4: "int8"}
BLOB_HEADER = struct.Struct("<IIQQ")  # sentinel, type, bytes, offset; in a file of blobs each has one
BLOB_SENTINEL = 0xDEADBEEF


@dataclass(frozen=True)
class Tensor:
    """A value's name, numpy type and shape as the package declares them."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Operation:
    """One MIL operation; an argument is a list of names of values or constants."""

    kind: str
    arguments: dict[str, list[str]]
    outputs: list[Tensor]


@dataclass(frozen=True)
class Program:
    """The `main` function of an ML Program."""

    inputs: list[Tensor]
    outputs: list[Tensor]
    operations: list[Operation]
    constants: dict[str, Array] = field(default_factory=dict)


def read_package(package: Path) -> Program:
    """Read a package's program with its weights. Raises ModelError when it is no ML Program, or damaged."""
    (coremltools,) = need("coremltools")
    try:
        spec = coremltools.utils.load_spec(str(package))
        function = spec.mlProgram.functions.get("main")
        if function is None or function.opset not in function.block_specializations:
            raise ModelError(f"{package}: this Core ML package holds no ML Program: convert the model again")
        block = function.block_specializations[function.opset]
        reader = _Reader(package)
        operations = []
        for item in block.operations:
            if item.type == "const":
                reader.constants[item.outputs[0].name] = reader.value(item.attributes["val"])
            else:
                arguments = {key: [reader.name(a) for a in arg.arguments] for key, arg in item.inputs.items()}
                operations.append(Operation(item.type, arguments, [_tensor(o) for o in item.outputs]))
    except ModelError:
        raise
    except Exception as error:  # protobuf, coremltools and numpy each have their own for a damaged file
        last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise ModelError(f"{package}: this Core ML package cannot be read: {last}: convert the model again") from error
    known = {o.name: o for operation in operations for o in operation.outputs}
    # Positions tie these outputs to the ONNX file's: coremltools replaces characters in names.
    outputs = [known[name] for name in (o.name for o in spec.description.output)]
    return Program([_tensor(i) for i in function.inputs], outputs, operations, reader.constants)


def _tensor(named: Any) -> Tensor:
    kind = named.type.tensorType
    return Tensor(named.name, _dtype(kind.dataType), tuple(int(d.constant.size) for d in kind.dimensions))


def _dtype(number: int) -> str:
    if number not in TYPES:
        raise ModelError(f"the comparison does not know MIL's type number {number}")
    return TYPES[number]


class _Reader:
    """Decodes constants; those that stand inside an argument get a name of their own."""

    def __init__(self, package: Path) -> None:
        self.constants: dict[str, Array] = {}
        self._package = package
        self._files: dict[str, bytes] = {}

    def name(self, argument: Any) -> str:
        if argument.WhichOneof("binding") == "name":
            return str(argument.name)
        name = f"inline constant {len(self.constants)}"
        self.constants[name] = self.value(argument.value)
        return name

    def value(self, value: Any) -> Array:
        kind = value.type.tensorType
        dtype, shape = _dtype(kind.dataType), tuple(int(d.constant.size) for d in kind.dimensions)
        if value.WhichOneof("value") == "blobFileValue":
            return self._blob(value.blobFileValue.fileName, value.blobFileValue.offset, dtype).reshape(shape)
        tensor = value.immediateValue.tensor
        held = getattr(tensor, tensor.WhichOneof("value")).values
        flat = np.frombuffer(held, dtype) if isinstance(held, bytes) else np.array(list(held), dtype)
        return flat.reshape(shape)

    def _blob(self, name: str, offset: int, dtype: str) -> Array:
        if name not in self._files:
            path = self._package / "Data" / "com.apple.CoreML" / name.removeprefix("@model_path/")
            self._files[name] = path.read_bytes()
        data = self._files[name]
        sentinel, kind, size, start = BLOB_HEADER.unpack_from(data, offset)
        if sentinel != BLOB_SENTINEL or BLOB_TYPES.get(kind) != dtype or start + size > len(data):
            raise ModelError(f"{self._package}: the weights at byte {offset} are damaged: convert the model again")
        return np.frombuffer(data, dtype, size // np.dtype(dtype).itemsize, start)
