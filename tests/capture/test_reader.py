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
from soteirad.capture.frame import Frame
from soteirad.capture.reader import Reader
from soteirad.errors import SourceEnded, SourceError
from tests.capture.made import FakeClock, frame_of

FRAME = frame_of(np.zeros((48, 64, 3), np.uint8))


class FakeSource:
    """Gives `frames` frames and fails; with `frames` None it cannot be opened."""

    live = True

    def __init__(self, frames: int | None, log: list[str]) -> None:
        self._frames = frames
        self._log = log
        self._time = 0.0

    def open(self) -> None:
        self._log.append("open")
        if self._frames is None:
            raise SourceError("no answer")

    def read(self) -> Frame:
        if not self._frames:
            raise SourceEnded("it hung up")
        self._frames -= 1
        self._time += 1.0
        return replace(FRAME, time=self._time)

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
            return FakeSource(remaining.pop(0), self.log)

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
