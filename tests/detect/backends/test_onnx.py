"""The ONNX backend: what it refuses, in one clear sentence each, and what the shipped model answers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from soteirad.detect.backends.onnx import OnnxBackend
from soteirad.detect.card import ModelCard, load_card
from soteirad.detect.detector import REFERENCE, Detector
from soteirad.detect.engine import Engine
from soteirad.detect.preprocess import Canvas, scale_picture
from soteirad.errors import ModelError
from tests.detect.small import make_card, onnx_model, zeros
from tests.shared_data import CHECKOUT, shared

CARD = load_card("nanodet-g-416")
STRIDES = (8, 16, 32)
PICTURE = np.zeros((416, 416, 3), np.uint8)


def card_for(folder: Path, data: bytes, labels: tuple[str, ...] = CARD.class_names) -> ModelCard:
    """Return the shipped card for another file: no hash, since another file is the point."""
    (folder / "model.onnx").write_bytes(data)
    (folder / CARD.labels).write_text("\n".join(labels), encoding="utf-8")
    files = {"onnx": {"file": "model.onnx", "weights": "fp32"}}
    return ModelCard.model_validate({**CARD.model_dump(), "folder": folder, "files": files})


def refusal(card: ModelCard) -> str:
    """What a detector says that cannot be loaded: one line, the file first when it is the file's fault."""
    with pytest.raises(ModelError) as caught:
        Detector.create(card, card.class_names[:1], 0.3).load()
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith((f"{card.file_path('onnx')}: ", f"{card.name}: "))
    return message


def small_model(size: int = 416, kind: int = TensorProto.UINT8, bins: int = 11, leave_out: str = "",
                opset: int = 13) -> bytes:  # fmt: skip
    """Return a model that has the shipped one's signature, or nearly, and answers with zeros."""
    outputs: dict[str, list[Any]] = {}
    nodes = [helper.make_node("Identity", ["image"], ["unused"])]
    for stride in STRIDES:
        for name, channels in ((f"scores_{stride}", 80), (f"boxes_{stride}", 4 * bins)):
            if name != leave_out:
                outputs[name] = [1, (416 // stride) ** 2, channels]
                nodes += zeros(name, outputs[name])
    return onnx_model({"image": (kind, [1, size, size, 3])}, nodes, outputs, opset)


def test_a_model_with_the_cards_signature_is_accepted(tmp_path: Path) -> None:
    backend = OnnxBackend(card_for(tmp_path, small_model()), REFERENCE)
    assert sorted(backend.load()) == sorted(f"{kind}_{s}" for kind in ("scores", "boxes") for s in STRIDES)
    assert backend.infer(PICTURE)["scores_8"].shape == (1, 2704, 80)
    Detector.create(card_for(tmp_path, small_model()), ["person"], 0.3).load()


@pytest.mark.parametrize("share", [0.0, 0.2, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    data = CARD.file_path("onnx").read_bytes()
    message = refusal(card_for(tmp_path, data[: int(len(data) * share)]))
    assert "onnxruntime cannot read this model: " in message


def test_a_model_of_an_operator_set_that_is_yet_to_come_is_refused(tmp_path: Path) -> None:
    message = refusal(card_for(tmp_path, small_model(opset=99)))
    assert "onnxruntime cannot read this model: " in message
    assert "opset" in message.lower()


def test_a_model_of_an_older_operator_set_is_accepted(tmp_path: Path) -> None:
    assert OnnxBackend(card_for(tmp_path, small_model(opset=11)), REFERENCE).load()["scores_8"].shape == (1, 2704, 80)


def test_a_model_of_another_size_is_refused_with_both(tmp_path: Path) -> None:
    message = refusal(card_for(tmp_path, small_model(size=320)))
    assert message == (
        f"{tmp_path / 'model.onnx'}: the model's input 'image' is [1, 320, 320, 3], the card says one picture of "
        f"416x416: correct input.width and input.height in the card"
    )


def test_an_input_of_an_unknown_type_is_refused_by_name(tmp_path: Path) -> None:
    message = refusal(card_for(tmp_path, small_model(kind=TensorProto.INT32)))
    assert message.endswith("the input 'image' is tensor(int32): only float and 8-bit inputs are known")


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.INT8, TensorProto.FLOAT, TensorProto.FLOAT16])
def test_8_bit_and_float_inputs_are_accepted(tmp_path: Path, kind: int) -> None:
    backend = OnnxBackend(card_for(tmp_path, small_model(kind=kind)), REFERENCE)
    backend.load()
    assert backend.prepare(PICTURE).dtype == helper.tensor_dtype_to_np_dtype(kind)


def test_a_model_with_another_number_of_bins_is_refused_with_both_shapes(tmp_path: Path) -> None:
    message = refusal(card_for(tmp_path, small_model(bins=8)))
    assert "no output of the model is [1, 2704, 44] (box distributions at stride 8), as the head gfl" in message
    assert "boxes_8 [1, 2704, 32]" in message


def test_a_model_without_one_of_the_outputs_is_refused_by_its_role(tmp_path: Path) -> None:
    message = refusal(card_for(tmp_path, small_model(leave_out="scores_32")))
    assert "no output of the model is [1, 169, 80] (class scores at stride 32)" in message


def test_a_model_of_other_labels_is_refused(tmp_path: Path) -> None:
    card = card_for(tmp_path, small_model(), labels=("person", "car"))
    assert "no output of the model is [1, 2704, 2] (class scores at stride 8), as the head gfl and 2" in refusal(card)


def test_a_real_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    data = shared("models/broken_yolov8n.onnx").read_bytes()
    assert "the model's input 'images' is [1, 3, 640, 640], the card says one" in refusal(card_for(tmp_path, data))


def test_another_file_than_the_cards_is_refused_before_it_is_read(tmp_path: Path) -> None:
    card = card_for(tmp_path, b"not a model at all")
    files = {"onnx": card.files["onnx"].model_copy(update={"sha256": "0" * 64})}
    message = refusal(card.model_copy(update={"files": files}))
    assert "the model file is damaged or is another one: it has 18 bytes" in message


def test_a_card_without_an_onnx_file_is_refused(tmp_path: Path) -> None:
    card = make_card(tmp_path, {"type": "end2end"}, files={"tflite": {"file": "a.tflite", "weights": "fp32"}})
    with pytest.raises(ModelError, match="small: the card has no onnx file, only tflite: every conversion"):
        OnnxBackend(card, REFERENCE).load()


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
    assert "onnxruntime cannot run this model: " in refusal(card_for(tmp_path, model.SerializeToString()))


def test_a_model_that_was_not_loaded_or_was_closed_says_so() -> None:
    backend = OnnxBackend(CARD, REFERENCE)
    with pytest.raises(ModelError, match="the model is not loaded"):
        backend.infer(PICTURE)
    backend.load()
    backend.infer(PICTURE)
    backend.close()
    with pytest.raises(ModelError, match="the model is not loaded"):
        backend.infer(PICTURE)


class Session:
    """Keeps how onnxruntime was asked for a session, and makes it."""

    made: list[tuple[Any, Any]]

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = []
        real = ort.InferenceSession

        def make(path: str, options: Any, providers: list[Any]) -> Any:
            self.made.append((options, providers))
            return real(path, options, providers=["CPUExecutionProvider"])

        monkeypatch.setattr(ort, "InferenceSession", make)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_session_has_the_engines_threads_and_they_sleep_when_idle(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    session = Session(monkeypatch)
    OnnxBackend(CARD, Engine("onnx", "fp32", threads)).load()
    [(options, providers)] = session.made
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert [p[0] for p in providers] == ["CPUExecutionProvider"]


@pytest.mark.parametrize("device", ["cuda", "tensorrt", "coreml"])
def test_a_provider_that_this_build_lacks_is_refused_with_those_it_has(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["AzureExecutionProvider", "CPUExecutionProvider"])
    names = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider", "coreml": "CoreMLExecutionProv"}
    with pytest.raises(ModelError, match=f"this onnxruntime has no {names[device]}.*, only cpu: install the onnx"):
        OnnxBackend(CARD, Engine("onnx", "fp32", device=device)).load()


@pytest.mark.parametrize(
    ("device", "precision", "options"),
    [
        ("cuda", "fp32", {}),
        ("tensorrt", "fp16", {"trt_fp16_enable": True}),
        ("tensorrt", "fp32", {"trt_fp16_enable": False}),
    ],
)
def test_a_provider_that_does_not_start_is_refused_instead_of_running_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch, device: str, precision: Any, options: dict[str, Any]
) -> None:
    names = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
    monkeypatch.setattr(ort, "get_available_providers", lambda: [*names.values(), "CPUExecutionProvider"])
    session = Session(monkeypatch)
    with pytest.raises(ModelError, match=f"onnxruntime could not start {names[device]}, and fell back to the CPU"):
        OnnxBackend(CARD, Engine("onnx", precision, device=device)).load()
    assert session.made[0][1] == [(names[device], options), "CPUExecutionProvider"]


def any_size_model(batch: Any, height: Any, width: Any) -> bytes:
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Constant", [], ["shape"], value=helper.make_tensor("s", TensorProto.INT64, [3], [1, 1, 1])),
        helper.make_node("Reshape", ["mean", "shape"], ["one"]),
        *zeros("rows", [1, 5, 6]),
        helper.make_node("Add", ["rows", "one"], ["out"]),
    ]
    return onnx_model({"image": (TensorProto.FLOAT, [batch, 3, height, width])}, nodes, {"out": [1, 5, 6]})


def any_size_card(folder: Path, model: bytes) -> ModelCard:
    (folder / "small.onnx").write_bytes(model)
    return make_card(folder, {"type": "end2end"}, input={"pad": 9})


def test_a_model_of_any_batch_is_run_on_one_picture(tmp_path: Path) -> None:
    card = any_size_card(tmp_path, any_size_model("batch", 64, 64))
    assert OnnxBackend(card, REFERENCE).load()["out"] == pytest.approx(9.0)


def test_a_model_of_any_size_is_run_at_the_cards(tmp_path: Path) -> None:
    card = any_size_card(tmp_path, any_size_model("batch", "height", "width"))
    assert OnnxBackend(card, REFERENCE).load()["out"] == pytest.approx(9.0)


def test_a_size_input_is_given_the_size_of_the_models_input(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Identity", ["images"], ["unused"]),
        helper.make_node("Cast", ["orig_target_sizes"], ["out"], to=TensorProto.FLOAT),
    ]
    inputs = {"images": (TensorProto.FLOAT, [1, 3, 32, 64]), "orig_target_sizes": (TensorProto.INT64, ["n", 2])}
    (tmp_path / "small.onnx").write_bytes(onnx_model(inputs, nodes, {"out": ["n", 2]}))
    card = make_card(tmp_path, {"type": "detr"}, height=32)
    assert OnnxBackend(card, REFERENCE).load()["out"].tolist() == [[64.0, 32.0]]


def test_the_shipped_models_raw_outputs_are_those_of_a_plain_conversion(
    record_property: Callable[[str, object], None],
) -> None:
    """The reference is float, NCHW and normalised outside the graph; the shipped one does all of that inside."""
    reference = ort.InferenceSession(
        str(shared("models/nanodet_g_416_reference.onnx")), providers=["CPUExecutionProvider"]
    )
    photograph = cv2.imread(str(sorted(shared("coco-mini/images").glob("*.jpg"))[0]))
    canvas = Canvas(CARD.input)
    canvas.fill(scale_picture(photograph, CARD.input))
    mean, std = np.float32([103.53, 116.28, 123.675]), np.float32([57.375, 57.12, 58.395])
    normal = (canvas.image.astype(np.float32) - mean) / std
    expected = reference.run(None, {"images": normal.transpose(2, 0, 1)[None]})
    backend = OnnxBackend(CARD, REFERENCE)
    backend.load()
    found = backend.infer(canvas.image)
    names = [f"{kind}_{stride}" for kind in ("scores", "boxes") for stride in STRIDES]
    worst = max(float(np.abs(found[n] - e).max()) for n, e in zip(names, expected, strict=True))
    record_property("largest_difference", worst)
    assert max(found[n].max() for n in names[:3]) > 0.3, "there is something to be found in the photograph"
    assert worst < 1e-3


def test_a_detector_that_runs_leaves_no_number_by_which_this_machine_could_be_known(tmp_path: Path) -> None:
    """onnxruntime's reports to its makers begin with a file of their own in the cache folder."""
    script = ("from soteirad.detect.card import load_card\nfrom soteirad.detect.detector import Detector, REFERENCE\n"
              "Detector.create(load_card('nanodet-g-416'), ['person'], 0.1, 0.7, REFERENCE).load()\n")  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", script], env={**environment, "XDG_CACHE_HOME": str(tmp_path)}, cwd=CHECKOUT,
                   check=True, timeout=120)  # fmt: skip
    assert [path for path in tmp_path.rglob("*") if "Microsoft" in str(path)] == []
