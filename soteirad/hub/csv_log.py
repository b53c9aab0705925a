"""The event log: the journal's events as CSV files, one for each day, for spreadsheets. It follows the journal: what it
lacks, for whatever reason, is read from there and added."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from soteirad.columns import LOG_FIELDS, log_row
from soteirad.errors import StorageError
from soteirad.event import iso_time
from soteirad.hub.guard import Guard
from soteirad.hub.journal import Journal, JournalEntry

MOST_AT_ONCE = 500
"""Rows that one step writes: a log that lacks many must not keep the hub from its work."""
FILE_NAME = re.compile(r"events-([0-9]{4}-[0-9]{2}-[0-9]{2})\.csv")
HEADER = ",".join(LOG_FIELDS).encode() + b"\r\n"
_ROW = re.compile(rb"([0-9]{1,18}),.*,([0-9A-Z]{26})\r?\n")
"""A whole row: it begins with the event's place in the journal and ends with its id."""
TAIL_BYTES = 16_384
"""So much of a log's end is looked at for its last row, and all of it if there is none."""


class CsvLog:
    """For the hub's thread. A row is there once, also if the daemon is killed at any moment."""

    def __init__(self, folder: Path, journal: Journal, guard: Guard) -> None:
        self._folder = folder
        self._journal = journal
        self._guard = guard
        self._position: int | None = None

    @property
    def problem(self) -> str:
        """Why the log cannot be written; empty if it can."""
        return self._guard.problem

    def step(self) -> int:
        """Add some of what the journal has and the log has not; returns how many bytes that took."""
        written = [0]
        self._guard(lambda: written.append(self._catch_up()))
        return written[-1]

    def pause(self) -> None:
        """Write nothing for now; the next step looks anew where the log ends."""
        self._position = None

    def _catch_up(self) -> int:
        if self._position is None:
            self._position = self._found()
        written, position = 0, self._position
        self._position = None  # until it is sure what was written
        new = self._journal.after(position, MOST_AT_ONCE)
        for day, entries in groupby(new, lambda entry: iso_time(entry.recorded_at)[:10]):
            rows = list(entries)
            written += self._append(self._folder / f"events-{day}.csv", rows)
            position = rows[-1].seq
        self._position = position
        return written

    def _append(self, path: Path, entries: Sequence[JournalEntry]) -> int:
        try:
            self._folder.mkdir(exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            try:
                head = os.pread(file, 2 * len(HEADER), 0)
                text = io.StringIO(newline="")
                fields = _fields(head)
                csv.writer(text).writerows(log_row(e.seq, e.recorded_at, e.event, fields) for e in entries)
                data = (b"" if head else HEADER) + text.getvalue().encode()
                if os.write(file, data) < len(data):
                    raise StorageError(f"{self._folder}: the event log cannot be written: the disk is full")
            finally:
                os.close(file)
        except OSError as error:
            raise self._failed(error) from error
        return len(data)

    def _found(self) -> int:
        """Return the place in the journal of the last event that the log has; what was cut off in a file is removed."""
        highest = self._highest()
        found = 0
        for path in self._files():
            seq, event_id = self._last_row(path)
            rows = self._journal.rows("SELECT id FROM events WHERE seq = ?", (seq,))
            # Else the file is of another journal, which was moved away; or the row is older than what is retained.
            if rows[0][0] == event_id if rows else seq <= highest:
                found = max(found, seq)
        return found

    def _highest(self) -> int:
        rows = self._journal.rows("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
        return int(rows[0][0]) if rows else 0

    def _files(self) -> Iterator[Path]:
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if FILE_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                        yield Path(entry.path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._failed(error) from error

    def _last_row(self, path: Path) -> tuple[int, str]:
        """Return place and id of a file's last whole row, (0, "") if it has none. What a power cut or a full disk left
        behind it goes; what somebody else wrote there stays."""
        try:
            start, data = _tail(path)
            lines = data.splitlines(keepends=True)
            end = start + len(data)
            last, cut = (0, ""), len(lines)
            for index in range(len(lines) - 1, -1, -1):
                row = _ROW.fullmatch(lines[index])
                if row is not None:
                    last = int(row[1]), row[2].decode()
                    break
                if not lines[index].endswith(b"\n") or b"\0" in lines[index]:
                    cut = index
            whole = start + sum(map(len, lines[:cut]))
            if whole < end:
                os.truncate(path, whole)
        except OSError as error:
            raise self._failed(error) from error
        return last

    def _failed(self, error: OSError) -> StorageError:
        return StorageError(f"{self._folder}: the event log cannot be written: {error.strerror}: what it lacks is "
                            "added when it can")  # fmt: skip


def _fields(head: bytes) -> Sequence[str]:
    """Return the columns of a file that begins with `head`: fewer on the day on which Soteira was upgraded."""
    found = head.split(b"\r\n")[0].decode(errors="replace").split(",")
    ours = found[0] == "seq" and found[-1] == "id" and set(found) <= set(LOG_FIELDS)
    return found if ours else LOG_FIELDS


def _tail(path: Path) -> tuple[int, bytes]:
    """Return the lines at the end of a file, and where they begin: enough to hold a whole row. Raises OSError."""
    with path.open("rb") as file:
        size, length = file.seek(0, os.SEEK_END), TAIL_BYTES
        while True:
            start = file.seek(max(0, size - length))
            data = file.read()
            begin = data.find(b"\n") + 1 if start else 0  # the first line may be half of one
            lines = data[begin:]
            if not start or any(map(_ROW.fullmatch, lines.splitlines(keepends=True))):
                return start + begin, lines
            length *= 8
