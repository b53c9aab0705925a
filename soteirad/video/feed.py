"""The feed: one thread puts a stream's pieces in, others follow it, each at its own pace. Bounded by its ring."""

from __future__ import annotations

import threading
from typing import NamedTuple

from soteirad.video.piece import Piece
from soteirad.video.ring import MOST_BYTES, Ring


class Reading(NamedTuple):
    """Pieces, the number to go on with, and whether some before them were `lost`."""

    pieces: list[Piece]
    next: int
    lost: bool


class Feed:
    """A ring for many threads. Who falls behind further than it reaches loses what is gone, and nobody else does."""

    def __init__(self, seconds: float = 0.0, most: int = MOST_BYTES) -> None:
        self._ring = Ring(seconds, most)
        self._changed = threading.Condition()

    def put(self, piece: Piece) -> None:
        """Add a piece."""
        with self._changed:
            self._ring.add(piece)
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget all pieces: what comes next has nothing to do with them."""
        with self._changed:
            self._ring.clear()

    def begin(self, time: float) -> int | None:
        """Return where to begin for what is to be seen from `time` on; None if nothing came yet."""
        with self._changed:
            return self._ring.begin(time)

    def read(self, number: int) -> Reading:
        """Return the pieces from that number on."""
        with self._changed:
            return Reading(self._ring.after(number), max(number, self._ring.end), number < self._ring.first)

    def wait(self, number: int, timeout: float) -> bool:
        """Wait until there is a piece of that number, or one after it; returns whether there is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._ring.end > number, timeout)

    @property
    def newest(self) -> float | None:
        """When the last piece came, on the clock of the gates; None if nothing came yet."""
        with self._changed:
            return self._ring.newest

    @property
    def bytes(self) -> int:
        """How much it holds."""
        with self._changed:
            return self._ring.bytes
