"""The intake: what cameras confirm goes into the journal, in order, however long the disk refuses it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from soteirad.event import Event
from soteirad.hub.guard import Guard
from soteirad.hub.journal import Journal
from soteirad.spool import Spool


@dataclass(frozen=True)
class Closing:
    """The visits of a camera's last process are to be closed; it waits with the events if the disk fails."""

    camera: str
    reason: str


class Intake:
    """Journals events and closings; `on_committed` is called with what the disk has."""

    def __init__(self, journal: Journal, spool: Spool, guard: Guard,
                 on_committed: Callable[[Sequence[Event]], None]) -> None:  # fmt: skip
        self._journal = journal
        self._spool = spool
        self._guard = guard
        self._on_committed = on_committed
        self._waiting: list[Event | Closing] = []

    def recover(self) -> tuple[int, int]:
        """Take in what camera processes spooled, then close the visits that the last run left open.

        Returns how many events and how many visits these were. Raises StorageError.
        """
        found = self._take_spooled()
        return found, len(self._journal.close_open_visits("restart", time.time()))

    def take(self, new: Sequence[Event | Closing]) -> None:
        """Journal what is new, after all that waits; if the disk fails it waits here, and unanswered in the cameras."""
        self._waiting += new
        while self._waiting:
            first = self._waiting[0]
            if isinstance(first, Closing):
                done, count = self._guard(partial(self._close, first)), 1
            else:
                events = _leading_events(self._waiting)
                done, count = self._guard(partial(self._journal.append, events)), len(events)
                if done:
                    self._on_committed(events)
            if not done:
                return
            del self._waiting[:count]

    def _close(self, closing: Closing) -> None:
        """What a process that ended watched is unknown: its visits end, and its successor finds things `present`."""
        self._take_spooled(closing.camera)
        self._journal.close_open_visits(closing.reason, time.time(), closing.camera)

    def _take_spooled(self, camera: str | None = None) -> int:
        """Journal what cameras (or one) spooled; an id that is there already is not journaled again."""
        found = self._spool.read(camera)
        self._journal.append(found)
        for event in found:
            self._spool.forget(event.id)
        return len(found)


def _leading_events(items: Sequence[Event | Closing]) -> list[Event]:
    found: list[Event] = []
    for item in items:
        if isinstance(item, Closing):
            break
        found.append(item)
    return found
