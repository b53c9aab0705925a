"""The sampler: at most `fps` frames a second, evenly, on media time."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from soteirad.capture.sampler import Sampler


def chosen(fps: float, times: list[float]) -> list[float]:
    sampler = Sampler(fps)
    return [t for t in times if sampler.wants(t)]


def source(rate: float, seconds: float) -> list[float]:
    return [i / rate for i in range(int(rate * seconds))]


@given(st.integers(1, 60), st.lists(st.floats(0.0, 0.3), min_size=1, max_size=400))
@example(10, [0.0, 0.1989, 0.0001, 0.0901] + [0.1] * 20)
def test_however_frames_come_no_second_holds_more_than_one_over_the_cap(fps: int, gaps: list[float]) -> None:
    """The example is a late frame, followed at once by the one that may come early."""
    times = chosen(fps, list(accumulate(gaps)))
    for i, start in enumerate(times):
        assert sum(t - start < 1.0 for t in times[i:]) <= fps + 1


@given(st.lists(st.floats(0.0, 2.0), min_size=1, max_size=100))
def test_a_cap_of_zero_lets_every_frame_through(gaps: list[float]) -> None:
    times = list(accumulate(gaps))
    assert chosen(0, times) == times


@given(st.integers(1, 120), st.integers(1, 30))
def test_a_steady_source_is_sampled_at_the_cap_or_at_its_own_rate(rate: int, fps: int) -> None:
    expected = 20 * min(rate, fps)
    assert len(chosen(fps, source(rate, 20))) == pytest.approx(expected, abs=2 + 0.1 * expected)


@pytest.mark.parametrize(("rate", "fps", "stride"), [(30, 10, 3), (20, 10, 2), (10, 10, 1), (60, 5, 12), (5, 10, 1)])
def test_a_multiple_of_the_cap_is_sampled_with_equal_spacing(rate: int, fps: int, stride: int) -> None:
    """Only the first interval may be a frame shorter: a frame may come early by the tolerance."""
    frames = [round(t * rate) for t in chosen(fps, source(rate, 10))]
    assert {b - a for a, b in pairwise(frames[1:])} == {stride}
    assert stride - 1 <= frames[1] - frames[0] <= stride


@given(st.lists(st.floats(-0.009, 0.009), min_size=50, max_size=100))
def test_a_camera_clock_that_jitters_by_a_tenth_of_the_interval_loses_no_frame(jitter: list[float]) -> None:
    times = [i * 0.1 + (j if i else 0) / 2 for i, j in enumerate(jitter)]
    assert chosen(10, times) == times


def test_after_a_gap_there_is_no_burst_to_catch_up() -> None:
    times = [0.0, 0.1, 5.0, *[5.0 + i / 100 for i in range(1, 50)]]
    assert sum(t >= 5.0 for t in chosen(10, times)) <= 6


def test_whether_a_frame_is_due_may_be_asked_without_taking_it() -> None:
    sampler = Sampler(10)
    assert [sampler.due(0.0), sampler.wants(0.0), sampler.due(0.05), sampler.due(0.1), sampler.wants(0.1)] == [
        True, True, False, True, True]  # fmt: skip
