"""Backoff: how long to wait before something that failed is tried again."""

from __future__ import annotations

import random


class Backoff:
    """Exponential delays from `first` to `last` seconds with up to 25 % of jitter."""

    def __init__(self, first: float = 1.0, last: float = 30.0, rng: random.Random | None = None) -> None:
        self._first = first
        self._last = last
        self._failures = 0
        self._rng = rng or random.Random()

    def reset(self) -> None:
        """Begin with the first delay again."""
        self._failures = 0

    def next(self) -> float:
        """Return the next delay in seconds."""
        delay = min(self._last, self._first * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return delay * (1.0 + 0.25 * self._rng.random())
