"""The reader: reconnects with growing delays and says when frames come and when they stop."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.backoff import Backoff
from soteirad.capture.age import LATE_S
from soteirad.capture.frame import Frame
from soteirad.capture.reader import Reader
from soteirad.capture.source import StreamMemory
from soteirad.errors import SourceEnded, SourceError, SourceRefused
from tests.capture.made import FakeClock, frame_of

FRAME = frame_of(np.zeros((48, 64, 3), np.uint8))


class FakeSource:
    """Gives `frames` frames and fails; with `frames` None it cannot be opened."""

    live = True

    def __init__(self, frames: int | None, log: list[str], clock: FakeClock) -> None:
        self._frames = frames
        self._log = log
        self._clock = clock

    def open(self) -> None:
        self._log.append("open")
        if self._frames is None:
            raise SourceError("no answer")

    def read(self) -> Frame:
        if not self._frames:
            raise SourceEnded("it hung up")
        self._frames -= 1
        self._clock.now += 1.0
        return replace(FRAME, time=self._clock.now)

    def close(self) -> None:
        self._log.append("close")


class Played:
    """Runs a reader over a list of connections; the stop event is set when the last delay begins."""

    def __init__(self, *connections: int | None) -> None:
        self.log: list[str] = []
        self.stop = threading.Event()
        self.clock = FakeClock(stop_after=len(connections))
        remaining = list(connections)

        def make() -> FakeSource:
            return FakeSource(remaining.pop(0), self.log, self.clock)

        self.reader = Reader(make, self._say("frame"), self._say_nothing("online"), self._say("offline"), self.stop,
                             self.clock)  # fmt: skip

    def _say(self, word: str) -> Callable[[object], None]:
        return lambda what: self.log.append(word if isinstance(what, Frame) else f"{word}: {what}")

    def _say_nothing(self, word: str) -> Callable[[], None]:
        return lambda: self.log.append(word)


def test_each_connection_is_online_with_its_first_frame_and_offline_with_the_reason() -> None:
    played = Played(2, None, 1)
    played.reader.run()
    assert played.log == [
        "open", "online", "frame", "frame", "offline: it hung up", "close",
        "open", "offline: no answer", "close",
        "open", "online", "frame", "offline: it hung up", "close",
    ]  # fmt: skip


def test_a_connection_without_a_frame_was_never_online() -> None:
    played = Played(0)
    played.reader.run()
    assert played.log == ["open", "offline: it hung up", "close"]


def test_the_delay_doubles_until_frames_came_for_ten_seconds() -> None:
    played = Played(None, None, 1, None, 12, None)  # frames a second apart
    played.reader.run()
    waits = played.clock.waits
    for wait, least in zip(waits, [1, 2, 4, 8, 1, 2], strict=True):
        assert least <= wait <= least * 1.25


def test_a_stop_event_that_is_set_while_frames_come_ends_the_reader_without_a_word() -> None:
    played = Played(100)

    def stop_at_first(_: Frame) -> None:
        played.log.append("frame")
        played.stop.set()

    played.reader._on_frame = stop_at_first
    played.reader.run()
    assert played.log == ["open", "online", "frame", "close"]


def test_a_failure_that_comes_from_stopping_is_not_reported() -> None:
    played = Played(1)

    def stop(_: Frame) -> None:
        played.stop.set()

    played.reader._on_frame = stop
    played.reader.run()
    assert played.log == ["open", "online", "close"]


def test_a_reader_that_is_stopped_before_it_runs_opens_nothing() -> None:
    played = Played(5)
    played.stop.set()
    played.reader.run()
    assert played.log == []


def test_run_once_raises_what_ended_the_connection_and_closes_it() -> None:
    played = Played(3)
    with pytest.raises(SourceEnded):
        played.reader.run_once()
    assert played.log[-1] == "close"


@given(st.floats(0.1, 5.0), st.floats(5.0, 100.0), st.integers(0, 2**32), st.integers(1, 200))
def test_delays_stay_between_the_first_and_the_last_with_a_quarter_of_jitter(
    first: float, last: float, seed: int, failures: int
) -> None:
    backoff = Backoff(first, last, random.Random(seed))
    delays = [backoff.next() for _ in range(failures)]
    for n, delay in enumerate(delays):
        assert min(last, first * 2.0 ** min(n, 16)) <= delay <= 1.25 * min(last, first * 2.0 ** min(n, 16))
    backoff.reset()
    assert first <= backoff.next() <= 1.25 * first


def test_two_cameras_that_fail_together_do_not_return_together() -> None:
    delays = {round(Backoff(rng=random.Random(seed)).next(), 6) for seed in range(20)}
    assert len(delays) == 20


# Refusals, lag and hangs


class Script:
    """Runs a reader over sources that a function makes, until `waits` delays are over; keeps what it said."""

    def __init__(self, make: Callable[[FakeClock, StreamMemory], object], waits: int) -> None:
        self.stop, self.clock, self.memory = threading.Event(), FakeClock(stop_after=waits), StreamMemory()
        self.reasons: list[str] = []
        self.online = 0
        self.frames: list[Frame] = []
        self.reader = Reader(lambda: make(self.clock, self.memory), self.frames.append, self._on_online,  # type: ignore[arg-type,return-value]
                             self.reasons.append, self.stop, self.clock)  # fmt: skip

    def _on_online(self) -> None:
        self.online += 1


class Refusing:
    live = True

    def open(self) -> None:
        raise SourceRefused("the camera refused user name or password")

    def read(self) -> Frame:
        raise AssertionError("it was never open")

    def close(self) -> None:
        pass


def test_a_camera_that_refuses_is_left_alone_for_a_minute_each_time() -> None:
    script = Script(lambda *_: Refusing(), 8)
    script.reader.run()
    assert len(script.clock.waits) == 8
    assert all(Reader.REFUSED_S <= wait <= 1.25 * Reader.REFUSED_S for wait in script.clock.waits)
    assert len(set(script.clock.waits)) > 1, "all cameras of a house would ask at the same moment"
    assert script.reasons == ["the camera refused user name or password"] * 8


def test_a_refusal_does_not_lengthen_the_delays_of_other_failures() -> None:
    made = iter([Refusing, Refusing, Refusing, None, None])
    script = Script(lambda clock, _: (next(made) or (lambda: FakeSource(None, [], clock)))(), 5)
    script.reader.run()
    assert [wait < 2.6 for wait in script.clock.waits] == [False, False, False, True, True]


class Stamped:
    """A camera whose frames come `step` seconds apart; each says that it was captured `later` seconds after the last.

    The reader waits for them, or (`waits` off) finds them in a buffer. It hangs up after `most`.
    """

    live = True

    def __init__(self, clock: FakeClock, memory: StreamMemory, step: float = 0.2, later: float = 0.04,
                 waits: bool = True, most: int = 10_000) -> None:  # fmt: skip
        self._clock, self._memory = clock, memory
        self._step, self._later, self._waits, self._left = step, later, waits, most
        self._stamp = 50.0

    def open(self) -> None:
        self._memory.clock.restart()

    def read(self) -> Frame:
        if not self._left:
            raise SourceEnded("it hung up")
        self._left -= 1
        self._clock.now += self._step
        self._stamp += self._later
        captured = self._memory.clock.captured(self._stamp, self._clock.now, self._step if self._waits else 0.0)
        return replace(FRAME, time=captured)

    def close(self) -> None:
        pass


def test_a_connection_that_only_brings_old_frames_is_given_up_after_ten_seconds() -> None:
    script = Script(lambda clock, memory: Stamped(clock, memory, waits=False), 1)
    began = script.clock.now
    script.reader.run()
    (reason,) = script.reasons
    assert "s late, this machine or its network is too slow for them: give the camera's smaller stream" in reason
    late = next(n for n in range(1000) if n * 0.16 > LATE_S) * 0.2
    assert script.clock.now - began == pytest.approx(late + Reader.LAG_S, abs=1.0)


def test_lag_that_ends_in_time_is_no_reason_to_connect_again() -> None:
    """Late for nine seconds, and again, and again."""

    class Recovering(Stamped):
        def read(self) -> Frame:
            frame = super().read()
            late = (self._clock.now - 1000.0) % 10.0 < 9.0
            return replace(frame, time=self._clock.now - (5.0 if late else 0.0))

    script = Script(lambda clock, memory: Recovering(clock, memory, most=500), 1)
    script.reader.run()
    assert script.reasons == ["it hung up"] and len(script.frames) == 500


def test_how_long_the_reader_is_busy_is_known_while_it_connects_and_while_it_waits_for_a_frame() -> None:
    seen: list[float] = []

    class Slow(Stamped):
        def open(self) -> None:
            super().open()
            self._clock.now += 30.0
            seen.append(script.reader.busy_for())

        def read(self) -> Frame:
            frame = super().read()
            seen.append(script.reader.busy_for())
            return frame

    script = Script(lambda clock, memory: Slow(clock, memory, step=7.0, later=7.0, most=3), 1)
    assert script.reader.busy_for() == 0.0
    script.reader.run()
    assert seen == [30.0, 7.0, 7.0, 7.0]
    assert script.reader.busy_for() == 0.0, "between two connections it hangs nowhere"


def test_a_reader_whose_source_fails_while_it_is_made_or_opened_is_busy_no_longer() -> None:
    script = Script(lambda *_: Refusing(), 1)
    script.reader.run()
    script.clock.now += 1000.0
    assert script.reader.busy_for() == 0.0
