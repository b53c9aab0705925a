"""What a model file says of itself."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from soteirad.detect.facts import Facts, read_facts
from soteirad.errors import ModelError
from tests.detect.small import onnx_model, zeros
from tests.shared_data import CHECKOUT, shared

DEFAULT = CHECKOUT / "models" / "nanodet-g-416-fp16.onnx"
ROWS = {"output": [1, 84, 10]}


def tflite(name: str) -> Path:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: install 'soteirad[litert]'")
    return shared(f"models/{name}")


def refusal(path: Path, size: tuple[int, int] | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        read_facts(path, size)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message


def model_file(folder: Path, shape: list[Any], kind: int = TensorProto.FLOAT, **options: Any) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(onnx_model({"images": (kind, shape)}, zeros("output", ROWS["output"]), ROWS, **options))
    return path


def test_the_default_model_is_a_uint8_picture_in_rows_with_fp16_weights() -> None:
    facts = read_facts(DEFAULT)
    assert (facts.format, facts.weights, facts.labels, facts.metadata) == ("onnx", "fp16", (), {})
    assert (facts.tensor.shape, facts.tensor.dtype, facts.tensor.scale) == ((1, 416, 416, 3), np.uint8, 0.0)
    assert (facts.nchw, facts.size) == (False, (416, 416))
    assert facts.outputs["scores_8"] == (1, 2704, 80)
    assert len(facts.outputs) == 6


@pytest.mark.parametrize(
    ("name", "size", "outputs", "weights"),
    [
        ("yolox_nano.onnx", 416, {"output": (1, 3549, 85)}, "fp32"),
        ("yolov8n_640.onnx", 640, {"output0": (1, 84, 8400)}, "int8"),
        ("broken_yolov8n.onnx", 640, {"output0": (1, 84, 8400)}, "int8"),
        ("deimv2_hgnetv2_femto_coco.onnx", 416,
         {"labels": (1, 300), "boxes": (1, 300, 4), "scores": (1, 300)}, "fp32"),
    ],
)  # fmt: skip
def test_onnx_files_tell_their_shapes_of_a_real_run(
    name: str, size: int, outputs: dict[str, tuple[int, ...]], weights: str
) -> None:
    facts = read_facts(shared(f"models/{name}"))
    assert (facts.format, facts.nchw, facts.size) == ("onnx", True, (size, size))
    assert (facts.tensor.dtype, facts.tensor.shape[0]) == (np.float32, 1)
    assert (facts.outputs, facts.weights) == (outputs, weights)


@pytest.mark.parametrize(
    ("name", "nchw", "size", "kind", "quantisation", "outputs", "weights"),
    [
        ("yolov5n-fp16.tflite", False, 640, np.float32, (0.0, 0), [(1, 25200, 85)], "fp16"),
        ("yolov8n_int8.tflite", False, 640, np.float32, (0.0, 0), [(1, 84, 8400)], "int8"),
        ("yolox_nano_float16_quantize.tflite", True, 416, np.float32, (0.0, 0), [(1, 3549, 85)], "fp16"),
        ("broken_yolox_nano_int8.tflite", True, 416, np.float32, (0.0, 0), [(1, 3549, 85)], "int8"),
        ("ssd_mobilenet_v1_quant.tflite", False, 300, np.uint8, (1 / 128, 128),
         [(1, 10, 4), (1, 10), (1, 10), (1,)], "int8"),
    ],
)  # fmt: skip
def test_tflite_files_tell_their_shapes_and_quantisation(
    name: str, nchw: bool, size: int, kind: type, quantisation: tuple[float, int], outputs: list[tuple[int, ...]],
    weights: str,
) -> None:  # fmt: skip
    facts = read_facts(tflite(name))
    assert (facts.format, facts.nchw, facts.size, facts.tensor.dtype) == ("tflite", nchw, (size, size), kind)
    assert (facts.tensor.scale, facts.tensor.zero_point) == quantisation
    assert list(facts.outputs.values()) == outputs
    assert facts.weights == weights


def test_ultralytics_metadata_gives_the_labels_in_both_formats() -> None:
    coco = tuple((CHECKOUT / "models" / "coco-80.txt").read_text(encoding="utf-8").splitlines())
    onnx_facts = read_facts(shared("models/yolov8n_640.onnx"))
    assert onnx_facts.labels == coco
    assert onnx_facts.metadata["task"] == "detect"
    tflite_facts = read_facts(tflite("yolov8n_int8.tflite"))
    assert tflite_facts.labels == coco
    assert tflite_facts.metadata["task"] == "detect"


def test_the_labels_of_a_tflite_file_may_lie_in_a_text_file_within_it(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite("yolov5n-fp16.tflite").read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labelmap.txt", "person\n\nfox \n")
    assert read_facts(path).labels == ("person", "fox")


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ("{0: 'fox', 1: 'hare'}", ("fox", "hare")),
        ("{1: 'hare', 0: 'fox'}", ("fox", "hare")),
        ("['fox', 'hare']", ("fox", "hare")),
        ("{1: 'fox', 2: 'hare'}", ()),
        ("fox, hare", ()),
        ("__import__('os').getcwd()", ()),
        ("7", ()),
        ("", ()),
    ],
)
def test_the_names_in_the_metadata_are_read_as_data_and_only_when_they_are_complete(
    tmp_path: Path, names: str, labels: tuple[str, ...]
) -> None:
    facts = read_facts(model_file(tmp_path, [1, 3, 32, 64], metadata={"names": names, "author": "me"}))
    assert facts.labels == labels
    assert facts.metadata["author"] == "me"


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (TensorProto.FLOAT, np.float32),
        (TensorProto.FLOAT16, np.float16),
        (TensorProto.UINT8, np.uint8),
        (TensorProto.INT8, np.int8),
    ],
)
def test_the_number_type_of_the_input_is_told(tmp_path: Path, kind: int, dtype: type) -> None:
    facts = read_facts(model_file(tmp_path, [1, 32, 64, 3], kind))
    assert (facts.tensor.name, facts.tensor.dtype, facts.nchw, facts.size) == ("images", dtype, False, (64, 32))


def test_a_model_of_any_size_wants_one_and_takes_it(tmp_path: Path) -> None:
    path = model_file(tmp_path, ["batch", 3, "height", "width"])
    assert refusal(path).endswith("the model takes pictures of any size: choose one with --size, such as --size 416")
    facts = read_facts(path, (64, 32))
    assert (facts.tensor.shape, facts.size) == ((1, 3, 32, 64), (64, 32))


def test_a_size_that_the_file_fixes_stays(tmp_path: Path) -> None:
    assert read_facts(model_file(tmp_path, ["batch", 3, 32, 64]), (416, 416)).size == (64, 32)


def weighted(folder: Path, kinds: list[type]) -> Facts:
    model = onnx.load_from_string(model_file(folder, [1, 3, 32, 64]).read_bytes())
    for i, kind in enumerate(kinds):
        model.graph.initializer.append(numpy_helper.from_array(np.ones((4, 4), kind), f"w{i}"))
        model.graph.node.append(helper.make_node("Identity", [f"w{i}"], [f"unused{i}"]))
    path = folder / "weighted.onnx"
    onnx.save(model, str(path))
    return read_facts(path)


def test_weights_are_fp16_when_most_large_ones_are(tmp_path: Path) -> None:
    assert weighted(tmp_path, [np.float16, np.float16, np.float32]).weights == "fp16"
    assert weighted(tmp_path, [np.float16, np.float32, np.float32]).weights == "fp32"


def test_a_file_that_is_no_model_is_refused_with_what_is_wrong(tmp_path: Path) -> None:
    assert refusal(tmp_path / "gone.onnx").endswith("there is no such model file")
    for name, told in (
        ("a.pt", "a model file is .onnx or .tflite; a .pt or .pb file must be exported to ONNX first"),
        ("a.onnx", "onnxruntime cannot read this model: "),
    ):
        (tmp_path / name).write_bytes(b"this is text")
        assert told in refusal(tmp_path / name)


def test_a_text_file_is_no_tflite_model(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: install 'soteirad[litert]'")
    (tmp_path / "a.tflite").write_bytes(b"this is text")
    assert "LiteRT cannot read this model: " in refusal(tmp_path / "a.tflite")


def test_a_tflite_file_without_a_library_for_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ai_edge_litert", "ai_edge_litert.interpreter", "tflite_runtime", "tflite_runtime.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "a.tflite").write_bytes(b"this is text")
    with pytest.raises(ModelError, match=r"LiteRT is not installed: install it with `pip install 'soteirad\[lite"):
        read_facts(tmp_path / "a.tflite")


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ([1, 1, 32, 64], "is [1, 1, 32, 64]: neither [1, 3, height, width] nor [1, height, width, 3]"),
        ([3, 32, 64], "only one picture, with or without its size, is understood"),
        ([4, 3, 32, 64], "the model takes 4 pictures at once: export it for one (batch 1)"),
    ],
    ids=["grey", "no batch", "a batch of four"],
)
def test_an_input_that_is_no_picture_is_refused(tmp_path: Path, shape: list[int], told: str) -> None:
    assert told in refusal(model_file(tmp_path, shape))


def test_an_input_of_another_number_type_is_refused(tmp_path: Path) -> None:
    assert "onnxruntime cannot run this model: " in refusal(model_file(tmp_path, [1, 3, 32, 64], TensorProto.DOUBLE))


@pytest.mark.parametrize("names", ["{0: 'a', 'x': 'b'}", "-" * 200_000 + "1", "[" * 90_000, "{0: 'a', 2: 'c'}"])
def test_metadata_that_makes_no_sense_gives_no_labels(tmp_path: Path, names: str) -> None:
    path = model_file(tmp_path, [1, 3, 32, 64])
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"names": names})
    onnx.save(model, path)
    assert read_facts(path).labels == ()


def test_pictures_of_a_million_pixels_a_side_are_refused_before_they_are_made(tmp_path: Path) -> None:
    path = model_file(tmp_path, [1, 3, 1_000_000, 1_000_000])
    with pytest.raises(ModelError, match="pictures of 1000000x1000000 are out of range: allowed are 1 to 8192 pixels"):
        read_facts(path)
