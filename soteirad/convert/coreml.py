"""ONNX to Core ML: an ML Program in FP16 for macOS 13 and newer. Runs on Linux too; only `predict` needs a Mac."""

from __future__ import annotations

import json
import logging
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from soteirad.errors import ModelError

PACKAGES = ("onnx", "coremltools", "onnx2coreml")
TO_NCHW = [0, 3, 1, 2]
# DEIM's way to ask for the size that boxes are scaled to; as the model's own size it leaves boxes in input pixels.
SIZE_INPUT = "orig_target_sizes"
# Facts of the conversion run, not of the model: they would give every run other bytes.
RUN_METADATA = "com.github.apple.coremltools.conversion_date"


def need(*names: str) -> list[Any]:
    """Import the packages of the extra `coreml`. Raises ModelError naming the one that is missing."""
    found = []
    for name in names:
        try:
            with _quiet():
                found.append(import_module(name))
        except ImportError as error:
            raise ModelError(
                f"Core ML: the Python package {error.name or name} is missing or broken ({error}): "
                f"install 'soteirad[coreml]' with Python 3.11 or newer"
            ) from error
    return found


def onnx_to_coreml(source: Path, target: Path) -> None:
    """Convert an ONNX detector to an `.mlpackage` with FP16 weights and arithmetic, for macOS 13 and newer.

    A uint8 NHWC picture becomes float32 NCHW with values 0-255, since Core ML arrays cannot be uint8. The bytes of the
    result depend on the source and the converters' versions only. A target that exists is replaced when the new one
    is complete. Raises ModelError.
    """
    if target.suffix != ".mlpackage":
        raise ModelError(f"{target}: a Core ML package is a folder whose name ends in .mlpackage: give such a name")
    onnx, coremltools, onnx2coreml = need(*PACKAGES)
    model = read_onnx(source)
    with tempfile.TemporaryDirectory(prefix="soteira-coreml-") as folder:
        try:
            with _quiet():
                plain = _settled(onnx, _picture_as_float(model, source), Path(folder) / "plain.onnx")
                options = {"target": coremltools.target.macOS13, "precision": coremltools.precision.FLOAT16}
                converted = coremltools.convert(
                    onnx2coreml.Converter().to_mil(plain, **options),
                    convert_to="mlprogram",
                    minimum_deployment_target=options["target"],
                    compute_precision=coremltools.transform.FP16ComputePrecision(op_selector=_fits_half),
                    skip_model_load=True,
                )
        except ModelError:
            raise
        except Exception as error:  # onnxruntime, onnx2coreml and coremltools raise classes without a common base
            raise ModelError(f"{source}: this model cannot be converted to Core ML: {_reason(error)}") from error
    try:
        _replace(converted, source, target)
    except OSError as error:
        raise ModelError(f"{target}: the Core ML package cannot be written ({error.strerror})") from error


def read_onnx(source: Path) -> Any:
    """Read an ONNX file. Raises ModelError when it is none."""
    (onnx,) = need("onnx")
    try:
        model = onnx.load(str(source))
    except OSError as error:
        raise ModelError(f"{source}: the model file cannot be read ({error.strerror})") from error
    except Exception as error:  # protobuf's DecodeError, from whichever protobuf is installed
        raise ModelError(f"{source}: this is no ONNX file, or it is damaged: give the path of an ONNX model") from error
    if not model.graph.node or not model.graph.input:
        raise ModelError(f"{source}: this is no ONNX file, or it is empty: give the path of an ONNX model")
    return model


def picture_input(model: Any, source: Path) -> Any:
    """Return the graph's picture input, its batch fixed to 1. Raises ModelError when there is none."""
    (onnx,) = need("onnx")
    kinds = (onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT)
    weights = {i.name for i in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in weights and i.name != SIZE_INPUT]
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in inputs}
    shape = next(iter(shapes.values()), [])
    fits = len(shape) == 4 and 3 in (shape[1], shape[3]) and all(shape[1:])
    if len(inputs) != 1 or not fits or inputs[0].type.tensor_type.elem_type not in kinds:
        raise ModelError(
            f"{source}: a detector has one picture input of fixed size, uint8 or float32, (1, 3, height, width) or "
            f"(1, height, width, 3); this model has {shapes} (0: not fixed): export it with such an input"
        )
    inputs[0].type.tensor_type.shape.dim[0].dim_value = 1
    return inputs[0]


def picture_size(picture: Any) -> NDArray[np.int64]:
    """Return [[width, height]] of a picture input: what the size input of DEIM is to be."""
    _, one, two, three = (d.dim_value for d in picture.type.tensor_type.shape.dim)
    return np.array([[three, two] if one == 3 else [two, one]], np.int64)


def _picture_as_float(model: Any, source: Path) -> Any:
    """Return the model with a float32 picture as its only input, NCHW where the graph itself wanted NCHW."""
    (onnx,) = need("onnx")
    graph, picture = model.graph, picture_input(model, source)
    tensor = picture.type.tensor_type
    readers = [n for n in graph.node if picture.name in n.input]
    turns = [n.op_type == "Transpose" and [list(a.ints) for a in n.attribute] == [TO_NCHW] for n in readers]
    if tensor.shape.dim[3].dim_value == 3 and turns and all(turns):
        sizes = [tensor.shape.dim[axis].dim_value for axis in TO_NCHW]
        for dim, size in zip(tensor.shape.dim, sizes, strict=True):
            dim.dim_value = size
        for node in readers:
            node.op_type = "Identity"
            node.ClearField("attribute")
    # Behind a uint8 input the graph has a Cast to float32, which then has nothing to do and falls away.
    tensor.elem_type = onnx.TensorProto.FLOAT
    if any(i.name == SIZE_INPUT for i in graph.input):
        graph.initializer.append(onnx.numpy_helper.from_array(picture_size(picture), SIZE_INPUT))
    # Old exporters list every weight among the inputs.
    del graph.input[:]
    graph.input.append(picture)
    # Types and shapes that the exporter noted are those of the old input.
    del graph.value_info[:]
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    return model


def _settled(onnx: Any, model: Any, scratch: Path) -> Any:
    """Let onnxruntime check the graph, fold what is constant (FP16 weights behind a Cast) and note every shape."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(scratch)
    options.log_severity_level = 4
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    settled = onnx.load(str(scratch))
    _vectors_as_columns(onnx, settled.graph)
    return settled


def _fits_half(operation: Any) -> bool:
    """Keep squares and their mean, the variance in a layer's normalisation, in FP32: 256 squared overflows FP16."""
    is_mean = operation.op_type == "reduce_mean"
    source = operation.inputs["x"].op if is_mean else operation
    return source is None or source.op_type != "pow"


def _vectors_as_columns(onnx: Any, graph: Any) -> None:
    """Multiply by a column where the graph multiplies by a vector, which onnx2coreml 1.1 fails at."""
    vectors = {i.name: i for i in graph.initializer if len(i.dims) == 1}
    products = [n for n in graph.node if n.op_type == "MatMul" and n.input[1] in vectors]
    for node in products:
        column = onnx.numpy_helper.to_array(vectors[node.input[1]])[:, None]
        axes = np.array([-1], np.int64)
        product, result = f"{node.output[0]}/column", node.output[0]
        names = [f"{result}/weights", f"{result}/axes"]
        graph.initializer.extend(
            onnx.numpy_helper.from_array(*pair) for pair in zip((column, axes), names, strict=True)
        )
        node.input[1], node.output[0] = names[0], product
        squeeze = onnx.helper.make_node("Squeeze", [product, names[1]], [result])
        graph.node.insert(list(graph.node).index(node) + 1, squeeze)


def _reason(error: Exception) -> str:
    missing = getattr(error, "missing", None)
    if missing:  # onnx2coreml ends this message with advice for programmers
        return f"onnx2coreml does not know the operations {', '.join(sorted(missing))}"
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _replace(converted: Any, source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that a rename does not copy.
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        fresh, old = Path(folder) / "new.mlpackage", Path(folder) / "old"
        with _quiet():
            converted.save(str(fresh))
        _make_reproducible(fresh, converted.get_spec(), source)
        # A folder cannot be renamed over another one.
        if target.exists():
            target.rename(old)
        try:
            fresh.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise


def _make_reproducible(package: Path, spec: Any, source: Path) -> None:
    """Write the package's specification and manifest again, without dates, random identifiers and random order."""
    spec.description.metadata.shortDescription = f"Converted from {source.name} by Soteira"
    spec.description.metadata.userDefined.pop(RUN_METADATA, None)
    file = package / "Data" / "com.apple.CoreML" / "model.mlmodel"
    # coremltools makes these readable for the owner alone, but the daemon may run as another user.
    (file.parent / "weights").chmod(0o755)
    file.unlink()
    file.write_bytes(spec.SerializeToString(deterministic=True))
    manifest = package / "Manifest.json"
    content = json.loads(manifest.read_text(encoding="utf-8"))
    names = {key: str(uuid.uuid5(uuid.NAMESPACE_URL, item["path"])) for key, item in content["itemInfoEntries"].items()}
    content["itemInfoEntries"] = {names[key]: item for key, item in content["itemInfoEntries"].items()}
    content["rootModelIdentifier"] = names[content["rootModelIdentifier"]]
    manifest.write_text(json.dumps(content, indent=4, sort_keys=True) + "\n", encoding="utf-8")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep progress bars, missing-library notes and renaming warnings of the converters from the terminal."""
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with redirect_stderr(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
