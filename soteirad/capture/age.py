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
    """A delay up to this may be drift; more is a buffer."""
    CATCH_UP = 0.2
    """Share of the delay that each waited-for frame takes back."""
    WAITED_SHARE = 0.25
    """A reader that waited this share of the time between two stamps had emptied the buffers."""

    def __init__(self) -> None:
        self.trusted = True
        """Whether stamps count; arrivals alone are taken of a camera whose stamps made no sense."""
        self._offset: float | None = None
        self._stamp = 0.0
        self._last = float("-inf")
        self._waited_for = 0
        self._delayed = 0

    @property
    def contradicted(self) -> bool:
        """Whether stamps say that frames are old, and waiting for them says that no buffer held them."""
        return self._waited_for > self._delayed / 2

    def restart(self) -> None:
        """Begin anew with another connection."""
        self._offset = None
        self._waited_for = self._delayed = 0

    def captured(self, stamp: float | None, arrival: float, waited: float) -> float:
        """Return when a frame was captured, seconds on the clock of `arrival`.

        `stamp` is its presentation time in seconds, None without one; `waited` how long the reader waited for it.
        """
        capture = arrival
        if stamp is not None and self.trusted:
            step, self._stamp = stamp - self._stamp, stamp
            if self._offset is None or step < 0 or stamp + self._offset > arrival:
                self._offset = arrival - stamp
            capture = arrival - self._delay(arrival - stamp - self._offset, waited >= self.WAITED_SHARE * step)
        self._last = max(self._last, capture)
        return self._last

    def _delay(self, delay: float, waited: bool) -> float:
        """Return the delay to believe in, and take back what may be drift."""
        if delay > self.CREEP_S:
            self._delayed += 1
            self._waited_for += waited
            return delay
        self._delayed = self._waited_for = 0
        drift = self.CATCH_UP * delay if waited else 0.0
        self._offset = (self._offset or 0.0) + drift
        return delay - drift
