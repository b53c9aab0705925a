"""How old a live frame is: when it was captured, from its time stamp and its arrival."""

from __future__ import annotations

LATE_S = 2.0
"""A frame older than this is never analysed as if it were now."""


class CaptureClock:
    """Turns the time stamps of a live stream into capture times on the clock of arrivals.

    A stamp says how far apart two frames were captured, arrivals when they came. The smallest delay that was seen is
    taken for none, so a frame that waited in a buffer (a stalled process, a network that sent it again) is as old as
    it is late. Camera clocks drift and jump: a stamp that runs ahead of arrivals, or jumps back, is a new beginning,
    and a delay that creeps up is drift as long as the reader had to wait for the frames, which says that no buffer
    held them.

    Capture times never run ahead of arrivals, and never back.
    """

    CREEP_S = 0.5
    """A delay up to this may be drift; more is a buffer ..."""
    PROOF_S = 2.0
    """... unless the reader has waited for all frames of so long a time: then the stamps are wrong."""
    CATCH_UP = 0.2
    """Share of a drift that each waited-for frame takes back."""
    WAITED_SHARE = 0.25
    """A reader that waited this share of the time between two stamps had emptied the buffers."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self._stamp = 0.0
        self._last = float("-inf")
        self._waiting_since: float | None = None

    def restart(self) -> None:
        """Begin anew with another connection."""
        self._offset = self._waiting_since = None

    def captured(self, stamp: float | None, arrival: float, waited: float) -> float:
        """Return when a frame was captured, seconds on the clock of `arrival`.

        `stamp` is its presentation time in seconds, None without one; `waited` how long the reader waited for it.
        """
        capture = arrival
        if stamp is not None:
            step, self._stamp = stamp - self._stamp, stamp
            if self._offset is None or step < 0 or stamp + self._offset > arrival:
                self._offset = arrival - stamp
            delay = arrival - stamp - self._offset
            capture = arrival - self._believed(delay, waited >= self.WAITED_SHARE * step, arrival)
            self._offset = capture - stamp if delay <= self.CREEP_S or capture == arrival else self._offset
        self._last = max(self._last, capture)
        return self._last

    def _believed(self, delay: float, waited: bool, arrival: float) -> float:
        """Return how much of a delay is one."""
        if not waited:
            self._waiting_since = None
            return delay
        if delay <= self.CREEP_S:
            self._waiting_since = None
            return delay * (1.0 - self.CATCH_UP)
        self._waiting_since = arrival if self._waiting_since is None else self._waiting_since
        return delay if arrival - self._waiting_since < self.PROOF_S else 0.0
