"""The ONNX backend: what it refuses, in one clear sentence each, and what the shipped model answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from soteirad.detect.backend import create_backend
from soteirad.detect.card import ModelCard, load_card
from soteirad.detect.onnx_backend import OnnxBackend
from soteirad.detect.preprocess import InputBuffer
from soteirad.errors import ModelError
from tests.shared_data import shared

CARD = load_card("nanodet-g-416")


def card_for(folder: Path, data: bytes, labels: tuple[str, ...] = CARD.class_names) -> ModelCard:
    """Return the shipped card for another file: no hash, since another file is the point."""
    path = folder / "model.onnx"
    path.write_bytes(data)
    (folder / CARD.labels).write_text("\n".join(labels), encoding="utf-8")
    return ModelCard.model_validate({**CARD.model_dump(), "folder": folder, "file": path.name, "sha256": None})


def refusal(card: ModelCard) -> str:
    with pytest.raises(ModelError) as caught:
        OnnxBackend(card).load()
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{card.path}: ")
    return message


def small_model(size: int = 416, kind: int = TensorProto.UINT8, bins: int = 11, leave_out: str = "") -> bytes:
    """Return a model that has the shipped one's signature, or nearly, and answers with zeros."""
    outputs, nodes = [], [helper.make_node("Identity", ["image"], ["unused"])]
    for stride in CARD.strides:
        cells = (416 // stride) ** 2
        for name, channels in ((f"scores_{stride}", 80), (f"boxes_{stride}", 4 * bins)):
            if name == leave_out:
                continue
            shape = [1, cells, channels]
            value = helper.make_tensor(f"{name}_value", TensorProto.FLOAT, [1], [0.0])
            constant = helper.make_tensor(f"{name}_shape", TensorProto.INT64, [3], shape)
            nodes += [
                helper.make_node("Constant", [], [f"{name}_s"], value=constant),
                helper.make_node("ConstantOfShape", [f"{name}_s"], [name], value=value),
            ]
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    image = helper.make_tensor_value_info("image", kind, [1, size, size, 3])
    graph = helper.make_graph(nodes, "small", [image], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def test_a_model_with_the_cards_signature_is_accepted(tmp_path: Path) -> None:
    backend = OnnxBackend(card_for(tmp_path, small_model()))
    backend.load()
    outputs = backend.infer(np.zeros((1, 416, 416, 3), np.uint8))
    assert outputs["scores_8"].shape == (1, 2704, 80)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    data = CARD.path.read_bytes()
    message = refusal(card_for(tmp_path, data[: int(len(data) * share)]))
    assert "onnxruntime cannot read this model" in message


@pytest.mark.parametrize(
    "model",
    [small_model(size=320), small_model(kind=TensorProto.FLOAT)],
    ids=["another size", "another type"],
)
def test_a_model_with_another_input_is_refused_with_both_signatures(tmp_path: Path, model: bytes) -> None:
    message = refusal(card_for(tmp_path, model))
    assert "the model's input is [('image', " in message
    assert "says ('image', [1, 416, 416, 3], 'tensor(uint8)')" in message


def test_a_model_with_another_number_of_bins_is_refused_with_both_shapes(tmp_path: Path) -> None:
    message = refusal(card_for(tmp_path, small_model(bins=8)))
    assert "output boxes_8 has the shape [1, 2704, 32], the card nanodet-g-416 says [1, 2704, 44]" in message


def test_a_model_without_one_of_the_outputs_is_refused_by_its_name(tmp_path: Path) -> None:
    message = refusal(card_for(tmp_path, small_model(leave_out="scores_32")))
    assert "output scores_32 has the shape missing" in message


def test_a_model_of_other_labels_is_refused(tmp_path: Path) -> None:
    card = card_for(tmp_path, small_model(), labels=("person", "car"))
    assert "output scores_8 has the shape [1, 2704, 80], the card nanodet-g-416 says [1, 2704, 2]" in refusal(card)


def test_a_real_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    data = shared("models/broken_yolov8n.onnx").read_bytes()
    assert "the model's input is " in refusal(card_for(tmp_path, data))


def test_a_model_that_fails_when_it_runs_is_refused(tmp_path: Path) -> None:
    """Its signature is right; the sum of a padding picture is no index."""
    model = onnx.load_from_string(small_model())
    graph = model.graph
    graph.node[0].output[0] = "picture"
    index = helper.make_tensor("index", TensorProto.INT64, [1], [5])
    table = helper.make_tensor("table", TensorProto.FLOAT, [1], [0.0])
    graph.initializer.extend([index, table])
    graph.node.extend([
        helper.make_node("Cast", ["picture"], ["long"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["long"], ["largest"], keepdims=0),
        helper.make_node("Add", ["largest", "index"], ["outside"]),
        helper.make_node("Gather", ["table", "outside"], ["failing"]),
        helper.make_node("Add", ["scores_8_", "failing"], ["scores_8"]),
    ])  # fmt: skip
    next(n for n in graph.node if n.output[0] == "scores_8").output[0] = "scores_8_"
    assert "onnxruntime cannot run this model" in refusal(card_for(tmp_path, model.SerializeToString()))


def test_a_model_that_was_not_loaded_or_was_closed_says_so() -> None:
    backend = OnnxBackend(CARD)
    picture = np.zeros((1, 416, 416, 3), np.uint8)
    with pytest.raises(ModelError, match="the model is not loaded"):
        backend.infer(picture)
    backend.load()
    backend.infer(picture)
    backend.close()
    with pytest.raises(ModelError, match="the model is not loaded"):
        backend.infer(picture)


def test_an_unknown_backend_is_refused_with_the_ones_that_there_are() -> None:
    with pytest.raises(ModelError, match="there is no detector backend 'tpu': use auto or onnx"):
        create_backend(CARD, "tpu")
    assert create_backend(CARD, "auto").name == create_backend(CARD, "onnx").name == "onnx"


def test_the_shipped_models_raw_outputs_are_those_of_a_plain_conversion(
    record_property: Callable[[str, object], None],
) -> None:
    """The reference is float, NCHW and normalised outside the graph; the shipped one does all of that inside."""
    reference = ort.InferenceSession(
        str(shared("models/nanodet_g_416_reference.onnx")), providers=["CPUExecutionProvider"]
    )
    photograph = cv2.imread(str(sorted(shared("coco-mini/images").glob("*.jpg"))[0]))
    buffer = InputBuffer(CARD.input)
    scale = 416 / max(photograph.shape[:2])
    buffer.fill(cv2.resize(photograph, (round(photograph.shape[1] * scale), round(photograph.shape[0] * scale))))
    normal = (buffer.array.astype(np.float32) - np.float32(CARD.input.mean)) / np.float32(CARD.input.std)
    expected = reference.run(None, {"images": normal.transpose(0, 3, 1, 2)})
    backend = OnnxBackend(CARD)
    backend.load()
    found = backend.infer(buffer.array)
    names = [f"{kind}_{stride}" for kind in ("scores", "boxes") for stride in (8, 16, 32)]
    worst = max(float(np.abs(found[n] - e).max()) for n, e in zip(names, expected, strict=True))
    record_property("largest_difference", worst)
    assert max(found[n].max() for n in names[:3]) > 0.3, "there is something to be found in the photograph"
    assert worst < 1e-3
