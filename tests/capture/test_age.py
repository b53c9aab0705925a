"""How old live frames are: capture times from stamps and arrivals, in streams that are smooth, stalled and wrong."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.capture.age import LATE_S, CaptureClock

HOUR = 3600.0
RTP_WRAP = 2**32 / 90_000
BEGAN = 5000.0


@dataclass(frozen=True)
class Arrived:
    """A frame as the reader sees it; `taken` is when it was really captured."""

    stamp: float | None
    arrival: float
    waited: float
    taken: float


def stream(stamps: Sequence[float | None], fps: float = 10.0, delays: Sequence[float] | None = None) -> list[Arrived]:
    """Return frames that are read as they come, each `delays` late."""
    found, last = [], BEGAN
    for index, stamp in enumerate(stamps):
        taken = BEGAN + index / fps
        arrival = max(last, taken + (delays[index] if delays else 0.0))
        found.append(Arrived(stamp, arrival, arrival - last, taken))
        last = arrival
    return found


def even(count: int, fps: float = 10.0, first: float = 77.0) -> list[float]:
    return [first + index / fps for index in range(count)]


def stalled(count: int, after: float, seconds: float, while_waiting: bool, fps: float = 10.0) -> list[Arrived]:
    """A reader that stands still once, and then reads one frame of the buffer every 5 ms until it has caught up."""
    found, now = [], BEGAN
    stands = True
    for index, stamp in enumerate(even(count, fps)):
        taken, asked = BEGAN + index / fps, now
        if stands and taken >= BEGAN + after:
            stands, now = False, now + seconds
            asked = asked if while_waiting else now
        now = max(now + 0.005, taken)
        found.append(Arrived(stamp, now, now - asked, taken))
    return found


def captures(frames: Iterable[Arrived], clock: CaptureClock | None = None) -> list[float]:
    clock = clock or CaptureClock()
    return [clock.captured(frame.stamp, frame.arrival, frame.waited) for frame in frames]


def ages(frames: Sequence[Arrived], clock: CaptureClock | None = None) -> list[float]:
    found = captures(frames, clock)
    return [frame.arrival - captured for frame, captured in zip(frames, found, strict=True)]


@pytest.mark.parametrize("first", [0.0, -5.0, 77.0, 1e6])
@pytest.mark.parametrize("fps", [0.2, 1.0, 10.0, 60.0])
def test_frames_of_a_smooth_stream_are_as_old_as_nothing(fps: float, first: float) -> None:
    assert max(ages(stream(even(600, fps, first), fps))) < 1e-6


def test_a_frame_is_as_old_as_it_is_later_than_the_quickest_one() -> None:
    frames = stream(even(6), delays=[0.0, 0.02, 0.05, 0.0, 0.04, 0.0])
    for age, delay in zip(ages(frames), [0.0, 0.02, 0.05, 0.0, 0.04, 0.0], strict=True):
        assert 0 <= age <= delay + 1e-6
    assert ages(frames)[2] > 0.03, "the delay is believed, not taken for drift"


@pytest.mark.parametrize("while_waiting", [True, False])
@pytest.mark.parametrize("seconds", [1.0, 8.0, 60.0])
def test_frames_that_waited_in_a_buffer_while_the_reader_stood_still_are_as_old_as_they_are(
    seconds: float, while_waiting: bool
) -> None:
    frames = stalled(1200, 5.0, seconds, while_waiting)
    clock = CaptureClock()
    found = captures(frames, clock)
    assert [f - frame.taken for f, frame in zip(found, frames, strict=True)] == pytest.approx([0.0] * 1200, abs=0.12)
    backlog = ages(frames)[50:]
    assert backlog[0] == pytest.approx(seconds, abs=0.1)
    assert backlog[-1] < 0.1, "the backlog was read and the frames are fresh again"


def test_in_a_backlog_the_ages_fall_steadily() -> None:
    backlog = ages(stalled(400, 5.0, 8.0, False))[50:]
    late = backlog[: next(index for index, age in enumerate(backlog) if age < 0.2)]
    assert len(late) > 50
    assert all(later < earlier for earlier, later in itertools.pairwise(late))


@pytest.mark.parametrize("pace", [0.99, 0.999, 1.0, 1.001, 1.01])
def test_a_camera_clock_that_drifts_makes_no_frame_old(pace: float) -> None:
    hour = stream([stamp * pace for stamp in even(36_000)])
    assert max(ages(hour)) < 0.1


def test_a_drifting_clock_does_not_hide_a_backlog() -> None:
    frames = [Arrived((f.stamp or 0.0) * 0.99, f.arrival, f.waited, f.taken) for f in stalled(1200, 60.0, 8.0, False)]
    assert ages(frames)[600] == pytest.approx(8.0, abs=0.2)


def test_stamps_that_count_25_frames_a_second_when_10_come_make_no_frame_late() -> None:
    clock = CaptureClock()
    assert max(ages(stream(even(36_000, 25.0), 10.0), clock)) < CaptureClock.CREEP_S < LATE_S


def test_stamps_that_fall_far_behind_while_the_reader_waits_are_disbelieved_again_and_again() -> None:
    """25 frames a second by the stamps, 5 really: without an end to it every frame would be late."""
    found = ages(stream(even(3000, 25.0), 5.0))
    assert sum(age > LATE_S for age in found) < len(found) / 4
    assert found.count(0.0) > 100, "time and again the frames are as young as they can be"


def test_a_pause_that_the_stamps_do_not_know_makes_frames_old_for_no_longer_than_the_proof_takes() -> None:
    smooth = stream(even(300))
    frames = [Arrived(f.stamp, f.arrival + 6.0 * (f.arrival > BEGAN + 5.0), f.waited, f.taken) for f in smooth]
    found = ages(frames)
    assert found[52] == pytest.approx(6.0, abs=0.3)
    assert max(found[80:]) < 0.1


def test_a_slow_machine_that_always_finds_the_next_frame_waiting_does_not_disprove_the_stamps() -> None:
    clock = CaptureClock()
    slow = [Arrived(77 + index / 10, BEGAN + index / 5, 0.0, 0.0) for index in range(200)]
    assert ages(slow, clock)[-1] == pytest.approx(19.9, abs=0.2)


@pytest.mark.parametrize("jump", [HOUR, -HOUR, -RTP_WRAP, RTP_WRAP, 10.0, -10.0])
def test_a_jump_of_the_stamps_is_a_new_beginning_and_makes_no_frame_old(jump: float) -> None:
    stamps = [stamp + (jump if index >= 50 else 0.0) for index, stamp in enumerate(even(100, first=50_000.0))]
    assert max(ages(stream(stamps))) < 1e-6


def test_jumps_there_and_back_again_and_again_make_no_frame_old() -> None:
    stamps = [stamp + HOUR * (index // 7 % 3) for index, stamp in enumerate(even(500))]
    assert max(ages(stream(stamps))) < 1e-6


def test_without_stamps_a_frame_was_captured_when_it_came() -> None:
    frames = stalled(200, 5.0, 8.0, False)
    bare = [Arrived(None, f.arrival, f.waited, f.taken) for f in frames]
    assert ages(bare) == [0.0] * 200


def test_a_frame_without_a_stamp_among_others_changes_nothing_for_them() -> None:
    frames = stalled(400, 5.0, 8.0, False)
    holes = [Arrived(None if i == 2 else f.stamp, f.arrival, f.waited, f.taken) for i, f in enumerate(frames)]
    assert ages(holes) == pytest.approx(ages(frames), abs=1e-6)


def test_another_connection_begins_anew_with_stamps_of_its_own() -> None:
    clock = CaptureClock()
    ages(stalled(60, 5.0, 8.0, False), clock)
    clock.restart()
    later = [Arrived(f.stamp, f.arrival + 100, f.waited, f.taken) for f in stream(even(50, first=3.0))]
    assert max(ages(later, clock)) < 1e-6


STEPS = st.tuples(
    st.one_of(st.none(), st.floats(0.0, 0.2), st.floats(-HOUR, HOUR), st.sampled_from([0.1, 0.1, -RTP_WRAP])),
    st.one_of(st.floats(0.0, 0.2), st.just(0.1), st.floats(0.0, 100.0)),
    st.floats(0.0, 1.0),
    st.sampled_from(["", "", "", "", "restart", "distrust"]),
)


@given(st.lists(STEPS, max_size=80))
def test_capture_times_are_never_ahead_of_arrivals_and_never_go_back(
    steps: list[tuple[float | None, float, float, str]],
) -> None:
    clock, stamp, arrival, last = CaptureClock(), 0.0, BEGAN, float("-inf")
    for step, pause, share, act in steps:
        if act == "restart":
            clock.restart()
        if act == "distrust":
            clock.trusted = False
        arrival += pause
        stamp += step or 0.0
        captured = clock.captured(None if step is None else stamp, arrival, pause * share)
        assert last <= captured <= arrival + 1e-6
        last = captured
