"""The YOLO heads, against loops written from their formulas."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from soteirad.detect.heads import make_head
from soteirad.errors import ModelError
from tests.detect.heads.plain import Found, assert_same, corners, decode
from tests.detect.small import make_card

WIDTH, HEIGHT, CLASSES, STRIDES = 70, 50, 5, (8, 16, 32)
CELLS = [
    (stride, column, row)
    for stride in STRIDES
    for row in range(math.ceil(HEIGHT / stride))
    for column in range(math.ceil(WIDTH / stride))
]


def layout(rows: np.ndarray, transposed: bool) -> dict[str, np.ndarray]:
    return {"output0": np.ascontiguousarray(rows.T[None] if transposed else rows[None]).astype(np.float32)}


def random_boxes(rng: np.random.Generator, n: int, unit: str) -> np.ndarray:
    """Centre, width and height; some reach out of the input."""
    boxes = rng.uniform(0, 1, (n, 4)).astype(np.float32)
    return boxes if unit == "fraction" else boxes * np.array([WIDTH, HEIGHT, WIDTH, HEIGHT], np.float32)


def in_pixels(box: list[float], unit: str) -> tuple[float, ...]:
    x, y, w, h = box
    if unit == "fraction":
        x, y, w, h = x * WIDTH, y * HEIGHT, w * WIDTH, h * HEIGHT
    return corners(x, y, w, h)


every_layout = pytest.mark.parametrize("transposed", [False, True], ids=["rows", "columns"])
every_unit = pytest.mark.parametrize("unit", ["pixels", "fraction"])
some_classes = pytest.mark.parametrize("classes", [{0, 1, 2, 3, 4}, {1, 4}, {3}], ids=str)


def plain_v5(rows: np.ndarray, classes: set[int], least: float, unit: str) -> list[Found]:
    found = []
    for row in rows.tolist():
        for label in classes:
            score = row[4] * row[5 + label]
            if score >= least:
                found.append((score, label, in_pixels(row[:4], unit)))
    return found


@every_layout
@every_unit
@some_classes
def test_yolov5_rows_decode_as_loops_decode_them(
    tmp_path: Path, transposed: bool, unit: str, classes: set[int]
) -> None:
    head = make_head(make_card(tmp_path, {"type": "yolov5", "boxes": unit}, CLASSES, WIDTH, HEIGHT))
    for seed in range(3):
        rng = np.random.default_rng(seed)
        rows = np.hstack([random_boxes(rng, 200, unit), rng.uniform(0, 1, (200, 1 + CLASSES))]).astype(np.float32)
        found = decode(head, layout(rows, transposed), classes, 0.4)
        assert_same(found, plain_v5(rows, classes, 0.4, unit))


def plain_v8(rows: np.ndarray, classes: set[int], least: float, unit: str) -> list[Found]:
    found = []
    for row in rows.tolist():
        for label in classes:
            if row[4 + label] >= least:
                found.append((row[4 + label], label, in_pixels(row[:4], unit)))
    return found


@every_layout
@every_unit
@some_classes
def test_yolov8_columns_decode_as_loops_decode_them(
    tmp_path: Path, transposed: bool, unit: str, classes: set[int]
) -> None:
    head = make_head(make_card(tmp_path, {"type": "yolov8", "boxes": unit}, CLASSES, WIDTH, HEIGHT))
    for seed in range(3):
        rng = np.random.default_rng(seed)
        rows = np.hstack([random_boxes(rng, 200, unit), rng.uniform(0, 1, (200, CLASSES))]).astype(np.float32)
        found = decode(head, layout(rows, transposed), classes, 0.6)
        assert_same(found, plain_v8(rows, classes, 0.6, unit))


def plain_x(rows: np.ndarray, classes: set[int], least: float) -> list[Found]:
    found = []
    for (stride, column, line), row in zip(CELLS, rows.tolist(), strict=True):
        x, y = (row[0] + column) * stride, (row[1] + line) * stride
        width, height = math.exp(row[2]) * stride, math.exp(row[3]) * stride
        for label in classes:
            score = row[4] * row[5 + label]
            if score >= least:
                found.append((score, label, corners(x, y, width, height)))
    return found


def random_x(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    n = len(CELLS)
    numbers = [rng.normal(0.5, 1, (n, 2)), rng.normal(0, 1, (n, 2)), rng.uniform(0, 1, (n, 1 + CLASSES))]
    return np.hstack(numbers).astype(np.float32)


@every_layout
@some_classes
def test_yolox_rows_decode_as_loops_decode_them(tmp_path: Path, transposed: bool, classes: set[int]) -> None:
    head = make_head(make_card(tmp_path, {"type": "yolox", "strides": STRIDES}, CLASSES, WIDTH, HEIGHT))
    for seed in range(3):
        rows = random_x(seed)
        assert_same(decode(head, layout(rows, transposed), classes, 0.4), plain_x(rows, classes, 0.4))


def test_a_wild_size_of_yolox_stays_a_number(tmp_path: Path) -> None:
    rows = random_x(0)
    rows[7] = [0, 0, 1e4, 1e4, 1, 1, 0, 0, 0, 0]
    found = decode(make_head(make_card(tmp_path, {"type": "yolox", "strides": STRIDES}, CLASSES, WIDTH, HEIGHT)),
                   layout(rows, False), {0}, 0.999)  # fmt: skip
    assert len(found) == 1
    assert np.isfinite(found[0][2]).all()


HEADS = {"yolov5": ({}, 5), "yolov8": ({}, 4), "yolox": ({"strides": STRIDES}, 5)}


@pytest.mark.parametrize("kind", HEADS)
def test_scores_below_the_least_give_no_candidates_of_the_right_shape(tmp_path: Path, kind: str) -> None:
    more, before = HEADS[kind]
    head = make_head(make_card(tmp_path, {"type": kind, **more}, CLASSES, WIDTH, HEIGHT))
    assert decode(head, layout(np.full((len(CELLS), before + CLASSES), 0.3), False), {0, 1}, 0.4) == []
    assert decode(head, layout(np.full((len(CELLS), before + CLASSES), 0.9), False), set(), 0.4) == []


@pytest.mark.parametrize(
    ("kind", "role"),
    [
        ("yolov5", "[1, N, 10] (boxes, objectness and classes)"),
        ("yolov8", "[1, N, 9] (boxes and classes)"),
        ("yolox", "[1, 89, 10] (boxes, objectness and classes)"),
    ],
)
def test_outputs_of_another_number_of_labels_are_refused_with_both_shapes(
    tmp_path: Path, kind: str, role: str
) -> None:
    more, before = HEADS[kind]
    head = make_head(make_card(tmp_path, {"type": kind, **more}, CLASSES, WIDTH, HEIGHT))
    with pytest.raises(ModelError) as caught:
        head.bind(layout(np.zeros((len(CELLS), before + 4)), False))
    assert str(caught.value) == (
        f"small: no output of the model is {role}, as the head {kind} and 5 labels need, "
        f"but output0 [1, 89, {before + 4}]"
    )


def test_yolox_refuses_another_number_of_rows_than_it_has_cells(tmp_path: Path) -> None:
    head = make_head(make_card(tmp_path, {"type": "yolox", "strides": STRIDES}, CLASSES, WIDTH, HEIGHT))
    with pytest.raises(ModelError, match=r"but output0 \[1, 267, 10\]"):
        head.bind(layout(np.zeros((3 * len(CELLS), 10)), False))


@every_layout
@pytest.mark.parametrize("kind", ["yolov5", "yolov8"])
@every_unit
def test_the_parts_are_scores_and_boxes_in_pixels_whatever_the_layout_and_unit(
    tmp_path: Path, kind: str, unit: str, transposed: bool
) -> None:
    head = make_head(make_card(tmp_path, {"type": kind, "boxes": unit}, CLASSES, WIDTH, HEIGHT))
    rng = np.random.default_rng(1)
    boxes, numbers = random_boxes(rng, 30, unit), rng.uniform(0, 1, (30, HEADS[kind][1] - 4 + CLASSES))
    outputs = layout(np.hstack([boxes, numbers]), transposed)
    head.bind(outputs)
    parts = head.parts(outputs)
    size = np.array([WIDTH, HEIGHT] * 2) if unit == "fraction" else 1
    assert sorted(parts) == ["boxes", "scores"]
    assert parts["boxes"] == pytest.approx(boxes * size, abs=1e-4)
    scores = numbers if kind == "yolov8" else numbers[:, :1] * numbers[:, 1:]
    assert parts["scores"] == pytest.approx(scores, abs=1e-6)


@every_layout
def test_the_parts_of_yolox_are_scores_and_boxes_as_the_model_gives_them(tmp_path: Path, transposed: bool) -> None:
    head = make_head(make_card(tmp_path, {"type": "yolox", "strides": STRIDES}, CLASSES, WIDTH, HEIGHT))
    rows = random_x(3)
    outputs = layout(rows, transposed)
    head.bind(outputs)
    parts = head.parts(outputs)
    assert np.array_equal(parts["boxes"], rows[:, :4])
    assert parts["scores"] == pytest.approx(rows[:, 4:5] * rows[:, 5:], abs=1e-6)
