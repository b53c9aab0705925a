"""Non-maximum suppression and IoU, against plain reference implementations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from soteirad.detect.detection import Detections
from soteirad.detect.nms import areas, best, iou_matrix, iou_of, nms, one_label

Box = tuple[float, float, float, float]


def plain_iou(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(0.0, width) * max(0.0, height)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
    return overlap / union if union > 0 else 0.0


def plain_nms(rows: list[tuple[Box, float, int]], iou: float, limit: int) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(rows)), key=lambda k: -rows[k][1]):
        box, _, label = rows[i]
        if all(rows[k][2] != label or plain_iou(rows[k][0], box) <= iou for k in kept):
            kept.append(i)
    return kept[:limit]


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    """Draw boxes with whole corners, some of them partly outside the picture, as a head gives them."""
    x, y = draw(st.integers(-300, 416)), draw(st.integers(-300, 416))
    return float(x), float(y), float(x + draw(st.integers(1, 500))), float(y + draw(st.integers(1, 500)))


@st.composite
def candidates(draw: st.DrawFn) -> list[tuple[Box, float, int]]:
    """Draw candidates with scores that all differ, so that their order is certain."""
    count = draw(st.integers(1, 30))
    scores = draw(st.permutations(range(1, count + 1)))
    near = draw(st.lists(boxes(), min_size=1, max_size=4))
    rows = []
    for score in scores:
        x1, y1, x2, y2 = draw(st.sampled_from(near))
        shift = draw(st.integers(-12, 12))
        rows.append(((x1 + shift, y1, x2 + shift, y2), score / (count + 1), draw(st.integers(0, 2))))
    return rows


def run(rows: list[tuple[Box, float, int]], iou: float, limit: int = 100) -> list[tuple[Box, float, int]]:
    found = nms(
        np.array([r[0] for r in rows], np.float32), np.array([r[1] for r in rows], np.float32),
        np.array([r[2] for r in rows], np.int64), iou, limit,
    )  # fmt: skip
    assert found.boxes.dtype == np.float32
    return [
        (tuple(b), s, c)
        for b, s, c in zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True)
    ]


@given(candidates(), st.sampled_from([0.3, 0.513, 0.7]), st.integers(1, 30))
@example([((100.0, 100.0, 416.0, 416.0), 0.9, 0), ((-317.0, -317.0, 0.0, 0.0), 0.8, 1)], 0.7, 30)
def test_nms_keeps_what_a_plain_implementation_keeps(
    rows: list[tuple[Box, float, int]], iou: float, limit: int
) -> None:
    """The example is two labels in opposite corners, one box reaching out of the picture."""
    expected = [rows[i] for i in plain_nms(rows, iou, limit)]
    assert run(rows, iou, limit) == [(box, pytest.approx(score), label) for box, score, label in expected]


@given(st.lists(boxes(), min_size=1, max_size=6), st.lists(boxes(), min_size=1, max_size=6))
def test_the_iou_matrix_holds_the_plain_iou_of_every_pair(a: list[Box], b: list[Box]) -> None:
    found = iou_matrix(np.array(a, np.float32), np.array(b, np.float32))
    assert found.shape == (len(a), len(b))
    expected = [[plain_iou(x, y) for y in b] for x in a]
    assert found == pytest.approx(np.array(expected), abs=1e-5)


def test_empty_and_inverted_boxes_have_no_area_and_overlap_nothing() -> None:
    odd = np.array([[0.2, 0.2, 0.2, 0.4], [0.5, 0.5, 0.3, 0.3]], np.float32)
    assert areas(odd).tolist() == [0.0, 0.0]
    assert iou_matrix(odd, odd).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_no_candidates_give_no_detections() -> None:
    found = nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), 0.5)
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)


def test_the_best_box_comes_first_and_equal_boxes_of_two_labels_both_stay() -> None:
    box = (10.0, 10.0, 50.0, 50.0)
    found = run([(box, 0.3, 0), (box, 0.9, 1), (box, 0.8, 1)], 0.5)
    assert [(round(score, 3), label) for _, score, label in found] == [(0.9, 1), (0.3, 0)]


def test_boxes_of_one_score_keep_their_order_behind_better_ones_and_a_score_of_zero_is_none() -> None:
    scores = [0.5, 0.25, 0.75, 0.5, 0.0, 0.25, 0.5, 0.75]
    rows = [((60.0 * i, 0.0, 60.0 * i + 50, 50.0), score, i % 3) for i, score in enumerate(scores)]
    assert run(rows, 0.5) == [rows[i] for i in (2, 7, 0, 3, 6, 1, 5)]
    assert run(rows, 0.5, 4) == [rows[i] for i in (2, 7, 0, 3)]


def test_a_flood_of_candidates_near_zero_does_not_push_out_a_clear_one() -> None:
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 300, (60_000, 2))
    flood = np.concatenate([corners, corners + rng.uniform(5, 100, (60_000, 2))], axis=1).astype(np.float32)
    scores = rng.uniform(0.01, 0.05, 60_000).astype(np.float32)
    scores[41_234] = 0.9
    found = nms(flood, scores, rng.integers(0, 80, 60_000), 0.6)
    assert len(found) == 100
    assert found.boxes[0].tolist() == flood[41_234].tolist()


def test_ten_thousand_candidates_keep_what_a_plain_implementation_keeps_of_the_best() -> None:
    rng = np.random.default_rng(5)
    corner = rng.integers(0, 300, (10_000, 2))
    boxes_ = np.concatenate([corner, corner + rng.integers(20, 200, (10_000, 2))], axis=1).astype(np.float32)
    scores = (rng.permutation(10_000) / 10_001).astype(np.float32)
    classes = rng.integers(0, 5, 10_000)
    rows = [(tuple(b), s, c) for b, s, c in zip(boxes_.tolist(), scores.tolist(), classes.tolist(), strict=True)]
    found = nms(boxes_, scores, classes, 0.5, 60)
    assert len(found) == 60
    likely = sorted(rows, key=lambda row: -row[1])[:1000]
    expected = plain_nms(likely, 0.5, 60)
    assert len(expected) == 60
    assert found.scores.tolist() == [likely[i][1] for i in expected]
    assert found.boxes.tolist() == [list(likely[i][0]) for i in expected]
    assert found.classes.tolist() == [likely[i][2] for i in expected]


def arrays(rows: list[tuple[Box, float, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (np.array([r[0] for r in rows], np.float32).reshape(-1, 4), np.array([r[1] for r in rows], np.float32),
            np.array([r[2] for r in rows], np.int64))  # fmt: skip


ONE, OTHER = (1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 3.0, 4.5)


def test_best_sorts_and_limits_and_suppresses_nothing() -> None:
    found = best(*arrays([(ONE, 0.2, 0), (ONE, 0.9, 1), (OTHER, 0.5, 2), (ONE, 0.9, 3)]), limit=3)
    assert found.classes.tolist() == [1, 3, 2]
    assert found.scores.tolist() == pytest.approx([0.9, 0.9, 0.5])
    assert found.boxes.tolist() == [list(ONE), list(ONE), list(OTHER)]


def test_one_label_keeps_the_best_label_of_a_box_and_all_boxes_that_differ() -> None:
    found = one_label(*arrays([(ONE, 0.2, 0), (OTHER, 0.3, 1), (ONE, 0.9, 2), (OTHER, 0.25, 3)]))
    assert found.classes.tolist() == [2, 1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.3])
    assert found.boxes.tolist() == [list(ONE), list(OTHER)]


@given(candidates(), st.integers(1, 30))
def test_one_label_keeps_what_a_plain_loop_keeps(rows: list[tuple[Box, float, int]], limit: int) -> None:
    expected: list[tuple[Box, float, int]] = []
    for row in sorted(rows, key=lambda r: -r[1]):
        if all(row[0] != kept[0] for kept in expected):
            expected.append(row)
    found = one_label(*arrays(rows), limit)
    assert found.boxes.tolist() == [list(box) for box, _, _ in expected[:limit]]
    assert found.scores.tolist() == pytest.approx([score for _, score, _ in expected[:limit]])
    assert found.classes.tolist() == [label for _, _, label in expected[:limit]]


@pytest.mark.parametrize("finish", [best, one_label])
def test_no_candidates_stay_none_without_suppression_too(finish: Callable[..., Detections]) -> None:
    found = finish(*arrays([]))
    assert (found.boxes.shape, found.scores.shape, found.classes.shape) == ((0, 4), (0,), (0,))


def test_ten_thousand_candidates_without_suppression_leave_the_hundred_best() -> None:
    rng = np.random.default_rng(6)
    rows = (rng.uniform(0, 400, (10_000, 4)).astype(np.float32), (rng.permutation(10_000) / 10_000).astype(np.float32),
            rng.integers(0, 80, 10_000))  # fmt: skip
    hundred = np.sort(rows[1])[::-1][:100].tolist()
    assert best(*rows).scores.tolist() == hundred
    assert one_label(*rows).scores.tolist() == hundred


@given(st.lists(st.floats(0, 1, width=32), min_size=8, max_size=8))
def test_the_iou_of_two_boxes_is_that_of_the_matrix(n: list[float]) -> None:
    corners = [[*sorted(n[i : i + 2]), *sorted(n[i + 2 : i + 4])] for i in (0, 4)]
    boxes = np.array(corners, np.float32)[:, [0, 2, 1, 3]]
    matrix = iou_matrix(boxes[:1], boxes[1:])
    assert iou_of(*boxes.tolist()) == pytest.approx(float(matrix[0, 0]), abs=1e-4)
