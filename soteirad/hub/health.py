"""A camera process's health: whether it is at work, and when to start it again."""

from __future__ import annotations

from collections import deque


class Pulse:
    """Judges a process by its heartbeats. All times are monotonic seconds.

    `frames_within` is how long a camera that is online may take no frame; infinite for files, which have a pace of
    their owner's.
    """

    SILENCE_S = 15.0
    """A process that sent no heartbeat for so long hangs."""
    START_S = 180.0
    """The same before its first one: some engines compile the model when they load it."""
    STAND_IN_S = 45.0
    """How long a model may take to load that stands in for a server."""

    def __init__(self, now: float, frames_within: float, silence: float = SILENCE_S) -> None:
        self._frames_within = frames_within
        self._silence = silence
        self._limit = self.START_S
        self._beat = self._progress = now
        self._frames = -1
        self._online = False

    def beat(self, now: float, frames: int) -> None:
        """Take a heartbeat."""
        self._limit = self._silence
        self._beat = now
        if frames != self._frames:
            self._frames, self._progress = frames, now

    def source(self, now: float, online: bool) -> None:
        """Take the news that the source came or went: a sign of life, and whether frames are to be expected."""
        self._limit = self._silence
        self._beat = self._progress = now
        self._online = online

    def excuse(self, now: float, seconds: float) -> None:
        """Forgive silence while the hub itself did not run and could hear nothing."""
        self._beat = min(now, self._beat + seconds)
        self._progress = min(now, self._progress + seconds)

    def problem(self, now: float) -> str | None:
        """Return what is wrong with the process, or None."""
        if now - self._beat > self._limit:
            return f"gave no sign of life for {now - self._beat:.0f} s"
        if self._online and now - self._progress > self._frames_within:
            return f"took no frame for {now - self._progress:.0f} s and did not say that its source was lost"
        return None


class Crashes:
    """When to start a process again that died: soon, unless it keeps dying."""

    SOON_S = 1.0
    LATER_S = 60.0
    MANY = 5
    WINDOW_S = 600.0
    """After `MANY` crashes within this time the next starts come every `LATER_S`."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def next_start(self, now: float) -> float:
        """Note a crash at `now` (monotonic seconds) and return in how many seconds to start again."""
        self._times.append(now)
        while now - self._times[0] > self.WINDOW_S:
            self._times.popleft()
        return self.LATER_S if self.often else self.SOON_S

    @property
    def often(self) -> bool:
        """Whether it died too often to be started at once."""
        return len(self._times) >= self.MANY
