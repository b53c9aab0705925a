"""The intake: what cameras confirm goes into the journal, in order, however long the disk refuses it.

What the disk has refused for some seconds is *ahead* of the journal: it may be published, and is journaled when the
disk is back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from soteirad.errors import StorageError
from soteirad.event import Event
from soteirad.hub.guard import Guard
from soteirad.hub.journal import Journal, left_of
from soteirad.hub.visits import OpenVisits
from soteirad.spool import Spool

logger = logging.getLogger(__name__)

REFUSED_S = 3.0
"""For so long the journal may refuse events before they are published without it: a disk that is slow is not one that
fails, and what is published without the journal is published again if the daemon dies meanwhile."""
MOST_TOGETHER = 500
"""Events in one transaction."""
MOST_WAITING = 10_000
"""Events that wait in memory (some 20 MB) for a disk that fails; the oldest go, after they were published if there is a
broker."""

Tell = Callable[[Sequence[Event]], None]


@dataclass(frozen=True)
class Closing:
    """The visits of a camera's last process are to be closed; it waits with the events if the disk fails."""

    camera: str
    reason: str


@dataclass
class _Ahead:
    """What is ahead of the journal: the first `settled` items that wait. `visits` is None while the journal cannot say
    which are open, or could not; `spooled` are the ids of what lies in the spool."""

    events: list[Event] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    closes: dict[str, list[Event]] = field(default_factory=dict)
    spooled: set[str] = field(default_factory=set)
    visits: OpenVisits | None = None
    settled: int = 0
    gave_up: bool = False

    def add(self, event: Event) -> None:
        """Let an event go ahead, and learn which visits it closes."""
        self.events.append(event)
        self.ids.add(event.id)
        if self.visits is not None and (closed := self.visits.take(event)):
            self.closes[event.id] = closed

    def knows_visits(self, openings: Sequence[Event]) -> None:
        """Learn which visits are open in the journal."""
        self.visits = OpenVisits(openings)
        for event in self.events:
            self.visits.take(event)

    def leave(self, gone: Sequence[Event]) -> None:
        """Let go of what is in the journal now, or never will be."""
        ids = {event.id for event in gone}
        self.events = [event for event in self.events if event.id not in ids]
        for event_id in ids:
            self.closes.pop(event_id, None)


class Intake:
    """Journals events and closings, for the hub's thread.

    `on_committed` is called with what the disk has; `on_sure` with the events of cameras when nothing can take them
    back: the disk has them, or they are ahead of it. Each is told to each once.
    """

    def __init__(self, journal: Journal, spool: Spool, guard: Guard, on_committed: Tell,
                 on_sure: Tell = lambda _: None, monotonic: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self._journal = journal
        self._spool = spool
        self._guard = guard
        self._on_committed = on_committed
        self._on_sure = on_sure
        self._monotonic = monotonic
        self._waiting: list[Event | Closing] = []
        self._refused_at: float | None = None
        self._patience = REFUSED_S
        self._ahead: _Ahead | None = None

    @property
    def problem(self) -> str:
        """Why the journal takes no events; empty if it does."""
        return self._guard.problem if self._waiting else ""

    def ahead(self) -> Sequence[Event]:
        """Return the events that are to be published although the journal has not taken them, in order."""
        return self._ahead.events if self._ahead is not None else ()

    def openings(self, closing_id: str) -> list[Event]:
        """Return the opening events of the visits that an event closed, be it in the journal or ahead of it.

        Raises StorageError.
        """
        if self._ahead is not None and closing_id in self._ahead.closes:
            return self._ahead.closes[closing_id]
        return self._journal.openings(closing_id)

    def hurry(self) -> None:
        """From now on publish at once what the journal refuses: there is no time to wait for the disk."""
        self._patience = 0.0

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
                # While the disk fails, one event is enough to see whether it still does.
                events = _leading_events(self._waiting, MOST_TOGETHER if self._refused_at is None else 1)
                done, count = self._guard(partial(self._journal.append, events)), len(events)
                if done:
                    self._committed(events)
            if not done:
                self._refused()
                return
            self._done(count)
        if self._ahead is not None:
            self._ahead = None
            logger.info("the journal takes events again, and has those of meanwhile")

    def _done(self, count: int) -> None:
        """Go on behind what the journal has now."""
        self._refused_at = None
        ahead = self._ahead
        if ahead is not None:
            if isinstance(self._waiting[0], Closing):  # the journal knows better now
                ahead.visits = None
            ahead.settled = max(0, ahead.settled - count)
        del self._waiting[:count]

    def _committed(self, events: Sequence[Event]) -> None:
        ahead = self._ahead
        if ahead is None:
            self._on_sure(events)
        else:
            self._on_sure([event for event in events if event.id not in ahead.ids])
            ahead.leave(events)
            self._spool.forget({event.id for event in events} & ahead.spooled)
        self._on_committed(events)

    def _refused(self) -> None:
        """Let what the journal refuses go ahead of it, if it has for long enough."""
        now = self._monotonic()
        if self._refused_at is None:
            self._refused_at = now
        if now - self._refused_at < self._patience and self._ahead is None:
            return
        if self._ahead is None:
            self._ahead = _Ahead()
            logger.error("the journal takes no events: they are published without it, kept in memory until it does, "
                         "and lost to it if the daemon ends before")  # fmt: skip
        self._settle(self._ahead)
        if len(self._waiting) > MOST_WAITING:
            self._give_up(self._ahead)

    def _settle(self, ahead: _Ahead) -> None:
        """Let what is new go ahead; the place of a closing is taken by the events that it means."""
        new, sure = self._waiting[ahead.settled :], []
        # What a closing that has to wait will close, its successors must not close, too.
        sure_of_visits = not any(isinstance(item, Closing) for item in self._waiting[: ahead.settled])
        if new and ahead.visits is None and sure_of_visits:
            with suppress(StorageError):  # it cannot even be read
                ahead.knows_visits(self._journal.open_visits())
        del self._waiting[ahead.settled :]
        behind = _ids(new)
        for item in new:
            if isinstance(item, Event):
                self._waiting.append(item)
                sure.append(item)
                ahead.add(item)
            else:
                self._waiting += self._closed(item, ahead, behind)
        ahead.settled = len(self._waiting)
        self._on_sure(sure)

    def _closed(self, closing: Closing, ahead: _Ahead, behind: set[str]) -> Sequence[Event | Closing]:
        """Return what a camera's last process spooled, and a `left` for each of its visits; the closing itself as long
        as these cannot be known. What came `behind` it may be spooled as well, by its successor."""
        try:
            spooled = self._spool.read(closing.camera)
            known = {event.id for event in spooled if event.id in ahead.ids or self._journal.knows(event.id)}
        except StorageError:
            return [closing]
        if ahead.visits is None:
            return [closing]
        events = [event for event in spooled if event.id not in known | behind]
        ahead.spooled.update(event.id for event in spooled)
        for event in events:
            ahead.add(event)
        lefts = [left_of(opening, closing.reason, time.time()) for opening in ahead.visits.of(closing.camera)]
        for event in lefts:
            ahead.add(event)
        return [*events, *lefts]

    def _give_up(self, ahead: _Ahead) -> None:
        """Forget the oldest, so that a disk that never comes back costs no more memory than this."""
        gone = [item for item in self._waiting[:-MOST_WAITING] if isinstance(item, Event)]
        del self._waiting[:-MOST_WAITING]
        ahead.settled = len(self._waiting)
        if not ahead.gave_up:
            ahead.gave_up = True
            logger.error("more than %d events wait for the disk: the oldest will not be in the journal", MOST_WAITING)
        ahead.leave(gone)
        self._on_committed(gone)

    def _close(self, closing: Closing) -> None:
        """What a process that ended watched is unknown: its visits end, and its successor finds things `present`."""
        self._take_spooled(closing.camera, _ids(self._waiting))
        self._journal.close_open_visits(closing.reason, time.time(), closing.camera)

    def _take_spooled(self, camera: str | None = None, behind: Collection[str] = ()) -> int:
        """Journal what cameras (or one) spooled; an id that is there already is not journaled again.

        What waits `behind` the end of a process is of its successor, which spools what is not answered.
        """
        found = [event for event in self._spool.read(camera) if event.id not in behind]
        self._journal.append(found)
        self._spool.forget({event.id for event in found})
        return len(found)


def _ids(items: Sequence[Event | Closing]) -> set[str]:
    return {item.id for item in items if isinstance(item, Event)}


def _leading_events(items: Sequence[Event | Closing], limit: int) -> list[Event]:
    found: list[Event] = []
    for item in items[:limit]:
        if isinstance(item, Closing):
            break
        found.append(item)
    return found
