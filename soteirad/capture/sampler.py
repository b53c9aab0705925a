"""Which frames are analysed: the `fps` cap, on media time."""

from __future__ import annotations


class Sampler:
    """Lets through at most `fps` frames a second, evenly on media time; 0 lets every frame through."""

    TOLERANCE = 0.1
    """A frame may come this share of the interval early: camera clocks jitter."""

    def __init__(self, fps: float) -> None:
        self._interval = 1.0 / fps if fps > 0 else 0.0
        self._due = float("-inf")

    def due(self, time: float) -> bool:
        """Say whether a frame at media time `time` (seconds) would be analysed; any thread may ask."""
        return time >= self._due - self._interval * self.TOLERANCE

    def wants(self, time: float) -> bool:
        """Say whether the frame at media time `time` (seconds) is analysed."""
        if not self.due(time):
            return False
        # So late a frame must not be followed at once by the one that may come early.
        on_schedule = time - self._due < self._interval * (1 - self.TOLERANCE)
        self._due = (self._due if on_schedule else time) + self._interval
        return True
