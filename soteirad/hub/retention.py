"""Retention: pictures and logs that are too old, or too many, are deleted, the oldest first, on a thread of its own,
which does the same for clips (`clip_retention.py`).

What is ours is known by its name: `snapshots/<camera>/<day>/<event>.jpg`, `log/events-<day>.csv` and
`answers/<camera>/<question>/<answer>-<n>.jpg`. Nothing else is ever counted or deleted; no symbolic link is followed.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath

from soteirad.archive import Archive, NoJournalError
from soteirad.errors import StorageError
from soteirad.event import iso_time
from soteirad.hub.clip_retention import ClipLimits, ClipRetention
from soteirad.hub.csv_log import FILE_NAME as LOG_NAME
from soteirad.hub.guard import Guard
from soteirad.kept_files import (
    BREATH_S,
    DAY,
    DAY_S,
    FILES_A_BREATH,
    STALE_S,
    ULID,
    File,
    entries,
    folders,
    in_order,
    time_of,
)
from soteirad.room import Room, room_of

CHECK_EVERY_S = 60.0
COUNT_EVERY_S = 3600.0
"""How often everything is counted anew; in between what is written and deleted is added up."""
SOON_BYTES = 20_000_000
"""After so much was written (of a small limit: a twentieth of it) it is checked at once."""

_PICTURE = re.compile(rf"({ULID})(-[0-9]{{1,3}})?\.jpg")
_HALF = re.compile(rf"\.{ULID}(-[0-9]{{1,3}})?\.jpg\.tmp")


@dataclass(frozen=True)
class Limits:
    """How long, in days, and how much, in bytes."""

    days: float
    size: int


class Retention:
    """Deletes below one state folder. `order`, `wrote`, `drop` and `recorded` may be called from any thread.

    `journal` is read to know which pictures are still needed. `aged` says what time it is for what is deleted for its
    age, or None, as long as that is not sure; without it `clock` does.
    """

    def __init__(self, folder: Path, journal: Path, guards: list[Guard] | None = None,
                 clock: Callable[[], float] = time.time, look: Callable[[Path], Room] = room_of,
                 aged: Callable[[], float | None] | None = None,
                 monotonic: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self._folder = folder
        self._journal = journal
        self._clock = clock
        self._aged = clock if aged is None else aged
        self._look = look
        self._guard = Guard(guards)
        self._clips_guard = Guard(guards)
        self._changed = threading.Condition()
        self._limits: Limits | None = None
        self._clip_limits: ClipLimits | None = None
        self._written = self._recorded = 0
        self._soon = False
        self._dropped: list[str] = []
        self._ended = False
        self._stop = threading.Event()
        self._sizes: Counter[str] = Counter()
        self._count_at = float("-inf")
        self._clips = ClipRetention(folder, journal, clock, look, self._aged, self._breathe, monotonic)
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    @property
    def problem(self) -> str:
        """Why old files cannot be deleted; empty if they can."""
        return self._clips_guard.problem or self._guard.problem

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

    def order(self, limits: Limits, clips: ClipLimits | None = None) -> None:
        """Go by these limits from now on; clips that there are none for stay."""
        with self._changed:
            if (limits, clips) != (self._limits, self._clip_limits):
                self._limits, self._clip_limits, self._soon = limits, clips, True
                self._changed.notify_all()

    def wrote(self, count: int) -> None:
        """Learn that so many bytes were written."""
        with self._changed:
            self._written += count
            if self._limits is not None and self._written >= min(SOON_BYTES, self._limits.size // 20):
                self._soon = True
                self._changed.notify_all()

    def recorded(self, count: int) -> None:
        """Learn of a clip of so many bytes."""
        with self._changed:
            self._recorded += count
            if self._recorded >= SOON_BYTES:
                self._soon = True
                self._changed.notify_all()

    def drop(self, pictures: tuple[str, ...]) -> None:
        """Delete these pictures (paths below the snapshot folder): the journal has let go of their events."""
        with self._changed:
            self._dropped += pictures

    def check_clips(self) -> None:
        """Delete the clips that are to be deleted now. The thread does this first: on a full disk they give way first.

        Raises StorageError if the disk refuses.
        """
        with self._changed:
            limits, self._recorded = self._clip_limits, 0
        if limits is not None:
            self._clips.check(limits)

    def check(self) -> None:
        """Delete what else is to be deleted now. The thread does this; raises StorageError if the disk refuses."""
        with self._changed:
            limits, written, self._written = self._limits, self._written, 0
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
            with self._changed:
                self._soon = False
            self._clips_guard(self.check_clips)
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
            if len(parts) != 3 or not DAY.fullmatch(parts[1]) or not (name := _PICTURE.fullmatch(parts[2])):
                continue
            path = self._folder / "snapshots" / Path(*parts)
            if any(place.is_symlink() for place in path.parents[:3]) or archive.state(name[1]) is not None:
                continue
            with suppress(FileNotFoundError, ValueError):
                self._delete(File(time_of(name[1]), str(path), path.lstat().st_size, parts[1]))
            if number % FILES_A_BREATH == 0 and self._breathe():
                return

    def _by_age(self, before: float, archive: Archive) -> None:
        """Delete what is of before that time, except what the journal still has: unpublished, or an open visit."""
        last = iso_time(before)[:10]
        for day in sorted(day for day in self._sizes if day <= last):
            for file in in_order(partial(self._files, day)):
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
            for file in in_order(partial(self._files, day)):
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

    def _may_go(self, file: File, now: float, archive: Archive) -> bool:
        """Say whether nobody waits for a file. An event that the journal does not know may be on its way into it."""
        if not file.event_id:
            return file.time < now
        state = archive.state(file.event_id)
        return state == "done" or (state is None and file.time < now - DAY_S)

    def _delete(self, file: File) -> None:
        with suppress(FileNotFoundError):
            Path(file.path).unlink()
        self._sizes[file.day] -= file.size

    def _settle(self, day: str) -> None:
        """Forget a day of which nothing is left, and remove its empty folders; nobody writes to those of before."""
        if not any(self._files(day)):
            self._sizes.pop(day, None)
        if day < iso_time(self._clock() - DAY_S)[:10]:
            for camera in folders(self._folder / "snapshots"):
                with suppress(OSError):  # it is not empty, or not there
                    (camera / day).rmdir()

    def _files(self, day: str | None) -> Iterator[File]:
        """Yield what is ours, of one day or of all. Raises OSError."""
        for camera in folders(self._folder / "snapshots"):
            for place in folders(camera) if day is None else [camera / day]:
                if DAY.fullmatch(place.name) and not place.is_symlink():
                    yield from self._pictures(place, place.name)
        for camera in folders(self._folder / "answers"):
            for question in folders(camera):
                yield from (picture for picture in self._pictures(question) if day in (None, picture.day))
        yield from (log for log in self._logs() if day in (None, log.day))

    def _logs(self) -> Iterator[File]:
        """Yield all logs but the newest, which says what was logged."""
        found = [entry for entry in entries(self._folder / "log")
                 if LOG_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)]  # fmt: skip
        for entry in sorted(found, key=lambda entry: entry.name)[:-1]:
            with suppress(FileNotFoundError, ValueError):
                day = entry.name[7:17]
                end = datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp() + DAY_S
                yield File(end, entry.path, entry.stat(follow_symlinks=False).st_size, day)

    def _pictures(self, place: Path, day: str | None = None) -> Iterator[File]:
        """Yield the pictures in a folder, of that day or else of their own; remove what a killed writer left half."""
        for entry in entries(place):
            name = _PICTURE.fullmatch(entry.name)
            if (name is None and not _HALF.fullmatch(entry.name)) or not entry.is_file(follow_symlinks=False):
                continue
            with suppress(FileNotFoundError, ValueError):
                found = entry.stat(follow_symlinks=False)
                if name is not None:
                    at = time_of(name[1])
                    yield File(at, entry.path, found.st_size, day or iso_time(at)[:10], name[1])
                elif found.st_mtime < self._clock() - STALE_S:
                    Path(entry.path).unlink()

    def _breathe(self) -> bool:
        """Leave the disk to others for a moment; returns whether to end."""
        return self._stop.wait(BREATH_S)
