"""Model cards: every way in which one can be wrong is told in one sentence with what to do."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import onnx
import pytest
import yaml

from soteirad.detect.card import load_card, shipped_cards
from soteirad.errors import ModelError
from tests.shared_data import CHECKOUT

MODELS = CHECKOUT / "models"
NAME = "nanodet-g-416"


@pytest.fixture
def card_file(tmp_path: Path) -> Path:
    """A copy of the shipped card and labels, with a small file in the model's place."""
    for name in (f"{NAME}.yaml", "coco-80.txt"):
        shutil.copy(MODELS / name, tmp_path / name)
    return tmp_path / f"{NAME}.yaml"


def change(card_file: Path, **values: object) -> None:
    data = yaml.safe_load(card_file.read_text(encoding="utf-8"))
    card_file.write_text(yaml.safe_dump({**data, **values}), encoding="utf-8")


def refusal(model: str | Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_card(str(model))
    return str(caught.value)


def test_the_shipped_card_is_found_by_its_name() -> None:
    assert NAME in shipped_cards()
    card = load_card(NAME)
    assert card.name == NAME
    assert len(card.class_names) == 80
    assert card.class_index("person") == 0


def test_the_shipped_model_is_the_one_its_card_speaks_of_and_at_most_8_mb() -> None:
    card = load_card(NAME)
    data = card.path.read_bytes()
    assert card.sha256 == hashlib.sha256(data).hexdigest()
    assert len(data) <= 8_000_000
    card.verify_file()


def test_all_large_weights_of_the_shipped_model_are_float16() -> None:
    large = [t for t in onnx.load(load_card(NAME).path).graph.initializer if onnx.numpy_helper.to_array(t).size > 64]
    assert len(large) > 50
    assert {t.data_type for t in large} == {onnx.TensorProto.FLOAT16}


def test_a_card_is_also_found_by_its_path_and_its_files_beside_it(card_file: Path) -> None:
    card = load_card(str(card_file))
    assert card.path == card_file.parent / "nanodet-g-416-fp16.onnx"
    assert len(card.class_names) == 80


def test_an_unknown_name_is_refused_with_the_names_that_there_are() -> None:
    assert refusal("yolo") == (
        f"yolo: there is no such model card: use a shipped one ({NAME}) or the path of a card file"
    )


def test_a_missing_card_file_is_refused_with_its_path(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.yaml").startswith(f"{tmp_path / 'no.yaml'}: there is no such model card: use ")


def test_a_folder_and_a_binary_file_are_no_cards(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert "the model card cannot be read" in refusal(tmp_path / "folder.yaml")
    assert "the model card cannot be read" in refusal(tmp_path / "binary.yaml")


def test_broken_yaml_is_refused_with_its_line(card_file: Path) -> None:
    card_file.write_text("name: x\nfile: [1, 2\nhead: gfl\n", encoding="utf-8")
    message = refusal(card_file)
    assert message.startswith(f"{card_file}: the model card is not valid YAML:")
    assert "line 3" in message


def test_yaml_that_is_no_mapping_is_refused(card_file: Path) -> None:
    card_file.write_text("- name\n", encoding="utf-8")
    assert refusal(card_file) == f"{card_file}: a model card is a mapping of keys to values"


def test_an_unknown_key_is_refused_by_name_since_it_may_be_a_typing_mistake(card_file: Path) -> None:
    change(card_file, stride=[8])
    assert refusal(card_file).startswith(f"{card_file}: the model card is wrong: stride: ")


def test_all_wrong_values_are_named_together(card_file: Path) -> None:
    change(card_file, bins=1, head="ssd", sha256="123")
    message = refusal(card_file)
    assert all(f"{key}: " in message for key in ("bins", "head", "sha256"))


def test_a_missing_key_is_named(card_file: Path) -> None:
    data = yaml.safe_load(card_file.read_text(encoding="utf-8"))
    del data["input"]["width"]
    card_file.write_text(yaml.safe_dump(data), encoding="utf-8")
    assert "input.width: Field required" in refusal(card_file)


def test_another_model_file_than_the_cards_is_refused_with_what_to_do(card_file: Path) -> None:
    card = load_card(str(card_file))
    card.path.write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"damaged or is another one: it has 14 bytes .* Install it again, or correct"):
        card.verify_file()


def test_a_card_without_a_hash_takes_any_file(card_file: Path) -> None:
    change(card_file, sha256=None)
    card = load_card(str(card_file))
    card.path.write_bytes(b"something else")
    card.verify_file()
    with pytest.raises(ModelError):
        load_card(NAME).model_copy(update={"folder": card_file.parent}).verify_file()


def test_a_missing_model_file_is_refused_with_its_path(card_file: Path) -> None:
    card = load_card(str(card_file))
    with pytest.raises(ModelError, match="the model file cannot be read") as caught:
        card.verify_file()
    assert str(card.path) in str(caught.value)


def test_an_unknown_label_is_refused_with_the_labels_that_there_are() -> None:
    with pytest.raises(ModelError, match=f"the model {NAME} does not know the label 'parson': it knows person, "):
        load_card(NAME).class_index("parson")


def test_a_missing_label_file_is_refused_with_its_path(card_file: Path) -> None:
    (card_file.parent / "coco-80.txt").unlink()
    with pytest.raises(ModelError, match=r"coco-80\.txt: the label file cannot be read"):
        load_card(str(card_file)).class_index("person")
