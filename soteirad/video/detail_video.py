"""The detail stream's packets, for clips and for those who look: fetched while they are wanted, and not decoded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count

from soteirad.capture.clock import Clock, SystemClock
from soteirad.capture.packets import PacketSource, Received
from soteirad.capture.reader import Reader
from soteirad.video.feed import Feed
from soteirad.video.tap import COPIED, Tap

MOST_READERS = 3
"""One that was told to end may hang until its camera's time limits are over; more are not begun meanwhile."""


class DetailVideo:
    """Keeps a stream open while it is `wanted`, and puts its pieces into `feed`, which reaches `seconds` back.

    `make` returns the stream, not opened yet, with this tap and this number of its connection; it is called on the
    reader's thread.
    """

    def __init__(self, seconds: float, make: Callable[[Tap, int], PacketSource], on_fault: Callable[[Exception], None],
                 clock: Clock | None = None) -> None:  # fmt: skip
        self.feed = Feed(seconds)
        """Another one each time that the stream is opened: what an earlier one brought is of another time."""
        self._seconds = seconds
        self._make = make
        self._on_fault = on_fault
        self._clock = clock or SystemClock()
        self._tap = Tap(self.feed)
        self._connections = count(1)
        self._stop: threading.Event | None = None
        self._readers: list[threading.Thread] = []
        self.problem = ""
        """Why nothing comes; empty while it does, and before it was tried."""

    @property
    def codec(self) -> str:
        """That of its pictures; empty before there were any."""
        return self._tap.codec

    @property
    def can_be_copied(self) -> bool:
        """Whether its pictures can be passed on, as far as is known."""
        return self.codec in ("", *COPIED)

    def want(self, wanted: bool) -> None:
        """Open it, or close it; to be said again and again."""
        self._readers = [thread for thread in self._readers if thread.is_alive()]
        if wanted and self._stop is None and len(self._readers) < MOST_READERS:
            self._stop, self.feed = threading.Event(), Feed(self._seconds)
            # A thread that was told to end may still wait for a packet: it has a tap of its own.
            self._tap = Tap(self.feed)
            thread = threading.Thread(target=self._run, args=(self._stop, self._tap), name="detail-video", daemon=True)
            self._readers.append(thread)
            thread.start()
        elif not wanted and self._stop is not None:
            self._stop.set()
            self._stop, self.feed, self.problem = None, Feed(self._seconds), ""

    def _run(self, stop: threading.Event, tap: Tap) -> None:
        def take(_: Received) -> None:
            """The tap has had it."""

        def online() -> None:
            self.problem = ""

        def offline(reason: str) -> None:
            if not stop.is_set():
                self.problem = reason

        try:
            reader: Reader[Received] = Reader(lambda: self._make(tap, next(self._connections)), take, online,
                                              offline, stop, self._clock)  # fmt: skip
            reader.run()
        except Exception as error:
            self._on_fault(error)
