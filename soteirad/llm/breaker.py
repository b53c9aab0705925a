"""A circuit breaker: a server that keeps failing is left alone for a while, and then asked once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half_open"]


class Breaker:
    """Closed until `failures` in a row; then open, and after `first` seconds half open: one caller may try.

    Its success closes; its failure opens for twice as long, up to `last` seconds. A caller that never says how it went
    holds the others for `last` seconds. May be used by any threads.
    """

    def __init__(
        self,
        failures: int = 5,
        first: float = 30.0,
        last: float = 600.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = failures
        self._first = first
        self._last = last
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failures = 0
        self._delay = first
        # None is closed; while a caller tries, this is when another one may.
        self._next_try: float | None = None
        self._trying = False

    def allow(self) -> bool:
        """Say whether the server may be called now; who is told yes reports with one of the three below."""
        with self._lock:
            now = self._monotonic()
            if self._next_try is None:
                return True
            if now < self._next_try:
                return False
            self._trying, self._next_try = True, now + self._last
            return True

    def succeeded(self) -> None:
        """The server answered: it is well, whoever found out."""
        with self._lock:
            self._failures, self._delay, self._next_try, self._trying = 0, self._first, None, False

    def failed(self, leave_alone: float = 0.0) -> None:
        """The server did not answer. While it is left alone, calls that began before change nothing.

        One that asks to be left alone for more than `first` seconds is, up to `last`.
        """
        with self._lock:
            asked = min(leave_alone, self._last) if leave_alone > self._first else 0.0
            if self._next_try is None:
                self._failures += 1
                if asked or self._failures >= self._most:
                    self._open(asked)
            elif self._trying:
                self._delay = min(self._last, 2 * self._delay)
                self._open(asked)

    def withdrawn(self) -> None:
        """Who was allowed to call did not: the next one may at once."""
        with self._lock:
            if self._trying:
                self._trying, self._next_try = False, self._monotonic()

    @property
    def state(self) -> State:
        """Closed; open while nobody may call; half open while one may, or does."""
        with self._lock:
            if self._next_try is None:
                return "closed"
            return "half_open" if self._trying or self._monotonic() >= self._next_try else "open"

    def retry_in(self) -> float | None:
        """Return the seconds until somebody may call: 0 if at once; None if closed."""
        with self._lock:
            return None if self._next_try is None else max(0.0, self._next_try - self._monotonic())

    def _open(self, at_least: float) -> None:
        self._failures, self._trying = 0, False
        self._next_try = self._monotonic() + max(at_least, min(self._delay, self._last))
