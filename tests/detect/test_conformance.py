"""Every sound shared model, with the card that `models add` makes for it, reaches its published decoder's accuracy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from soteirad.tools.models import Wishes, add_model
from tests.detect.coco import measure
from tests.shared_data import shared

AP = {
    "yolox_nano.onnx": 30.3,
    "yolox_nano_float16_quantize.tflite": 30.2,
    "deimv2_hgnetv2_femto_coco.onnx": 33.2,
    "picodet_s_416_coco.onnx": 37.9,
    "nanodet_g_416_reference.onnx": 26.9,
    "nanodet_m_416.onnx": 28.5,
    "ssd_mobilenet_v1_quant.tflite": 19.2,
    "yolov5n-fp16.tflite": 31.7,
    "yolov8n_640.onnx": 35.9,
    "yolov8n_int8.tflite": 38.2,
}
"""As the README of the shared data says, by decoders that were written to measure these models."""
WISHES = {"nanodet_g_416_reference.onnx": Wishes(resize="letterbox_top_left")}
LEEWAY = 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", AP)
def test_a_model_with_its_guessed_card_reaches_its_accuracy_on_coco_mini(
    tmp_path: Path, name: str, record_property: Callable[[str, object], None]
) -> None:
    pytest.importorskip("pycocotools", reason="the accuracy test needs pycocotools: install the extra `dev`")
    if name.endswith(".tflite"):
        pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: install 'soteirad[litert]'")
    path = tmp_path / name
    path.write_bytes(shared(f"models/{name}").read_bytes())
    folder = shared("coco-mini/instances.json").parent
    found = measure(add_model(path, WISHES.get(name, Wishes())).card, folder, nms_iou=0.65)
    figures = {k: round(v, 2) for k, v in found.items()}
    record_property("coco_mini", figures)
    print(f"{name}: {figures}, expected {AP[name]}")
    assert found["ap"] >= AP[name] - LEEWAY
