"""The clock that sources use, injected so that tests need not wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Time of day, monotonic time, and waiting that a stop event ends early."""

    def wall(self) -> float:
        """Seconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait until `stop` is set or `seconds` are over; returns whether it is set."""


class SystemClock:
    """The real clock."""

    def wall(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds of the system's monotonic clock."""
        return time.monotonic()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait until `stop` is set or `seconds` are over; returns whether it is set."""
        return stop.wait(max(0.0, seconds))


class BeatingClock(SystemClock):
    """The real clock, that calls `beat` whenever it waits, and every so many seconds of a long wait."""

    def __init__(self, beat: Callable[[], None], every: float) -> None:
        self._beat = beat
        self._every = every

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait until `stop` is set or `seconds` are over; returns whether it is set."""
        until = time.monotonic() + seconds
        self._beat()
        while (left := until - time.monotonic()) > self._every:
            if super().wait(stop, min(left, self._every)):
                return True
            self._beat()
        return super().wait(stop, left)
