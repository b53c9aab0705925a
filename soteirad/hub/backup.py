"""Copies of the journal from before its tables were changed, so that there is a way back to the version before."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from soteirad.errors import StorageError
from soteirad.room import MB, Room, room_of

KEPT = 2
"""So many copies are kept, those of the newest versions."""
GROWTH = 2
"""So many times its size a journal needs for the copy, and for what an upgrade writes before it is done."""
SPARE = 10 * MB


def backup_of(journal: Path, version: int) -> Path:
    """Return where the copy of a journal of that version goes."""
    return journal.with_name(f"{journal.name}.v{version}.bak")


def backups(journal: Path) -> list[tuple[int, Path]]:
    """Return the copies that there are, with their versions, the newest version first."""
    name = re.compile(re.escape(journal.name) + r"\.v([0-9]{1,4})\.bak")
    with suppress(OSError):
        found = [(int(match[1]), path) for path in journal.parent.iterdir() if (match := name.fullmatch(path.name))]
        return sorted(found, reverse=True)
    return []


def back_up(journal: Path, version: int, look: Callable[[Path], Room] = room_of) -> Path:
    """Copy a journal that others may be reading, whole or not at all, and delete older copies than the newest few.

    Raises StorageError if there is no room for it, and for the upgrade that follows.
    """
    target = backup_of(journal, version)
    half = target.with_name(f"{target.name}.half")
    try:
        _check_room(journal, look)
        half.unlink(missing_ok=True)
        with closing(sqlite3.connect(journal)) as source, closing(sqlite3.connect(half)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, that can be put back as it is
        settle(half, target)
        for _, path in backups(journal)[KEPT:]:
            path.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            half.unlink(missing_ok=True)
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise StorageError(f"{target}: the copy from before the upgrade cannot be written: {reason}: nothing was "
                           "changed: free some space, or install the version before again") from error  # fmt: skip
    return target


def _check_room(journal: Path, look: Callable[[Path], Room]) -> None:
    log = journal.with_name(f"{journal.name}-wal")
    size = journal.stat().st_size + (log.stat().st_size if log.exists() else 0)
    needed, free = GROWTH * size + SPARE, look(journal.parent).free
    if free < needed:
        raise StorageError(f"{journal}: it is to be upgraded, and {needed / MB:.0f} MB must be free for a copy of "
                           f"before: {free / MB:.0f} MB are: nothing was changed: free some space, or install the "
                           "version before again")  # fmt: skip


def settle(half: Path, target: Path) -> None:
    """Let a file have its name once the disk has what is in it."""
    file = os.open(half, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
    half.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
