"""How well a Core ML package, translated back, agrees with the ONNX file that it was made of, number by number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from soteirad.convert.coreml import SIZE_INPUT, picture_input, picture_size, read_onnx
from soteirad.convert.mil import mil_to_onnx
from soteirad.errors import ModelError


class Agreement(NamedTuple):
    """How well an output of the package agrees with the ONNX file's, the worst of all pictures."""

    cosine: float  # not a number when the package's output has numbers that are not finite
    difference: float  # largest absolute one
    largest: float  # largest absolute value of the ONNX file's output: what `difference` is to be judged by


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
