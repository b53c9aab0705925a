"""Decoding times: rising, and never after the time that the picture is shown."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from soteirad.video.order import DEEPEST, DecodingTimes, depth_of
from tests.video.made import B_FRAMES, CLOSED, encoded


@st.composite
def reordered(draw: st.DrawFn) -> list[float]:
    """Presentation times as a coder may reorder them: no picture comes more than some places too early or too late."""
    count, reach = draw(st.integers(2, 60)), draw(st.integers(0, 5))
    steps = draw(st.lists(st.floats(0.01, 0.5), min_size=count, max_size=count))
    shown = [sum(steps[:index]) for index in range(count)]
    places = [0, *sorted(range(1, count), key=lambda index: index + draw(st.floats(0, reach)))]
    return [shown[place] for place in places]


@given(shown=reordered())
def test_decoding_times_rise_and_are_never_after_presentation(shown: list[float]) -> None:
    depth = depth_of(shown)
    times = DecodingTimes(depth, 0.04)
    decoded = [times.next(time) for time in shown]
    assert all(sooner < later for sooner, later in pairwise(decoded))
    assert all(at <= time for at, time in zip(decoded, shown, strict=True))
    assert sorted(decoded)[depth:] == sorted(shown)[: len(shown) - depth]


@given(shown=st.lists(st.floats(-1e6, 1e6), max_size=60))
def test_the_depth_of_anything_is_bounded(shown: list[float]) -> None:
    assert 0 <= depth_of(shown) <= DEEPEST


def test_a_coders_own_decoding_times_are_found() -> None:
    for params in (CLOSED, B_FRAMES):
        pieces = encoded(40, params)
        shown = [piece.pts for piece in pieces if piece.pts is not None]
        times = DecodingTimes(depth_of(shown), 0.1)
        assert [round(times.next(time), 6) for time in shown] == [piece.dts for piece in pieces]


def test_a_clock_that_was_set_is_no_order() -> None:
    shown = [100.0 + index / 25 for index in range(20)]
    assert depth_of([*shown, *(time - 90.0 for time in shown)]) == 0
