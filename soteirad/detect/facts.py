"""What a model file says of itself: inputs, outputs and metadata, before anybody knows what it is."""

from __future__ import annotations

import ast
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from soteirad.detect.backend import first_line, picture_input
from soteirad.detect.backends.litert import interpreter_class
from soteirad.detect.backends.onnx import DTYPES
from soteirad.detect.card import Format, Weights, printable
from soteirad.detect.preprocess import TensorSpec
from soteirad.errors import ModelError

Shape = tuple[int, ...]
LARGEST = 8192
"""Pixels of a side, as in a card."""
MOST_METADATA, MOST_ENTRIES = 100_000, 20
"""Characters of a metadata text, and files attached to a TFLite model, that are looked at."""


@dataclass(frozen=True)
class Facts:
    """A model file's signature. `labels` are class names from its metadata; shapes are those of one real run."""

    format: Format
    tensor: TensorSpec
    outputs: dict[str, Shape]
    metadata: dict[str, str]
    labels: tuple[str, ...]
    weights: Weights

    @property
    def nchw(self) -> bool:
        """True when channels come before rows."""
        return self.tensor.shape[1] == 3

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        height, width = self.tensor.shape[2:] if self.nchw else self.tensor.shape[1:3]
        return width, height


def read_facts(path: Path, size: tuple[int, int] | None = None) -> Facts:
    """Open a .onnx or .tflite file. `size` (width, height) is for models that leave theirs open. Raises ModelError."""
    if not path.is_file():
        raise ModelError(f"{path}: there is no such model file")
    if path.suffix.lower() == ".onnx":
        return _onnx_facts(path, size)
    if path.suffix.lower() == ".tflite":
        return _tflite_facts(path)
    raise ModelError(f"{path}: a model file is .onnx or .tflite; a .pt or .pb file must be exported to ONNX first")


def _onnx_facts(path: Path, size: tuple[int, int] | None) -> Facts:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"{path}: onnxruntime cannot read this model: {first_line(error)}") from error
    shapes = {i.name: tuple(n if isinstance(n, int) else 0 for n in i.shape) for i in session.get_inputs()}
    name, size_input = picture_input(shapes, str(path))
    kind = next(i.type for i in session.get_inputs() if i.name == name)
    dtype = DTYPES.get(kind, np.float32)
    shape = _fixed(shapes[name], size, path)
    if shapes[name][0] > 1:
        raise ModelError(f"{path}: the model takes {shapes[name][0]} pictures at once: export it for one (batch 1)")
    feeds: dict[str, Any] = {name: np.zeros(shape, dtype)}
    if size_input:
        feeds[size_input] = np.array([[shape[3], shape[2]]], np.int64)
    try:
        results = session.run(None, feeds)
    except Exception as error:
        raise ModelError(f"{path}: onnxruntime cannot run this model: {first_line(error)}") from error
    outputs = {o.name: np.asarray(r).shape for o, r in zip(session.get_outputs(), results, strict=True)}
    metadata = {k: str(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    tensor = TensorSpec(name, shape, np.dtype(dtype))
    return Facts("onnx", tensor, outputs, metadata, _labels(metadata), _onnx_weights(path))


def _onnx_weights(path: Path) -> Weights:
    """Return how the file stores its weights, as far as its bytes tell without the onnx package."""
    data = path.read_bytes()
    if any(word in data for word in (b"QuantizeLinear", b"ConvInteger", b"QLinearConv")):
        return "int8"
    try:
        import onnx
    except ImportError:
        return "fp32"
    stored = [t.data_type for t in onnx.load_from_string(data).graph.initializer if len(t.dims) > 1]
    return "fp16" if stored.count(onnx.TensorProto.FLOAT16) * 2 > len(stored) else "fp32"


def _tflite_facts(path: Path) -> Facts:
    try:
        interpreter = interpreter_class()(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        interpreter.invoke()
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"{path}: LiteRT cannot read this model: {first_line(error)}") from error
    details = {d["name"]: d for d in interpreter.get_input_details()}
    name, _ = picture_input({n: tuple(d["shape"].tolist()) for n, d in details.items()}, str(path))
    scale, zero = details[name]["quantization"]
    tensor = TensorSpec(name, tuple(details[name]["shape"].tolist()), np.dtype(details[name]["dtype"]), scale, zero)
    outputs = {d["name"]: interpreter.get_tensor(d["index"]).shape for d in interpreter.get_output_details()}
    kinds = {d["dtype"] for d in interpreter.get_tensor_details() if len(d["shape"]) == 4}
    weights: Weights = "int8" if kinds & {np.int8, np.uint8} - {tensor.dtype.type} or tensor.scale else "fp32"
    weights = "fp16" if weights == "fp32" and np.float16 in kinds else weights
    metadata = _attached_metadata(path)
    return Facts("tflite", tensor, outputs, metadata, _labels(metadata) or _attached_labels(path), weights)


def _fixed(shape: Shape, size: tuple[int, int] | None, path: Path) -> Shape:
    """Return the input's shape with batch 1 and, where the file leaves them open, the size that was asked for."""
    nchw = shape[1] == 3
    if not nchw and shape[3] != 3:
        raise ModelError(f"{path}: the picture input is {list(shape)}: neither [1, 3, height, width] nor "
                         f"[1, height, width, 3]")  # fmt: skip
    rows, columns = shape[2:] if nchw else shape[1:3]
    if (not rows or not columns) and size is None:
        raise ModelError(f"{path}: the model takes pictures of any size: choose one with --size, such as --size 416")
    width, height = columns or size[0], rows or size[1]  # type: ignore[index]
    if not (0 < width <= LARGEST and 0 < height <= LARGEST):
        raise ModelError(f"{path}: pictures of {width}x{height} are out of range: allowed are 1 to {LARGEST} pixels")
    return (1, 3, height, width) if nchw else (1, height, width, 3)


def _labels(metadata: dict[str, str]) -> tuple[str, ...]:
    """Return the class names in Ultralytics' metadata key `names` ({0: 'person', ...} or a list), if any."""
    names = _literal(metadata.get("names", ""))
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[i] for i in range(len(names))]
    return tuple(printable(str(n)) for n in names) if isinstance(names, (list, tuple)) else ()


def _literal(text: str) -> Any:
    """Return the Python literal that a text is, or None: metadata is a help, and may hold anything."""
    if len(text) > MOST_METADATA:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _attached(path: Path) -> dict[str, str]:
    """Return the small text files that TFLite metadata writers append to the model as a zip archive."""
    try:
        if not zipfile.is_zipfile(path):
            return {}
        with zipfile.ZipFile(path) as archive:
            small = [i for i in archive.infolist()[:MOST_ENTRIES] if i.file_size <= MOST_METADATA]
            return {i.filename: archive.read(i).decode("utf-8", "replace") for i in small}
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, OSError, EOFError, ValueError):
        return {}


def _attached_metadata(path: Path) -> dict[str, str]:
    for text in _attached(path).values():
        found = _literal(text)
        if isinstance(found, dict):
            return {str(k): str(v) for k, v in found.items()}
    return {}


def _attached_labels(path: Path) -> tuple[str, ...]:
    for name, text in _attached(path).items():
        if "label" in name.lower():
            return tuple(printable(line) for line in text.splitlines() if line.strip())
    return ()


