"""The reader thread of a live source: connects, reads, reconnects with backoff."""

from __future__ import annotations

import threading
from collections.abc import Callable

from soteirad.backoff import Backoff
from soteirad.capture.clock import Clock, SystemClock
from soteirad.capture.frame import Frame
from soteirad.capture.source import Source
from soteirad.errors import SourceError


class Reader:
    """`run` keeps the source open until `stop` is set; `run_once` reads it until it fails.

    `on_frame` gets every frame, `on_online` is called with the first one of each connection, `on_offline` with the
    reason each time that a connection ends or fails. All of them run on the reader's thread.
    """

    def __init__(self, make_source: Callable[[], Source], on_frame: Callable[[Frame], None],
                 on_online: Callable[[], None], on_offline: Callable[[str], None], stop: threading.Event,
                 clock: Clock | None = None) -> None:  # fmt: skip
        self._make_source = make_source
        self._on_frame = on_frame
        self._on_online = on_online
        self._on_offline = on_offline
        self._stop = stop
        self._clock = clock or SystemClock()
        self._backoff = Backoff()

    STABLE_S = 10.0
    """Only a connection that gave frames for this long makes the next retry quick."""

    def run(self) -> None:
        """Read until `stop` is set, reconnecting after each failure."""
        while not self._stop.is_set():
            try:
                self.run_once()
            except SourceError as error:
                if self._stop.is_set():
                    return
                self._on_offline(str(error))
            self._clock.wait(self._stop, self._backoff.next())

    def run_once(self) -> None:
        """Connect and read until the source fails. Raises SourceError."""
        source = self._make_source()
        try:
            source.open()
            first, began = True, 0.0
            while not self._stop.is_set():
                frame = source.read()
                if first:
                    first, began = False, frame.time
                    self._on_online()
                elif frame.time - began > self.STABLE_S:
                    self._backoff.reset()
                self._on_frame(frame)
        finally:
            source.close()
