"""Runs: which the command line asks for, and what a model's figures are on real photographs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from soteirad.detect.card import load_card
from soteirad.detect.detector import Detector
from soteirad.detect.preprocess import scale_picture
from soteirad.errors import ModelError, SoteiraError
from soteirad.evaluate.ap import Found
from soteirad.evaluate.curves import CURVES
from soteirad.evaluate.dataset import Dataset, load_dataset
from soteirad.evaluate.run import Evaluation, evaluate, parse_runs
from tests.evaluate.made import CARD, document, part_of_coco_mini, write_data
from tests.evaluate.test_ap import directly

pytest.importorskip("pycocotools", reason="AP needs pycocotools: install the extra `eval`")


def names(*models: str, backends: tuple[str, ...] = (), precisions: tuple[str, ...] = ()) -> list[str]:
    return [str(run.engine) for run in parse_runs(models, backends, precisions)]


def test_a_model_alone_runs_with_onnxruntime_in_fp32() -> None:
    assert names(CARD) == ["onnx fp32"]


def test_a_suffix_chooses_the_engine_of_one_model() -> None:
    assert names(f"{CARD}@onnx:fp32", f"{CARD}@openvino:bf16", f"{CARD}@openvino") == [
        "onnx fp32", "openvino bf16", "openvino fp32"]  # fmt: skip


def test_backends_and_precisions_are_all_combined_for_models_without_a_suffix() -> None:
    found = names(CARD, f"{CARD}@onnx", backends=("openvino",), precisions=("fp32", "fp16"))
    assert found == ["openvino fp32", "openvino fp16", "onnx fp32"]


def test_threads_reach_the_engine() -> None:
    assert parse_runs([CARD], threads=3)[0].engine.threads == 3


def test_a_path_with_an_at_sign_is_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "me@home"
    shutil.copytree(load_card(CARD).folder, folder)
    assert names(f"{folder}/{CARD}.yaml", f"{folder}/{CARD}.yaml@openvino:fp16") == ["onnx fp32", "openvino fp16"]


def test_a_card_without_an_onnx_file_runs_with_litert(tmp_path: Path) -> None:
    text = (load_card(CARD).folder / f"{CARD}.yaml").read_text(encoding="utf-8")
    card = tmp_path / "lite.yaml"
    card.write_text(text.replace("  onnx: {", "  tflite: {"), encoding="utf-8")
    assert names(str(card)) == ["litert fp32"]


@pytest.mark.parametrize(("model", "told"), [
    (f"{CARD}@tensorflow:fp32", "no backend 'tensorflow': use one of onnx"),
    (f"{CARD}@onnx:fp8", "no precision 'fp8': use one of fp32"),
    (f"{CARD}@onnx:fp16", "onnx computes in fp32, not in fp16"),
    ("yolo-900@onnx:fp32", "no such model card"),
])  # fmt: skip
def test_what_cannot_run_is_told_before_anything_runs(model: str, told: str) -> None:
    with pytest.raises(SoteiraError, match=told):
        parse_runs([CARD, model])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(str(part_of_coco_mini(tmp_path_factory.mktemp("coco") / "part", 10)))


@pytest.fixture(scope="module")
def evaluation(data: Dataset) -> Evaluation:
    steps: list[str] = []
    made = evaluate(parse_runs([CARD, CARD]), data, steps.append)
    assert steps == [f"{CARD} onnx fp32"] * 20
    return made


def test_the_figures_are_those_of_pycocotools_on_the_detectors_boxes(data: Dataset, evaluation: Evaluation) -> None:
    card = load_card(CARD)
    detector = Detector.create(card, card.class_names, 0.01, 0.65)
    detector.load()
    rows = []
    for photo in data.photos:
        found = detector.detect(scale_picture(data.read(photo), card.input))
        for (x1, y1, x2, y2), score, index in zip(found.boxes.tolist(), found.scores, found.classes, strict=True):
            rows.append([photo.id, data.labels[card.class_names[index]], x1 * photo.width, y1 * photo.height,
                         (x2 - x1) * photo.width, (y2 - y1) * photo.height, score])  # fmt: skip
    table = np.array(rows)
    everything = Found(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:6], table[:, 6])
    expected = [100 * x for x in directly(data, everything)[:6]]
    ap = evaluation.measured[0].ap
    assert [ap[k] for k in ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")] == pytest.approx(
        expected, abs=0.01
    )
    assert ap["ap50"] and ap["ap50"] > 20


def test_the_same_model_twice_does_not_differ(evaluation: Evaluation) -> None:
    for found in evaluation.differences(evaluation.measured[1]).values():
        assert (found.largest, found.mean, found.largest_pooled) == (0, 0, 0)


def test_the_document_is_plain_and_holds_every_curve_at_1000_points(evaluation: Evaluation) -> None:
    document = json.loads(json.dumps(evaluation.document(), allow_nan=False))
    assert document["data"]["images"] == 10
    assert document["settings"] == {
        "min_score": 0.01,
        "nms_iou": 0.65,
        "max_boxes": 100,
        "curve_iou": 0.5,
        "points": 1000,
    }
    for run in document["runs"]:
        assert {name: len(run["curves"][name]) for name in CURVES} == dict.fromkeys(CURVES, 1000)
    assert set(document["differences"][0]["curves"]) == set(CURVES)
    assert document["differences"][0]["ap"]["ap"] == 0


def test_labels_that_the_model_does_not_know_are_noted_and_count_as_never_found(tmp_path: Path) -> None:
    content = document(categories=[{"id": 1, "name": "person"}, {"id": 17, "name": "unicorn"}])
    measured = evaluate(parse_runs([CARD]), load_dataset(str(write_data(tmp_path, content)))).measured[0]
    assert len(measured.notes) == 1 and "unicorn" in measured.notes[0]
    assert measured.curves.labels == ("person", "unicorn")


def test_data_that_knows_none_of_the_models_labels_is_refused(tmp_path: Path) -> None:
    content = document(categories=[{"id": 1, "name": "unicorn"}, {"id": 17, "name": "dragon"}])
    with pytest.raises(SoteiraError, match=r"none of its labels .* is a label of .*unicorn, dragon"):
        evaluate(parse_runs([CARD]), load_dataset(str(write_data(tmp_path, content))))


def test_a_second_model_that_does_not_load_is_told_before_the_first_runs(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(load_card(CARD).folder, folder)
    file = folder / load_card(CARD).files["onnx"].file
    file.write_bytes(file.read_bytes()[:1000])
    steps: list[str] = []
    with pytest.raises(ModelError, match="damaged"):
        evaluate(
            parse_runs([CARD, f"{folder}/{CARD}.yaml"]), load_dataset(str(write_data(tmp_path / "d"))), steps.append
        )
    assert not steps
