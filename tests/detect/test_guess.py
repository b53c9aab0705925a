"""Guesses: every known model is guessed right, and what is ambiguous or unknown is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from soteirad.detect.card import ModelCard
from soteirad.detect.facts import Facts, Shape, read_facts
from soteirad.detect.guess import HEADS, Guess, guess
from soteirad.detect.preprocess import TensorSpec
from soteirad.errors import ModelError
from tests.shared_data import CHECKOUT, shared

YOLO = {"colour": "RGB", "std": [255.0] * 3, "resize": "letterbox_centre", "pad": 114}
YOLOX = {"colour": "BGR", "resize": "letterbox_top_left", "pad": 114}
NANODET = {"colour": "BGR", "mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395],
           "resize": "letterbox_centre", "pad": 0}  # fmt: skip
SSD_OUTPUTS = [f"TFLite_Detection_PostProcess{end}" for end in ("", ":1", ":2")]
SHARED: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "yolox_nano.onnx": ({"type": "yolox", "strides": [8, 16, 32]}, YOLOX, 80),
    "yolox_nano_float16_quantize.tflite": ({"type": "yolox", "strides": [8, 16, 32]}, YOLOX, 80),
    "deimv2_hgnetv2_femto_coco.onnx": (
        {"type": "detr"}, {"colour": "RGB", "std": [255.0] * 3, "resize": "stretch"}, 80),
    "picodet_s_416_coco.onnx": (
        {"type": "gfl", "strides": [8, 16, 32, 64], "bins": 8},
        {"colour": "RGB", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "resize": "stretch",
         "interpolation": "cubic"}, 80),
    "nanodet_g_416_reference.onnx": ({"type": "gfl", "strides": [8, 16, 32], "bins": 11}, NANODET, 80),
    "nanodet_m_416.onnx": ({"type": "gfl", "strides": [8, 16, 32], "bins": 8}, NANODET, 80),
    "ssd_mobilenet_v1_quant.tflite": (
        {"type": "ssd", **dict(zip(("boxes", "classes", "scores"), SSD_OUTPUTS, strict=True))},
        {"colour": "RGB", "mean": [128.0] * 3, "std": [128.0] * 3, "resize": "stretch"}, 90),
    "yolov5n-fp16.tflite": ({"type": "yolov5"}, YOLO, 80),
    "yolov8n_640.onnx": ({"type": "yolov8"}, YOLO, 80),
    "yolov8n_int8.tflite": ({"type": "yolov8"}, YOLO, 80),
}  # fmt: skip


@pytest.mark.parametrize("name", SHARED)
def test_every_shared_model_is_guessed_as_its_makers_describe_it(name: str) -> None:
    if name.endswith(".tflite"):
        pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: install 'soteirad[litert]'")
    facts = read_facts(shared(f"models/{name}"))
    head, feed, classes = SHARED[name]
    made = guess(facts)
    width, height = facts.size
    assert made.head == head
    assert made.input == {"width": width, "height": height, **feed}
    assert made.classes == classes
    assert made.reasons[0].startswith(f"head {head['type']}: ")


def test_the_default_model_normalises_its_picture_itself() -> None:
    made = guess(read_facts(CHECKOUT / "models" / "nanodet-g-416-fp16.onnx"))
    assert made.head == {"type": "gfl", "strides": [8, 16, 32], "bins": 11}
    assert "mean" not in made.input
    assert "std" not in made.input
    assert made.reasons[1] == "input as nanodet: whole numbers: the model normalises the picture itself"


# Synthetic signatures


def facts(*shapes: Shape, size: int = 640, names: tuple[str, ...] = (), labels: int = 0, kind: type = np.float32,
          scale: float = 0.0, zero: int = 0) -> Facts:  # fmt: skip
    outputs = dict(zip(names or [f"out{i}" for i in range(len(shapes))], shapes, strict=True))
    tensor = TensorSpec("images", (1, 3, size, size), np.dtype(kind), scale, zero)
    return Facts("onnx", tensor, outputs, {}, tuple(f"label{i}" for i in range(labels)), "fp32")


def assert_makes_a_card(made: Guess) -> None:
    """Whatever is guessed is a valid card."""
    ModelCard.model_validate({"name": "x", "files": {"onnx": {"file": "x", "weights": "fp32"}}, "head": made.head,
                              "input": made.input, "labels": "x", "folder": "."})  # fmt: skip


@pytest.mark.parametrize(
    ("facts_", "head", "classes"),
    [
        (facts((1, 300, 6)), {"type": "end2end"}, 80),
        (facts((1, 300, 6), labels=7), {"type": "end2end"}, 7),
        (facts((1, 300, 80), (1, 300, 4)), {"type": "detr"}, 80),
        (facts((1, 300, 4), (1, 300, 11)), {"type": "detr"}, 11),
        (facts((1, 300, 4), (1, 300, 11), labels=11), {"type": "detr"}, 11),
        (facts((1, 300), (1, 300, 4), (1, 300), labels=3), {"type": "detr"}, 3),
        (facts((1, 3549, 112), size=416), {"type": "gfl", "strides": [8, 16, 32], "bins": 8}, 80),
        (facts((1, 112, 3549), size=416), {"type": "gfl", "strides": [8, 16, 32], "bins": 8}, 80),
        (facts((1, 3598, 112), size=416), {"type": "gfl", "strides": [8, 16, 32, 64], "bins": 8, "centre": 0.0}, 80),
        (facts((1, 3549, 34), size=416, labels=2), {"type": "gfl", "strides": [8, 16, 32], "bins": 8}, 2),
        (facts(*[s for n in (1600, 400, 100) for s in ((1, n, 3), (1, n, 44))], size=320),
         {"type": "gfl", "strides": [8, 16, 32], "bins": 11}, 3),
        (facts(*[s for n in (1600, 400, 100) for s in ((1, 3, n), (1, 44, n))], size=320, labels=3),
         {"type": "gfl", "strides": [8, 16, 32], "bins": 11}, 3),
        (facts((1, 8400, 85)), {"type": "yolox", "strides": [8, 16, 32]}, 80),
        (facts((1, 8400, 8)), {"type": "yolox", "strides": [8, 16, 32]}, 3),
        (facts((1, 85, 8400), labels=80), {"type": "yolox", "strides": [8, 16, 32]}, 80),
        (facts((1, 25200, 85)), {"type": "yolov5"}, 80),
        (facts((1, 25200, 7), labels=2), {"type": "yolov5"}, 2),
        (facts((1, 25200, 6)), {"type": "yolov5"}, 1),
        (facts((1, 84, 8400)), {"type": "yolov8"}, 80),
        (facts((1, 5, 8400), labels=1), {"type": "yolov8"}, 1),
        (facts((1, 8400, 84), labels=80), {"type": "yolov8"}, 80),
        (facts((1, 10, 2100), size=320, labels=6), {"type": "yolov8"}, 6),
    ],
)  # fmt: skip
def test_signatures_of_other_exports_and_class_counts_are_guessed(
    facts_: Facts, head: dict[str, Any], classes: int
) -> None:
    made = guess(facts_)
    assert (made.head, made.classes) == (head, classes)
    assert_makes_a_card(made)


def test_an_ssd_is_known_by_the_order_of_its_outputs() -> None:
    made = guess(facts((1, 25, 4), (1, 25), (1, 25), (1,), names=("a", "b", "c", "d"), labels=4))
    assert (made.head, made.classes) == ({"type": "ssd", "boxes": "a", "classes": "b", "scores": "c"}, 4)
    assert_makes_a_card(made)


def test_what_the_owner_says_goes_before_the_metadata_and_the_order_of_guesses() -> None:
    rows = facts((1, 8400, 85))
    assert guess(rows).head["type"] == "yolox"
    assert guess(rows, "yolov8").head == {"type": "yolov8"}
    assert guess(rows, "yolov8").classes == 81
    assert guess(rows, None, 81).head == {"type": "yolov8"}
    assert guess(facts((1, 300, 6), labels=7), classes=5).classes == 5


@pytest.mark.parametrize(
    ("kind", "scale", "zero", "mean", "std"),
    [
        (np.uint8, 1 / 255, 0, [0.0] * 3, [255.0] * 3),
        (np.int8, 1 / 255, -128, [0.0] * 3, [255.0] * 3),
        (np.uint8, 1 / 128, 128, [128.0] * 3, [128.0] * 3),
        (np.int8, 1 / 128, 0, [128.0] * 3, [128.0] * 3),
    ],
)
def test_a_quantised_input_is_fed_the_pixels_themselves(
    kind: type, scale: float, zero: int, mean: list[float], std: list[float]
) -> None:
    made = guess(facts((1, 84, 8400), kind=kind, scale=scale, zero=zero))
    assert made.input["mean"] == mean
    assert made.input["std"] == pytest.approx(std)
    pixels = np.array([0, 7, 128, 255])
    stored = np.rint((pixels - mean[0]) / made.input["std"][0] / scale + zero)
    assert stored.tolist() == (pixels - (128 if kind is np.int8 else 0)).tolist()


@pytest.mark.parametrize(
    "unknown",
    [
        facts((1, 1000)),
        facts((1, 21, 640, 640)),
        facts((1, 116, 8400), (1, 32, 160, 160)),
        facts((1, 8400, 4), (1, 8400, 80)),
        facts((1, 5000, 6)),
        facts((1, 84, 8401)),
        facts((1, 84, 8400), labels=70),
        facts((1, 300, 4), (1, 300, 11), labels=3),
        facts((1, 3598, 34), size=416),
        facts(),
    ],
    ids=["classifier", "segmenter", "YOLOv8 with masks", "boxes and scores apart", "too many rows",
         "a row too many", "other labels", "a DETR of other labels", "GFL in one tensor of unknown labels", "nothing"],
)  # fmt: skip
def test_what_fits_no_head_is_refused_with_its_shapes_and_the_heads_that_are_known(unknown: Facts) -> None:
    with pytest.raises(ModelError) as caught:
        guess(unknown)
    message = str(caught.value)
    assert all(f"{name} {list(shape)}" in message for name, shape in unknown.outputs.items())
    assert ": say --head and --labels if you know them; known heads are " in message
    assert message.endswith(", ".join(HEADS))


@pytest.mark.parametrize("head", [h for h in HEADS if h not in ("yolov8", "yolox")])
def test_a_head_that_the_shapes_contradict_is_refused_though_the_owner_names_it(head: str) -> None:
    with pytest.raises(ModelError, match=rf"the outputs \(out0 \[1, 84, 8400\]\) are not those of the head '{head}'"):
        guess(facts((1, 84, 8400)), head)


def test_a_head_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ModelError, match="there is no head 'retina': known heads are gfl, yolox, yolov5, "):
        guess(facts((1, 84, 8400)), "retina")
