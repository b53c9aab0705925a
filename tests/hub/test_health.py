"""The health of camera processes: who hangs, who may be silent, and when who died is started again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.hub.health import Crashes, Pulse

T0 = 1000.0
WITHIN = 35.0


def beating(until: float, online: bool = True, frames_to: float | None = None) -> Pulse:
    """A process that beats every 2 s, and takes frames up to `frames_to`."""
    pulse = Pulse(T0, WITHIN)
    pulse.source(T0, online)
    for second in range(0, round(until - T0) + 1, 2):
        now = T0 + second
        pulse.beat(now, round(min(now, frames_to or now) - T0))
    return pulse


def test_a_process_that_beats_and_takes_frames_is_well() -> None:
    pulse = beating(T0 + 100)
    assert pulse.problem(T0 + 100) is None
    assert pulse.problem(T0 + 100 + Pulse.SILENCE_S) is None


def test_a_process_that_beats_no_more_hangs() -> None:
    pulse = beating(T0 + 100)
    assert pulse.problem(T0 + 100 + Pulse.SILENCE_S + 1) == "gave no sign of life for 16 s"


def test_the_first_heartbeat_may_take_as_long_as_loading_a_model() -> None:
    pulse = Pulse(T0, WITHIN)
    assert pulse.problem(T0 + Pulse.START_S) is None
    assert pulse.problem(T0 + Pulse.START_S + 1) == "gave no sign of life for 181 s"
    pulse.beat(T0 + 100, 0)
    assert pulse.problem(T0 + 100 + Pulse.SILENCE_S + 1) is not None, "after that it is judged as any other"


def test_a_process_that_beats_but_takes_no_frame_of_a_source_that_is_online_hangs() -> None:
    pulse = beating(T0 + 100, frames_to=T0 + 50)
    assert pulse.problem(T0 + 50 + WITHIN) is None
    assert pulse.problem(T0 + 51 + WITHIN) == "took no frame for 36 s and did not say that its source was lost"


def test_without_a_source_no_frame_is_expected() -> None:
    assert beating(T0 + 1000, online=False, frames_to=T0).problem(T0 + 1000) is None


def test_a_source_that_comes_back_gives_the_whole_time_for_the_first_frame() -> None:
    pulse = beating(T0 + 100, online=False, frames_to=T0 + 1)
    pulse.source(T0 + 100, True)
    pulse.beat(T0 + 130, 1)
    assert pulse.problem(T0 + 100 + WITHIN) is None
    assert pulse.problem(T0 + 101 + WITHIN) is not None
    pulse.source(T0 + 101 + WITHIN, False)
    assert pulse.problem(T0 + 101 + WITHIN) is None


def test_a_file_may_be_played_as_slowly_as_its_owner_likes() -> None:
    pulse = Pulse(T0, float("inf"))
    pulse.source(T0, True)
    for now in range(1000, 9000, 2):
        pulse.beat(float(now), 7)
    assert pulse.problem(9000.0) is None


def test_a_count_that_begins_again_is_progress() -> None:
    pulse = beating(T0 + 100)
    pulse.beat(T0 + 120, 0)
    assert pulse.problem(T0 + 120 + Pulse.SILENCE_S) is None


@pytest.mark.parametrize("silent", [20.0, 600.0])
def test_silence_is_forgiven_while_the_hub_itself_could_hear_nothing(silent: float) -> None:
    pulse = beating(T0 + 100)
    pulse.excuse(T0 + 100 + silent, silent)
    assert pulse.problem(T0 + 100 + silent + Pulse.SILENCE_S) is None
    assert pulse.problem(T0 + 100 + silent + Pulse.SILENCE_S + 1) is not None


@given(st.lists(st.floats(0.0, 0.999 * Pulse.SILENCE_S), max_size=50))
def test_a_process_that_is_never_silent_for_too_long_is_never_killed(pauses: list[float]) -> None:
    pulse, now = Pulse(T0, WITHIN), T0
    pulse.source(now, False)
    for pause in pauses:
        now += pause
        assert pulse.problem(now) is None
        pulse.beat(now, 0)


# Crashes


def test_a_process_that_died_is_started_soon_unless_it_keeps_dying() -> None:
    crashes = Crashes()
    assert [crashes.next_start(T0 + n) for n in range(7)] == [Crashes.SOON_S] * 4 + [Crashes.LATER_S] * 3
    assert crashes.often


def test_crashes_that_lie_far_apart_are_each_the_first() -> None:
    crashes = Crashes()
    for n in range(20):
        assert crashes.next_start(T0 + n * (Crashes.WINDOW_S / 4 + 1)) == Crashes.SOON_S
    assert not crashes.often


def test_a_process_that_kept_dying_is_started_soon_again_after_a_quiet_time() -> None:
    crashes = Crashes()
    for n in range(10):
        crashes.next_start(T0 + n)
    assert crashes.often
    assert crashes.next_start(T0 + 10 + Crashes.WINDOW_S) == Crashes.SOON_S
    assert not crashes.often


@given(st.lists(st.floats(0.0, 400.0), min_size=1, max_size=60))
def test_no_more_than_a_handful_of_starts_come_soon_within_ten_minutes(pauses: list[float]) -> None:
    crashes, now, soon = Crashes(), T0, []
    for pause in pauses:
        now += pause
        if crashes.next_start(now) == Crashes.SOON_S:
            soon.append(now)
        assert sum(now - at <= Crashes.WINDOW_S for at in soon) < Crashes.MANY
