"""`models convert`: what it writes is proven first, and when something is wrong nothing is written."""

from __future__ import annotations

import json
import platform
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml

from soteirad.detect.card import ModelCard, load_card
from soteirad.detect.detector import REFERENCE
from soteirad.detect.golden import FLOAT_BOUNDS, check, golden_detector, load_images, read_answers, read_image
from soteirad.errors import ModelError
from soteirad.resources import resource
from soteirad.tools.convert import TRANSLATED, convert_model
from soteirad.tools.models import Wishes, add_model
from tests.daemon import soteirad
from tests.shared_data import shared

NAME = "nanodet-g-416"
VERDICT = r"\d+ objects, IoU at least [01]\.\d{3}, scores within 0\.\d{3}, cosine [01]\.\d{5}"
FP16 = "soteirad.convert.onnx_fp16.onnx_to_fp16"
Converter = Callable[[Path, Path], None]


@pytest.fixture
def onnx() -> Any:
    return pytest.importorskip("onnx", reason="onnx is not installed: install soteirad[convert]")


@pytest.fixture
def nano(tmp_path: Path, onnx: Any) -> Path:
    """The card of an FP32 model of the owner's, in a folder of its own."""
    folder = tmp_path / "own"
    folder.mkdir()
    shutil.copy(shared("models/yolox_nano.onnx"), folder)
    return add_model(folder / "yolox_nano.onnx", Wishes(name="nano")).card_path


@pytest.fixture
def copying(monkeypatch: pytest.MonkeyPatch) -> None:
    """A converter that leaves the model as it is: the default one has FP16 weights already."""
    monkeypatch.setattr(FP16, shutil.copy)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def passes(card: ModelCard) -> bool:
    """Whether a converted ONNX card gives its own golden answers."""
    answers = read_answers(card)
    detector = golden_detector(card, REFERENCE)
    detector.load()
    try:
        return check(detector, answers, load_images(card, answers), FLOAT_BOUNDS).passed
    finally:
        detector.close()


def test_an_fp32_model_becomes_half_as_large_and_its_card_loads_and_passes_the_golden_check(
    nano: Path, tmp_path: Path
) -> None:
    made = convert_model(str(nano), "onnx", tmp_path / "out")
    source = load_card(str(nano))
    assert made.size_before == source.file_path("onnx").stat().st_size
    assert made.size_after == made.path.stat().st_size
    assert 0.48 <= made.size_after / made.size_before <= 0.55
    assert re.fullmatch(VERDICT, made.proof)
    card = load_card(str(made.card_path))
    card.verify_file()
    assert (card.name, card.files["onnx"].weights, card.files["onnx"].sha256 is None) == (
        "nano-onnx-fp16", "fp16", False,
    )  # fmt: skip
    assert (card.head, card.input, card.class_names) == (source.head, source.input, source.class_names)
    assert card.file_path("onnx") == made.path and passes(card)


def test_the_same_model_gives_the_same_bytes_and_a_second_time_replaces_the_first(nano: Path, tmp_path: Path) -> None:
    for folder in ("one", "two", "one"):
        convert_model(str(nano), "onnx", tmp_path / folder)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert sorted(content(tmp_path / "one")) == [
        "nano-onnx-fp16.onnx", "nano-onnx-fp16.yaml", "nano.golden.npz", "nano.labels.txt",
    ]  # fmt: skip


def test_the_folder_is_the_cards_own_and_for_a_model_that_ships_the_current_one(
    tmp_path: Path, copying: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(resource("models"), tmp_path / "models")
    before = set(content(tmp_path / "models"))
    convert_model(str(tmp_path / "models" / f"{NAME}.yaml"), "onnx", None)
    new = {f"{NAME}-onnx-fp16.onnx", f"{NAME}-onnx-fp16.yaml"}
    assert set(content(tmp_path / "models")) == before | new
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    made = convert_model(NAME, "onnx", None)
    assert made.path.parent == tmp_path / "here" and new < set(content(tmp_path / "here"))
    assert passes(load_card(str(made.card_path)))


def test_golden_pictures_of_the_owners_are_used_for_the_proof(nano: Path, tmp_path: Path) -> None:
    own = tmp_path / "own pictures"
    own.mkdir()
    cv2.imwrite(str(own / "garden.png"), read_image(resource("models") / "golden" / "golden-1.png")[:300])
    added = add_model(nano.parent / "yolox_nano.onnx", Wishes(name="garden", images=(own / "garden.png",)))
    made = convert_model(str(added.card_path), "onnx", None)
    assert re.fullmatch(VERDICT, made.proof) and passes(load_card(str(made.card_path)))


def test_golden_pictures_of_the_owners_go_with_the_card_to_another_folder(nano: Path, tmp_path: Path) -> None:
    own = tmp_path / "own pictures"
    own.mkdir()
    cv2.imwrite(str(own / "garden.png"), read_image(resource("models") / "golden" / "golden-1.png")[:300])
    added = add_model(nano.parent / "yolox_nano.onnx", Wishes(name="garden", images=(own / "garden.png",)))
    made = convert_model(str(added.card_path), "onnx", tmp_path / "out")
    assert passes(load_card(str(made.card_path)))


def test_a_card_without_golden_answers_is_proven_by_what_its_source_finds(tmp_path: Path, copying: None) -> None:
    shutil.copytree(resource("models"), tmp_path / "models")
    path = tmp_path / "models" / f"{NAME}.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    del data["golden"]
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    made = convert_model(str(path), "onnx", tmp_path / "out")
    assert re.fullmatch(VERDICT, made.proof) and not made.proof.startswith("0 ")
    assert load_card(str(made.card_path)).golden is None


def test_the_default_model_becomes_a_core_ml_package_and_the_proof_says_how_it_was_proven(tmp_path: Path) -> None:
    for module in ("onnx2coreml", "coremltools"):
        pytest.importorskip(module, reason=f"{module} is not installed: install soteirad[coreml]")
    made = convert_model(NAME, "coreml", tmp_path)
    assert re.match(VERDICT, made.proof)
    assert made.proof.endswith(TRANSLATED) == (platform.system() != "Darwin")
    assert made.path.is_dir() and made.path.suffix == ".mlpackage"
    card = load_card(str(made.card_path))
    card.verify_file("coreml")
    assert list(card.files) == ["coreml"]


def test_without_the_tflite_converters_their_extra_is_named_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soteirad.convert.tflite.find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"onnx2tf.* not installed here: install soteirad\[convert-tflite\]"):
        convert_model(NAME, "tflite", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_onnx_its_extra_is_named_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelError, match=r"the package onnx is not installed here: install soteirad\[convert\]"):
        convert_model(NAME, "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_stored_in_half_already_is_refused_and_nothing_is_written(tmp_path: Path, onnx: Any) -> None:
    with pytest.raises(ModelError, match=r"fp16\.onnx: there are no FP32 weights in it"):
        convert_model(NAME, "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_conversion_that_gives_other_answers_is_refused_with_the_numbers_and_nothing_is_written(
    tmp_path: Path, onnx: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(source: Path, target: Path) -> None:
        model = onnx.load(source)
        weights = max(model.graph.initializer, key=lambda t: len(t.raw_data))
        weights.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weights), weights.name))
        onnx.save(model, target)

    monkeypatch.setattr(FP16, spoil)
    with pytest.raises(ModelError) as caught:
        convert_model(NAME, "onnx", tmp_path / "out")
    told = str(caught.value)
    assert re.match(rf"{NAME}: the onnx model does not give the golden answers \({VERDICT}\): golden-1\.png: ", told)
    assert told.endswith("Nothing was written")
    assert not (tmp_path / "out").exists()


def test_a_conversion_that_does_not_load_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FP16, lambda _, target: target.write_bytes(b"no model"))
    with pytest.raises(ModelError, match="onnxruntime cannot read this model"):
        convert_model(NAME, "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_folder_that_cannot_be_written_to_is_named_and_out_is_suggested(
    tmp_path: Path, copying: None, out: str
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        convert_model(NAME, "onnx", tmp_path / out)
    assert str(caught.value).startswith(f"{tmp_path / out}: the converted model cannot be written (")
    assert str(caught.value).endswith("choose a folder with --out")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "no folder"


def test_a_card_without_an_onnx_file_is_refused_with_what_it_has(tmp_path: Path) -> None:
    shutil.copytree(resource("models"), tmp_path / "models")
    path = tmp_path / "models" / f"{NAME}.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    del data["files"]["onnx"]
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    with pytest.raises(ModelError, match=r"nanodet-g-416: the card has no onnx file, only tflite"):
        convert_model(str(path), "tflite", tmp_path / "out")


def test_a_source_that_is_not_the_cards_is_refused(tmp_path: Path, copying: None) -> None:
    shutil.copytree(resource("models"), tmp_path / "models")
    with (tmp_path / "models" / f"{NAME}-fp16.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelError, match="damaged or is another one"):
        convert_model(str(tmp_path / "models" / f"{NAME}.yaml"), "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_prints_one_json_document(nano: Path, tmp_path: Path) -> None:
    result = soteirad("models", "convert", nano, "--out", tmp_path / "out", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert sorted(told) == ["card", "file", "proof", "size_after", "size_before"]
    assert Path(told["file"]).stat().st_size == told["size_after"] < told["size_before"]
    assert load_card(told["card"]).name == "nano-onnx-fp16"
