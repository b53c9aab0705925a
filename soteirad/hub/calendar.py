"""The calendar: what time it is for what is deleted for its age; a clock that leapt ahead is not believed at once.

A machine whose clock has no battery may start in any year, and is set right minutes later. Until then nothing may go.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

LEAP_S = 86400.0
"""So far the clock may be ahead of what is expected: a day too much of what is old may go."""
DOUBT_S = 3600.0
"""For so long a clock that is further ahead is not believed; then it is taken to be right."""


class Calendar:
    """For any thread. `clock` gives seconds since the epoch, `monotonic` seconds that never jump."""

    def __init__(self, clock: Callable[[], float] = time.time,
                 monotonic: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._expected: float | None = None
        self._believe_at: float | None = None

    def begin(self, recorded: float | None) -> None:
        """Learn when (epoch seconds) an earlier run recorded something last; None if there was none."""
        with self._lock:
            self._expected = None if recorded is None else recorded - self._monotonic()

    def now(self) -> float | None:
        """Return what time it is, in epoch seconds; None while that is in doubt."""
        with self._lock:
            now, monotonic = self._clock(), self._monotonic()
            ahead = 0.0 if self._expected is None else now - monotonic - self._expected
            if ahead > LEAP_S:
                if self._believe_at is None:
                    self._believe_at = monotonic + DOUBT_S
                    logger.warning("the clock says %.0f days more than what was recorded last: in case it is wrong, "
                                   "nothing is deleted for its age for an hour", ahead / 86400)  # fmt: skip
                if monotonic < self._believe_at:
                    return None
            self._believe_at, self._expected = None, now - monotonic
            return now
