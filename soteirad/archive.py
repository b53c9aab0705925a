"""The archive: the journal's events and answers for those who only look, beside a daemon that writes or without one."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

from soteirad.errors import StorageError
from soteirad.event import Event, clip_id, iso_time, namer_of_clip
from soteirad.hub.ask_record import AskRecord
from soteirad.hub.journal import is_there
from soteirad.hub.salvage import readable_event, readable_record
from soteirad.hub.tables import explained, version_of

BUSY_TIMEOUT_S = 5.0
_Read = TypeVar("_Read")
FIRST_WITH_ANSWERS = 4
"""The version of the tables from which on there are answers."""


@dataclass(frozen=True)
class Wanted:
    """Which events are wanted: all that meet every limit that is set; of a list, one is enough.

    Without `types` they are all but `recorded`, which only says more of another event.

    `since` (inclusive) and `until` (exclusive) are seconds since the epoch and go by the event's own time, `before` and
    `after` (both exclusive) are places in the journal.
    """

    cameras: Collection[str] = ()
    labels: Collection[str] = ()
    types: Collection[str] = ()
    zones: Collection[str] = ()
    since: float | None = None
    until: float | None = None
    before: int | None = None
    after: int | None = None
    limit: int = 50


@dataclass(frozen=True)
class Row:
    """One event: `seq` is its place in the journal; without `published_at` (epoch seconds) it waits for the broker."""

    seq: int
    event: Event
    recorded_at: float
    published_at: float | None
    topic: str | None


class NoJournalError(StorageError):
    """There is no journal yet: no daemon ever ran with this configuration."""


class Archive:
    """One look at a journal, for one thread: `with Archive(path) as archive: ...`. It changes nothing.

    Every method raises `StorageError`, with what to do about it; `NoJournalError` if there is none yet.
    """

    def __init__(self, journal: Path) -> None:
        self._path = journal
        self._db: sqlite3.Connection | None = None
        self._version = 0

    def __enter__(self) -> Archive:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self.close()

    def open(self) -> None:
        """Open the journal for reading."""
        if not is_there(self._path):
            raise NoJournalError(f"{self._path}: there is no journal yet: it is made when the daemon runs")
        try:
            self._db = self._connected()
            self._version = version_of(self._db, self._path)
        except sqlite3.Error as error:
            self.close()
            raise self._explained(error) from error
        except StorageError:
            self.close()
            raise
        if self._version == 0:
            self.close()
            raise StorageError(f"{self._path}: this is no journal: is storage.path the one the daemon uses?")

    def close(self) -> None:
        """Close it. Closing twice, or without `open`, does nothing."""
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    def find(self, wanted: Wanted) -> list[Row]:
        """Return what is wanted, the newest in the journal first, at most `wanted.limit`."""
        conditions, values = _conditions(wanted)
        query = "SELECT seq, payload, recorded_at, published_at, topic FROM events WHERE {} ORDER BY seq DESC LIMIT ?"
        rows = self._rows(query.format(" AND ".join(conditions) or "1"), (*values, wanted.limit))
        return [Row(row[0], self._read(readable_event, row[1]), self._read(float, row[2]),
                    None if row[3] is None else self._read(float, row[3]), row[4]) for row in rows]  # fmt: skip

    def state(self, event_id: str) -> Literal["open", "waiting", "done"] | None:
        """Return what an event still is to the daemon: its visit is open, it waits for the broker, or it is done.

        None if it is not in the journal.
        """
        rows = self._rows(
            "SELECT published_at, EXISTS (SELECT 1 FROM visits WHERE opened_by = id AND closed_at IS NULL)"
            " FROM events WHERE id = ?", (event_id,)
        )  # fmt: skip
        if not rows:
            return None
        published_at, is_open = rows[0]
        return "open" if is_open else "waiting" if published_at is None else "done"

    def answers(self, event_ids: Collection[str]) -> dict[str, list[AskRecord]]:
        """Return what was asked about these events, in order, and what became of it; by event.

        What an `answered` event tells is found under its own id too. An event that nothing was asked about is left out.
        """
        found: dict[str, list[AskRecord]] = {}
        if self._version < FIRST_WITH_ANSWERS:
            return found
        query = "SELECT record FROM answers WHERE json_extract(record, '$.event_id') = ? OR id = ? ORDER BY rowid"
        for event_id in event_ids:
            records = [self._read(readable_record, row[0]) for row in self._rows(query, (event_id, event_id))]
            if records:
                found[event_id] = records
        return found

    def recorded(self, events: Collection[Event]) -> dict[str, Event]:
        """Return the `recorded` events that say that the clips which these events name are complete; by event."""
        told = {event.id: clip_id(namer) for event in events if (namer := namer_of_clip(event.clip)) is not None}
        query = "SELECT payload FROM events WHERE id IN (SELECT value FROM json_each(?)) AND event_type = 'recorded'"
        rows = self._rows(query, (json.dumps([*told.values()]),)) if told else []
        found = {event.id: event for event in (self._read(readable_event, row[0]) for row in rows)}
        return {event_id: found[told_by] for event_id, told_by in told.items() if told_by in found}

    def waiting(self) -> int:
        """Return how many events wait to be published."""
        return int(self._rows("SELECT count(*) FROM events WHERE published_at IS NULL", ())[0][0])

    def dropped(self) -> int:
        """Return how many events were ever dropped unpublished: too old, or too many."""
        rows = self._rows("SELECT value FROM meta WHERE key = 'dropped'", ())
        return self._read(int, rows[0][0]) if rows else 0

    def _connected(self) -> sqlite3.Connection:
        """Open the file read-only; SQLite then needs files beside it, which not everybody may make."""
        address = f"{self._path.absolute().as_uri()}?mode=ro"
        db = sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            db.close()
            if self._path.with_name(f"{self._path.name}-wal").exists() or not os.access(self._path, os.R_OK):
                raise
            # Nobody writes to it: an end in good order has left no log, and a daemon would have made one.
            db = sqlite3.connect(f"{address}&immutable=1", uri=True, isolation_level=None)
        return db

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        if self._db is None:
            raise RuntimeError("the archive is not open")
        try:
            return self._db.execute(query, tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _read(self, parse: Callable[[Any], _Read], value: Any) -> _Read:
        try:
            return parse(value)
        except (TypeError, ValueError, AttributeError) as error:
            raise StorageError(
                f"{self._path}: it holds something that this version cannot read ({error}): it is damaged, or a newer "
                "version wrote it"
            ) from error

    def _explained(self, error: sqlite3.Error) -> StorageError:
        if "unable to open" in str(error):
            return StorageError(f"{self._path}: it may not be read: do this as root, or as the user soteirad runs as")
        return explained(self._path, error)


def _conditions(wanted: Wanted) -> tuple[list[str], list[Any]]:
    """Return the parts of a WHERE, and their values."""
    conditions: list[str] = []
    values: list[Any] = []
    for expression, choices in (
        ("camera", wanted.cameras), ("event_type", wanted.types), ("json_extract(payload, '$.label')", wanted.labels),
    ):  # fmt: skip
        if choices:
            conditions.append(f"{expression} IN ({_marks(choices)})")
            values += choices
    if not wanted.types:
        conditions.append("event_type <> 'recorded'")
    if wanted.zones:
        zones = "EXISTS (SELECT 1 FROM json_each(payload, '$.zones') WHERE value IN ({}))"
        conditions.append(zones.format(_marks(wanted.zones)))
        values += wanted.zones
    # Times are UTC text of one width, so their order is that of the text.
    for expression, limit in (
        ("json_extract(payload, '$.time') >= ?", None if wanted.since is None else iso_time(wanted.since)),
        ("json_extract(payload, '$.time') < ?", None if wanted.until is None else iso_time(wanted.until)),
        ("seq < ?", wanted.before), ("seq > ?", wanted.after),
    ):  # fmt: skip
        if limit is not None:
            conditions.append(expression)
            values.append(limit)
    return conditions, values


def _marks(choices: Collection[str]) -> str:
    return ", ".join("?" * len(choices))
