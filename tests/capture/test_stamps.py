"""Stamps: whatever a camera says of its times, a file counts from 0 and on."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.capture.stamps import MOST_HELD, TICKS, Given, Stamps, completed, is_enough


def seconds(packets: list[tuple[float | None, float | None, float]], anew: tuple[int, ...] = (0,)) -> list[float]:
    """Return the decoding times of packets (pts, dts, arrival)."""
    stamps = Stamps()
    found = [stamps.repair(pts, dts, time, anew=index in anew) for index, (pts, dts, time) in enumerate(packets)]
    assert stamps.seconds == found[-1][1] / TICKS
    return [round(dts / TICKS, 3) for _, dts in found]


def steady(*stamps: float, at: float = 100.0) -> list[tuple[float | None, float | None, float]]:
    """Return packets that come at once, with these stamps."""
    return [(stamp, stamp, at + index * 0.1) for index, stamp in enumerate(stamps)]


def test_the_first_packet_is_at_zero_and_the_others_as_far_from_it_as_they_were() -> None:
    assert seconds(steady(7.0, 7.1, 7.25)) == [0.0, 0.1, 0.25]


def test_a_clock_that_jumps_goes_on_with_the_time_that_has_passed() -> None:
    assert seconds(steady(7.0, 7.1, 9000.0, 9000.1, 3.0, 3.1)) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


def test_what_a_slow_network_held_back_keeps_its_own_times() -> None:
    late = [(stamp, stamp, 105.0) for stamp in (7.1, 7.2, 7.3)]
    assert seconds([(7.0, 7.0, 100.0), *late]) == [0.0, 0.1, 0.2, 0.3]


def test_another_connection_goes_on_after_the_outage() -> None:
    packets = [*steady(7.0, 7.1), *steady(0.0, 0.1, at=110.0)]
    assert seconds(packets, anew=(0, 2)) == [0.0, 0.1, 10.0, 10.1]


@pytest.mark.parametrize("step", [0.0, -0.01])
def test_a_clock_that_stands_still_or_creeps_back_goes_on_with_the_arrival_until_it_runs(step: float) -> None:
    still = [7.0 + step * index for index in range(40)]
    times = seconds(steady(*still, 7.1, 7.15))
    assert times[30] < 0.1 and times[31:40] == [pytest.approx(index / 10) for index in range(31, 40)]
    assert times[-1] - times[-2] == pytest.approx(0.05)


def test_without_stamps_the_arrival_counts() -> None:
    assert seconds([(None, None, 5.0), (None, None, 5.1), (None, None, 5.1)]) == [0.0, 0.1, 0.101]


@given(st.lists(st.tuples(
    st.none() | st.floats(-1e5, 1e5), st.none() | st.floats(-1e5, 1e5), st.floats(0.0, 50.0), st.booleans()
), min_size=1, max_size=30))  # fmt: skip
def test_whatever_comes_each_is_after_the_one_before_and_none_is_shown_before_it_is_decoded(
    packets: list[tuple[float | None, float | None, float, bool]]
) -> None:
    stamps, time = Stamps(), 1000.0
    found = []
    for pts, dts, step, anew in packets:
        time += step
        found.append(stamps.repair(pts, dts, time, anew=anew))
    decoded = [dts for _, dts in found]
    assert decoded[0] == 0
    assert all(later - earlier >= TICKS // 1000 for earlier, later in itertools.pairwise(decoded))
    assert all(shown >= dts for shown, dts in found)


REORDERED: list[Given] = [(None, None), (0.5, None), (0.3, None), (0.4, 0.3), (0.8, 0.4)]


def test_the_stamps_before_the_first_known_ones_are_found_from_those() -> None:
    assert not is_enough(REORDERED[:4]) and is_enough(REORDERED)
    whole = completed(REORDERED)
    assert [dts for _, dts in whole] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert whole[0][0] == pytest.approx(0.2) and [pts for pts, _ in whole[1:]] == [0.5, 0.3, 0.4, 0.8]
    assert completed([(None, None), (7.1, 7.1), (7.2, 7.2)])[0] == (pytest.approx(7.0), pytest.approx(7.0))


def test_who_never_says_is_not_waited_for() -> None:
    assert is_enough([(None, None)] * 2) and not is_enough([(None, None)])
    assert completed([(None, None)] * 2) == [(None, None)] * 2
    assert not is_enough([(1.0, None)] * (MOST_HELD - 1)) and is_enough([(1.0, None)] * MOST_HELD)
