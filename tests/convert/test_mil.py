"""soteirad.convert.mil: the back-translated package agrees with its ONNX file, and a wrong one does not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from soteirad.convert.coreml import onnx_to_coreml
from soteirad.convert.mil import mil_to_onnx
from soteirad.convert.mil_package import BLOB_HEADER
from soteirad.errors import ModelError
from tests.convert.agreement import Agreement, compare
from tests.convert.small_models import SIZE, convolution, node, picture, save
from tests.shared_data import shared

Pictures = list[NDArray[np.uint8]]
BGR_MEAN, BGR_STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)


def agrees(found: dict[str, Agreement], share: float) -> bool:
    """Say whether all outputs point the same way and differ by at most `share` of their largest value."""
    return all(a.cosine >= 0.9999 and a.difference <= share * a.largest for a in found.values())


@pytest.mark.parametrize("half", [False, True], ids=["float32 arithmetic", "results rounded to float16"])
def test_the_default_models_package_computes_what_its_onnx_file_does(
    half: bool, default_package: Path, default_model: Path, pictures: Pictures
) -> None:
    found = compare(default_model, default_package, pictures, half=half)
    assert list(found) == ["scores_8", "scores_16", "scores_32", "boxes_8", "boxes_16", "boxes_32"]
    assert agrees(found, 0.005), found


def test_the_package_of_another_detector_computes_what_its_onnx_file_does(
    unchecked: None, pictures: Pictures, tmp_path: Path
) -> None:
    source, target = shared("models/picodet_s_416_coco.onnx"), tmp_path / "picodet.mlpackage"
    onnx_to_coreml(source, target)
    for half in (False, True):
        found = compare(source, target, pictures, half=half, mean=BGR_MEAN, std=BGR_STD)
        assert agrees(found, 0.02), (half, found)


@pytest.mark.parametrize("name", ["default", "yolox_nano"])
def test_without_rounding_the_translation_is_exact(
    name: str,
    unchecked: None,
    default_model: Path,
    pictures: Pictures,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    coremltools = pytest.importorskip("coremltools")
    convert, whole = coremltools.convert, coremltools.precision.FLOAT32
    monkeypatch.setattr(coremltools, "convert", lambda p, **o: convert(p, **{**o, "compute_precision": whole}))
    source = default_model if name == "default" else shared(f"models/{name}.onnx")
    onnx_to_coreml(source, tmp_path / "whole.mlpackage")
    found = compare(source, tmp_path / "whole.mlpackage", pictures)
    assert all(a.difference <= 1e-5 * a.largest for a in found.values()), found


def best(labels: Any, boxes: Any, scores: Any) -> list[tuple[int, list[float], float]]:
    """Return the detections that an owner could see; below them, rounding reorders what is equally unlikely."""
    rows = zip(labels[0].tolist(), boxes[0].tolist(), scores[0].tolist(), strict=True)
    return [row for row in rows if row[2] > 0.35]


def test_a_transformers_detections_survive_float16(unchecked: None, pictures: Pictures, tmp_path: Path) -> None:
    source, target = shared("models/deimv2_hgnetv2_femto_coco.onnx"), tmp_path / "deim.mlpackage"
    onnx_to_coreml(source, target)
    translated, options = mil_to_onnx(target, half=True).SerializeToString(), ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    original, again = ort.InferenceSession(str(source)), ort.InferenceSession(translated, options)
    size = np.array([[416, 416]], np.int64)
    seen = 0
    for frame in pictures:
        pixels = (frame[:, :, ::-1].transpose(2, 0, 1)[None] / 255.0).astype(np.float32)
        expected = best(*original.run(None, {"images": pixels, "orig_target_sizes": size}))
        actual = best(*again.run(None, {"images": pixels}))
        assert [row[0] for row in actual] == [row[0] for row in expected]
        for (_, box, score), (_, other_box, other_score) in zip(expected, actual, strict=True):
            assert np.abs(np.subtract(box, other_box)).max() < 2.0
            assert abs(score - other_score) < 0.02
            seen += 1
    assert seen >= 2


def test_the_mean_of_squares_does_not_overflow(core_ml: None, tmp_path: Path) -> None:
    nodes = [
        convolution("picture"),
        node("Mul", ["features", "large"], "larger"),
        node("Pow", ["larger", "two"], "squares"),
        node("ReduceMean", ["squares"], "mean", axes=[1], keepdims=1),
        node("Sqrt", ["mean"], "deviation"),
    ]
    constants = {"large": np.array(1.8, np.float32), "two": np.array(2.0, np.float32)}
    inputs = {"picture": ("FLOAT", [1, 3, SIZE, SIZE])}
    source, target = save(tmp_path / "m.onnx", nodes, "deviation", inputs, constants), tmp_path / "m.mlpackage"
    onnx_to_coreml(source, target)
    found = compare(source, target, [picture()], half=True)
    assert agrees(found, 0.005), found


def changed(package: Path, target: Path, change: Callable[[Any], None]) -> Path:
    """Copy a package and change its operations."""
    coremltools = pytest.importorskip("coremltools")
    shutil.copytree(package, target)
    file = target / "Data" / "com.apple.CoreML" / "model.mlmodel"
    spec = coremltools.utils.load_spec(str(package))
    change(spec.mlProgram.functions["main"].block_specializations["CoreML6"].operations)
    file.write_bytes(spec.SerializeToString())
    return target


def first(operations: Any, kind: str) -> Any:
    return next(o for o in operations if o.type == kind)


def constant(operations: Any, name: str) -> Any:
    return next(o for o in operations if o.type == "const" and o.outputs[0].name == name).attributes["val"]


def swap_kind(operations: Any) -> None:
    first(operations, "add").type = "sub"


def steeper_leak(operations: Any) -> None:
    name = first(operations, "leaky_relu").inputs["alpha"].arguments[0].name
    constant(operations, name).immediateValue.tensor.bytes.values = np.float16(0.2).tobytes()


def swap_concatenated(operations: Any) -> None:
    one, other = first(operations, "concat").inputs["values"].arguments
    one.name, other.name = other.name, one.name


@pytest.mark.parametrize("change", [swap_kind, steeper_leak, swap_concatenated])
def test_a_changed_operation_is_found(
    change: Callable[[Any], None], default_package: Path, default_model: Path, pictures: Pictures, tmp_path: Path
) -> None:
    package = changed(default_package, tmp_path / "changed.mlpackage", change)
    assert not agrees(compare(default_model, package, pictures[:1]), 0.005)


def weights(package: Path) -> Path:
    return package / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"


def blobs(data: bytes) -> list[tuple[int, int]]:
    """Return where each blob of a weights file starts, and its bytes."""
    found, at = [], 64
    while at < len(data):
        _, _, size, start = BLOB_HEADER.unpack_from(data, at)
        found.append((start, size))
        at = (start + size + 63) // 64 * 64
    return found


@pytest.mark.parametrize("index", [0, 1, 20, 41, -1])
def test_a_weight_blob_of_other_numbers_is_found(
    index: int, default_package: Path, default_model: Path, pictures: Pictures, tmp_path: Path
) -> None:
    package = tmp_path / "damaged.mlpackage"
    shutil.copytree(default_package, package)
    data = bytearray(weights(package).read_bytes())
    start, size = blobs(bytes(data))[index]
    data[start : start + size] = (-np.frombuffer(bytes(data[start : start + size]), np.float16)).tobytes()
    weights(package).write_bytes(data)
    assert not agrees(compare(default_model, package, pictures[:1]), 0.005)


def test_weights_that_are_not_finite_agree_with_nothing(
    default_package: Path, default_model: Path, pictures: Pictures, tmp_path: Path
) -> None:
    package = tmp_path / "damaged.mlpackage"
    shutil.copytree(default_package, package)
    data = bytearray(weights(package).read_bytes())
    start, _ = blobs(bytes(data))[0]
    data[start : start + 2] = np.float16(np.nan).tobytes()
    weights(package).write_bytes(data)
    found = compare(default_model, package, pictures[:1])
    assert all(np.isnan(a.cosine) and a.difference == np.inf for a in found.values())


@pytest.mark.parametrize("damage", ["cut", "header", "missing"])
def test_a_damaged_weights_file_is_refused(damage: str, default_package: Path, tmp_path: Path) -> None:
    package = tmp_path / "damaged.mlpackage"
    shutil.copytree(default_package, package)
    data = weights(package).read_bytes()
    weights(package).write_bytes(data[:-1000] if damage == "cut" else data[:64] + bytes(4) + data[68:])
    if damage == "missing":
        weights(package).unlink()
    with pytest.raises(ModelError, match=r"damaged\.mlpackage: .*convert the model again"):
        mil_to_onnx(package)


def test_an_operation_that_is_not_covered_is_named(default_package: Path, tmp_path: Path) -> None:
    def rename(operations: Any) -> None:
        first(operations, "sigmoid").type = "erf"

    package = changed(default_package, tmp_path / "erf.mlpackage", rename)
    with pytest.raises(ModelError, match=r"erf\.mlpackage: the comparison does not cover the MIL operation erf$"):
        mil_to_onnx(package)


def test_a_parameter_that_is_not_covered_is_named(default_package: Path, tmp_path: Path) -> None:
    def pad_same(operations: Any) -> None:
        name = first(operations, "conv").inputs["pad_type"].arguments[0].name
        constant(operations, name).immediateValue.tensor.strings.values[0] = "same"

    package = changed(default_package, tmp_path / "same.mlpackage", pad_same)
    with pytest.raises(ModelError, match="does not cover the MIL operation conv with pad_type same"):
        mil_to_onnx(package)


@pytest.mark.parametrize("name", ["none.mlpackage", "empty.mlpackage"])
def test_a_folder_that_is_no_core_ml_package_is_refused(core_ml: None, name: str, tmp_path: Path) -> None:
    (tmp_path / "empty.mlpackage").mkdir()
    with pytest.raises(ModelError, match=rf"{name}: this Core ML package cannot be read: "):
        mil_to_onnx(tmp_path / name)


def test_the_package_of_another_model_is_refused(
    default_package: Path, core_ml: None, pictures: Pictures, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="has not the outputs of"):
        compare(shared("models/yolox_nano.onnx"), default_package, pictures)


def test_the_translation_is_a_model_that_onnxruntime_runs_from_its_bytes(
    default_package: Path, pictures: Pictures
) -> None:
    session = ort.InferenceSession(mil_to_onnx(default_package).SerializeToString())
    picture = pictures[0].transpose(2, 0, 1)[None].astype(np.float32)
    found = session.run(None, {"image": picture})
    assert [a.shape for a in found] == [(1, c, w) for w in (80, 44) for c in (2704, 676, 169)]
