"""How boxes are compared and paired."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.track.association import Likeness, covered, echoes, hidden_shares, match


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_the_same_box_is_as_alike_as_can_be() -> None:
    like = Likeness.of(boxes((0.1, 0.1, 0.2, 0.4)), boxes((0.1, 0.1, 0.2, 0.4)))
    assert like.overlap[0, 0] == pytest.approx(1)
    assert like.nearness[0, 0] == pytest.approx(1)
    assert like.ratio[0, 0] == pytest.approx(1)


def test_nearness_is_zero_one_mean_diagonal_away() -> None:
    like = Likeness.of(boxes((0, 0, 0.3, 0.4)), boxes((0.5, 0, 0.8, 0.4)))
    assert like.nearness[0, 0] == pytest.approx(0, abs=1e-6)
    assert like.overlap[0, 0] == 0


def test_the_ratio_of_areas_is_the_same_whichever_is_larger() -> None:
    large, small = boxes((0, 0, 0.4, 0.4)), boxes((0, 0, 0.2, 0.2))
    assert Likeness.of(large, small).ratio[0, 0] == pytest.approx(4)
    assert Likeness.of(small, large).ratio[0, 0] == pytest.approx(4)


def test_the_best_pair_goes_first_and_nobody_is_paired_twice() -> None:
    assert match(np.array([[0.9, 0.8], [0.85, 0.1]], np.float32), 0.5) == [(0, 0)]
    assert match(np.array([[0.9, 0.8], [0.85, 0.6]], np.float32), 0.5) == [(0, 0), (1, 1)]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_pairs_with_nothing(shape: tuple[int, int]) -> None:
    assert match(np.zeros(shape, np.float32)) == []


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**31))
def test_pairs_are_one_to_one_and_reach_the_minimum(rows: int, columns: int, seed: int) -> None:
    score = np.random.default_rng(seed).random((rows, columns)).astype(np.float32)
    pairs = match(score, 0.5)
    assert len({r for r, _ in pairs}) == len({c for _, c in pairs}) == len(pairs)
    assert all(score[r, c] >= 0.5 for r, c in pairs)
    left = {(r, c) for r in range(rows) for c in range(columns)}
    left = {(r, c) for r, c in left if all(r != a and c != b for a, b in pairs)}
    assert all(score[r, c] < 0.5 for r, c in left)


def test_a_second_box_on_an_object_is_an_echo_of_the_clearer_one() -> None:
    found = boxes((0.1, 0.1, 0.2, 0.4), (0.11, 0.1, 0.21, 0.4), (0.5, 0.1, 0.6, 0.4))
    assert echoes(found, 0.55).tolist() == [False, True, False]


def test_an_echo_makes_no_echoes() -> None:
    chain = boxes((0.0, 0, 0.1, 0.1), (0.025, 0, 0.125, 0.1), (0.05, 0, 0.15, 0.1))
    assert echoes(chain, 0.55).tolist() == [False, True, False]


def test_half_a_body_is_covered_by_the_whole() -> None:
    assert covered(boxes((0.1, 0.1, 0.2, 0.3)), boxes((0.1, 0.1, 0.2, 0.5)))[0] == pytest.approx(1)


def test_something_much_smaller_is_an_object_of_its_own() -> None:
    assert covered(boxes((0.1, 0.1, 0.15, 0.15)), boxes((0, 0, 0.5, 0.5)))[0] == 0


def test_nothing_is_covered_by_nobody() -> None:
    assert covered(boxes((0, 0, 1, 1)), boxes()).tolist() == [0]


def test_who_stands_in_front_hides_the_share_of_the_box_that_both_have() -> None:
    shares = hidden_shares(boxes((0, 0, 0.2, 0.4))[0], boxes((0.1, 0, 0.3, 0.4), (0.5, 0, 0.6, 0.4)))
    assert shares.tolist() == pytest.approx([0.5, 0])
