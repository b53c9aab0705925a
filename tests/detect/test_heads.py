"""The GFL head: a distribution for each side of a box becomes pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.detect.card import load_card
from soteirad.detect.heads import GflHead

CARD = load_card("nanodet-g-416")
PERSON, CAR = CARD.class_index("person"), CARD.class_index("car")
CERTAIN = 60.0  # a logit that leaves nothing to the other bins


def quiet_outputs() -> dict[str, np.ndarray]:
    outputs = {}
    for stride in CARD.strides:
        cells = (416 // stride) ** 2
        outputs[f"scores_{stride}"] = np.zeros((1, cells, 80), np.float32)
        outputs[f"boxes_{stride}"] = np.zeros((1, cells, 4 * CARD.bins), np.float32)
    return outputs


def put(outputs: dict[str, np.ndarray], stride: int, column: int, row: int, label: int, score: float,
        sides: tuple[float, float, float, float]) -> None:  # fmt: skip
    """Put an object into one cell: `sides` are distances in strides, shared out between the two nearest bins."""
    cell = row * (416 // stride) + column
    outputs[f"scores_{stride}"][0, cell, label] = score
    logits = np.full((4, CARD.bins), -CERTAIN, np.float32)
    for side, distance in enumerate(sides):
        low = min(int(distance), CARD.bins - 2)
        share = distance - low
        for at, weight in ((low, 1 - share), (low + 1, share)):
            if weight > 0:
                logits[side, at] = np.log(weight)
    outputs[f"boxes_{stride}"][0, cell] = logits.reshape(-1)


def test_a_known_distribution_decodes_to_the_known_box() -> None:
    """The cell in column 5, row 3 of stride 16 has its centre at (88, 56)."""
    outputs = quiet_outputs()
    put(outputs, 16, 5, 3, PERSON, 0.9, (2.0, 1.5, 3.25, 4.0))
    boxes, scores, classes = GflHead(CARD).decode(outputs, np.array([PERSON, CAR]), 0.4)
    assert boxes.tolist() == [pytest.approx([88 - 32, 56 - 24, 88 + 52, 56 + 64], abs=1e-3)]
    assert scores.tolist() == [pytest.approx(0.9)]
    assert classes.tolist() == [PERSON]


def test_a_flat_distribution_is_the_middle_of_its_range() -> None:
    outputs = quiet_outputs()
    outputs["scores_8"][0, 0, PERSON] = 0.5
    boxes, _, _ = GflHead(CARD).decode(outputs, np.array([PERSON]), 0.4)
    assert boxes.tolist() == [pytest.approx([4 - 40, 4 - 40, 4 + 40, 4 + 40], abs=1e-3)]


sides = st.tuples(*[st.floats(0.0, 10.0)] * 4)


@given(st.sampled_from(CARD.strides), st.integers(0, 12), st.integers(0, 12), sides)
def test_every_level_decodes_its_boxes_around_the_centre_of_the_cell(
    stride: int, column: int, row: int, distances: tuple[float, float, float, float]
) -> None:
    outputs = quiet_outputs()
    put(outputs, stride, column, row, CAR, 0.7, distances)
    boxes, _, _ = GflHead(CARD).decode(outputs, np.array([CAR]), 0.4)
    x, y = (column + 0.5) * stride, (row + 0.5) * stride
    left, top, right, bottom = (d * stride for d in distances)
    assert boxes.shape == (1, 4)
    assert boxes[0] == pytest.approx(np.array([x - left, y - top, x + right, y + bottom]), abs=0.05)


def test_labels_that_nobody_asked_for_and_low_scores_are_not_decoded() -> None:
    outputs = quiet_outputs()
    put(outputs, 8, 1, 1, CAR, 0.9, (1, 1, 1, 1))
    put(outputs, 8, 2, 2, PERSON, 0.39, (1, 1, 1, 1))
    boxes, scores, classes = GflHead(CARD).decode(outputs, np.array([PERSON]), 0.4)
    assert (boxes.shape, scores.shape, classes.shape) == ((0, 4), (0,), (0,))


def test_one_cell_may_hold_two_labels() -> None:
    outputs = quiet_outputs()
    put(outputs, 32, 4, 4, PERSON, 0.8, (1, 1, 1, 1))
    outputs["scores_32"][0, 4 * 13 + 4, CAR] = 0.6
    boxes, scores, classes = GflHead(CARD).decode(outputs, np.array([PERSON, CAR]), 0.4)
    assert dict(zip(classes.tolist(), scores.tolist(), strict=True)) == pytest.approx({PERSON: 0.8, CAR: 0.6})
    assert np.array_equal(boxes[0], boxes[1])


def test_extreme_logits_do_not_overflow() -> None:
    outputs = quiet_outputs()
    put(outputs, 16, 5, 5, PERSON, 0.9, (1, 2, 3, 4))
    outputs["boxes_16"][0, 5 * 26 + 5] += 500
    boxes, _, _ = GflHead(CARD).decode(outputs, np.array([PERSON]), 0.4)
    assert boxes.tolist() == [pytest.approx([88 - 16, 88 - 32, 88 + 48, 88 + 64], abs=1e-2)]
