"""Duplicates: nobody is asked about the same picture twice, and never left unasked about another one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.config.llm import DuplicatesConfig
from soteirad.llm.duplicates import Duplicates
from soteirad.llm.picture import GRID, similarity

KEY = ("porch", "parcel")
GREY = bytes([100]) * GRID * GRID


def duplicates(limit: float = 0.94, window: float = 60) -> Duplicates:
    return Duplicates(DuplicatesConfig(similarity=limit, window=window))


def other_by(greys: int) -> bytes:
    """Return a picture in which one field is so much brighter."""
    return bytes([100 + greys]) + GREY[1:]


def like(kept: Duplicates, key: tuple[str, str], signature: bytes, now: float) -> float | None:
    found = kept.likeness(key, signature, now)
    return None if found is None else found[1]


def test_a_duplicate_names_the_ask_whose_picture_it_is_like() -> None:
    kept = duplicates()
    kept.remember(KEY, "7", GREY, 0.0)
    assert kept.likeness(KEY, GREY, 1.0) == ("7", 1.0)


def test_the_first_picture_is_like_nothing() -> None:
    assert like(duplicates(), KEY, GREY, 0.0) is None


@pytest.mark.parametrize(("greys", "alike"), [(0, True), (15, True), (16, False), (155, False)])
def test_a_picture_is_a_duplicate_from_the_configured_likeness_on(greys: int, alike: bool) -> None:
    kept = duplicates(limit=0.94)
    kept.remember(KEY, "1", GREY, 0.0)
    found = like(kept, KEY, other_by(greys), 1.0)
    assert found == (pytest.approx(1 - greys / 255) if alike else None)


@pytest.mark.parametrize(("now", "alike"), [(0.0, True), (59.9, True), (60.0, False), (1e6, False)])
def test_an_answer_stands_for_its_window(now: float, alike: bool) -> None:
    kept = duplicates(window=60)
    kept.remember(KEY, "1", GREY, 0.0)
    assert (like(kept, KEY, GREY, now) is not None) == alike


def test_without_a_window_there_are_no_duplicates() -> None:
    kept = duplicates(window=0)
    kept.remember(KEY, "1", GREY, 5.0)
    assert like(kept, KEY, GREY, 5.0) is None


@pytest.mark.parametrize("other", [("porch", "gate"), ("yard", "parcel")])
def test_each_question_of_each_camera_is_compared_with_itself_only(other: tuple[str, str]) -> None:
    kept = duplicates()
    kept.remember(KEY, "1", GREY, 0.0)
    assert like(kept, other, GREY, 1.0) is None
    assert like(kept, KEY, GREY, 1.0) == 1.0


def test_pictures_that_change_little_by_little_are_compared_with_the_last_one_that_was_sent() -> None:
    kept = duplicates()
    kept.remember(KEY, "1", GREY, 0.0)
    assert like(kept, KEY, other_by(10), 1.0) is not None
    assert like(kept, KEY, other_by(20), 2.0) is None, "it is as like the one between, but that was not judged"
    kept.remember(KEY, "3", other_by(20), 2.0)
    assert like(kept, KEY, other_by(30), 3.0) is not None
    assert like(kept, KEY, GREY, 3.0) is None


def test_duplicates_do_not_make_the_window_longer() -> None:
    kept = duplicates(window=60)
    kept.remember(KEY, "1", GREY, 0.0)
    assert [like(kept, KEY, GREY, now) for now in (20.0, 40.0, 59.0)] == [1.0] * 3
    assert like(kept, KEY, GREY, 61.0) is None


def test_pictures_whose_time_is_over_are_not_kept() -> None:
    kept = duplicates(window=60)
    for number in range(1000):
        kept.remember(("porch", f"ask: {number}"), str(number), GREY, float(number))
    assert len(kept._last) == 60


def test_a_picture_that_nobody_judged_is_no_reason_to_leave_the_next_one() -> None:
    kept = duplicates()
    kept.remember(KEY, "1", GREY, 0.0)
    kept.forget(KEY, "1")
    assert like(kept, KEY, GREY, 1.0) is None
    kept.forget(KEY, "1")
    kept.forget(("yard", "gate"), "7")


def test_an_ask_that_failed_late_does_not_forget_the_one_after_it() -> None:
    kept = duplicates()
    kept.remember(KEY, "1", GREY, 0.0)
    kept.remember(KEY, "2", other_by(100), 1.0)
    kept.forget(KEY, "1")
    assert like(kept, KEY, other_by(100), 2.0) == 1.0


def test_pictures_of_a_moment_are_compared_with_those_of_before_and_after_it() -> None:
    """Two people who leave the same step leave the same step empty: who they were is on the pictures of before."""
    kept = duplicates()
    kept.remember(KEY, "1", other_by(50) + GREY, 0.0)
    assert like(kept, KEY, other_by(100) + GREY, 1.0) is None
    assert like(kept, KEY, other_by(50) + GREY, 1.0) == 1.0
    assert like(kept, KEY, GREY, 1.0) is None


fields = st.binary(min_size=GRID * GRID, max_size=GRID * GRID)


@given(last=fields, new=fields, limit=st.floats(0.01, 1.0), now=st.floats(0, 100))
def test_only_a_picture_like_the_last_one_within_the_window_is_a_duplicate(
    last: bytes, new: bytes, limit: float, now: float
) -> None:
    kept = duplicates(limit)
    kept.remember(KEY, "1", last, 0.0)
    found = like(kept, KEY, new, now)
    expected = similarity(last, new)
    assert found == (expected if expected >= limit and now < 60 else None)
