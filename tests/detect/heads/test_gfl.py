"""The GFL head: a distribution for each side of a box becomes pixels."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.detect.card import GflSpec, ModelCard, load_card
from soteirad.detect.heads import Head, make_head
from soteirad.errors import ModelError
from tests.detect.heads.plain import Found, assert_same, decode, sigmoid
from tests.detect.small import make_card

CARD = load_card("nanodet-g-416")
assert isinstance(CARD.head, GflSpec)
STRIDES, BINS = CARD.head.strides, CARD.head.bins
PERSON, CAR = CARD.class_index("person"), CARD.class_index("car")
CERTAIN = 60.0  # a logit that leaves nothing to the other bins


def bound_head(outputs: dict[str, np.ndarray]) -> Head:
    head = make_head(CARD)
    head.bind(outputs)
    return head


def quiet_outputs() -> dict[str, np.ndarray]:
    outputs = {}
    for stride in STRIDES:
        cells = (416 // stride) ** 2
        outputs[f"scores_{stride}"] = np.zeros((1, cells, 80), np.float32)
        outputs[f"boxes_{stride}"] = np.zeros((1, cells, 4 * BINS), np.float32)
    return outputs


def put(outputs: dict[str, np.ndarray], stride: int, column: int, row: int, label: int, score: float,
        sides: tuple[float, float, float, float]) -> None:  # fmt: skip
    """Put an object into one cell: `sides` are distances in strides, shared out between the two nearest bins."""
    cell = row * (416 // stride) + column
    outputs[f"scores_{stride}"][0, cell, label] = score
    logits = np.full((4, BINS), -CERTAIN, np.float32)
    for side, distance in enumerate(sides):
        low = min(int(distance), BINS - 2)
        share = distance - low
        for at, weight in ((low, 1 - share), (low + 1, share)):
            if weight > 0:
                logits[side, at] = np.log(weight)
    outputs[f"boxes_{stride}"][0, cell] = logits.reshape(-1)


def test_a_known_distribution_decodes_to_the_known_box() -> None:
    """The cell in column 5, row 3 of stride 16 has its centre at (88, 56)."""
    outputs = quiet_outputs()
    put(outputs, 16, 5, 3, PERSON, 0.9, (2.0, 1.5, 3.25, 4.0))
    boxes, scores, classes = bound_head(outputs).decode(outputs, np.array([PERSON, CAR]), 0.4)
    assert boxes.tolist() == [pytest.approx([88 - 32, 56 - 24, 88 + 52, 56 + 64], abs=1e-3)]
    assert scores.tolist() == [pytest.approx(0.9)]
    assert classes.tolist() == [PERSON]


def test_a_flat_distribution_is_the_middle_of_its_range() -> None:
    outputs = quiet_outputs()
    outputs["scores_8"][0, 0, PERSON] = 0.5
    boxes, _, _ = bound_head(outputs).decode(outputs, np.array([PERSON]), 0.4)
    assert boxes.tolist() == [pytest.approx([4 - 40, 4 - 40, 4 + 40, 4 + 40], abs=1e-3)]


sides = st.tuples(*[st.floats(0.0, 10.0)] * 4)


@given(st.sampled_from(STRIDES), st.integers(0, 12), st.integers(0, 12), sides)
def test_every_level_decodes_its_boxes_around_the_centre_of_the_cell(
    stride: int, column: int, row: int, distances: tuple[float, float, float, float]
) -> None:
    outputs = quiet_outputs()
    put(outputs, stride, column, row, CAR, 0.7, distances)
    boxes, _, _ = bound_head(outputs).decode(outputs, np.array([CAR]), 0.4)
    x, y = (column + 0.5) * stride, (row + 0.5) * stride
    left, top, right, bottom = (d * stride for d in distances)
    assert boxes.shape == (1, 4)
    assert boxes[0] == pytest.approx(np.array([x - left, y - top, x + right, y + bottom]), abs=0.05)


def test_labels_that_nobody_asked_for_and_low_scores_are_not_decoded() -> None:
    outputs = quiet_outputs()
    put(outputs, 8, 1, 1, CAR, 0.9, (1, 1, 1, 1))
    put(outputs, 8, 2, 2, PERSON, 0.39, (1, 1, 1, 1))
    boxes, scores, classes = bound_head(outputs).decode(outputs, np.array([PERSON]), 0.4)
    assert (boxes.shape, scores.shape, classes.shape) == ((0, 4), (0,), (0,))


def test_one_cell_may_hold_two_labels() -> None:
    outputs = quiet_outputs()
    put(outputs, 32, 4, 4, PERSON, 0.8, (1, 1, 1, 1))
    outputs["scores_32"][0, 4 * 13 + 4, CAR] = 0.6
    boxes, scores, classes = bound_head(outputs).decode(outputs, np.array([PERSON, CAR]), 0.4)
    assert dict(zip(classes.tolist(), scores.tolist(), strict=True)) == pytest.approx({PERSON: 0.8, CAR: 0.6})
    assert np.array_equal(boxes[0], boxes[1])


def test_extreme_logits_do_not_overflow() -> None:
    outputs = quiet_outputs()
    put(outputs, 16, 5, 5, PERSON, 0.9, (1, 2, 3, 4))
    outputs["boxes_16"][0, 5 * 26 + 5] += 500
    boxes, _, _ = bound_head(outputs).decode(outputs, np.array([PERSON]), 0.4)
    assert boxes.tolist() == [pytest.approx([88 - 16, 88 - 32, 88 + 48, 88 + 64], abs=1e-2)]


# Against loops: an input of 70 x 50, whose cells at the right and at the bottom are not whole.

WIDTH, HEIGHT, LEVELS, SOME_BINS, CLASSES = 70, 50, (8, 16, 32, 64), 6, 5


def small_card(folder: Path, scores: str = "probability") -> ModelCard:
    head = {"type": "gfl", "strides": LEVELS, "bins": SOME_BINS, "scores": scores}
    return make_card(folder, head, CLASSES, WIDTH, HEIGHT)


def columns_and_rows(stride: int) -> tuple[int, int]:
    return math.ceil(WIDTH / stride), math.ceil(HEIGHT / stride)


def random_levels(seed: int, logits: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scores (cells, classes) and distributions (cells, 4 * bins) of each level."""
    rng = np.random.default_rng(seed)
    levels = []
    for stride in LEVELS:
        cells = math.prod(columns_and_rows(stride))
        scores = rng.normal(-2, 2, (cells, CLASSES)) if logits else rng.uniform(0, 1, (cells, CLASSES)) ** 3
        levels.append((scores.astype(np.float32), rng.normal(0, 3, (cells, 4 * SOME_BINS)).astype(np.float32)))
    return levels


def plain(levels: list[tuple[np.ndarray, np.ndarray]], classes: set[int], least: float, logits: bool) -> list[Found]:
    found: list[Found] = []
    for stride, (scores, distributions) in zip(LEVELS, levels, strict=True):
        columns, _ = columns_and_rows(stride)
        for cell, row in enumerate(scores.tolist()):
            x, y = (cell % columns + 0.5) * stride, (cell // columns + 0.5) * stride
            distances = []
            for side in range(4):
                weights = [math.exp(v) for v in distributions[cell, side * SOME_BINS : (side + 1) * SOME_BINS].tolist()]
                distances.append(sum(i * w for i, w in enumerate(weights)) / sum(weights) * stride)
            box = (x - distances[0], y - distances[1], x + distances[2], y + distances[3])
            for label in classes:
                score = sigmoid(row[label]) if logits else row[label]
                if score >= least:
                    found.append((score, label, box))
    return found


def pairs(levels: list[tuple[np.ndarray, np.ndarray]], transposed: bool, shuffled: bool) -> dict[str, np.ndarray]:
    arrays = [array.T[None] if transposed else array[None] for level in levels for array in level]
    order = np.random.default_rng(1).permutation(len(arrays)) if shuffled else range(len(arrays))
    return {f"out{i}": arrays[i] for i in order}


def joined(levels: list[tuple[np.ndarray, np.ndarray]], transposed: bool) -> dict[str, np.ndarray]:
    whole = np.concatenate([np.concatenate(level, axis=1) for level in levels])
    return {"out": np.ascontiguousarray(whole.T[None] if transposed else whole[None])}


@pytest.mark.parametrize("layout", ["pairs", "shuffled pairs", "transposed pairs", "joined", "transposed joined"])
@pytest.mark.parametrize("scores", ["probability", "logit"])
@pytest.mark.parametrize("classes", [{0, 1, 2, 3, 4}, {1, 4}])
def test_random_outputs_decode_as_loops_decode_them(
    tmp_path: Path, layout: str, scores: str, classes: set[int]
) -> None:
    logits, transposed = scores == "logit", "transposed" in layout
    head = make_head(small_card(tmp_path, scores))
    for seed in range(3):
        levels = random_levels(seed, logits)
        outputs = joined(levels, transposed) if "joined" in layout else pairs(levels, transposed, "shuffled" in layout)
        assert_same(decode(head, outputs, classes, 0.35), plain(levels, classes, 0.35, logits))


@pytest.mark.parametrize("transposed", [False, True])
def test_distributions_in_half_precision_are_as_exact_as_the_same_numbers_in_single_precision(
    tmp_path: Path, transposed: bool
) -> None:
    head = make_head(small_card(tmp_path))
    halves = joined(random_levels(0, False), transposed)["out"].astype(np.float16)
    found = []
    for outputs in ({"out": halves}, {"out": halves.astype(np.float32)}):
        head.bind(outputs)
        found.append(head.decode(outputs, np.arange(CLASSES), 0.5))
    (boxes, _, labels), (expected, _, same_labels) = found
    assert len(labels)
    assert np.array_equal(labels, same_labels)
    assert boxes.dtype == np.float32
    assert np.array_equal(boxes, expected)


def test_a_head_that_was_bound_to_joined_outputs_can_be_bound_to_pairs(tmp_path: Path) -> None:
    """`load` after `close` may open a file of another format."""
    head, levels = make_head(small_card(tmp_path)), random_levels(0, False)
    head.bind(joined(levels, False))
    expected = plain(levels, {0}, 0.35, False)
    assert_same(decode(head, pairs(levels, False, False), {0}, 0.35), expected)
    assert_same(decode(head, joined(levels, True), {0}, 0.35), expected)


@pytest.mark.parametrize("scores", ["probability", "logit"])
def test_the_parts_are_the_raw_numbers_in_one_order_whatever_the_layout(tmp_path: Path, scores: str) -> None:
    levels, head = random_levels(4, scores == "logit"), make_head(small_card(tmp_path, scores))
    layouts = pairs(levels, False, True), pairs(levels, True, False), joined(levels, False), joined(levels, True)
    for outputs in layouts:
        head.bind(outputs)
        parts = head.parts(outputs)
        assert sorted(parts) == ["boxes", "scores"]
        assert np.array_equal(parts["scores"], np.concatenate([s for s, _ in levels]))
        assert np.array_equal(parts["boxes"], np.concatenate([b for _, b in levels]))


@pytest.mark.parametrize("least", [0.0, 1.0])
def test_scores_at_the_ends_of_their_range_decode_without_a_warning(tmp_path: Path, least: float) -> None:
    levels = random_levels(0, True)
    levels[0][0][3, 2] = 200.0
    levels[0][0][4, 2] = -200.0
    found = decode(make_head(small_card(tmp_path, "logit")), pairs(levels, False, False), {2}, least)
    cells = sum(math.prod(columns_and_rows(s)) for s in LEVELS)
    assert len(found) == (cells if least == 0.0 else 0)
    assert all(0.0 <= score <= 1.0 for score, _, _ in found)


def test_another_number_of_bins_than_the_cards_is_refused_with_both_shapes(tmp_path: Path) -> None:
    outputs = pairs(random_levels(0, False), False, False)
    card = small_card(tmp_path)
    other = card.model_copy(update={"head": card.head.model_copy(update={"bins": 7})})
    with pytest.raises(ModelError) as caught:
        make_head(other).bind(outputs)
    message = str(caught.value)
    assert "no output of the model is [1, 63, 28] (box distributions at stride 8)" in message
    assert "as the head gfl and 5 labels need, but out0 [1, 63, 5], out1 [1, 63, 24]" in message


def test_a_model_without_one_of_the_outputs_or_with_other_labels_is_refused(tmp_path: Path) -> None:
    outputs = pairs(random_levels(0, False), False, False)
    del outputs["out4"]
    with pytest.raises(ModelError, match=r"no output of the model is \[1, 6, 5\] \(class scores at stride 32\)"):
        make_head(small_card(tmp_path)).bind(outputs)
    card = make_card(tmp_path, {"type": "gfl", "strides": LEVELS, "bins": SOME_BINS}, 4, WIDTH, HEIGHT)
    with pytest.raises(ModelError, match=r"is \[1, 63, 4\] \(class scores at stride 8\), .* gfl and 4 labels need"):
        make_head(card).bind(pairs(random_levels(0, False), False, False))


@pytest.mark.parametrize("boxes_first", [False, True])
def test_scores_and_distributions_of_one_shape_are_told_apart_by_their_numbers(
    tmp_path: Path, boxes_first: bool
) -> None:
    """24 labels and four distributions of 6 bins: probabilities stay between 0 and 1, the others do not."""
    card = make_card(tmp_path, {"type": "gfl", "strides": [32], "bins": 6}, 24)
    rng = np.random.default_rng(0)
    scores, boxes = (a.astype(np.float32) for a in (rng.uniform(0, 1, (1, 4, 24)), rng.normal(0, 3, (1, 4, 24))))
    outputs = {"b": boxes, "s": scores} if boxes_first else {"s": scores, "b": boxes}
    head = make_head(card)
    head.bind(outputs)
    parts = head.parts(outputs)
    assert np.array_equal(parts["scores"], scores[0])
    assert np.array_equal(parts["boxes"], boxes[0])
