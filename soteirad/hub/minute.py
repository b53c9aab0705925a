"""A minute: how often something may be done in one, whoever wishes it and however often."""

from __future__ import annotations

import time
from collections.abc import Callable


class Minute:
    """Lets the first `most` in a minute through; `monotonic` gives seconds."""

    def __init__(self, most: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._monotonic = monotonic
        self._began = float("-inf")
        self._count = 0

    def allows(self) -> bool:
        """Say whether one more may be done."""
        now = self._monotonic()
        if now - self._began >= 60.0:
            self._began, self._count = now, 0
        self._count += 1
        return self._count <= self._most

    @property
    def just_full(self) -> bool:
        """Whether the last one that was asked for is the first that is too many: time to tell it, once."""
        return self._count == self._most + 1
