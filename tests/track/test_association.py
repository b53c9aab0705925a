"""How boxes are compared and paired."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.detect.nms import iou_matrix
from soteirad.gates.geometry import Box
from soteirad.track.association import Candidate, Likeness, covered, echoes, hidden_share, match, meeting, nearness


def some_boxes(count: int, seed: int) -> list[Box]:
    """Return boxes of very different sizes, many of which overlap."""
    rng = random.Random(seed)
    corners = [(rng.uniform(-0.1, 0.8), rng.uniform(-0.1, 0.8)) for _ in range(count)]
    return [(x, y, x + rng.uniform(0.02, 0.4), y + rng.uniform(0.02, 0.4)) for x, y in corners]


def test_the_same_box_is_as_alike_as_can_be() -> None:
    assert Likeness.of((0.1, 0.1, 0.2, 0.4), (0.1, 0.1, 0.2, 0.4)) == pytest.approx((1, 1, 1, False))


def test_nearness_is_zero_one_mean_diagonal_away() -> None:
    like = Likeness.of((0, 0, 0.3, 0.4), (0.5, 0, 0.8, 0.4))
    assert like.nearness == pytest.approx(0, abs=1e-6)
    assert like.overlap == 0


def test_the_ratio_of_areas_is_the_same_whichever_is_larger_and_that_is_told() -> None:
    large, small = (0, 0, 0.4, 0.4), (0, 0, 0.2, 0.2)
    assert Likeness.of(large, small)[2:] == (pytest.approx(4), False)
    assert Likeness.of(small, large)[2:] == (pytest.approx(4), True)


@given(st.integers(0, 2**31))
def test_the_overlap_is_the_iou(seed: int) -> None:
    a, b = some_boxes(2, seed)
    expected = iou_matrix(np.array([a], np.float32), np.array([b], np.float32))[0, 0]
    assert Likeness.of(a, b).overlap == pytest.approx(expected, abs=1e-5)


def test_a_box_without_size_is_like_nothing_and_no_error() -> None:
    assert Likeness.of((0.2, 0.2, 0.2, 0.2), (0.1, 0.1, 0.3, 0.3)).overlap == 0
    assert Likeness.of((0.2, 0.2, 0.2, 0.2), (0.2, 0.2, 0.2, 0.2)) == pytest.approx((0, 1, 1, False))


@given(st.integers(0, 2**31))
def test_boxes_that_meet_are_those_that_overlap_and_are_less_than_a_mean_diagonal_apart(seed: int) -> None:
    box, *others = some_boxes(8, seed)
    met = meeting(box, others)
    assert met == [i for i, other in enumerate(others) if Likeness.of(box, other).overlap > 0]
    assert all(nearness(box, others[i]) > 0 for i in met)


def test_the_best_pair_goes_first_and_nobody_is_paired_twice() -> None:
    a, b, c = Candidate(0, 0.1, 0, 0), Candidate(0, 0.2, 0, 1), Candidate(0, 0.15, 1, 0)
    assert match([b, c, a]) == [(0, 0)]
    assert match([b, c, a, Candidate(0, 0.4, 1, 1)]) == [(0, 0), (1, 1)]


def test_a_pair_of_an_earlier_turn_goes_before_a_better_one() -> None:
    assert match([Candidate(1, 0.1, 0, 0), Candidate(0, 0.9, 1, 0)]) == [(1, 0)]


def test_of_equal_pairs_the_first_track_and_the_first_detection_go_first() -> None:
    assert match([Candidate(0, 0.5, row, column) for row in (1, 0) for column in (1, 0)]) == [(0, 0), (1, 1)]


def test_nothing_pairs_with_nothing() -> None:
    assert match([]) == []


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**31))
def test_pairs_are_one_to_one_and_leave_no_candidate_with_both_free(rows: int, columns: int, seed: int) -> None:
    rng = random.Random(seed)
    every = [Candidate(rng.randrange(3), rng.random(), r, c) for r in range(rows) for c in range(columns)]
    candidates = rng.sample(every, rng.randrange(len(every) + 1))
    pairs = match(candidates)
    assert set(pairs) <= {(c.row, c.column) for c in candidates}
    assert len({r for r, _ in pairs}) == len({c for _, c in pairs}) == len(pairs)
    assert all(any(c.row == row or c.column == column for row, column in pairs) for c in candidates)


def test_a_second_box_on_an_object_is_an_echo_of_the_clearer_one() -> None:
    found: list[Box] = [(0.1, 0.1, 0.2, 0.4), (0.11, 0.1, 0.21, 0.4), (0.5, 0.1, 0.6, 0.4)]
    assert echoes(found, 0.55) == [False, True, False]


def test_an_echo_makes_no_echoes() -> None:
    chain: list[Box] = [(0.0, 0, 0.1, 0.1), (0.025, 0, 0.125, 0.1), (0.05, 0, 0.15, 0.1)]
    assert echoes(chain, 0.55) == [False, True, False]


@given(st.integers(0, 12), st.integers(0, 2**31))
def test_an_echo_is_what_overlaps_a_better_one_that_is_none(count: int, seed: int) -> None:
    boxes = some_boxes(count, seed)
    found = echoes(boxes, 0.3)
    for i, box in enumerate(boxes):
        better = [other for other, echo in zip(boxes[:i], found, strict=False) if not echo]
        assert found[i] == any(Likeness.of(box, other).overlap > 0.3 for other in better)


def test_half_a_body_is_covered_by_the_whole() -> None:
    assert covered((0.1, 0.1, 0.2, 0.3), [(0.7, 0.1, 0.8, 0.5), (0.1, 0.1, 0.2, 0.5)]) == pytest.approx(1)


def test_something_much_smaller_is_an_object_of_its_own() -> None:
    assert covered((0.1, 0.1, 0.15, 0.15), [(0, 0, 0.5, 0.5)]) == 0


def test_nothing_is_covered_by_nobody() -> None:
    assert covered((0, 0, 1, 1), []) == 0


def test_who_stands_in_front_hides_the_share_of_the_box_that_both_have() -> None:
    assert hidden_share((0, 0, 0.2, 0.4), (0.1, 0, 0.3, 0.4)) == pytest.approx(0.5)
    assert hidden_share((0, 0, 0.2, 0.4), (0.5, 0, 0.6, 0.4)) == 0
