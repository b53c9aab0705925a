"""The clock of a camera process: what it does while it waits."""

from __future__ import annotations

import threading

import pytest

from soteirad.capture import clock as clock_module
from soteirad.capture.clock import BeatingClock


class Time:
    """Stands for the module `time`, and for the stop event, which is waited for."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    fake = Time()
    monkeypatch.setattr(clock_module, "time", fake)
    return fake


@pytest.mark.parametrize("beat_s", [0.0, 0.2, 1.0])
def test_a_wait_ends_when_it_was_to_end_whatever_the_beats_take_of_it(time: Time, beat_s: float) -> None:
    def beat() -> None:
        time.now += beat_s

    BeatingClock(beat, 2.0).wait(time, 5.0)  # type: ignore[arg-type]
    assert time.now == pytest.approx(105.0)


@pytest.mark.parametrize(("seconds", "beats"), [(-1.0, 1), (0.0, 1), (1.9, 1), (2.1, 2), (5.0, 3)])
def test_it_beats_at_the_beginning_of_a_wait_and_again_in_a_long_one(time: Time, seconds: float, beats: int) -> None:
    at: list[float] = []
    BeatingClock(lambda: at.append(time.now), 2.0).wait(time, seconds)  # type: ignore[arg-type]
    assert at == [100.0, 102.0, 104.0][:beats]


def test_a_long_wait_ends_with_the_stop_event() -> None:
    stop = threading.Event()
    assert BeatingClock(stop.set, 0.01).wait(stop, 3600.0)
