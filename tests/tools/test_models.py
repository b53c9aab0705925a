"""`models add` and `models list`: sound models get a card that works, the others are refused and nothing is written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper

from soteirad.detect.card import load_card, shipped_cards
from soteirad.detect.golden import (
    FLOAT_BOUNDS,
    SCORE,
    check,
    golden_detector,
    golden_folder,
    load_images,
    read_answers,
    shipped_images,
)
from soteirad.errors import ModelError
from soteirad.tools.models import LEAST_FOUND, Added, Wishes, add_model, list_models, reference_engine, three_numbers
from tests.detect.small import onnx_model, zeros
from tests.shared_data import shared

SOUND = {
    "yolox_nano.onnx": "yolox",
    "yolox_nano_float16_quantize.tflite": "yolox",
    "deimv2_hgnetv2_femto_coco.onnx": "detr",
    "picodet_s_416_coco.onnx": "gfl",
    "nanodet_g_416_reference.onnx": "gfl",
    "nanodet_m_416.onnx": "gfl",
    "ssd_mobilenet_v1_quant.tflite": "ssd",
    "yolov5n-fp16.tflite": "yolov5",
    "yolov8n_640.onnx": "yolov8",
    "yolov8n_int8.tflite": "yolov8",
}
AddShared = Callable[[str], Added]


def copied(name: str, folder: Path) -> Path:
    """A writable copy of a shared model; skips where it or its library is not there."""
    if name.endswith(".tflite"):
        pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: install 'soteirad[litert]'")
    target = folder / name
    target.write_bytes(shared(f"models/{name}").read_bytes())
    return target


@pytest.fixture(scope="module")
def add_shared(tmp_path_factory: pytest.TempPathFactory) -> AddShared:
    """Add a shared model without wishes; once for all tests that look at it."""
    known: dict[str, Added] = {}

    def add(name: str) -> Added:
        if name not in known:
            known[name] = add_model(copied(name, tmp_path_factory.mktemp("added")), Wishes())
        return known[name]

    return add


def refusal(file: Path, **wishes: Any) -> str:
    """What is said of a model that is refused; checks that nothing is written."""
    before = sorted(file.parent.rglob("*"))
    with pytest.raises(ModelError) as caught:
        add_model(file, Wishes(**wishes))
    assert sorted(file.parent.rglob("*")) == before
    message = str(caught.value)
    assert "\n" not in message
    return message


def network(folder: Path, outputs: dict[str, list[int]], size: list[Any] | None = None, value: float = 0.0,
            **metadata: str) -> Path:  # fmt: skip
    """A model of constant outputs; its picture is 96 x 96."""
    nodes = [helper.make_node("Identity", ["images"], ["unused"])]
    for name, shape in outputs.items():
        nodes += zeros(name, shape, value)
    path = folder / "made.onnx"
    path.write_bytes(onnx_model({"images": (TensorProto.FLOAT, size or [1, 3, 96, 96])}, nodes, dict(outputs),
                                metadata=metadata))  # fmt: skip
    return path


ROWS_96 = {"output0": [1, 84, 189]}
"""YOLOv8's signature at 96 x 96: 144, 36 and 9 cells."""


# Sound models


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_model_finds_at_least_half_of_the_golden_objects(
    add_shared: AddShared, name: str, record_property: Callable[[str, object], None]
) -> None:
    added = add_shared(name)
    assert added.found is not None
    record_property("found", f"{added.found[0]} of {added.found[1]}")
    assert added.found[1] == 11
    assert added.found[0] >= added.found[1] / 2
    assert added.card.head.type == SOUND[name]


@pytest.mark.parametrize("name", SOUND)
def test_the_card_of_a_sound_model_loads_and_gives_its_own_golden_answers(add_shared: AddShared, name: str) -> None:
    added = add_shared(name)
    card = load_card(str(added.card_path))
    assert card == added.card
    card.verify_file()
    assert [f.file for f in card.files.values()] == [name]
    answers = read_answers(card)
    assert [a.image for a in answers] == shipped_images()
    detector = golden_detector(card, reference_engine(card))
    detector.load()
    verdict = check(detector, answers, load_images(card, answers), FLOAT_BOUNDS)
    detector.close()
    assert verdict.problems == ()
    assert verdict.cosine > 0.9999


@pytest.mark.parametrize("name", SOUND)
def test_a_model_gets_a_card_labels_and_answers_beside_it_and_nothing_else(add_shared: AddShared, name: str) -> None:
    path = add_shared(name).card_path
    stem = Path(name).stem
    assert path.name == f"{stem}.yaml"
    written = {f"{stem}.yaml", f"{stem}.labels.txt", f"{stem}.golden.npz", name}
    assert {p.name for p in path.parent.iterdir()} == written


@pytest.mark.parametrize("name", ["yolov5n-fp16.tflite", "yolov8n_int8.tflite"])
def test_boxes_in_fractions_are_recognized_by_the_models_own_numbers(add_shared: AddShared, name: str) -> None:
    added = add_shared(name)
    assert added.card.head.boxes == "fraction"  # type: ignore[union-attr]
    assert any("boxes in fractions: the largest coordinate is " in reason for reason in added.reasons)


def test_boxes_in_pixels_stay_pixels(add_shared: AddShared) -> None:
    assert add_shared("yolov8n_640.onnx").card.head.boxes == "pixels"  # type: ignore[union-attr]


def test_every_guess_has_its_reason(add_shared: AddShared) -> None:
    reasons = add_shared("yolox_nano.onnx").reasons
    assert reasons[0] == "head yolox: 3549 rows, one for each cell, of 5 + 80"
    assert reasons[1].startswith("input as yolox: what models of this family were trained with")
    assert reasons[2] == "labels: 80 classes are taken for those of COCO"
    assert "labels: 80, from the metadata of the model" in add_shared("yolov8n_640.onnx").reasons


def test_an_ssd_of_90_classes_gets_cocos_labels_with_their_gaps(add_shared: AddShared) -> None:
    card = add_shared("ssd_mobilenet_v1_quant.tflite").card
    assert len(card.class_names) == 90
    assert [card.class_index(label) for label in ("person", "car", "stop sign", "toothbrush")] == [0, 2, 12, 89]


def test_the_licence_of_the_metadata_is_kept_in_the_card(add_shared: AddShared) -> None:
    assert add_shared("yolov8n_640.onnx").card.licence.startswith("AGPL-3.0")


def test_the_document_is_json_and_names_what_was_found_on_each_picture(add_shared: AddShared) -> None:
    added = add_shared("picodet_s_416_coco.onnx")
    document = json.loads(json.dumps(added.document()))
    assert document["card"] == str(added.card_path)
    assert document["head"] == {"type": "gfl", "strides": [8, 16, 32, 64], "bins": 8, "scores": "probability",
                                "centre": 0.5}
    assert document["found"] == list(added.found or ())
    assert sorted(document["detections"]) == shipped_images()
    rows = [row for found in document["detections"].values() for row in found]
    assert {"person", "stop sign", "clock"} <= {row["label"] for row in rows}
    assert all(row["score"] >= SCORE and all(0 <= v <= 1 for v in row["box"]) for row in rows)


def test_adding_again_gives_the_same_bytes(tmp_path: Path) -> None:
    path = copied("yolox_nano.onnx", tmp_path)
    add_model(path, Wishes())
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    add_model(path, Wishes())
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


# Wishes


def test_what_the_owner_says_goes_into_the_card(tmp_path: Path) -> None:
    path = copied("nanodet_g_416_reference.onnx", tmp_path)
    wishes = Wishes(name="garden", resize="letterbox_top_left", pad=7, colour="BGR", mean=(104.0, 116.0, 124.0),
                    std=(57.0, 57.0, 58.0))  # fmt: skip
    added = add_model(path, wishes)
    card = load_card(str(tmp_path / "garden.yaml"))
    assert added.card_path == tmp_path / "garden.yaml"
    assert (card.name, card.labels, card.golden) == ("garden", "garden.labels.txt", "garden.golden.npz")
    assert (card.input.resize, card.input.pad, card.input.colour) == ("letterbox_top_left", 7, "BGR")
    assert (card.input.mean, card.input.std) == ((104.0, 116.0, 124.0), (57.0, 57.0, 58.0))


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        ({"head": "yolov5"}, "the outputs (output [1, 3549, 85]) are not those of the head 'yolov5'"),
        ({"head": "detr"}, "are not those of the head 'detr'"),
        ({"head": "retina"}, "there is no head 'retina': known heads are gfl, yolox, yolov5, yolov8, "),
        ({"colour": "GRB"}, "the flags do not make a model card: input.colour: Input should be 'BGR' or 'RGB'"),
        ({"resize": "crop"}, "the flags do not make a model card: input.resize: "),
        ({"pad": 300}, "the flags do not make a model card: input.pad: "),
        ({"std": (0.0, 1.0, 1.0)}, "std must not hold a zero"),
        ({"name": "../elsewhere"}, "use letters a-z and A-Z, digits and . _ -"),
    ],
)
def test_wrong_flags_are_refused_with_what_is_wrong(tmp_path: Path, wishes: dict[str, Any], told: str) -> None:
    assert told in refusal(copied("yolox_nano.onnx", tmp_path), **wishes)


def test_a_wrong_way_to_feed_a_model_is_refused_with_the_guess_to_correct(tmp_path: Path) -> None:
    message = refusal(copied("yolox_nano.onnx", tmp_path), std=(255.0, 255.0, 255.0))
    assert "objects that it should know on the golden pictures: either the guess is wrong (head yolox: " in message
    assert message.endswith("Nothing was written")


def test_a_label_file_of_the_owners_names_the_classes(tmp_path: Path) -> None:
    path, labels = copied("yolox_nano.onnx", tmp_path), tmp_path / "mine.txt"
    names = [f"thing{i}" for i in range(80)]
    names[0] = "person"
    labels.write_text("\n".join(names) + "\n\n", encoding="utf-8")
    added = add_model(path, Wishes(labels=labels))
    assert added.card.class_names == tuple(names)
    assert added.found == (2, 2), "the two people are all of the golden objects that it can know"
    assert f"labels: 80, from {labels}" in added.reasons


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"person\ncar\n", "--labels"),
        (b" \n\n", "the label file is empty: write one class name on each line"),
        (b"\xff\xfe\x00", "the label file cannot be read"),
        (None, "the label file cannot be read"),
    ],
    ids=["too few", "empty", "binary", "missing"],
)
def test_a_label_file_that_does_not_fit_is_refused(tmp_path: Path, content: bytes | None, told: str) -> None:
    labels = tmp_path / "mine.txt"
    if content is not None:
        labels.write_bytes(content)
    assert told in refusal(copied("yolox_nano.onnx", tmp_path), labels=labels)


def test_classes_that_nobody_names_are_refused_with_what_to_give(tmp_path: Path) -> None:
    message = refusal(network(tmp_path, {"output0": [1, 9, 189]}))
    assert message == (
        "the model has 5 classes and no names for them: give a text file with one name on each line with --labels"
    )


def test_pictures_of_the_owners_become_the_golden_ones(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "model", tmp_path / "pictures"
    folder.mkdir()
    elsewhere.mkdir()
    path = copied("yolox_nano.onnx", folder)
    shutil.copy(golden_folder() / "golden-1.png", elsewhere / "yard.png")
    cv2.imwrite(str(folder / "grey.png"), np.full((48, 64), 128, np.uint8))
    added = add_model(path, Wishes(images=(elsewhere / "yard.png", folder / "grey.png")))
    assert added.found is None
    assert [a.image for a in added.answers] == ["yard.png", "grey.png"]
    assert (folder / "yard.png").read_bytes() == (elsewhere / "yard.png").read_bytes()
    shutil.rmtree(elsewhere)
    card = load_card(str(added.card_path))
    answers = read_answers(card)
    detector = golden_detector(card, reference_engine(card))
    detector.load()
    verdict = check(detector, answers, load_images(card, answers), FLOAT_BOUNDS)
    detector.close()
    assert verdict.problems == ()
    assert verdict.objects >= 3


def test_a_picture_of_the_owners_that_is_none_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = copied("yolox_nano.onnx", tmp_path)
    assert refusal(path, images=(tmp_path / "gone.png",)).endswith("this picture is missing or cannot be read")
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    assert refusal(path, images=(tmp_path / "text.png",)).endswith("this picture is missing or cannot be read")


def test_a_model_of_any_size_is_added_at_the_size_that_was_asked_for(tmp_path: Path) -> None:
    path = network(tmp_path, ROWS_96, ["batch", 3, "height", "width"])
    added = add_model(path, Wishes(size=(96, 96), accept=True))
    assert (added.card.input.width, added.card.input.height) == (96, 96)


# Broken models


@pytest.mark.parametrize("name", ["broken_yolov8n.onnx", "broken_yolox_nano_int8.tflite"])
def test_a_broken_model_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    path = copied(name, tmp_path)
    message = refusal(path)
    assert message.startswith(f"{path}: this model found ")
    assert " of 11 objects that it should know on the golden pictures: either the guess is wrong (head yolo" in message
    assert message.endswith("or use --accept if these pictures mean nothing to it. Nothing was written")


@pytest.mark.parametrize("name", ["broken_yolov8n.onnx", "broken_yolox_nano_int8.tflite"])
def test_a_broken_model_is_written_when_the_owner_accepts_it(tmp_path: Path, name: str) -> None:
    added = add_model(copied(name, tmp_path), Wishes(accept=True))
    assert added.found is not None
    assert added.found[0] < LEAST_FOUND * added.found[1]
    assert load_card(str(added.card_path)) == added.card


def test_a_model_that_finds_nothing_is_refused(tmp_path: Path) -> None:
    assert "this model found 0 of 11 objects" in refusal(network(tmp_path, ROWS_96))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_model_that_gives_no_numbers_is_refused_even_if_it_is_accepted(tmp_path: Path, value: float) -> None:
    path = network(tmp_path, ROWS_96, value=value)
    for accept in (False, True):
        message = refusal(path, accept=accept)
        assert message.startswith(f"{path}: the outputs output0 hold numbers that are not finite (NaN or infinity)")


def test_a_model_of_none_of_the_golden_labels_is_added_without_a_judgement(tmp_path: Path) -> None:
    path = network(tmp_path, {"output0": [1, 6, 189]}, names="{0: 'fox', 1: 'hare'}")
    added = add_model(path, Wishes())
    assert added.found is None
    assert added.card.class_names == ("fox", "hare")


def test_scores_outside_of_0_and_1_are_recognized_as_logits(tmp_path: Path) -> None:
    outputs = {f"{kind}{n}": [1, n, width] for n in (144, 36, 9) for kind, width in (("s", 80), ("b", 32))}
    added = add_model(network(tmp_path, outputs, value=2.0), Wishes(accept=True))
    assert added.card.head.scores == "logit"  # type: ignore[union-attr]
    assert "scores are logits: they go from 2.0 to 2.0" in added.reasons
    assert added.answers[0].found.scores.max() == pytest.approx(1 / (1 + np.exp(-2.0)))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("text.onnx", "onnxruntime cannot read this model: "),
        ("text.tflite", "LiteRT cannot read this model: "),
        ("text.pt", "a model file is .onnx or .tflite; a .pt or .pb file must be exported to ONNX first"),
        ("gone.onnx", "there is no such model file"),
    ],
)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, name: str, told: str) -> None:
    if name.endswith(".tflite"):
        pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: install 'soteirad[litert]'")
    if not name.startswith("gone"):
        (tmp_path / name).write_text("this is text", encoding="utf-8")
    message = refusal(tmp_path / name)
    assert message.startswith(f"{tmp_path / name}: ")
    assert told in message


def test_a_model_of_no_known_head_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    message = refusal(network(tmp_path, {"probabilities": [1, 1000]}))
    assert message.startswith("the outputs (probabilities [1, 1000]) are of no head that is known: say --head and --")
    assert message.endswith("known heads are gfl, yolox, yolov5, yolov8, detr, ssd, end2end")


def test_a_card_that_cannot_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    """A folder lies where the card should be."""
    path = network(tmp_path, {"output0": [1, 6, 189]}, names="{0: 'fox', 1: 'hare'}")
    (tmp_path / "made.yaml").mkdir()
    with pytest.raises(ModelError, match=r"made\.yaml: the card cannot be written beside the model \(Is a directory\)"):
        add_model(path, Wishes())


def test_a_folder_that_may_not_be_written_to_is_told_with_what_to_do(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    path = network(tmp_path, {"output0": [1, 6, 189]}, names="{0: 'fox', 1: 'hare'}")
    tmp_path.chmod(0o500)
    try:
        message = refusal(path)
    finally:
        tmp_path.chmod(0o700)
    assert "the card cannot be written beside the model (Permission denied): copy the model to a folder that" in message


# Flags and the list


@pytest.mark.parametrize(
    ("text", "numbers"),
    [(None, None), ("127.5", (127.5,) * 3), ("0,0,0", (0.0,) * 3), ("1, 2.5 ,-3", (1.0, 2.5, -3.0))],
)
def test_one_number_counts_for_three(text: str | None, numbers: tuple[float, ...] | None) -> None:
    assert three_numbers("--mean", text) == numbers


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "a,b,c", "1;2;3", "1,,3"])
def test_other_than_one_or_three_numbers_are_refused_by_the_flag(text: str) -> None:
    with pytest.raises(ModelError) as caught:
        three_numbers("--std", text)
    assert str(caught.value) == (
        f"--std {text}: write one number, or three with commas between them, such as --std 0,0,0"
    )


def test_the_list_says_of_every_shipped_model_what_its_card_says() -> None:
    found = list_models()
    assert [row["name"] for row in found] == shipped_cards()
    default = next(row for row in found if row["name"] == "nanodet-g-416")
    assert (default["head"], default["input"], default["labels"]) == ("gfl", "416x416", 80)
    assert default["files"]["onnx"] == "fp16"
    assert default["licence"] == "Apache-2.0"
    assert default["measured"]["ap"] == 26.9
    json.dumps(found)


def test_the_card_is_yaml_that_a_person_can_correct(add_shared: AddShared) -> None:
    text = add_shared("yolox_nano.onnx").card_path.read_text(encoding="utf-8")
    assert text.startswith("# Made by `soteirad models add`. Correct what it guessed wrong, and add it again.\n")
    data = yaml.safe_load(text)
    assert data["head"] == {"type": "yolox", "strides": [8, 16, 32]}
    assert data["input"] == {
        "width": 416, "height": 416, "colour": "BGR", "resize": "letterbox_top_left", "pad": 114,
    }  # fmt: skip
    assert "folder" not in data


def test_a_second_model_does_not_take_the_card_of_the_first(tmp_path: Path) -> None:
    path = network(tmp_path, {"output0": [1, 6, 189]}, names="{0: 'fox', 1: 'hare'}")
    card = add_model(path, Wishes(accept=True)).card_path.read_bytes()
    other = path.rename(path.with_name("other.onnx"))
    with pytest.raises(ModelError, match=r"this card is that of another model: choose another name with --name"):
        add_model(other, Wishes(name=path.stem, accept=True))
    assert path.with_suffix(".yaml").read_bytes() == card


def test_a_model_behind_a_link_gets_its_card_beside_the_link(tmp_path: Path) -> None:
    """As the caches of model hubs keep their files."""
    (tmp_path / "blobs").mkdir()
    path = network(tmp_path / "blobs", ROWS_96)
    link = tmp_path / "yolo.onnx"
    link.symlink_to(path.rename(path.with_name("9f86d081")))
    added = add_model(link, Wishes(accept=True))
    assert added.card_path == tmp_path / "yolo.yaml"
    load_card(str(added.card_path)).verify_file()
    assert [p.name for p in (tmp_path / "blobs").iterdir()] == ["9f86d081"]


def test_a_file_name_that_is_no_card_name_becomes_one(tmp_path: Path) -> None:
    path = network(tmp_path, ROWS_96).rename(tmp_path / "mein modèle (1).ONNX")
    assert add_model(path, Wishes(accept=True)).card.name == "mein-mod-le-1"


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    path = network(tmp_path, ROWS_96)
    pictures = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        pictures.append(tmp_path / name / "yard.png")
        cv2.imwrite(str(pictures[-1]), np.zeros((96, 96, 3), np.uint8))
    with pytest.raises(ModelError, match="there is another picture of this name: rename one of them"):
        add_model(path, Wishes(images=tuple(pictures), accept=True))
    assert not path.with_suffix(".yaml").exists()
