"""Files of ours below the state folder: known by their names, found without following a link, the oldest first."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path

DAY_S = 86400.0
STALE_S = 3600.0
"""How old a half-written file is before nobody is taken to write it any more."""
BREATH_S = 0.001
"""A pause after each folder, and after some files, so that others have the disk in between."""
FILES_A_BREATH = 50
MOST_SORTED = 10_000
"""So many files of a day are known by name at once: a folder may hold hundreds of thousands."""
LAST_S = 253_402_300_800.0
"""The end of the last year that can be written, in epoch seconds."""

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
ULID = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
"""The pattern of an event's id."""
_AS_PYTHON_COUNTS = str.maketrans("ABCDEFGHJKMNPQRSTVWXYZ", "ABCDEFGHIJKLMNOPQRSTUV")


@dataclass(frozen=True, order=True, slots=True)
class File:
    """One file of ours; `time` is that of its event (the end of its day for a log), in epoch seconds."""

    time: float
    path: str
    size: int
    day: str
    event_id: str = ""


def folders(place: Path) -> Iterator[Path]:
    """Yield the folders in a folder. Raises OSError."""
    for entry in entries(place):
        if entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)


def entries(place: Path) -> Iterator[os.DirEntry[str]]:
    """Yield what is in a folder; nothing if it is a link to one. Raises OSError."""
    if place.is_symlink():
        return
    try:
        with os.scandir(place) as found:
            yield from found
    except (FileNotFoundError, NotADirectoryError):
        return


def in_order(files: Callable[[], Iterator[File]]) -> Iterator[File]:
    """Yield the files that each call of `files` finds, the oldest first, and never know them all at once.

    Raises OSError.
    """
    found: list[File] = []
    while not found or len(found) == MOST_SORTED:
        last = found[-1] if found else None
        found = nsmallest(MOST_SORTED, (file for file in files() if last is None or file > last))
        if not found:
            return
        yield from found


def time_of(event_id: str) -> float:
    """Return when an id was given, in epoch seconds. Raises ValueError for what only looks like one."""
    found = int(event_id[:10].translate(_AS_PYTHON_COUNTS), 32) / 1000
    if found >= LAST_S:
        raise ValueError(event_id)
    return found
