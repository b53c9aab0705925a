"""A damaged journal is moved aside, and what can be read of it goes into a new one.

The new file is made beside the damaged one and is whole before anything is moved: however often that is interrupted,
the next start goes on with it.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from soteirad.errors import DamagedError, StorageError, StorageRefused
from soteirad.hub.backup import settle
from soteirad.hub.damage import newer_version
from soteirad.hub.salvage import Saved, salvage
from soteirad.hub.tables import SCHEMA_VERSION, explained
from soteirad.room import MB, Room, room_of

logger = logging.getLogger(__name__)

KEPT = 3
"""So many damaged files are kept, the newest."""
SPARE = 10 * MB
BUSY_S = 5.0
_BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite puts beside a file, and would put into the next one of that name."""


def mend(journal: Path, at_least: int = 0, clock: Callable[[], float] = time.time,
         look: Callable[[Path], Room] = room_of,
         on_progress: Callable[[], object] = lambda: None) -> Saved:  # fmt: skip
    """Replace a damaged journal, which nobody has open, by a new one with all that can be read, and tell it.

    New events go behind place `at_least`; `on_progress` is called now and then. Raises StorageError; then nothing was
    moved.
    """
    half = _half(journal)
    try:
        if newer_version(journal):
            raise StorageRefused(f"{journal}: it is damaged, and a newer Soteira wrote it: install that version again, "
                                 "or move the file away to begin a new one")  # fmt: skip
        _check_room(journal, look)
        _remove(half)
        try:
            saved = salvage(journal, half, at_least, on_progress)
        except (OSError, sqlite3.Error):
            with suppress(OSError):  # a disk that is full needs the room
                _remove(half)
            raise
        aside = finish(journal, clock)
    except sqlite3.Error as error:
        raise explained(half, error) from error
    except OSError as error:
        raise StorageError(f"{journal}: it is damaged, and a new one cannot be made: {error.strerror}: check the disk "
                           "(`dmesg`)") from error  # fmt: skip
    logger.error("%s: it was damaged: a new one was begun, with all that could be read: %s; the damaged one is %s",
                 journal, saved, aside)  # fmt: skip
    return saved


def finish(journal: Path, clock: Callable[[], float] = time.time) -> Path | None:
    """Put a new journal that is whole in the place of the damaged one; returns where that is now.

    None if there is no new one; half a one is removed. Raises OSError and sqlite3.Error.
    """
    half = _half(journal)
    if not half.exists():
        return None
    if not _is_whole(half):
        _remove(half)
        return None
    aside = _aside(journal, clock())
    # The file first: who opened it now without its log would leave a log for the new one.
    for end in ("", *_BESIDE):
        with suppress(FileNotFoundError):
            journal.with_name(f"{journal.name}{end}").rename(aside.with_name(f"{aside.name}{end}"))
    settle(half, journal)
    # Not by name alone: the clock may have been set back since the others were moved.
    for old in [file for file in damaged_files(journal) if file != aside][KEPT - 1 :]:
        with suppress(OSError):
            _remove(old)
    return aside


def damaged_files(journal: Path) -> list[Path]:
    """Return the damaged files that were moved aside, the newest first."""
    name = re.compile(re.escape(journal.name) + r"(\.corrupt-[0-9]{8}T[0-9]{6}Z(-[0-9]+)?)(-wal|-shm|-journal)?")
    with suppress(OSError):
        # Of one that was moved in two goes, or had nothing but its log, the log may be all that has the name.
        found = {match[1] for path in journal.parent.iterdir() if (match := name.fullmatch(path.name))}
        return [journal.with_name(f"{journal.name}{end}") for end in sorted(found, reverse=True)]
    return []


def _half(journal: Path) -> Path:
    return journal.with_name(f"{journal.name}.mending")


def _aside(journal: Path, now: float) -> Path:
    """Return a name that is not taken yet."""
    first = journal.with_name(f"{journal.name}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}")
    aside, count = first, 1
    while any(aside.with_name(f"{aside.name}{end}").exists() for end in ("", *_BESIDE)):
        aside, count = first.with_name(f"{first.name}-{count}"), count + 1
    return aside


def _is_whole(half: Path) -> bool:
    try:
        with closing(sqlite3.connect(half, timeout=BUSY_S)) as db:
            return bool(db.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION)
    except sqlite3.Error as error:
        if isinstance(explained(half, error), DamagedError):
            return False
        raise  # it may be whole, and the only one that there is


def _check_room(journal: Path, look: Callable[[Path], Room]) -> None:
    files = (journal, journal.with_name(f"{journal.name}-wal"))
    size = sum(file.stat().st_size for file in files if file.exists())
    needed, free = size + SPARE, look(journal.parent).free
    if free < needed:
        raise StorageError(f"{journal}: it is damaged, and {needed / MB:.0f} MB must be free to save what can be read: "
                           f"{free / MB:.0f} MB are: free some space")  # fmt: skip


def _remove(file: Path) -> None:
    for end in ("", *_BESIDE):
        file.with_name(f"{file.name}{end}").unlink(missing_ok=True)
