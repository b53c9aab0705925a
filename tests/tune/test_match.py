"""Matching of reported entries: one to one, by label, time and place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.tune.match import TOLERANCE_S, Entry, match

LEFT, RIGHT = (0.0, 0.2, 0.2, 0.8), (0.7, 0.2, 0.9, 0.8)


def at(time: float, label: str = "person") -> Entry:
    return Entry(label, time)


def test_a_report_takes_one_entry_and_an_entry_one_report() -> None:
    found = match([at(1.0), at(1.5), at(20.0)], [at(1.2), at(30.0)])
    assert (found.pairs, found.extra, found.missed) == (((0, 0),), (1, 2), (1,))


def test_as_many_as_possible_are_matched_even_if_the_nearest_is_not_taken() -> None:
    assert match([at(3.4), at(0.5)], [at(3.0), at(6.0)]).pairs == ((0, 1), (1, 0))
    assert match([at(3.4), at(0.5)], [at(3.0), at(7.0)]).pairs == ((0, 0),)


@pytest.mark.parametrize(("off", "fits"), [(TOLERANCE_S, True), (-TOLERANCE_S, True), (TOLERANCE_S + 0.1, False)])
def test_a_report_belongs_to_an_entry_a_few_seconds_off_at_most(off: float, fits: bool) -> None:
    assert bool(match([at(10.0 + off)], [at(10.0)]).pairs) == fits


def test_labels_must_agree() -> None:
    assert match([at(1.0, "car")], [at(1.0, "person")]).pairs == ()


def test_where_the_place_is_known_it_must_agree_at_the_time_of_the_report() -> None:
    walk = Entry("person", 10.0, ((10.0, LEFT), (12.0, RIGHT)))
    assert match([Entry("person", 12.0, ((12.0, RIGHT),))], [walk]).pairs
    assert not match([Entry("person", 12.0, ((12.0, LEFT),))], [walk]).pairs
    assert not match([Entry("person", 10.0, ((10.0, RIGHT),))], [walk]).pairs


def test_a_box_is_interpolated_between_two_looks_and_stays_outside_them() -> None:
    walk = Entry("person", 10.0, ((10.0, (0.0, 0.0, 0.2, 0.2)), (12.0, (0.4, 0.0, 0.6, 0.2))))
    assert walk.box_at(11.0) == pytest.approx((0.2, 0.0, 0.4, 0.2))
    assert walk.box_at(1.0) == pytest.approx((0.0, 0.0, 0.2, 0.2))
    assert walk.box_at(99.0) == pytest.approx((0.4, 0.0, 0.6, 0.2))
    assert at(1.0).box_at(1.0) is None


@given(st.lists(st.floats(0, 60), max_size=8), st.lists(st.floats(0, 60), max_size=8))
def test_all_reports_and_entries_are_accounted_for(reports: list[float], entries: list[float]) -> None:
    found = match([at(t) for t in reports], [at(t) for t in entries])
    assert sorted([i for i, _ in found.pairs] + list(found.extra)) == list(range(len(reports)))
    assert sorted([j for _, j in found.pairs] + list(found.missed)) == list(range(len(entries)))
    assert match([at(t) for t in entries], [at(t) for t in entries]).missed == ()
