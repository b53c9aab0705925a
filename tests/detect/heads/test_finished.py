"""Heads whose models need no NMS, against loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soteirad.detect.card import ModelCard
from soteirad.detect.heads import make_head
from soteirad.errors import ModelError
from tests.detect.heads.plain import Found, assert_same, corners, decode, sigmoid
from tests.detect.small import make_card

WIDTH, HEIGHT, CLASSES, QUERIES = 70, 50, 5, 40
some_classes = pytest.mark.parametrize("classes", [{0, 1, 2, 3, 4}, {1, 4}, {3}], ids=str)
SSD = {"type": "ssd", "boxes": "b", "classes": "c", "scores": "s"}


def card_for(folder: Path, head: dict[str, Any]) -> ModelCard:
    return make_card(folder, head, CLASSES, WIDTH, HEIGHT)


def refusal(card: ModelCard, outputs: dict[str, np.ndarray]) -> str:
    with pytest.raises(ModelError) as caught:
        make_head(card).bind(outputs)
    return str(caught.value)


def best_first(values: list[float]) -> list[float]:
    return sorted(values, reverse=True)


# DETR, postprocessed in the graph


def finished(seed: int, labels: type = np.int64, logits: bool = False) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, (1, QUERIES)) if logits else rng.uniform(0, 1, (1, QUERIES))
    return {
        "labels": rng.integers(0, CLASSES, (1, QUERIES)).astype(labels),
        "boxes": rng.uniform(0, 70, (1, QUERIES, 4)).astype(np.float32),
        "scores": scores.astype(np.float32),
    }


def plain_finished(outputs: dict[str, np.ndarray], classes: set[int], least: float, logits: bool) -> list[Found]:
    found = []
    for i in range(QUERIES):
        score, label = float(outputs["scores"][0, i]), int(outputs["labels"][0, i])
        score = sigmoid(score) if logits else score
        if label in classes and score >= least:
            found.append((score, label, tuple(outputs["boxes"][0, i].tolist())))
    return found


@some_classes
@pytest.mark.parametrize("labels", [np.int64, np.int32, np.float32])
@pytest.mark.parametrize("order", ["labels boxes scores", "scores labels boxes", "boxes scores labels"])
def test_finished_detr_queries_are_found_in_any_order_of_outputs(
    tmp_path: Path, classes: set[int], labels: type, order: str
) -> None:
    head = make_head(card_for(tmp_path, {"type": "detr"}))
    for seed in range(3):
        outputs = finished(seed, labels)
        expected = plain_finished(outputs, classes, 0.4, False)
        assert_same(decode(head, {name: outputs[name] for name in order.split()}, classes, 0.4), expected)


def test_finished_detr_queries_may_have_logits_for_scores(tmp_path: Path) -> None:
    outputs = finished(0, logits=True)
    head = make_head(card_for(tmp_path, {"type": "detr", "scores": "logit"}))
    assert_same(decode(head, outputs, {0, 1, 2}, 0.4), plain_finished(outputs, {0, 1, 2}, 0.4, True))


# DETR, raw


def raw(seed: int, logits: bool) -> tuple[np.ndarray, np.ndarray]:
    """Class scores and boxes (centre and size in fractions)."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(-1, 2, (1, QUERIES, CLASSES)) if logits else rng.uniform(0, 1, (1, QUERIES, CLASSES)) ** 2
    return scores.astype(np.float32), rng.uniform(0, 1, (1, QUERIES, 4)).astype(np.float32)


@some_classes
@pytest.mark.parametrize("logits", [False, True], ids=["probabilities", "logits"])
@pytest.mark.parametrize("boxes_first", [False, True])
def test_raw_detr_queries_decode_as_loops_decode_them(
    tmp_path: Path, classes: set[int], logits: bool, boxes_first: bool
) -> None:
    head = make_head(card_for(tmp_path, {"type": "detr", "scores": "logit" if logits else "probability"}))
    for seed in range(3):
        scores, boxes = raw(seed, logits)
        outputs = {"boxes": boxes, "scores": scores} if boxes_first else {"scores": scores, "boxes": boxes}
        expected: list[Found] = []
        for i in range(QUERIES):
            x, y, w, h = boxes[0, i].tolist()
            box = corners(x * WIDTH, y * HEIGHT, w * WIDTH, h * HEIGHT)
            for label in classes:
                score = float(scores[0, i, label])
                score = sigmoid(score) if logits else score
                if score >= 0.4:
                    expected.append((score, label, box))
        assert_same(decode(head, outputs, classes, 0.4), expected)


def test_the_parts_of_a_detr_are_its_scores_best_first_whatever_the_order_of_the_queries(tmp_path: Path) -> None:
    head = make_head(card_for(tmp_path, {"type": "detr"}))
    outputs = finished(1)
    head.bind(outputs)
    expected = best_first(outputs["scores"][0].tolist())
    assert head.parts(outputs)["scores"].tolist() == expected
    order = np.random.default_rng(0).permutation(QUERIES)
    assert head.parts({n: a[:, order] for n, a in outputs.items()})["scores"].tolist() == expected
    scores, boxes = raw(2, False)
    outputs = {"s": scores, "b": boxes}
    head.bind(outputs)
    assert head.parts(outputs)["scores"].tolist() == best_first([max(row) for row in scores[0].tolist()])


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ({"b": (1, QUERIES, 5)}, "is [1, N, 4] (boxes), as the head detr and 5 labels need, but b [1, 40, 5]"),
        ({"b": (1, QUERIES, 4), "s": (1, QUERIES, 80)}, "[1, 40, 5] (class scores of the queries)"),
        ({"b": (1, QUERIES, 4), "s": (1, QUERIES)}, "but b [1, 40, 4], s [1, 40]"),
        ({"b": (1, QUERIES, 4), "s": (1, QUERIES), "t": (1, QUERIES)}, "but b [1, 40, 4], s [1, 40], t [1, 40]"),
    ],
    ids=["no boxes", "other labels", "no labels", "labels without a name"],
)
def test_outputs_that_are_no_detrs_are_refused_with_their_shapes(
    tmp_path: Path, outputs: dict[str, tuple[int, ...]], told: str
) -> None:
    card = card_for(tmp_path, {"type": "detr"})
    assert told in refusal(card, {name: np.zeros(shape, np.float32) for name, shape in outputs.items()})


@pytest.mark.parametrize("boxes_first", [False, True])
def test_scores_of_four_labels_are_not_taken_for_boxes(tmp_path: Path, boxes_first: bool) -> None:
    head = make_head(make_card(tmp_path, {"type": "detr"}, 4))
    scores, boxes = (np.full((1, QUERIES, 4), value, np.float32) for value in (0.75, 0.25))
    outputs = {"pred_boxes": boxes, "logits": scores} if boxes_first else {"logits": scores, "pred_boxes": boxes}
    head.bind(outputs)
    found, sure, _ = head.decode(outputs, np.arange(4), 0.5)
    assert sure.tolist() == [0.75] * 4 * QUERIES
    assert found[0].tolist() == [8.0, 8.0, 24.0, 24.0]


# SSD


def ssd_outputs(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "n": np.array([10], np.float32),
        "b": rng.uniform(0, 1, (1, 10, 4)).astype(np.float32),
        "c": rng.integers(0, CLASSES, (1, 10)).astype(np.float32),
        "s": rng.uniform(0, 1, (1, 10)).astype(np.float32),
    }


@some_classes
def test_ssd_boxes_come_as_top_left_bottom_right_in_fractions(tmp_path: Path, classes: set[int]) -> None:
    head, expected = make_head(card_for(tmp_path, SSD)), []
    outputs = ssd_outputs(5)
    for i in range(10):
        top, left, bottom, right = outputs["b"][0, i].tolist()
        score, label = float(outputs["s"][0, i]), int(outputs["c"][0, i])
        if label in classes and score >= 0.2:
            expected.append((score, label, (left * WIDTH, top * HEIGHT, right * WIDTH, bottom * HEIGHT)))
    assert_same(decode(head, outputs, classes, 0.2), expected)
    assert head.parts(outputs)["scores"].tolist() == best_first(outputs["s"][0].tolist())


def test_an_ssd_without_an_output_that_its_card_names_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    outputs = ssd_outputs(0)
    del outputs["c"]
    assert refusal(card_for(tmp_path, SSD), outputs) == (
        "small: the model's outputs are n [1], b [1, 10, 4], s [1, 10], the card names b, c and s"
    )


@pytest.mark.parametrize("swapped", [{"boxes": "s", "scores": "b"}, {"classes": "n"}, {"scores": "n"}])
def test_an_ssd_whose_outputs_are_confused_is_refused_with_their_shapes(
    tmp_path: Path, swapped: dict[str, str]
) -> None:
    message = refusal(card_for(tmp_path, {**SSD, **swapped}), ssd_outputs(0))
    assert message == (
        "small: an SSD gives boxes [1, N, 4], classes and scores [1, N]: the model has n [1], b [1, 10, 4], "
        "c [1, 10], s [1, 10]"
    )


# End to end


@some_classes
@pytest.mark.parametrize("unit", ["pixels", "fraction"])
@pytest.mark.parametrize("transposed", [False, True])
def test_end_to_end_rows_are_corners_score_and_class(
    tmp_path: Path, classes: set[int], unit: str, transposed: bool
) -> None:
    head = make_head(card_for(tmp_path, {"type": "end2end", "boxes": unit}))
    rng = np.random.default_rng(0)
    rows = np.hstack([rng.uniform(0, 1, (QUERIES, 5)), rng.integers(0, CLASSES, (QUERIES, 1))]).astype(np.float32)
    if unit == "pixels":
        rows[:, :4] *= 64
    scale = (WIDTH, HEIGHT, WIDTH, HEIGHT) if unit == "fraction" else (1, 1, 1, 1)
    expected = [
        (row[4], int(row[5]), tuple(v * s for v, s in zip(row[:4], scale, strict=True)))
        for row in rows.tolist() if row[4] >= 0.4 and int(row[5]) in classes
    ]  # fmt: skip
    outputs = {"o": np.ascontiguousarray(rows.T[None] if transposed else rows[None])}
    assert_same(decode(head, outputs, classes, 0.4), expected)
    assert head.parts(outputs)["scores"].tolist() == best_first(rows[:, 4].tolist())


def test_rows_of_another_width_are_no_end_to_end_models(tmp_path: Path) -> None:
    message = refusal(card_for(tmp_path, {"type": "end2end"}), {"o": np.zeros((1, 300, 84), np.float32)})
    assert "[1, N, 6] (corners, score and class), as the head end2end and 5 labels need, but o [1, 300, 84]" in message


@pytest.mark.parametrize(
    ("head", "finish"),
    [
        ({"type": "gfl", "strides": [8], "bins": 8}, "nms"),
        ({"type": "yolox", "strides": [8]}, "nms"),
        ({"type": "yolov5"}, "nms"),
        ({"type": "yolov8"}, "nms"),
        ({"type": "detr"}, "one_label"),
        (SSD, "none"),
        ({"type": "end2end"}, "none"),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else value,
)
def test_every_head_says_what_its_candidates_still_need(tmp_path: Path, head: dict[str, Any], finish: str) -> None:
    assert make_head(card_for(tmp_path, head)).finish == finish
