"""ONNX to TFLite: what is refused, what is kept, and that the committed file answers as the ONNX file does."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from soteirad.convert import tflite
from soteirad.convert.tflite import onnx_to_tflite
from soteirad.errors import ModelError
from tests.shared_data import CHECKOUT, shared

SOURCE = CHECKOUT / "models" / "nanodet-g-416-fp16.onnx"
COMMITTED = CHECKOUT / "models" / "nanodet-g-416-fp16.tflite"
OUTPUTS = {
    "scores_8": (1, 2704, 80), "scores_16": (1, 676, 80), "scores_32": (1, 169, 80),
    "boxes_8": (1, 2704, 44), "boxes_16": (1, 676, 44), "boxes_32": (1, 169, 44),
}  # fmt: skip

needs_converters = pytest.mark.skipif(
    any(find_spec(module) is None for module in tflite.PACKAGES.values()),
    reason="onnx2tf and ai-edge-quantizer are not installed here (they need Python 3.12): soteirad[convert-tflite]",
)
needs_litert = pytest.mark.skipif(find_spec("ai_edge_litert") is None, reason="ai-edge-litert is not installed here")


def refusal(source: Path, target: Path) -> str:
    with pytest.raises(ModelError) as caught:
        onnx_to_tflite(source, target)
    message = str(caught.value)
    assert "\n" not in message
    return message


def small_model(path: Path) -> Path:
    """A convolution of a uint8 picture with its channels last, which ends with a Transpose."""
    kernel = np.random.default_rng(5).normal(0, 0.1, (16, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Transpose", ["picture"], ["turned"], perm=(0, 3, 1, 2)),
        helper.make_node("Cast", ["turned"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["numbers", "kernel"], ["features"], pads=[1, 1, 1, 1]),
        helper.make_node("Reshape", ["features", "shape"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["answer"], perm=(0, 2, 1)),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("picture", TensorProto.UINT8, [1, 32, 24, 3])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [1, 768, 16])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(np.array([1, 16, 768]), "shape")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def onnx_answers(path: Path, name: str, picture: np.ndarray) -> dict[str, np.ndarray]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {name: picture}), strict=True))


def tflite_answers(path: Path, picture: np.ndarray) -> dict[str, np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
    interpreter.invoke()
    return {o["name"]: interpreter.get_tensor(o["index"]) for o in interpreter.get_output_details()}


def assert_same_answers(picture: np.ndarray) -> None:
    expected, found = onnx_answers(SOURCE, "image", picture), tflite_answers(COMMITTED, picture)
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert np.abs(found[name] - values).max() < 1e-3, name


def test_without_the_converters_the_extra_and_the_python_version_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tflite, "find_spec", lambda name: None if name != "onnx" else find_spec(name))
    message = refusal(SOURCE, tmp_path / "model.tflite")
    assert message.startswith(f"{SOURCE}: cannot be converted to TFLite, because onnx2tf and ai-edge-quantizer are not")
    assert "soteirad[convert-tflite]" in message
    assert "Python 3.12 or newer" in message
    assert not (tmp_path / "model.tflite").exists()


@pytest.fixture
def converters_present(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the code believe that the converters are here, for what happens before they run."""
    monkeypatch.setattr(tflite, "find_spec", lambda name: find_spec("onnx"))


@pytest.mark.usefixtures("converters_present")
def test_a_missing_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    missing, broken = tmp_path / "missing.onnx", tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    assert refusal(missing, tmp_path / "a.tflite").startswith(f"{missing}: the model file cannot be read")
    assert refusal(broken, tmp_path / "a.tflite").startswith(f"{broken}: this is not an ONNX model, or it is damaged")


@pytest.mark.usefixtures("converters_present")
def test_a_failing_converter_is_reported_by_the_last_line_of_its_complaint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaint = "Traceback (most recent call last):\n  File x\nValueError: Gru is not known\n\n"
    result = SimpleNamespace(returncode=1, stdout="progress", stderr=complaint)
    monkeypatch.setattr(tflite.subprocess, "run", lambda *args, **kwargs: result)
    message = refusal(SOURCE, tmp_path / "a.tflite")
    assert message == (
        f"{SOURCE}: onnx2tf cannot convert this model (ValueError: Gru is not known): use the ONNX file as it is"
    )


@pytest.mark.usefixtures("converters_present")
def test_the_converter_gets_a_copy_and_is_told_which_input_has_its_channels_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, commands = SOURCE.read_bytes(), []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        commands.append(command)
        Path(command[command.index("-i") + 1]).write_bytes(b"rewritten")
        return SimpleNamespace(returncode=1, stdout="", stderr="")

    monkeypatch.setattr(tflite.subprocess, "run", run)
    assert "it ended with code 1" in refusal(SOURCE, tmp_path / "a.tflite")
    assert SOURCE.read_bytes() == before
    assert commands[0][-2:] == ["--keep_shape_absolutely_input_names", "image"]
    assert not Path(commands[0][commands[0].index("-i") + 1]).parent.exists()


@needs_converters
def test_a_conversion_keeps_names_types_shapes_and_answers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source, target = small_model(tmp_path / "small.onnx"), tmp_path / "small.tflite"
    before = source.read_bytes()
    onnx_to_tflite(source, target)
    assert source.read_bytes() == before
    assert capfd.readouterr() == ("", "")
    picture = np.random.default_rng(1).integers(0, 256, (1, 32, 24, 3), np.uint8)
    expected, found = onnx_answers(source, "picture", picture), tflite_answers(target, picture)
    assert found["answer"].shape == (1, 768, 16)
    assert np.abs(found["answer"] - expected["answer"]).max() < 0.2  # numbers up to 255, weights of eleven bits


@needs_converters
def test_two_conversions_give_the_same_bytes(tmp_path: Path) -> None:
    source = small_model(tmp_path / "small.onnx")
    other = small_model(tmp_path / "another name.onnx")
    onnx_to_tflite(source, tmp_path / "one.tflite")
    onnx_to_tflite(other, tmp_path / "two.tflite")
    assert (tmp_path / "one.tflite").read_bytes() == (tmp_path / "two.tflite").read_bytes()


@needs_converters
def test_the_committed_file_is_what_the_conversion_gives(tmp_path: Path) -> None:
    onnx_to_tflite(SOURCE, tmp_path / "again.tflite")
    assert (tmp_path / "again.tflite").read_bytes() == COMMITTED.read_bytes()


@needs_litert
def test_the_committed_file_takes_the_picture_as_the_onnx_file_does() -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(COMMITTED), num_threads=1)
    (image,) = interpreter.get_input_details()
    assert (image["name"], tuple(image["shape"]), image["dtype"]) == ("image", (1, 416, 416, 3), np.uint8)
    found = {o["name"]: (tuple(o["shape"]), o["dtype"]) for o in interpreter.get_output_details()}
    assert found == {name: (shape, np.float32) for name, shape in OUTPUTS.items()}


@needs_litert
def test_the_committed_file_answers_as_the_onnx_file_does_for_noise() -> None:
    assert_same_answers(np.random.default_rng(2).integers(0, 256, (1, 416, 416, 3), np.uint8))


@needs_litert
def test_the_committed_file_answers_as_the_onnx_file_does_for_photographs() -> None:
    for path in sorted(shared("coco-mini/images").glob("*.jpg"))[:4]:
        photograph = cv2.imread(str(path))
        height, width = photograph.shape[:2]
        scale = 416 / max(height, width)
        content = cv2.resize(photograph, (round(width * scale), round(height * scale)))
        picture = np.zeros((1, 416, 416, 3), np.uint8)
        picture[0, : content.shape[0], : content.shape[1]] = content
        assert_same_answers(picture)
