"""Retention: pictures and logs that are too old, or too many, are deleted, the oldest first, on a thread of its own.

What is ours is known by its name: `snapshots/<camera>/<day>/<event>.jpg`, `log/events-<day>.csv` and
`answers/<camera>/<question>/<answer>-<n>.jpg`. Nothing else is ever counted or deleted; no symbolic link is followed.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from heapq import nsmallest
from pathlib import Path, PurePosixPath

from soteirad.archive import Archive, NoJournalError
from soteirad.errors import StorageError
from soteirad.event import iso_time
from soteirad.hub.csv_log import FILE_NAME as LOG_NAME
from soteirad.hub.guard import Guard
from soteirad.room import Room, room_of

CHECK_EVERY_S = 60.0
COUNT_EVERY_S = 3600.0
"""How often everything is counted anew; in between what is written and deleted is added up."""
SOON_BYTES = 20_000_000
"""After so much was written (of a small limit: a twentieth of it) it is checked at once."""
STALE_S = 3600.0
"""How old a half-written file is before nobody is taken to write it any more."""
DAY_S = 86400.0
BREATH_S = 0.001
"""A pause after each folder, and after some files, so that others have the disk in between."""
FILES_A_BREATH = 50
MOST_SORTED = 10_000
"""So many files of a day are known by name at once: a folder may hold hundreds of thousands."""
LAST_S = 253_402_300_800.0
"""The end of the last year that can be written, in epoch seconds."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PICTURE = re.compile(r"([0-7][0-9A-HJKMNP-TV-Z]{25})(-[0-9]{1,3})?\.jpg")
_AS_PYTHON_COUNTS = str.maketrans("ABCDEFGHJKMNPQRSTVWXYZ", "ABCDEFGHIJKLMNOPQRSTUV")
_HALF = re.compile(r"\.[0-7][0-9A-HJKMNP-TV-Z]{25}(-[0-9]{1,3})?\.jpg\.tmp")


@dataclass(frozen=True)
class Limits:
    """How long, in days, and how much, in bytes."""

    days: float
    size: int


@dataclass(frozen=True, order=True, slots=True)
class _File:
    """One file of ours; `time` is that of its event (the end of its day for a log), in epoch seconds."""

    time: float
    path: str
    size: int
    day: str
    event_id: str = ""


class Retention:
    """Deletes below one state folder. `order`, `wrote` and `drop` may be called from any thread.

    `journal` is read to know which pictures are still needed. `aged` says what time it is for what is deleted for its
    age, or None, as long as that is not sure; without it `clock` does.
    """

    def __init__(self, folder: Path, journal: Path, guards: list[Guard] | None = None,
                 clock: Callable[[], float] = time.time, look: Callable[[Path], Room] = room_of,
                 aged: Callable[[], float | None] | None = None) -> None:  # fmt: skip
        self._folder = folder
        self._journal = journal
        self._clock = clock
        self._aged = clock if aged is None else aged
        self._look = look
        self._guard = Guard(guards)
        self._changed = threading.Condition()
        self._limits: Limits | None = None
        self._written = 0
        self._soon = False
        self._dropped: list[str] = []
        self._ended = False
        self._stop = threading.Event()
        self._sizes: Counter[str] = Counter()
        self._count_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    @property
    def problem(self) -> str:
        """Why old files cannot be deleted; empty if they can."""
        return self._guard.problem

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the thread; what is left to delete is deleted by the next run."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def order(self, limits: Limits) -> None:
        """Go by these limits from now on."""
        with self._changed:
            if limits != self._limits:
                self._limits, self._soon = limits, True
                self._changed.notify_all()

    def wrote(self, count: int) -> None:
        """Learn that so many bytes were written."""
        with self._changed:
            self._written += count
            if self._limits is not None and self._written >= min(SOON_BYTES, self._limits.size // 20):
                self._soon = True
                self._changed.notify_all()

    def drop(self, pictures: tuple[str, ...]) -> None:
        """Delete these pictures (paths below the snapshot folder): the journal has let go of their events."""
        with self._changed:
            self._dropped += pictures

    def check(self) -> None:
        """Delete what is to be deleted now. The thread does this; raises StorageError if the disk refuses."""
        with self._changed:
            limits, written, self._written, self._soon = self._limits, self._written, 0, False
            dropped, self._dropped = self._dropped, []
        if limits is None:
            return
        now = self._clock()
        try:
            with Archive(self._journal) as archive:
                self._drop(dropped, archive)
                if not 0 <= now - self._count_at < COUNT_EVERY_S:
                    self._count(now)
                else:
                    self._sizes[iso_time(now)[:10]] += written
                sure = self._aged()
                if sure is not None:
                    self._by_age(sure - limits.days * DAY_S, archive)
                self._by_size(limits.size, now, archive)
        except NoJournalError:
            return  # nothing is known of what is needed
        except OSError as error:
            raise StorageError(f"{self._folder}: old pictures and logs cannot be deleted: {error.strerror}: "
                               "see that the daemon's user may write there") from error  # fmt: skip

    def _run(self) -> None:
        while not self._ended:
            self._guard(self.check)
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._soon, CHECK_EVERY_S)

    def _count(self, now: float) -> None:
        """Count all that there is, by day."""
        sizes: Counter[str] = Counter()
        for number, file in enumerate(self._files(None)):
            sizes[file.day] += file.size
            if number % FILES_A_BREATH == 0 and self._breathe():
                return
        self._sizes, self._count_at = sizes, now

    def _drop(self, pictures: list[str], archive: Archive) -> None:
        for number, picture in enumerate(pictures):
            parts = PurePosixPath(picture).parts
            if len(parts) != 3 or not _DAY.fullmatch(parts[1]) or not (name := _PICTURE.fullmatch(parts[2])):
                continue
            path = self._folder / "snapshots" / Path(*parts)
            if any(place.is_symlink() for place in path.parents[:3]) or archive.state(name[1]) is not None:
                continue
            with suppress(FileNotFoundError, ValueError):
                self._delete(_File(_time_of(name[1]), str(path), path.lstat().st_size, parts[1]))
            if number % FILES_A_BREATH == 0 and self._breathe():
                return

    def _by_age(self, before: float, archive: Archive) -> None:
        """Delete what is of before that time, except what the journal still has: unpublished, or an open visit."""
        last = iso_time(before)[:10]
        for day in sorted(day for day in self._sizes if day <= last):
            for file in self._in_order(day):
                if file.time >= before:
                    break
                if not file.event_id or archive.state(file.event_id) is None:
                    self._delete(file)
                if self._breathe():
                    return
            self._settle(day)

    def _by_size(self, most: int, now: float, archive: Archive) -> None:
        """Delete the oldest as long as there is too much; and what is older than a day if the disk is nearly full."""
        for day in sorted(self._sizes):
            if self._excess(most) <= 0 and self._short() <= 0:
                return
            for file in self._in_order(day):
                if self._excess(most) <= 0 and (self._short() <= 0 or file.time > now - DAY_S):
                    break
                if self._may_go(file, now, archive):
                    self._delete(file)
                if self._breathe():
                    return
            self._settle(day)

    def _excess(self, most: int) -> int:
        return sum(self._sizes.values()) - most

    def _short(self) -> int:
        room = self._look(self._folder)
        return room.comfortable - room.free

    def _may_go(self, file: _File, now: float, archive: Archive) -> bool:
        """Say whether nobody waits for a file. An event that the journal does not know may be on its way into it."""
        if not file.event_id:
            return file.time < now
        state = archive.state(file.event_id)
        return state == "done" or (state is None and file.time < now - DAY_S)

    def _delete(self, file: _File) -> None:
        with suppress(FileNotFoundError):
            Path(file.path).unlink()
        self._sizes[file.day] -= file.size

    def _settle(self, day: str) -> None:
        """Forget a day of which nothing is left, and remove its empty folders; nobody writes to those of before."""
        if not any(self._files(day)):
            self._sizes.pop(day, None)
        if day < iso_time(self._clock() - DAY_S)[:10]:
            for camera in _folders(self._folder / "snapshots"):
                with suppress(OSError):  # it is not empty, or not there
                    (camera / day).rmdir()

    def _in_order(self, day: str) -> Iterator[_File]:
        """Yield what is ours of one day, the oldest first. Raises OSError."""
        found: list[_File] = []
        while not found or len(found) == MOST_SORTED:
            last = found[-1] if found else None
            found = nsmallest(MOST_SORTED, (file for file in self._files(day) if last is None or file > last))
            if not found:
                return
            yield from found

    def _files(self, day: str | None) -> Iterator[_File]:
        """Yield what is ours, of one day or of all. Raises OSError."""
        for camera in _folders(self._folder / "snapshots"):
            for place in _folders(camera) if day is None else [camera / day]:
                if _DAY.fullmatch(place.name) and not place.is_symlink():
                    yield from self._pictures(place, place.name)
        for camera in _folders(self._folder / "answers"):
            for question in _folders(camera):
                yield from (picture for picture in self._pictures(question) if day in (None, picture.day))
        yield from (log for log in self._logs() if day in (None, log.day))

    def _logs(self) -> Iterator[_File]:
        """Yield all logs but the newest, which says what was logged."""
        found = [entry for entry in _entries(self._folder / "log")
                 if LOG_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)]  # fmt: skip
        for entry in sorted(found, key=lambda entry: entry.name)[:-1]:
            with suppress(FileNotFoundError, ValueError):
                day = entry.name[7:17]
                end = datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp() + DAY_S
                yield _File(end, entry.path, entry.stat(follow_symlinks=False).st_size, day)

    def _pictures(self, place: Path, day: str | None = None) -> Iterator[_File]:
        """Yield the pictures in a folder, of that day or else of their own; remove what a killed writer left half."""
        for entry in _entries(place):
            name = _PICTURE.fullmatch(entry.name)
            if (name is None and not _HALF.fullmatch(entry.name)) or not entry.is_file(follow_symlinks=False):
                continue
            with suppress(FileNotFoundError, ValueError):
                found = entry.stat(follow_symlinks=False)
                if name is not None:
                    at = _time_of(name[1])
                    yield _File(at, entry.path, found.st_size, day or iso_time(at)[:10], name[1])
                elif found.st_mtime < self._clock() - STALE_S:
                    Path(entry.path).unlink()

    def _breathe(self) -> bool:
        """Leave the disk to others for a moment; returns whether to end."""
        return self._stop.wait(BREATH_S)


def _folders(place: Path) -> Iterator[Path]:
    for entry in _entries(place):
        if entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)


def _entries(place: Path) -> Iterator[os.DirEntry[str]]:
    """Yield what is in a folder; nothing if it is a link to one. Raises OSError."""
    if place.is_symlink():
        return
    try:
        with os.scandir(place) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return


def _time_of(event_id: str) -> float:
    """Return when an id was given, in epoch seconds. Raises ValueError for what only looks like one."""
    found = int(event_id[:10].translate(_AS_PYTHON_COUNTS), 32) / 1000
    if found >= LAST_S:
        raise ValueError(event_id)
    return found
