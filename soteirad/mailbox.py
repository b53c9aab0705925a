"""The gate thread's mailbox: the latest frame, detector results, and what the reader has to say."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from soteirad.capture.frame import Frame
from soteirad.event import Event
from soteirad.watch import LookResult


@dataclass(frozen=True)
class SourceOnline:
    """The reader connected and frames come."""


@dataclass(frozen=True)
class SourceOffline:
    """The reader lost the source, or did not get it."""

    reason: str


@dataclass(frozen=True)
class Crashed:
    """A helper thread met a fault that it was not made for: the process must end, so that the hub restarts it."""

    error: BaseException


@dataclass(frozen=True)
class DetailPicture:
    """A frame of the detail stream for an event, and its snapshot (JPEG)."""

    event: Event
    jpeg: bytes
    frame: Frame


News = LookResult | SourceOnline | SourceOffline | Crashed | DetailPicture
Mail = Frame | News


class Mailbox:
    """Holds the newest frame only (older ones are counted as `dropped`), and everything else in order.

    A whole frame whose time is not `due`, which is asked on the reader's thread, wakes nobody: of it only the media
    time is kept. `passed` are those that came before what the last `take` gave.
    """

    def __init__(self, due: Callable[[float], bool] = lambda _: True) -> None:
        self._due = due
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._others: deque[News] = deque()
        self._passing: list[float] = []
        self.passed: list[float] = []
        self.dropped = 0

    def put_frame(self, frame: Frame) -> None:
        """Replace the frame that waits, unless this one is not due."""
        with self._changed:
            if not frame.corrupt and not self._due(frame.time):
                self._passing.append(frame.time)
                return
            self.dropped += self._frame is not None
            self._frame = frame
            self._changed.notify()

    def put(self, mail: News) -> None:
        """Add a message; messages come before frames. A lost source takes the frame that waits with it."""
        with self._changed:
            if isinstance(mail, SourceOffline):
                self.dropped += self._frame is not None
                self._frame = None
            self._others.append(mail)
            self._changed.notify()

    def take(self, timeout: float) -> Mail | None:
        """Return the next message or the newest frame; None after `timeout` seconds."""
        with self._changed:
            if not self._others and self._frame is None:
                self._changed.wait(timeout)
            self.passed, self._passing = self._passing, []
            if self._others:
                return self._others.popleft()
            frame, self._frame = self._frame, None
            return frame
