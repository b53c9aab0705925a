"""soteirad.convert.coreml: what the package is, and what an owner is told."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from soteirad.convert.coreml import onnx_to_coreml
from soteirad.convert.mil_package import Tensor, read_package
from soteirad.errors import ModelError
from tests.convert.agreement import compare
from tests.convert.small_models import SIZE, convolution, node, picture, save


def contents(package: Path) -> dict[str, bytes]:
    return {str(p.relative_to(package)): p.read_bytes() for p in sorted(package.rglob("*")) if p.is_file()}


def test_the_default_model_takes_a_float32_nchw_picture_and_keeps_its_output_names(default_package: Path) -> None:
    program = read_package(default_package)
    assert program.inputs == [Tensor("image", "float32", (1, 3, 416, 416))]
    cells = {8: 2704, 16: 676, 32: 169}
    assert program.outputs == [
        Tensor(f"{kind}_{stride}", "float32", (1, cells[stride], width))
        for kind, width in (("scores", 80), ("boxes", 44))
        for stride in (8, 16, 32)
    ]


def test_the_default_models_weights_are_float16(default_package: Path, default_model: Path) -> None:
    program = read_package(default_package)
    convolutions = [o.arguments for o in program.operations if o.kind == "conv"]
    weights = [program.constants[a[key][0]] for a in convolutions for key in ("weight", "bias")]
    assert len(weights) == 2 * 34
    assert {w.dtype for w in weights} == {np.dtype("float16")}
    assert not [c for c in program.constants.values() if c.dtype == np.float32 and c.size > 1]
    assert sum(len(data) for data in contents(default_package).values()) < 1.02 * default_model.stat().st_size


def test_the_package_asks_for_macos_13(default_package: Path) -> None:
    coremltools = pytest.importorskip("coremltools")
    spec = coremltools.utils.load_spec(str(default_package))
    assert spec.specificationVersion == coremltools.target.macOS13.value
    assert spec.mlProgram.functions["main"].opset == "CoreML6"


def test_the_package_does_not_claim_an_author_or_a_licence(default_package: Path) -> None:
    metadata = pytest.importorskip("coremltools").utils.load_spec(str(default_package)).description.metadata
    assert (metadata.author, metadata.license) == ("", "")
    assert metadata.shortDescription == "Converted from nanodet-g-416-fp16.onnx by Soteira"


def test_a_second_conversion_gives_the_same_bytes_and_replaces_what_was_there(
    default_package: Path, default_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new" / "default.mlpackage"
    (target / "old").mkdir(parents=True)
    onnx_to_coreml(default_model, target)
    assert contents(target) == contents(default_package)
    assert not (target / "old").exists()
    assert [p.name for p in target.parent.iterdir()] == [target.name]
    assert all(p.stat().st_mode & 0o044 == 0o044 for p in target.rglob("*"))
    assert capfd.readouterr() == ("", "")


def test_a_uint8_picture_that_is_not_transposed_first_keeps_its_layout_and_its_numbers(
    core_ml: None, tmp_path: Path
) -> None:
    nodes = [
        node("Gather", ["picture", "flip"], "flipped", axis=3),
        node("Transpose", ["flipped"], "turned", perm=[0, 3, 1, 2]),
        node("Cast", ["turned"], "float", to=1),
        convolution("float"),
    ]
    constants = {"flip": np.array([2, 1, 0], np.int64)}
    inputs = {"picture": ("UINT8", [1, SIZE, SIZE, 3])}
    source = save(tmp_path / "gather.onnx", nodes, "features", inputs, constants)
    target = tmp_path / "gather.mlpackage"
    onnx_to_coreml(source, target)
    assert read_package(target).inputs == [Tensor("picture", "float32", (1, SIZE, SIZE, 3))]
    assert compare(source, target, [picture()])["features"].cosine > 0.99999


def test_a_free_batch_becomes_one_and_the_size_input_becomes_the_models_own_size(core_ml: None, tmp_path: Path) -> None:
    nodes = [
        convolution("picture"),
        node("Cast", ["orig_target_sizes"], "sizes", to=1),
        node("ReduceSum", ["sizes"], "sum", keepdims=0),
        node("Mul", ["features", "sum"], "scaled"),
    ]
    inputs = {"picture": ("FLOAT", ["N", 3, SIZE, 2 * SIZE]), "orig_target_sizes": ("INT64", ["N", 2])}
    source = save(tmp_path / "sized.onnx", nodes, "scaled", inputs, {})
    target = tmp_path / "sized.mlpackage"
    onnx_to_coreml(source, target)
    assert read_package(target).inputs == [Tensor("picture", "float32", (1, 3, SIZE, 2 * SIZE))]
    assert read_package(target).outputs[0].shape == (1, 4, SIZE, 2 * SIZE)
    wide = np.concatenate([picture(), picture()], axis=1)
    found = compare(source, target, [wide], std=(255.0, 255.0, 255.0))["scaled"]
    assert found.cosine > 0.99999
    assert found.difference < 0.002 * found.largest


@pytest.mark.parametrize("missing", ["onnx", "coremltools", "onnx2coreml"])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    missing: str, default_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("onnx", "coremltools", "onnx2coreml"):
        monkeypatch.setitem(sys.modules, name, None if name == missing else object())
    with pytest.raises(ModelError, match=rf"package {missing} is missing .*install 'soteirad\[coreml\]' with Python 3"):
        onnx_to_coreml(default_model, tmp_path / "m.mlpackage")


def test_a_target_of_another_kind_is_refused(default_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.onnx: a Core ML package is a folder whose name ends in \.mlpackage"):
        onnx_to_coreml(default_model, tmp_path / "model.onnx")


@pytest.mark.parametrize("content", [b"", b"this is a letter, not a model\n", bytes(range(256))])
def test_a_source_that_is_no_onnx_file_is_refused_and_the_target_stays_as_it_was(
    core_ml: None, content: bytes, tmp_path: Path
) -> None:
    source, target = tmp_path / "letter.onnx", tmp_path / "m.mlpackage"
    source.write_bytes(content)
    (target / "old").mkdir(parents=True)
    with pytest.raises(ModelError, match=r"letter\.onnx: this is no ONNX file"):
        onnx_to_coreml(source, target)
    assert (target / "old").exists()


def test_a_source_that_is_not_there_is_named(core_ml: None, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx: the model file cannot be read \(No such file or directory\)"):
        onnx_to_coreml(tmp_path / "none.onnx", tmp_path / "m.mlpackage")


def test_an_operation_that_the_converter_does_not_know_is_named(core_ml: None, tmp_path: Path) -> None:
    nodes = [convolution("picture"), node("Hardmax", ["features"], "hard")]
    source = save(tmp_path / "hard.onnx", nodes, "hard", {"picture": ("FLOAT", [1, 3, SIZE, SIZE])}, {})
    with pytest.raises(ModelError, match=r"hard\.onnx: .* onnx2coreml does not know the operations Hardmax"):
        onnx_to_coreml(source, tmp_path / "m.mlpackage")
    assert [p.name for p in tmp_path.iterdir()] == ["hard.onnx"]


@pytest.mark.parametrize(
    "inputs",
    [
        {"picture": ("FLOAT", [1, 3, "height", SIZE])},
        {"picture": ("FLOAT16", [1, 3, SIZE, SIZE])},
        {"picture": ("FLOAT", [1, 3, SIZE, SIZE]), "other": ("FLOAT", [1, 3])},
    ],
    ids=["a free height", "a float16 picture", "an input that is no picture"],
)
def test_inputs_that_are_not_one_picture_of_fixed_size_are_refused(
    core_ml: None, inputs: dict[str, tuple[str, list[object]]], tmp_path: Path
) -> None:
    source = save(tmp_path / "odd.onnx", [convolution("picture")], "features", inputs, {})
    with pytest.raises(ModelError, match=r"odd\.onnx: a detector has one picture input of fixed size"):
        onnx_to_coreml(source, tmp_path / "m.mlpackage")
