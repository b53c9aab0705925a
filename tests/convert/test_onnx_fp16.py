"""ONNX with float16 weights: half the bytes, the same answers, and one clear sentence when it cannot be done."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from soteirad.convert.onnx_fp16 import onnx_to_fp16
from soteirad.errors import ModelError
from tests.shared_data import CHECKOUT, shared

RNG = np.random.default_rng(7)
KERNEL = RNG.normal(0, 0.1, (16, 3, 3, 3)).astype(np.float32)
BIAS = RNG.normal(0, 0.1, 16).astype(np.float32)
SHIFT = RNG.normal(0, 1, (1, 16, 8, 8)).astype(np.float32)
SCALES = np.array([1, 1, 2, 2], np.float32)


def graph(shift: np.ndarray = SHIFT, *, as_constant: bool = False) -> GraphProto:
    """A convolution, an addition of something large, and a resize: what detectors are made of."""
    nodes = [
        helper.make_node("Conv", ["image", "kernel", "bias"], ["features"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["features", "shift"], ["shifted"]),
        helper.make_node("Resize", ["shifted", "", "scales"], ["larger"], mode="nearest"),
    ]
    weights = {"kernel": KERNEL, "bias": BIAS, "shift": shift, "scales": SCALES}
    if as_constant:
        nodes.insert(
            0, helper.make_node("Constant", [], ["shift"], value=numpy_helper.from_array(weights.pop("shift")))
        )
    return helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("larger", TensorProto.FLOAT, [1, 16, 16, 16])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )


def saved(path: Path, content: GraphProto | None = None, ir_version: int = 8) -> Path:
    opset = helper.make_opsetid("", 13)
    onnx.save(helper.make_model(content or graph(), opset_imports=[opset], ir_version=ir_version), path)
    return path


def converted(source: Path) -> ModelProto:
    target = source.with_name("half.onnx")
    onnx_to_fp16(source, target)
    onnx.checker.check_model(onnx.load(target), full_check=True)
    return onnx.load(target)


def stored(model: ModelProto) -> dict[str, int]:
    return {weight.name: weight.data_type for weight in model.graph.initializer}


def answers(path: Path, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run(None, feed)


def refusal(source: Path, target: Path) -> str:
    with pytest.raises(ModelError) as caught:
        onnx_to_fp16(source, target)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_weights_become_float16_and_biases_and_resize_factors_stay(tmp_path: Path) -> None:
    assert stored(converted(saved(tmp_path / "small.onnx"))) == {
        "kernel_fp16": TensorProto.FLOAT16,
        "bias": TensorProto.FLOAT,
        "shift_fp16": TensorProto.FLOAT16,
        "scales": TensorProto.FLOAT,
    }


def test_inputs_and_outputs_stay_as_they_are(tmp_path: Path) -> None:
    source = saved(tmp_path / "small.onnx")
    before, after = onnx.load(source).graph, converted(source).graph
    assert list(after.input) == list(before.input)
    assert list(after.output) == list(before.output)


def test_the_answers_stay_close(tmp_path: Path) -> None:
    source = saved(tmp_path / "small.onnx")
    converted(source)
    feed = {"image": RNG.random((1, 3, 8, 8), np.float32)}
    (before,), (after,) = answers(source, feed), answers(tmp_path / "half.onnx", feed)
    assert np.abs(before - after).max() < 5e-3


def test_a_large_constant_inside_the_graph_becomes_a_float16_weight(tmp_path: Path) -> None:
    model = converted(saved(tmp_path / "small.onnx", graph(as_constant=True)))
    assert stored(model)["shift_fp16"] == TensorProto.FLOAT16
    assert "Constant" not in {node.op_type for node in model.graph.node}


def test_weights_that_are_inputs_too_are_dropped_from_the_inputs(tmp_path: Path) -> None:
    content = graph()
    content.input.append(helper.make_tensor_value_info("kernel", TensorProto.FLOAT, KERNEL.shape))
    content.input.append(helper.make_tensor_value_info("bias", TensorProto.FLOAT, BIAS.shape))
    model = converted(saved(tmp_path / "small.onnx", content, ir_version=3))
    assert [value.name for value in model.graph.input] == ["image"]
    assert answers(tmp_path / "half.onnx", {"image": np.zeros((1, 3, 8, 8), np.float32)})[0].shape == (1, 16, 16, 16)


@pytest.mark.parametrize("value", [1e6, -1e6, 1e-9, np.inf, np.nan])
def test_values_that_float16_cannot_hold_are_left_alone(tmp_path: Path, value: float) -> None:
    model = converted(saved(tmp_path / "small.onnx", graph(np.full_like(SHIFT, value))))
    assert stored(model)["shift"] == TensorProto.FLOAT


def test_a_taken_name_is_not_used_again(tmp_path: Path) -> None:
    content = graph()
    content.node[0].output[0] = content.node[1].input[0] = "kernel_fp16"
    assert "kernel_fp16_" in stored(converted(saved(tmp_path / "small.onnx", content)))


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    source = saved(tmp_path / "small.onnx")
    onnx_to_fp16(source, tmp_path / "one.onnx")
    onnx_to_fp16(source, tmp_path / "two.onnx")
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def test_the_shipped_model_is_refused_because_it_has_float16_weights_already(tmp_path: Path) -> None:
    source = CHECKOUT / "models" / "nanodet-g-416-fp16.onnx"
    assert refusal(source, tmp_path / "again.onnx").startswith(f"{source}: there are no FP32 weights")
    assert not (tmp_path / "again.onnx").exists()


@pytest.mark.parametrize("data", [b"", b"not a model", bytes(100)])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, data: bytes) -> None:
    source = tmp_path / "broken.onnx"
    source.write_bytes(data)
    assert refusal(source, tmp_path / "half.onnx").startswith(f"{source}: this is not an ONNX model, or it is damaged")


def test_a_truncated_model_is_refused(tmp_path: Path) -> None:
    source = saved(tmp_path / "small.onnx")
    source.write_bytes(source.read_bytes()[:-200])
    assert "damaged" in refusal(source, tmp_path / "half.onnx")


def test_a_missing_file_and_an_unwritable_place_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.onnx"
    assert refusal(missing, tmp_path / "half.onnx").startswith(f"{missing}: the model file cannot be read")
    nowhere = tmp_path / "nowhere" / "half.onnx"
    assert refusal(saved(tmp_path / "small.onnx"), nowhere).startswith(
        f"{nowhere}: the converted model cannot be written"
    )


def test_without_the_onnx_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = saved(tmp_path / "small.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "install soteirad[convert]" in refusal(source, tmp_path / "half.onnx")


# Scores of the same pictures may differ by this much; raw box numbers by more, which are pixels or logits.
@pytest.mark.parametrize(
    ("name", "scores", "tolerance"),
    [
        ("yolox_nano.onnx", slice(4, None), 0.05),
        ("picodet_s_416_coco.onnx", slice(None), 0.15),
        ("nanodet_g_416_reference.onnx", slice(None), 1e-4),
    ],
)
def test_a_real_detector_halves_and_answers_the_same(
    tmp_path: Path, name: str, scores: slice, tolerance: float
) -> None:
    source, target = shared(f"models/{name}"), tmp_path / name
    onnx_to_fp16(source, target)
    assert target.stat().st_size < 0.55 * source.stat().st_size
    picture = np.random.default_rng(3).normal(0, 1, (1, 3, 416, 416)).astype(np.float32)
    if name.startswith("yolox"):
        picture = np.clip(picture * 57 + 110, 0, 255)
    feed = {onnx.load(target).graph.input[0].name: picture}
    for before, after in zip(answers(source, feed), answers(target, feed), strict=True):
        assert np.abs(before[..., scores] - after[..., scores]).max() < tolerance


def test_a_detector_with_a_second_input_halves_and_finds_the_same(tmp_path: Path) -> None:
    source, target = shared("models/deimv2_hgnetv2_femto_coco.onnx"), tmp_path / "half.onnx"
    onnx_to_fp16(source, target)
    assert target.stat().st_size < 0.55 * source.stat().st_size
    picture = np.random.default_rng(3).random((1, 3, 416, 416), np.float32)
    feed = {"images": picture, "orig_target_sizes": np.array([[416, 416]], np.int64)}
    before, after = answers(source, feed), answers(target, feed)
    assert np.abs(before[2] - after[2]).max() < 0.05
