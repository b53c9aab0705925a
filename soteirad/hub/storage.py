"""The storage: what lies in the state folder beside the journal, for how long, and what gives way on a full disk.

Clips, pictures and the event log give way first: what is left of the disk is for events.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path

from soteirad.config import StorageConfig
from soteirad.errors import StorageError
from soteirad.event import Event
from soteirad.hub.calendar import Calendar
from soteirad.hub.clip_retention import ClipLimits
from soteirad.hub.csv_log import CsvLog
from soteirad.hub.guard import Guard
from soteirad.hub.journal import Journal
from soteirad.hub.retention import Limits, Retention
from soteirad.room import MB, Disk, Room, room_of
from soteirad.snapshot import write_atomically

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
PRUNE_EVERY_S = 60.0


class Storage:
    """For the hub's thread; `problem`, `free_bytes` and `total_bytes` may be read from any.

    `refused` says why the journal takes no events, and is empty while it does. `guards` is the family of those who tell
    of the same disk. `calendar` knows whether the clock is to be believed.
    """

    def __init__(self, config: StorageConfig, journal: Journal, refused: Callable[[], str],
                 guards: list[Guard], look: Callable[[Path], Room] = room_of,
                 calendar: Calendar | None = None) -> None:  # fmt: skip
        self._config = config
        self._clips: ClipLimits | None = None
        self._journal = journal
        self._refused = refused
        self._calendar = Calendar() if calendar is None else calendar
        self._disk = Disk(config.path, look)
        self._guard = Guard(guards)
        self._pictures_guard = Guard(guards)
        self._log = CsvLog(config.log, journal, Guard(guards))
        self._retention = Retention(config.path, config.journal, guards, look=look, aged=self._calendar.now)
        self._look_at = self._prune_at = float("-inf")
        self.note = ""
        """What is to be told as a problem for as long as there is no other one."""
        self.problem = ""
        """What is wrong with the disk, and what follows from it, in one sentence; empty if all is well."""

    @property
    def free_bytes(self) -> int | None:
        """How much may still be written to the disk; None if it does not say."""
        return self._disk.room.free if self._disk.room is not None else None

    @property
    def total_bytes(self) -> int | None:
        """How large the disk is; None if it does not say."""
        return self._disk.room.total if self._disk.room is not None else None

    def has_room(self) -> bool:
        """Say whether there is room for more than events."""
        return not self._disk.tight

    def knows_age(self) -> bool:
        """Say whether the clock is to be believed when it says that something is old."""
        return self._calendar.now() is not None

    def load(self) -> None:
        """Learn when an earlier run recorded something last, before this one does. Raises StorageError."""
        self._calendar.begin(self._journal.recorded_last())

    def configure(self, config: StorageConfig, clips: ClipLimits | None = None) -> None:
        """Go by another configuration; its path is that of the first."""
        self._config, self._clips = config, clips
        self._retention.order(Limits(config.retain_days, config.max_size), clips)

    def start(self) -> None:
        """Begin to delete what is too old or too much."""
        self.configure(self._config, self._clips)
        self._retention.start()

    def stop(self, timeout: float) -> None:
        """Write what the event log lacks, and delete no more."""
        if self._config.csv and self.has_room():
            self._log.step()
        self._retention.stop(timeout)

    def keep(self, path: str, jpeg: bytes) -> None:
        """Keep an event's picture (`path` is below the snapshot folder) if there is room for it."""
        place = self._config.pictures / path
        if self.has_room() and self._pictures_guard(lambda: _write(self._config.pictures, place, jpeg)):
            self._retention.wrote(len(jpeg))

    def confirmed(self, event: Event) -> None:
        """Learn of an event that was just committed: if it tells of a clip, there is less room now."""
        size = event.why.get("bytes")
        if event.event_type == "recorded" and isinstance(size, int):
            self._retention.recorded(size)

    def step(self, now: float) -> None:
        """Do what is due; `now` is monotonic seconds."""
        looks = now >= self._look_at
        if looks:
            self._look_at = now + LOOK_EVERY_S
            self._look()
        if self._config.csv and self.has_room():
            if looks or not self._log.problem:  # each new try looks at the ends of all logs
                self._retention.wrote(self._log.step())
        else:
            self._log.pause()
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_EVERY_S
            self._guard(lambda: self._prune(now))
        self.problem = self._said()

    def _look(self) -> None:
        before = self._disk.tight
        self._disk.look()
        if self._disk.tight and not before:
            logger.error("%s", self._tight())
        elif before and not self._disk.tight:
            logger.info("%s: there is room again: pictures, clips and the event log are written", self._config.path)

    def _tight(self) -> str:
        room = self._disk.room
        free, reserve = (room.free, room.reserve) if room is not None else (0, 0)
        return (f"{self._config.path}: the disk is nearly full: {free / MB:.0f} MB are free, and the last "
                f"{reserve / MB:.0f} MB are for events: no pictures, no clips and no event log are written: free some "
                "space")  # fmt: skip

    def _said(self) -> str:
        refused = self._refused()
        if refused:
            return f"{refused} (events are published, and kept in memory)"
        if self._disk.tight:
            return self._tight()
        problems = (self._pictures_guard.problem, self._log.problem if self._config.csv else "",
                    self._retention.problem, self._guard.problem, self.note)  # fmt: skip
        return next(filter(None, problems), "")

    def _prune(self, now: float) -> None:
        outbox = self._config.outbox
        days = (self._config.retain_days, outbox.days) if self.knows_age() else (math.inf, math.inf)
        pruned = self._journal.prune(*days, outbox.events)
        self._retention.drop(pruned.pictures)
        if pruned.more:
            self._prune_at = now
        if pruned.dropped:
            logger.warning("the outbox was full: %d of the oldest events were dropped unpublished", pruned.dropped)


def _write(folder: Path, path: Path, jpeg: bytes) -> None:
    try:
        write_atomically(path, jpeg)
    except StorageError as error:  # without the file's name, or each would be news
        raise StorageError(f"{folder}: pictures cannot be written:{str(error).rpartition(':')[2]}") from error
