"""The LiteRT backend: every kind of TFLite file, and what is asked of the interpreter."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

from soteirad.detect.backends.litert import LiteRtBackend, dequantised, interpreter_class
from soteirad.detect.card import ModelCard
from soteirad.detect.detector import Detector
from soteirad.detect.engine import Engine
from soteirad.detect.golden import FLOAT_BOUNDS, check, golden_detector, load_images, make_answers, read_answers
from soteirad.errors import ModelError
from soteirad.tools.models import Wishes, add_model
from tests.detect.small import make_card
from tests.shared_data import shared

ENGINE = Engine("litert", "fp32", threads=2)
FILES = {"tflite": {"file": "small.tflite", "weights": "int8"}}


def real() -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: install 'soteirad[litert]'")


# A strict interpreter that stands in for the library


class Tensor:
    def __init__(self, name: str, value: np.ndarray, scale: float = 0.0, zero: int = 0) -> None:
        self.name, self.value, self.quantization = name, value, (scale, zero)


class FakeInterpreter:
    """Takes only what the real one takes, and in its order; the outputs are given."""

    inputs: ClassVar[list[Tensor]]
    outputs: ClassVar[list[Tensor]]
    made: ClassVar[list[tuple[str, int]]]

    def __init__(self, *, model_path: str, num_threads: int) -> None:
        assert type(model_path) is str
        assert type(num_threads) is int
        self.made.append((model_path, num_threads))
        self.allocated = self.invoked = False
        self.filled: set[int] = set()

    @classmethod
    def tensors(cls) -> list[Tensor]:
        return [*cls.inputs, *cls.outputs]

    def _details(self, tensors: list[Tensor]) -> list[dict[str, Any]]:
        return [{"name": t.name, "index": 10 + self.tensors().index(t), "shape": np.array(t.value.shape, np.int32),
                 "dtype": t.value.dtype.type, "quantization": t.quantization} for t in tensors]  # fmt: skip

    def get_input_details(self) -> list[dict[str, Any]]:
        return self._details(self.inputs)

    def get_output_details(self) -> list[dict[str, Any]]:
        return self._details(self.outputs)

    def allocate_tensors(self) -> None:
        self.allocated = True

    def set_tensor(self, index: int, value: np.ndarray) -> None:
        assert self.allocated, "tensors are set before they are allocated"
        tensor = self.inputs[index - 10]
        assert (value.shape, value.dtype) == (tensor.value.shape, tensor.value.dtype)
        tensor.value = value.copy()
        self.filled.add(index)

    def invoke(self) -> None:
        assert self.filled == {10 + i for i in range(len(self.inputs))}, "an input was never set"
        self.invoked = True

    def get_tensor(self, index: int) -> np.ndarray:
        assert self.invoked
        return self.tensors()[index - 10].value.copy()


def fake(monkeypatch: pytest.MonkeyPatch, inputs: list[Tensor], outputs: list[Tensor],
         module: str = "ai_edge_litert") -> type[FakeInterpreter]:  # fmt: skip
    made: dict[str, Any] = {"inputs": inputs, "outputs": outputs, "made": []}
    kind = type("Interpreter", (FakeInterpreter,), made)
    for name in ("ai_edge_litert", "tflite_runtime"):
        package = ModuleType(name) if name == module else None
        interpreter = ModuleType(f"{name}.interpreter") if name == module else None
        if interpreter is not None:
            interpreter.Interpreter = kind  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, package)
        monkeypatch.setitem(sys.modules, f"{name}.interpreter", interpreter)
    return kind


def small_card(folder: Path, **feed: Any) -> ModelCard:
    (folder / "small.tflite").write_bytes(b"given")
    return make_card(folder, {"type": "end2end"}, width=6, height=4, files=FILES, input=feed)


def picture(*shape: int, kind: type = np.uint8) -> np.ndarray:
    return np.zeros(shape, kind)


def test_quantised_inputs_and_outputs_are_converted_from_and_to_real_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """int8 in (a pixel minus 128) and out; the second output is float already."""
    stored = np.array([[[-128, 0, 127, 10, 20, 30]]], np.int8)
    plain = np.array([[0.5, 0.25]], np.float32)
    kind = fake(monkeypatch, [Tensor("x", picture(1, 4, 6, 3, kind=np.int8), 1 / 255, -128)],
                [Tensor("rows", stored, 0.5, -28), Tensor("plain", plain, 0.0, 0)])  # fmt: skip
    backend = LiteRtBackend(small_card(tmp_path, std=[255, 255, 255]), ENGINE)
    backend.load()
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    found = backend.infer(image)
    assert kind.inputs[0].value[0].tolist() == (image.astype(int) - 128).tolist()
    assert found["rows"].tolist() == [[[-50.0, 14.0, 77.5, 19.0, 24.0, 29.0]]]
    assert found["rows"].dtype == np.float32
    assert np.array_equal(found["plain"], plain)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("nchw", [False, True])
def test_the_input_is_filled_in_the_layout_and_number_type_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type, nchw: bool
) -> None:
    shape = (1, 3, 4, 6) if nchw else (1, 4, 6, 3)
    interpreter = fake(monkeypatch, [Tensor("x", picture(*shape, kind=kind))], [Tensor("o", picture(1, 2, 6))])
    backend = LiteRtBackend(small_card(tmp_path), ENGINE)
    backend.load()
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    backend.infer(image)
    filled = interpreter.inputs[0].value[0]
    assert np.array_equal(filled.transpose(1, 2, 0) if nchw else filled, image)


def test_the_interpreter_gets_the_cards_file_and_the_engines_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = fake(monkeypatch, [Tensor("x", picture(1, 4, 6, 3))], [Tensor("o", picture(1, 2, 6))])
    LiteRtBackend(small_card(tmp_path), ENGINE).load()
    assert kind.made == [(str(tmp_path / "small.tflite"), 2)]


@pytest.mark.parametrize("number", [np.int32, np.int64, np.float32])
def test_a_size_input_is_given_width_and_height_in_its_own_number_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: type
) -> None:
    size = Tensor("size", picture(1, 2, kind=number))
    fake(monkeypatch, [size, Tensor("x", picture(1, 4, 6, 3))], [Tensor("o", picture(1, 2, 6))])
    LiteRtBackend(small_card(tmp_path), ENGINE).load()
    assert size.value.tolist() == [[6, 4]]


def test_tflite_runtime_serves_where_litert_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = fake(monkeypatch, [Tensor("x", picture(1, 4, 6, 3))], [Tensor("o", picture(1, 2, 6))], "tflite_runtime")
    assert interpreter_class() is kind
    assert list(LiteRtBackend(small_card(tmp_path), ENGINE).load()) == ["o"]


def test_litert_goes_before_tflite_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = fake(monkeypatch, [], [])
    other = ModuleType("tflite_runtime.interpreter")
    other.Interpreter = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tflite_runtime", ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", other)
    assert interpreter_class() is kind


def test_without_either_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, [], [], module="neither")
    with pytest.raises(ModelError, match=r"^LiteRT is not installed: install it with `pip install"):
        LiteRtBackend(small_card(tmp_path), ENGINE).load()


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16])
def test_dequantised_gives_stored_minus_zero_point_times_scale(kind: type) -> None:
    limits = np.iinfo(kind)
    stored = np.array([limits.min, 0, 5, limits.max], kind)
    for scale, zero in ((0.25, 3), (0.0078125, -128), (2.0, 0)):
        found = dequantised(stored, scale, zero)
        assert found.dtype == np.float32
        assert found.tolist() == [(int(s) - zero) * scale for s in stored]


@pytest.mark.parametrize(("array", "scale"), [(np.ones(3, np.float32), 0.5), (np.ones(3, np.int32), 0.0)])
def test_arrays_that_are_not_quantised_stay_as_they_are(array: np.ndarray, scale: float) -> None:
    assert dequantised(array, scale, 7) is array


# The library itself

SHARED = {
    "yolov8n_int8.tflite": "int8 inside",
    "ssd_mobilenet_v1_quant.tflite": "uint8 input, NMS inside",
}
"""Those with FP16 weights are run by the tests of `models add`, and one more below."""


def added(folder: Path, name: str) -> ModelCard:
    real()
    path = folder / name
    path.write_bytes(shared(f"models/{name}").read_bytes())
    return add_model(path, Wishes()).card


@pytest.mark.parametrize("name", SHARED, ids=SHARED.values())
def test_real_files_give_the_same_answers_again_with_other_threads(tmp_path: Path, name: str) -> None:
    card = added(tmp_path, name)
    answers = read_answers(card)
    detector = golden_detector(card, ENGINE)
    detector.load()
    verdict = check(detector, answers, load_images(card, answers), FLOAT_BOUNDS)
    detector.close()
    assert verdict.problems == ()
    assert verdict.objects >= 4


def test_the_tflite_file_finds_what_the_onnx_file_of_the_same_network_finds(tmp_path: Path) -> None:
    card = added(tmp_path, "yolox_nano_float16_quantize.tflite")
    (tmp_path / "yolox_nano.onnx").write_bytes(shared("models/yolox_nano.onnx").read_bytes())
    other = add_model(tmp_path / "yolox_nano.onnx", Wishes(name="onnx")).card
    answers = read_answers(other)
    detector = golden_detector(card, ENGINE)
    detector.load()
    images = load_images(other, answers)
    verdict = check(detector, answers, images, FLOAT_BOUNDS)
    found = make_answers(detector, images)
    detector.close()
    assert verdict.problems == ()
    assert verdict.objects >= 5
    assert sorted(found[0].parts) == sorted(answers[0].parts)


def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    real()
    (tmp_path / "small.tflite").write_bytes(b"this is text")
    with pytest.raises(ModelError, match=r"small\.tflite: LiteRT cannot read this model: ") as caught:
        LiteRtBackend(make_card(tmp_path, {"type": "end2end"}, files=FILES), ENGINE).load()
    assert "\n" not in str(caught.value)


def test_a_file_of_another_size_than_its_card_says_is_refused(tmp_path: Path) -> None:
    card = added(tmp_path, "ssd_mobilenet_v1_quant.tflite")
    smaller = card.model_copy(update={"input": card.input.model_copy(update={"width": 320})})
    with pytest.raises(ModelError, match=r"is \[1, 300, 300, 3\], the card says one picture of 320x300"):
        LiteRtBackend(smaller, ENGINE).load()


def test_a_file_with_other_outputs_than_its_card_says_is_refused(tmp_path: Path) -> None:
    card = added(tmp_path, "ssd_mobilenet_v1_quant.tflite")
    other = card.model_copy(update={"head": card.head.model_copy(update={"boxes": "detection_boxes"})})
    with pytest.raises(ModelError, match="the card names detection_boxes, TFLite_Detection_PostProcess:1 and "):
        Detector.create(other, ["person"], 0.3, engine=ENGINE).load()


def test_a_model_that_was_not_loaded_or_was_closed_says_so(tmp_path: Path) -> None:
    card = added(tmp_path, "ssd_mobilenet_v1_quant.tflite")
    backend, image = LiteRtBackend(card, ENGINE), picture(300, 300, 3)
    with pytest.raises(ModelError, match="the model is not loaded"):
        backend.infer(image)
    backend.load()
    backend.infer(image)
    backend.close()
    with pytest.raises(ModelError, match="the model is not loaded"):
        backend.infer(image)
