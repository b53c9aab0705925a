"""Every sound shared model has, with the card that `models add` makes for it, the accuracy of its published decoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from soteirad.tools.models import Wishes, add_model
from tests.detect.coco import measure
from tests.shared_data import shared

AP = {
    "yolox_nano.onnx": (30.3, 28.99),
    "yolox_nano_float16_quantize.tflite": (30.2, 28.91),
    "deimv2_hgnetv2_femto_coco.onnx": (33.2, 33.57),
    "picodet_s_416_coco.onnx": (37.9, 33.14),
    "nanodet_g_416_reference.onnx": (26.9, 24.95),
    "nanodet_m_416.onnx": (28.5, 26.33),
    "ssd_mobilenet_v1_quant.tflite": (19.2, 14.98),
    "yolov5n-fp16.tflite": (31.7, 32.68),
    "yolov8n_640.onnx": (35.9, 36.71),
    "yolov8n_int8.tflite": (38.2, 40.09),
}
"""On all of coco-mini, as the README of the shared data says, by decoders that were written to measure these models;
and what their cards reached on every third of its pictures when they reached the same on all."""
WISHES = {"nanodet_g_416_reference.onnx": Wishes(resize="letterbox_top_left")}
LEEWAY = 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", AP)
def test_a_model_with_its_guessed_card_reaches_its_accuracy_on_a_third_of_coco_mini(
    tmp_path: Path, name: str, record_property: Callable[[str, object], None]
) -> None:
    pytest.importorskip("pycocotools", reason="the accuracy test needs pycocotools: install the extra `dev`")
    if name.endswith(".tflite"):
        pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: install 'soteirad[litert]'")
    path = tmp_path / name
    path.write_bytes(shared(f"models/{name}").read_bytes())
    folder = shared("coco-mini/instances.json").parent
    found = measure(add_model(path, WISHES.get(name, Wishes())).card, folder, nms_iou=0.65, every=3)
    figures = {k: round(v, 2) for k, v in found.items()}
    record_property("coco_mini", figures)
    published, on_a_third = AP[name]
    print(f"{name}: {figures}, expected {on_a_third} ({published} on all)")
    assert found["ap"] >= on_a_third - LEEWAY
