"""Model cards: every way in which one can be wrong is told in one sentence with what to do."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

from soteirad.detect.card import GflSpec, ModelCard, SsdSpec, file_digest, load_card, shipped_cards
from soteirad.errors import ModelError
from tests.shared_data import CHECKOUT

MODELS = CHECKOUT / "models"
NAME = "nanodet-g-416"


@pytest.fixture
def card_file(tmp_path: Path) -> Path:
    """A copy of the shipped card and labels, without the model."""
    for name in (f"{NAME}.yaml", "coco-80.txt"):
        shutil.copy(MODELS / name, tmp_path / name)
    return tmp_path / f"{NAME}.yaml"


def change(card_file: Path, **values: object) -> None:
    """Change top keys; `part__key` changes one key of a part."""
    data: dict[str, Any] = yaml.safe_load(card_file.read_text(encoding="utf-8"))
    for key, value in values.items():
        part, _, inner = key.partition("__")
        if inner:
            data[part][inner] = value
        else:
            data[part] = value
    card_file.write_text(yaml.safe_dump(data), encoding="utf-8")


def refusal(model: str | Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_card(str(model))
    return str(caught.value)


def model_path(card: ModelCard) -> Path:
    return card.file_path("onnx")


def test_the_shipped_card_is_found_by_its_name() -> None:
    assert NAME in shipped_cards()
    card = load_card(NAME)
    assert card.name == NAME
    assert card.head == GflSpec(type="gfl", strides=(8, 16, 32), bins=11)
    assert len(card.class_names) == 80
    assert card.class_index("person") == 0


def test_the_shipped_model_is_the_one_its_card_speaks_of_and_at_most_8_mb() -> None:
    card = load_card(NAME)
    data = model_path(card).read_bytes()
    assert card.files["onnx"].sha256 == hashlib.sha256(data).hexdigest()
    assert len(data) <= 8_000_000
    card.verify_file()


@pytest.mark.parametrize("name", shipped_cards())
def test_every_shipped_card_has_all_its_files_and_vouches_for_its_models(name: str) -> None:
    card = load_card(name)
    assert card.golden is not None
    assert (card.folder / card.golden).is_file()
    assert all(file.sha256 for file in card.files.values())
    assert card.licence
    card.verify_file()


def test_all_large_weights_of_the_shipped_model_are_float16() -> None:
    card = load_card(NAME)
    stored = onnx.load(model_path(card)).graph.initializer
    large = [t for t in stored if onnx.numpy_helper.to_array(t).size > 64]
    assert len(large) > 50
    assert {t.data_type for t in large} == {onnx.TensorProto.FLOAT16}
    assert card.files["onnx"].weights == "fp16"


def test_a_card_is_also_found_by_its_path_and_its_files_beside_it(card_file: Path) -> None:
    card = load_card(str(card_file))
    assert model_path(card) == card_file.parent / "nanodet-g-416-fp16.onnx"
    assert len(card.class_names) == 80


def test_an_unknown_name_is_refused_with_the_names_that_there_are() -> None:
    assert refusal("yolo") == (
        f"yolo: there is no such model card: use a shipped one ({', '.join(shipped_cards())}), or the path of a card "
        f"file, which `soteirad models add` makes for a model of your own"
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


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("stride", "stride"),
        ("input__layout", "input.layout"),
        ("input__dtype", "input.dtype"),
        ("head__bin", "head.gfl.bin"),
    ],
)
def test_an_unknown_key_is_refused_by_name_since_it_may_be_a_typing_mistake(
    card_file: Path, key: str, place: str
) -> None:
    change(card_file, **{key: "NHWC"})
    assert refusal(card_file) == f"{card_file}: the model card is wrong: {place}: Extra inputs are not permitted"


def test_all_wrong_values_are_named_together(card_file: Path) -> None:
    change(card_file, head__bins=1, input__width=0, input__colour="GRB", files={"onnx": {"file": "", "weights": "fp8"}})
    message = refusal(card_file)
    places = ("head.gfl.bins", "input.width", "input.colour", "files.onnx.file", "files.onnx.weights")
    assert all(f"{place}: " in message for place in places)


def test_a_missing_key_is_named(card_file: Path) -> None:
    data = yaml.safe_load(card_file.read_text(encoding="utf-8"))
    del data["input"]["width"], data["files"]["onnx"]["weights"]
    card_file.write_text(yaml.safe_dump(data), encoding="utf-8")
    assert "input.width: Field required" in refusal(card_file)
    assert "files.onnx.weights: Field required" in refusal(card_file)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"head": {"type": "retina"}}, "'gfl', 'yolox', 'yolov5', 'yolov8', 'detr', 'ssd', 'end2end'"),
        ({"head": {}}, "head: Unable to extract tag using discriminator 'type'"),
        ({"head": {"type": "gfl", "bins": 8, "strides": []}}, "head.gfl.strides: "),
        ({"head": {"type": "gfl", "bins": 8, "strides": [8, 0]}}, "head.gfl.strides.1: Input should be greater than 0"),
        ({"head": {"type": "yolox", "strides": [-8]}}, "head.yolox.strides.0: Input should be greater than 0"),
        ({"head": {"type": "ssd", "boxes": "b", "classes": "c"}}, "head.ssd.scores: Field required"),
        ({"head": {"type": "yolov8", "boxes": "percent"}}, "head.yolov8.boxes: Input should be 'pixels' or 'fraction'"),
        ({"files": {}}, "files: Dictionary should have at least 1 item"),
        ({"files": {"pb": {"file": "x.pb", "weights": "fp32"}}}, "Input should be 'onnx', 'tflite' or 'coreml'"),
        ({"files": {"onnx": {"file": "x", "weights": "fp32", "sha256": "12"}}}, "files.onnx.sha256: "),
        ({"input__std": [1, 0, 1]}, "std must not hold a zero"),
        ({"input__mean": [1, 2]}, "input.mean.2: Field required"),
        ({"input__pad": 256}, "input.pad: "),
        ({"input__width": 9000}, "input.width: "),
        ({"input__resize": "crop"}, "'letterbox_top_left', 'letterbox_centre' or 'stretch'"),
        ({"name": "../model"}, "name: String should match pattern"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place_and_what_would_do(
    card_file: Path, values: dict[str, object], told: str
) -> None:
    change(card_file, **values)
    message = refusal(card_file)
    assert message.startswith(f"{card_file}: the model card is wrong: ")
    assert told in message


def test_a_card_needs_neither_mean_nor_std_nor_golden_answers(card_file: Path) -> None:
    data = yaml.safe_load(card_file.read_text(encoding="utf-8"))
    del data["golden"]
    card_file.write_text(yaml.safe_dump(data), encoding="utf-8")
    card = load_card(str(card_file))
    assert (card.golden, card.input.mean, card.input.std) == (None, (0.0,) * 3, (1.0,) * 3)
    assert (card.input.interpolation, card.input.pad) == ("linear", 0)


def test_a_card_may_name_its_outputs_and_several_formats(card_file: Path) -> None:
    below = {"file": "below/a.onnx", "weights": "fp32"}
    files = {"tflite": {"file": "a.tflite", "weights": "int8"}, "onnx": below}
    change(card_file, files=files, head={"type": "ssd", "boxes": "b", "classes": "c", "scores": "s"})
    card = load_card(str(card_file))
    assert card.head == SsdSpec(type="ssd", boxes="b", classes="c", scores="s")
    assert card.file_path("tflite") == card_file.parent / "a.tflite"
    assert card.file_path("onnx") == card_file.parent / "below" / "a.onnx"


@pytest.mark.parametrize("name", ["/etc/passwd", "../secrets.txt", "a/../../b", "", "a\nb"])
@pytest.mark.parametrize("key", ["labels", "golden", "file"])
def test_a_card_names_only_files_in_its_own_folder(card_file: Path, key: str, name: str) -> None:
    own = {"files": {"onnx": {"file": name, "weights": "fp32"}}} if key == "file" else {key: name}
    change(card_file, **own)
    with pytest.raises(ModelError, match="a file in the card's folder or below it is needed"):
        load_card(str(card_file))


@pytest.mark.parametrize("text", [
    "a: &a [1, 2]\nb: *a\n", "&a {x: *a}\n", "[" * 5000, "head: {type: gfl, strides: [8], bins: 1000000000000}\n",
    "input: {mean: [.nan, 0, 0]}\n",
])  # fmt: skip
def test_a_hostile_card_is_one_clear_error(card_file: Path, text: str) -> None:
    card_file.write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match="the model card is"):
        load_card(str(card_file))


def test_labels_are_shown_without_what_a_terminal_would_obey(card_file: Path) -> None:
    labels = card_file.parent / "coco-80.txt"
    labels.write_text("person\x1b]0;hm\x07\ncat\n", encoding="utf-8")
    assert load_card(str(card_file)).class_names == ("person ]0;hm", "cat")


def test_a_label_file_without_end_is_refused(card_file: Path) -> None:
    labels = card_file.parent / "coco-80.txt"
    labels.unlink(missing_ok=True)
    labels.symlink_to("/dev/zero")
    with pytest.raises(ModelError, match="it is no regular file"):
        _ = load_card(str(card_file)).class_names


def test_the_numbers_that_a_model_keeps_beside_it_are_part_of_its_checksum(tmp_path: Path) -> None:
    weight = onnx.numpy_helper.from_array(np.arange(4096, dtype=np.float32), "w")
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [4096]) for n in "xy"]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [weight]))
    onnx.save_model(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    size, before = file_digest(tmp_path / "m.onnx")
    assert size > 4096 * 4
    data = (tmp_path / "m.data").read_bytes()
    (tmp_path / "m.data").write_bytes(bytes(len(data)))
    assert file_digest(tmp_path / "m.onnx")[1] != before


def test_a_format_that_the_card_lacks_is_refused_with_those_that_there_are(card_file: Path) -> None:
    change(card_file, files={"onnx": {"file": "a.onnx", "weights": "fp32"}})
    with pytest.raises(ModelError, match=f"{NAME}: the card has no tflite file, only onnx: make one with `sote"):
        load_card(str(card_file)).file_path("tflite")


def test_another_model_file_than_the_cards_is_refused_with_what_to_do(card_file: Path) -> None:
    card = load_card(str(card_file))
    model_path(card).write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"damaged or is another one: it has 14 bytes .* install it again, or correct"):
        card.verify_file()


def test_a_card_without_a_hash_takes_any_file(card_file: Path) -> None:
    change(card_file, files={"onnx": {"file": "nanodet-g-416-fp16.onnx", "weights": "fp16"}})
    card = load_card(str(card_file))
    model_path(card).write_bytes(b"something else")
    card.verify_file()
    with pytest.raises(ModelError):
        load_card(NAME).model_copy(update={"folder": card_file.parent}).verify_file()


def test_one_format_is_verified_without_the_others(card_file: Path) -> None:
    (card_file.parent / "a.tflite").write_bytes(b"abc")
    change(card_file, files={
        "tflite": {"file": "a.tflite", "weights": "fp32", "sha256": hashlib.sha256(b"abc").hexdigest()},
        "onnx": {"file": "absent.onnx", "weights": "fp32"},
    })  # fmt: skip
    card = load_card(str(card_file))
    card.verify_file("tflite")
    with pytest.raises(ModelError, match=r"absent\.onnx: the model file cannot be read"):
        card.verify_file()


def test_a_missing_model_file_is_refused_with_its_path(card_file: Path) -> None:
    card = load_card(str(card_file))
    with pytest.raises(ModelError, match="the model file cannot be read") as caught:
        card.verify_file()
    assert str(model_path(card)) in str(caught.value)


def test_a_folder_such_as_a_core_ml_package_is_hashed_file_by_file_in_order_of_name(tmp_path: Path) -> None:
    package = tmp_path / "a.mlpackage"
    (package / "Data").mkdir(parents=True)
    for name, data in (("Manifest.json", b"last"), ("Data/weights.bin", b"middle"), ("Data/model", b"first")):
        (package / name).write_bytes(data)
    assert file_digest(package) == (15, hashlib.sha256(b"firstmiddlelast").hexdigest())


def test_an_unknown_label_is_refused_with_the_labels_that_there_are() -> None:
    with pytest.raises(ModelError, match=f"the model {NAME} does not know the label 'parson': it knows person, "):
        load_card(NAME).class_index("parson")


def test_a_label_file_that_is_missing_empty_or_binary_is_refused_with_its_path(card_file: Path) -> None:
    labels = card_file.parent / "coco-80.txt"
    labels.write_bytes(b"\n \n")
    with pytest.raises(ModelError, match=r"coco-80\.txt: the label file is empty: write one class name on each line"):
        load_card(str(card_file)).class_index("person")
    labels.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match=r"coco-80\.txt: the label file cannot be read"):
        load_card(str(card_file)).class_index("person")
    labels.unlink()
    with pytest.raises(ModelError, match=r"coco-80\.txt: the label file cannot be read"):
        load_card(str(card_file)).class_index("person")
