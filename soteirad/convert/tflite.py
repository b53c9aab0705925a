"""ONNX to TFLite with float16 weights, for LiteRT and its XNNPACK kernels.

Two converters in a row: onnx2tf writes the graph with FP32 weights, ai-edge-quantizer stores them as float16. Inputs
and outputs keep their names and types; pictures have their channels last in the result, whatever they had before.
The converters do not notice everything that they cannot convert: compare the result with its source before you use it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from soteirad.convert.onnx_fp16 import read_onnx, write_model
from soteirad.errors import ModelError

CHANNELS = (1, 3, 4)
PACKAGES = {"onnx": "onnx", "onnx2tf": "onnx2tf", "ai-edge-quantizer": "ai_edge_quantizer"}


def onnx_to_tflite(source: Path, target: Path) -> None:
    """Write the ONNX model `source` to `target` as TFLite with float16 weights. Raises ModelError."""
    missing = [name for name, module in PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise ModelError(
            f"{source}: cannot be converted to TFLite, because {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed here: install soteirad[convert-tflite] in a virtual "
            f"environment of its own with Python 3.12 or newer (this is {sys.version_info[0]}.{sys.version_info[1]})"
        )
    with tempfile.TemporaryDirectory(prefix="soteira-tflite-") as folder:
        data = _with_half_weights(source, _with_float_weights(source, Path(folder)))
    write_model(target, data)


def _with_float_weights(source: Path, folder: Path) -> Path:
    # The name of the file gets into the result, and the converter rewrites its input.
    copy, result = folder / "model.onnx", folder / "model_float32.tflite"
    channels_last = _prepare(source, copy)
    command = [sys.executable, "-m", "onnx2tf", "-i", str(copy), "-o", str(folder), "--non_verbose"]
    # The simplifier undoes what _prepare does for the outputs. XNNPACK wants fixed shapes: one picture at a time.
    command += ["--not_use_onnxsim", "--batch_size", "1"]
    if channels_last:
        # It takes every picture for channels first, and would turn these a second time.
        command += ["--keep_shape_absolutely_input_names", *channels_last]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if run.returncode or not result.exists():
        raise _refusal(source, "onnx2tf", run.stderr or run.stdout or f"it ended with code {run.returncode}")
    return result


def _prepare(source: Path, copy: Path) -> list[str]:
    """Write the copy that is converted; returns the names of the inputs that are pictures with their channels last."""
    import onnx

    model = read_onnx(source)
    outputs = {value.name for value in model.graph.output}
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        for place, name in enumerate(node.output):
            if name in outputs:
                # A final Transpose is taken for a change of layout and left out, unless something follows it.
                node.output[place] = f"{name}_before_output"
                nodes.append(onnx.helper.make_node("Identity", [node.output[place]], [name], name=f"{name}_output"))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, copy)
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in model.graph.input}
    return [n for n, s in shapes.items() if len(s) == 4 and s[3] in CHANNELS and s[1] not in CHANNELS]


def _with_half_weights(source: Path, model: Path) -> bytes:
    # Untyped on purpose: a type checker sees these packages only where they are installed.
    types, quantizer = import_module("ai_edge_quantizer.qtyping"), import_module("ai_edge_quantizer.quantizer")
    algorithm = import_module("ai_edge_quantizer.algorithm_manager").AlgorithmName.FLOAT_CASTING
    half = types.TensorQuantizationConfig(num_bits=16, dtype=types.TensorDataType.FLOAT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            work = quantizer.Quantizer(str(model))
            work.update_quantization_recipe(
                regex=".*",
                operation_name=types.TFLOperationName.ALL_SUPPORTED,
                op_config=types.OpQuantizationConfig(
                    weight_tensor_config=half, compute_precision=types.ComputePrecision.FLOAT
                ),
                algorithm_key=algorithm,
            )
            return bytes(work.quantize().quantized_model)
    except Exception as error:
        raise _refusal(source, "ai-edge-quantizer", str(error)) from error


def _refusal(source: Path, tool: str, complaint: str) -> ModelError:
    """Return the error for a converter's complaint: its last line, which names the cause."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    cause = lines[-1] if lines else "it does not say why"
    return ModelError(f"{source}: {tool} cannot convert this model ({cause}): use the ONNX file as it is")
