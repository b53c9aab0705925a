"""The reader thread of a live source: connects, reads, reconnects with backoff."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from soteirad.backoff import Backoff
from soteirad.capture.age import LATE_S
from soteirad.capture.clock import Clock, SystemClock
from soteirad.errors import SourceError, SourceRefused


class Timed(Protocol):
    """What a source gives: a frame, or a packet."""

    @property
    def time(self) -> float:
        """When it was captured, in monotonic seconds."""


Taken = TypeVar("Taken", bound=Timed)
Given_co = TypeVar("Given_co", bound=Timed, covariant=True)


class LiveStream(Protocol[Given_co]):
    """A source as the reader knows it."""

    def open(self) -> None:
        """Connect. Raises SourceError."""

    def read(self) -> Given_co:
        """Return what comes next. Raises SourceError."""

    def close(self) -> None:
        """Disconnect."""


class Reader(Generic[Taken]):
    """`run` keeps the source open until `stop` is set; `run_once` reads it until it fails.

    `on_frame` gets every frame, `on_online` is called with the first one of each connection, `on_offline` with the
    reason each time that a connection ends or fails. All of them run on the reader's thread.
    """

    STABLE_S = 10.0
    """Only a connection that gave frames for this long makes the next retry quick."""
    REFUSED_S = 60.0
    """Wait after a wrong password, path or codec: cameras lock users out who try too often."""
    LAG_S = 10.0
    """A connection whose frames are all late for so long is made anew, which empties its buffers."""

    def __init__(self, make_source: Callable[[], LiveStream[Taken]], on_frame: Callable[[Taken], None],
                 on_online: Callable[[], None], on_offline: Callable[[str], None], stop: threading.Event,
                 clock: Clock | None = None, backoff: Backoff | None = None) -> None:  # fmt: skip
        self._make_source = make_source
        self._on_frame = on_frame
        self._on_online = on_online
        self._on_offline = on_offline
        self._stop = stop
        self._clock = clock or SystemClock()
        self._backoff = backoff or Backoff()
        self._refused = Backoff(self.REFUSED_S, self.REFUSED_S)
        self._late_since: float | None = None
        self._busy_since: float | None = None

    def run(self) -> None:
        """Read until `stop` is set, reconnecting after each failure."""
        while not self._stop.is_set():
            delay = 0.0
            try:
                self.run_once()
            except SourceRefused:
                delay = self._refused.next()
            except SourceError:
                pass
            self._clock.wait(self._stop, delay or self._backoff.next())

    def run_once(self) -> None:
        """Connect and read until the source fails. Raises SourceError."""
        self._busy_since = self._clock.monotonic()
        source = self._make_source()
        try:
            source.open()
            began: float | None = None
            while not self._stop.is_set():
                self._busy_since = self._clock.monotonic()
                frame = source.read()
                now = self._clock.monotonic()
                if began is None:
                    began, self._late_since = now, None
                    self._on_online()
                elif now - began > self.STABLE_S:
                    self._backoff.reset()
                self._watch_lag(frame)
                self._on_frame(frame)
        except SourceError as error:
            # Before the source is closed: saying good-bye to a camera that hangs takes the read timeout once more.
            if not self._stop.is_set():
                self._on_offline(str(error))
            raise
        finally:
            source.close()
            self._busy_since = None

    def busy_for(self) -> float:
        """Return how many seconds the reader has been connecting, or waiting for one frame; for any thread."""
        since = self._busy_since
        return 0.0 if since is None else self._clock.monotonic() - since

    def _watch_lag(self, frame: Timed) -> None:
        """Give up a connection that only brings old frames. Raises SourceError."""
        now = self._clock.monotonic()
        age = now - frame.time
        if age <= LATE_S:
            self._late_since = None
            return
        if self._late_since is None:
            self._late_since = now
        if now - self._late_since < self.LAG_S:
            return
        raise SourceError(f"its pictures come {age:.0f} s late, this machine or its network is too slow for them: give "
                          f"the camera's smaller stream")  # fmt: skip
