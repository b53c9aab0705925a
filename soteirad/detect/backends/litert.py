"""LiteRT (TensorFlow Lite) with XNNPACK, the backend for ARM."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from soteirad.detect.backend import FileBackend, Outputs, missing, picture_input, size_value
from soteirad.detect.card import Format
from soteirad.detect.preprocess import TensorSpec
from soteirad.errors import ModelError

XNNPACK_FORCE_FP16 = 4
"""TFLITE_XNNPACK_DELEGATE_FLAG_FORCE_FP16 of LiteRT's XNNPACK delegate: loading fails where it cannot be done."""


class LiteRtBackend(FileBackend):
    """Runs a card's TFLite file: float, FP16 weights, dynamic-range or full int8, NHWC or NCHW.

    `fp16` forces half-precision arithmetic, which only LiteRT's newer CompiledModel can; everything else goes through
    the interpreter, which runs more models and is that of tflite-runtime where only this is installed.
    """

    format: Format = "tflite"
    library = "LiteRT"
    _runner: _Runner | None = None

    def open(self, path: Path) -> TensorSpec:
        """Open the file with the engine's threads and arithmetic."""
        interpreter = interpreter_class()(model_path=str(path), num_threads=self.engine.threads)
        details = {d["name"]: d for d in interpreter.get_input_details()}
        name, size = picture_input({n: tuple(d["shape"].tolist()) for n, d in details.items()}, str(path))
        scale, zero = details[name]["quantization"]
        spec = TensorSpec(name, tuple(details[name]["shape"].tolist()), np.dtype(details[name]["dtype"]), scale, zero)
        if self.engine.precision != "fp16":
            interpreter.allocate_tensors()
            if size:
                value = size_value(self.card).astype(details[size]["dtype"])
                interpreter.set_tensor(details[size]["index"], value)
            self._runner = _Interpreted(interpreter, details[name]["index"])
            return spec
        if size or scale:
            raise ModelError(f"{path}: half-precision arithmetic is for float models with one input")
        self._runner = _Compiled(path, self.engine.threads, interpreter.get_output_details())
        return spec

    def run(self, tensor: NDArray[Any]) -> Outputs:
        """Run the model; quantised outputs come back as real numbers."""
        if self._runner is None:
            raise ModelError(f"{self.card.name}: the model is not loaded")
        return self._runner.run(tensor)

    def drop(self) -> None:
        """Drop the model."""
        self._runner = None


class _Runner(Protocol):
    def run(self, tensor: NDArray[Any]) -> Outputs: ...


class _Interpreted:
    def __init__(self, interpreter: Any, index: int) -> None:
        self._interpreter = interpreter
        self._index = index
        self._outputs = [(d["name"], d["index"], d["quantization"]) for d in interpreter.get_output_details()]

    def run(self, tensor: NDArray[Any]) -> Outputs:
        self._interpreter.set_tensor(self._index, tensor)
        self._interpreter.invoke()
        return {n: dequantised(self._interpreter.get_tensor(i), *q) for n, i, q in self._outputs}


class _Compiled:
    def __init__(self, path: Path, threads: int, details: list[dict[str, Any]]) -> None:
        try:
            from ai_edge_litert.compiled_model import CompiledModel
            from ai_edge_litert.cpu_options import CpuOptions
            from ai_edge_litert.options import Options
        except ImportError:
            raise ModelError("half-precision arithmetic needs LiteRT 2.2 or newer: "
                             "`pip install --upgrade ai-edge-litert`") from None  # fmt: skip
        cpu = CpuOptions(num_threads=threads, xnnpack_flags=XNNPACK_FORCE_FP16)
        with _quiet():
            self._model = CompiledModel.from_file(str(path), options=Options(cpu_options=cpu))
            self._inputs, self._outputs = self._model.create_input_buffers(0), self._model.create_output_buffers(0)
        shapes = {d["name"]: d["shape"] for d in details}
        names = next(iter(self._model.get_signature_list().values()))["outputs"]
        if set(names) != set(shapes):
            raise ModelError(f"{path}: the outputs {', '.join(shapes)} go by other names in the signature: "
                             f"set detector.precision: fp32")  # fmt: skip
        self._shapes = [(name, shapes[name]) for name in names]

    def run(self, tensor: NDArray[Any]) -> Outputs:
        self._inputs[0].write(np.ascontiguousarray(tensor))
        self._model.run_by_index(0, self._inputs, self._outputs)
        found = zip(self._shapes, self._outputs, strict=True)
        return {n: np.asarray(b.read(int(np.prod(s)), np.float32)).reshape(s) for (n, s), b in found}


def dequantised(array: NDArray[Any], scale: float, zero_point: int) -> NDArray[Any]:
    """Return (stored - zero_point) * scale for a quantised array, others as they are."""
    if not scale or array.dtype.kind == "f":
        return array
    return (array.astype(np.float32) - zero_point) * np.float32(scale)


def interpreter_class() -> Any:
    """Return LiteRT's interpreter, or that of tflite-runtime where only this is installed."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError:
            raise missing("LiteRT", "litert") from None
    return Interpreter


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep a library's start-up chatter, twenty lines straight to the file descriptor, out of the daemon's log."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
