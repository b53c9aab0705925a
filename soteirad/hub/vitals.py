"""What systemd is told of the daemon: that it is ready, a line on how it is, and that it makes progress."""

from __future__ import annotations

import faulthandler
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from soteirad.hub.guard import Guard
from soteirad.hub.journal import Journal
from soteirad.service.notify import Notifier

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Condition:
    """How the daemon is: `doing` is what it does beside watching, `problem` what is wrong with the disk."""

    cameras: int
    online: int
    connected: bool = True
    doing: str = ""
    problem: str = ""

    def line(self, events: int) -> str:
        """Return the status line, with the number of events of today."""
        parts = [f"{_count(self.cameras, 'camera')}, {self.online} online, {_count(events, 'event')} today", self.doing,
                 "" if self.connected else "not connected to the MQTT broker", self.problem]  # fmt: skip
        return "; ".join(filter(None, parts))


class Today:
    """How many events the local day has had: the journal is asked at the start, and when a day begins."""

    def __init__(self, journal: Journal, guard: Guard, clock: Callable[[], float] = time.time) -> None:
        self._journal = journal
        self._guard = guard
        self._clock = clock
        self._day = (0, 0, 0)
        self._count = 0

    def add(self, count: int) -> None:
        """Learn of new events."""
        self._count += count

    def count(self) -> int:
        """Return how many there are; the clock may be set at any time."""
        day = time.localtime(self._clock())[:3]
        if day != self._day:
            self._day, self._count = day, 0
            self._guard(self._ask)
        return self._count

    def _ask(self) -> None:
        self._count = self._journal.count_since(time.mktime((*self._day, 0, 0, 0, 0, 0, -1)))


class Vitals:
    """Tells systemd, for the hub's thread. `notifier` was started."""

    def __init__(self, journal: Journal, guard: Guard, notifier: Notifier) -> None:
        self._notifier = notifier
        self._today = Today(journal, guard)
        self._hang_told = False
        self._trap_due = float("-inf")

    def doing(self, text: str) -> None:
        """Say what the start or the end is at."""
        self._notifier.status(text)

    def busy(self) -> None:
        """A start takes time; after a restart over MQTT the watchdog is awake all the time."""
        now = time.monotonic()
        self._notifier.extend(now)
        self._notifier.watchdog(now)

    def extend(self) -> None:
        """A reload takes time. It is beside the loop, whose `progress` alone feeds the watchdog."""
        self._notifier.extend(time.monotonic())

    def ready(self) -> None:
        """All that is to be watched is watched, or tried."""
        self._notifier.ready()

    def reloading(self) -> None:
        """A new configuration is read; `ready` ends it."""
        self._notifier.reloading()

    def stopping(self, restart: bool) -> None:
        """The end begins; systemd would end us for good if it heard so before a `restart`."""
        self._notifier.reloading() if restart else self._notifier.stopping()
        self._notifier.status("restarting" if restart else "stopping")

    def recorded(self, count: int) -> None:
        """Count events."""
        self._today.add(count)

    def tell(self, condition: Condition) -> None:
        """Show how the daemon is."""
        self._notifier.status(condition.line(self._today.count()))

    def progress(self, now: float, mqtt_hangs: bool) -> None:
        """The loop turned (`now` is monotonic seconds). A thread that hangs cannot be ended, only all of us; a camera
        process that cannot be revived is no reason to restart the others."""
        if not mqtt_hangs:
            self._hang_told = False
            self._notifier.watchdog(now)
            self._set_trap(now)
        elif not self._hang_told:
            self._hang_told = True
            logger.error("the MQTT connection's thread hangs: the watchdog is not fed any more")

    def _set_trap(self, now: float) -> None:
        """If the loop does not turn again, have written where it hangs before systemd ends us."""
        wait = self._notifier.watchdog_s * 0.9
        if wait and now >= self._trap_due:
            self._trap_due = now + wait / 3
            faulthandler.dump_traceback_later(wait)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
