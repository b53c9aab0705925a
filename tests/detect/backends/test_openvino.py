"""The OpenVINO backend: the reference's detections, in the arithmetic that was asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from soteirad.detect.backend import may_write_programs
from soteirad.detect.backends.openvino import OpenVinoBackend
from soteirad.detect.card import ModelCard, load_card
from soteirad.detect.detector import REFERENCE, Detector
from soteirad.detect.engine import Engine, Precision
from soteirad.detect.golden import Bounds, check, golden_detector, load_images, read_answers
from soteirad.errors import ModelError
from soteirad.tools.models import Wishes, add_model
from tests.detect.small import make_card, onnx_model, zeros
from tests.shared_data import CHECKOUT, shared

ov = pytest.importorskip("openvino", reason="OpenVINO is not installed: install 'soteirad[openvino]'")

CARD = load_card("nanodet-g-416")
PICTURE = np.random.default_rng(0).integers(0, 256, (416, 416, 3)).astype(np.uint8)


def engine(precision: Precision, threads: int = 1) -> Engine:
    return Engine("openvino", precision, threads)


def loaded(card: ModelCard, precision: Precision = "fp32") -> OpenVinoBackend:
    if {"fp32": "FP32", "fp16": "FP16", "bf16": "BF16"}[precision] not in capabilities():
        pytest.skip(f"this processor computes no {precision}: OpenVINO lists {', '.join(capabilities())}")
    backend = OpenVinoBackend(card, engine(precision))
    backend.load()
    return backend


def capabilities() -> list[str]:
    return list(ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def test_single_precision_gives_the_golden_answers_almost_exactly() -> None:
    answers = read_answers(CARD)
    detector = golden_detector(CARD, engine("fp32"))
    detector.load()
    verdict = check(detector, answers, load_images(CARD, answers), Bounds(iou=0.99, score=0.005, cosine=0.9999))
    detector.close()
    assert verdict.problems == ()
    assert verdict.objects >= 8


@pytest.mark.parametrize("name", ["yolox_nano.onnx", "deimv2_hgnetv2_femto_coco.onnx", "yolov8n_640.onnx"])
def test_other_models_too_give_the_references_detections(tmp_path: Path, name: str) -> None:
    """Float, with a size input, and with int8 inside; the last is quantised anew by OpenVINO's own kernels."""
    path = tmp_path / name
    path.write_bytes(shared(f"models/{name}").read_bytes())
    card = add_model(path, Wishes()).card
    answers = read_answers(card)
    detector = golden_detector(card, engine("fp32"))
    detector.load()
    bounds = Bounds(0.8, 0.15, 0.97) if card.files["onnx"].weights == "int8" else Bounds(0.98, 0.01, 0.999)
    verdict = check(detector, answers, load_images(card, answers), bounds)
    detector.close()
    assert verdict.problems == ()
    assert verdict.objects >= 5


@pytest.mark.parametrize(("precision", "kind"), [("fp32", "f32"), ("bf16", "bf16"), ("fp16", "f16")])
def test_the_costly_operations_run_in_the_arithmetic_that_was_asked_for(precision: Precision, kind: str) -> None:
    backend = loaded(CARD, precision)
    executed = backend.executed_precisions()
    backend.close()
    assert executed.get(kind, 0) >= 30
    assert executed[kind] >= 0.9 * sum(executed.values())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_really_computes_other_numbers(precision: Precision) -> None:
    backend, single = loaded(CARD, precision), loaded(CARD)
    half, exact = (b.infer(PICTURE)["boxes_8"].copy() for b in (backend, single))
    assert not np.array_equal(half, exact)
    assert np.corrcoef(half.ravel(), exact.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(("precision", "there"), [("bf16", ["FP32", "INT8"]), ("fp16", ["FP32"]), ("fp32", ["INT8"])])
def test_an_arithmetic_that_the_processor_lacks_is_refused_with_those_it_has(
    monkeypatch: pytest.MonkeyPatch, precision: Precision, there: list[str]
) -> None:
    class Core:
        def get_property(self, device: str, name: str) -> list[str]:
            assert (device, name) == ("CPU", "OPTIMIZATION_CAPABILITIES")
            return there

    monkeypatch.setattr(ov, "Core", Core)
    with pytest.raises(ModelError) as caught:
        OpenVinoBackend(CARD, engine(precision)).load()
    assert str(caught.value) == f"this processor computes no {precision}: OpenVINO lists {', '.join(there)}"


@pytest.mark.parametrize("threads", [1, 2])
def test_the_engines_threads_and_no_pinning_are_asked_for(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    asked: list[dict[str, Any]] = []
    real = ov.Core

    class Core:
        def __init__(self) -> None:
            self._core = real()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._core, name)

        def compile_model(self, model: Any, device: str, options: dict[str, Any]) -> Any:
            asked.append({"device": device, **options})
            return self._core.compile_model(model, device, options)

    monkeypatch.setattr(ov, "Core", Core)
    OpenVinoBackend(CARD, engine("fp32", threads)).load()
    assert asked == [{
        "device": "CPU", "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False,
    }]  # fmt: skip


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "soteirad.detect.backends.openvino_library", raising=False)
    with pytest.raises(ModelError, match=r"OpenVINO is not installed: install it with `pip install 'soteirad\[open"):
        OpenVinoBackend(CARD, engine("fp32")).load()


def test_a_file_that_is_no_model_and_one_of_another_size_are_refused(tmp_path: Path) -> None:
    (tmp_path / "small.onnx").write_bytes(b"this is text")
    card = make_card(tmp_path, {"type": "end2end"})
    with pytest.raises(ModelError, match=r"small\.onnx: OpenVINO cannot read this model: ") as caught:
        OpenVinoBackend(card, engine("fp32")).load()
    assert "\n" not in str(caught.value)
    shape = [1, 3, 32, 32]
    nodes = [helper.make_node("Identity", ["image"], ["unused"]), *zeros("out", [1, 5, 6])]
    model = onnx_model({"image": (TensorProto.FLOAT, shape)}, nodes, {"unused": shape, "out": [1, 5, 6]})
    (tmp_path / "small.onnx").write_bytes(model)
    with pytest.raises(ModelError, match=r"the model's input 'image' is \[1, 3, 32, 32\], the card says one picture"):
        OpenVinoBackend(card, engine("fp32")).load()


def test_a_model_of_any_batch_is_compiled_for_one_picture_and_given_its_size(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Cast", ["size"], ["float_size"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["mean", "float_size"], ["out"], axis=1),
    ]
    inputs = {"image": (TensorProto.FLOAT, ["n", 3, 32, 64]), "size": (TensorProto.INT64, ["n", 2])}
    (tmp_path / "small.onnx").write_bytes(onnx_model(inputs, nodes, {"out": ["n", 5]}))
    backend = loaded(make_card(tmp_path, {"type": "detr"}, height=32))
    found = backend.infer(np.full((32, 64, 3), 7, np.uint8))
    assert found["out"].tolist() == [[7.0, 7.0, 7.0, 64.0, 32.0]]


def test_a_model_that_was_not_loaded_or_was_closed_says_so() -> None:
    backend = OpenVinoBackend(CARD, engine("fp32"))
    with pytest.raises(ModelError, match="the model is not loaded"):
        backend.infer(PICTURE)
    backend.load()
    backend.infer(PICTURE)
    backend.close()
    with pytest.raises(ModelError, match="the model is not loaded"):
        backend.infer(PICTURE)


def test_a_detector_runs_on_it_as_on_the_reference() -> None:
    found = []
    for which in (REFERENCE, engine("fp32")):
        detector = Detector.create(CARD, CARD.class_names, 0.05, engine=which)
        detector.load()
        found.append(detector.detect(PICTURE[:234]))
        detector.close()
    assert found[0].classes.tolist() == found[1].classes.tolist()
    assert found[1].scores == pytest.approx(found[0].scores, abs=1e-3)
    assert found[1].boxes == pytest.approx(found[0].boxes, abs=1e-3)


FORBIDDEN = """
import ctypes, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    sys.exit(77)
from soteirad.detect.backend import may_write_programs
from soteirad.detect.backends.openvino import OpenVinoBackend
from soteirad.detect.card import load_card
from soteirad.detect.engine import Engine
from soteirad.errors import ModelError
assert not may_write_programs()
try:
    OpenVinoBackend(load_card("nanodet-g-416"), Engine("openvino", "fp32")).load()
except ModelError as error:
    print(error)
"""
"""The same as systemd's MemoryDenyWriteExecute, asked of Linux (6.3 or newer) by the process itself."""


@pytest.mark.skipif(sys.platform != "linux", reason="this is not Linux: nothing was learned about the service")
def test_a_process_that_may_not_write_programs_says_which_drop_in_allows_it() -> None:
    assert may_write_programs()
    done = subprocess.run([sys.executable, "-c", FORBIDDEN], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("this Linux is older than 6.3 and cannot forbid it: nothing was learned about the service")
    assert done.returncode == 0, done.stderr
    assert "MemoryDenyWriteExecute" in done.stdout and "openvino.conf" in done.stdout
