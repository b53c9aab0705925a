"""The calendar: a clock that is set while we look, and one that was wrong before."""

from __future__ import annotations

import pytest

from soteirad.hub.calendar import DOUBT_S, LEAP_S, Calendar

T0 = 1_800_000_000.0
YEAR = 365 * 86400.0


class Clocks:
    """Both clocks; only one of them is ever set."""

    def __init__(self) -> None:
        self.wall, self.monotonic = T0, 50.0
        self.calendar = Calendar(lambda: self.wall, lambda: self.monotonic)

    def passes(self, seconds: float) -> float | None:
        self.wall += seconds
        self.monotonic += seconds
        return self.calendar.now()


def test_time_that_passes_is_believed_however_long() -> None:
    clocks = Clocks()
    clocks.calendar.begin(T0 - LEAP_S)
    assert [clocks.passes(0), clocks.passes(YEAR), clocks.passes(YEAR)] == [T0, T0 + YEAR, T0 + 2 * YEAR]


def test_without_anything_recorded_the_clock_is_believed() -> None:
    clocks = Clocks()
    clocks.calendar.begin(None)
    assert clocks.passes(0) == T0


def test_a_start_long_after_what_was_recorded_last_is_in_doubt_for_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    clocks = Clocks()
    clocks.calendar.begin(T0 - 10 * LEAP_S)
    assert [clocks.passes(s) for s in (0, DOUBT_S - 1, 1)] == [None, None, T0 + DOUBT_S]
    assert clocks.passes(1) == T0 + DOUBT_S + 1 and len(caplog.messages) == 1


def test_a_wrong_clock_that_is_set_right_within_the_hour_was_never_believed() -> None:
    clocks = Clocks()
    clocks.calendar.begin(T0)
    clocks.wall += 10 * YEAR
    assert [clocks.passes(60), clocks.passes(60)] == [None, None]
    clocks.wall -= 10 * YEAR
    assert clocks.passes(60) == T0 + 180
    clocks.wall += 10 * YEAR
    assert [clocks.passes(s) for s in (1, DOUBT_S - 1)] == [None, None], "the second time counts anew"


def test_a_clock_that_is_set_back_is_believed_at_once_and_in_doubt_when_it_leaps_ahead_again() -> None:
    clocks = Clocks()
    clocks.calendar.begin(T0)
    clocks.wall = 0.0
    assert clocks.passes(10) == 10
    clocks.wall = T0
    assert [clocks.passes(0), clocks.passes(DOUBT_S)] == [None, T0 + DOUBT_S]
