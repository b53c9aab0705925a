"""The journal: every confirmed event on disk before anyone hears of it, and the visits that are open.

One SQLite file in WAL mode with `synchronous=FULL`: when a method that writes returns, the disk has it.
The rows that are not yet published are the outbox. A *visit* is opened by `entered` or `present` and closed
by `left` or by the `scene_changed` of its camera; its row keeps the opening event, so that a `left` can be
written for it at any later time.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from soteirad.errors import DamagedError, StorageError, StorageRefused
from soteirad.event import Event, iso_time, new_id
from soteirad.hub.damage import check_content, check_file
from soteirad.hub.salvage import readable_event, readable_note
from soteirad.hub.tables import check_owner, explained, prepare

BUSY_TIMEOUT_S = 5.0
DAY_S = 86400.0
_Read = TypeVar("_Read")
MOST_PRUNED = 500
"""What is deleted in one transaction: who waits for a much longer one misses frames."""

@dataclass(frozen=True)
class JournalEntry:
    """One event in the journal: `seq` is its place in journal order, `recorded_at` in epoch seconds."""

    seq: int
    event: Event
    recorded_at: float


@dataclass(frozen=True)
class Pruned:
    """What `prune` deleted: how many events that were never published, and the paths of the pictures of all of them."""

    dropped: int
    pictures: tuple[str, ...]
    more: bool


class Journal:
    """The events and visits of one box, for one thread (the hub's main loop).

    Every method raises `StorageError`, with what to do about it, when the disk or the file fails; the
    transaction under way is then undone as a whole and the journal stays usable.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        self._away = ""
        self.suspect = False
        """Whether something was met that looks like damage; `hub/mender.py` looks closer."""
        self.highest = 0
        """The highest place that was ever given to an event, as far as it is known."""

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def open(self, make: bool = True, check: bool = True) -> None:
        """Open the file and `check` it, which may take a while; `make` it (not its folder), or bring it up to date, if
        need be.

        Raises StorageError if it cannot be used, DamagedError if it is damaged.
        """
        if not self._path.parent.is_dir():
            raise StorageRefused(f"{self._path}: its folder does not exist: create it first")
        if check:
            check_file(self._path)
        try:
            address = f"{self._path.absolute().as_uri()}?mode={'rwc' if make else 'rw'}"
            self._db = sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            check_owner(self._db, self._path)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            # macOS answers fsync before the drive has the data; these make it wait. No effect elsewhere.
            self._db.execute("PRAGMA fullfsync = ON")
            self._db.execute("PRAGMA checkpoint_fullfsync = ON")
            if make and check:
                check_content(self._db, self._path)
            prepare(self._db, self._path, upgrade=make)
            found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
            self.highest = max(self.highest, self.read(int, found[0]) if found else 0)
        except sqlite3.Error as error:
            self.close()
            raise explained(self._path, error) from error
        except StorageError:
            self.close()
            raise
        self._away, self.suspect = "", False

    def set_aside(self, why: str = "") -> None:
        """Close the file for as long as it is mended: until it is opened again every method raises StorageError, which
        says why it is not, if it is not."""
        self.close()
        self._away = why or f"{self._path}: it is damaged and is being mended"

    def close(self) -> None:
        """Close the file. Closing twice, or without `open`, does nothing."""
        if self._db is not None:
            with suppress(sqlite3.Error):  # all commits are on disk already; there is nothing left to lose
                self._db.close()
            self._db = None

    def append(self, events: Sequence[Event]) -> list[str]:
        """Write `events` in one transaction and return their ids once the disk has them.

        An event whose id is known is not written again and changes no visit, but its id is returned too: the
        camera may forget it.
        """
        with self.transaction() as db:
            for event in events:
                self._write(db, event)
        return [event.id for event in events]

    def close_open_visits(self, reason: str, at: float, camera: str | None = None) -> list[Event]:
        """Journal a `left` for every open visit (of `camera`, or of all) and return these events.

        `at` is their time, in seconds since the epoch. Box and zones are those of the opening event, the last
        that are known.
        """
        with self.transaction() as db:
            events = [left_of(opening, reason, at) for opening in self.open_visits(camera)]
            for event in events:
                self._write(db, event)
        return events

    def open_visits(self, camera: str | None = None) -> list[Event]:
        """Return the opening events of the visits open now (of `camera`, or of all), oldest first."""
        rows = self.rows(
            "SELECT opening FROM visits WHERE closed_at IS NULL AND (? IS NULL OR camera = ?) ORDER BY visit",
            (camera, camera),
        )
        return [self._parse(row[0]) for row in rows]

    def openings(self, closing_id: str) -> list[Event]:
        """Return the opening events of the visits that the event with this id closed, oldest first."""
        rows = self.rows("SELECT opening FROM visits WHERE closed_by = ? ORDER BY visit", (closing_id,))
        return [self._parse(row[0]) for row in rows]

    def source_is_lost(self, camera: str) -> bool:
        """Say whether the last that the journal knows of a camera's source is that it was lost."""
        rows = self.rows(
            "SELECT event_type FROM events WHERE camera = ? AND event_type IN ('source_lost', 'source_restored')"
            " ORDER BY seq DESC LIMIT 1",
            (camera,),
        )
        return bool(rows) and rows[0][0] == "source_lost"

    def pending(self, limit: int, after_seq: int = 0) -> list[JournalEntry]:
        """Return up to `limit` unpublished entries with a higher seq than `after_seq`, in journal order."""
        return self._entries(
            "SELECT seq, payload, recorded_at FROM events WHERE published_at IS NULL AND seq > ? ORDER BY seq LIMIT ?",
            (after_seq, limit),
        )

    def after(self, seq: int, limit: int) -> list[JournalEntry]:
        """Return up to `limit` entries with a higher seq, published or not, in journal order."""
        return self._entries(
            "SELECT seq, payload, recorded_at FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit)
        )

    def knows(self, event_id: str) -> bool:
        """Say whether an event is in the journal."""
        return bool(self.rows("SELECT 1 FROM events WHERE id = ?", (event_id,)))

    def mark_published(self, topics: Mapping[str, str]) -> None:
        """Note in one transaction that the broker has these events: id -> the topic it was published on.

        An id that is not in the journal is passed over.
        """
        now = self._clock()
        with self.transaction() as db:
            db.executemany(
                "UPDATE events SET published_at = ?, topic = ? WHERE id = ? AND published_at IS NULL",
                [(now, topic, event_id) for event_id, topic in topics.items()],
            )

    def count_pending(self) -> int:
        """Return how many events wait to be published."""
        return int(self.rows("SELECT count(*) FROM events WHERE published_at IS NULL")[0][0])

    def count_dropped(self) -> int:
        """Return how many events were ever dropped unpublished: too old, or too many."""
        rows = self.rows("SELECT value FROM meta WHERE key = 'dropped'")
        return self.read(int, rows[0][0]) if rows else 0

    def count_since(self, since: float) -> int:
        """Return how many events were written since then (epoch seconds), without those that tell of a clip."""
        query = "SELECT count(*) FROM events WHERE recorded_at >= ? AND event_type <> 'recorded'"
        return int(self.rows(query, (since,))[0][0])

    def recorded_last(self) -> float | None:
        """Return when (epoch seconds) the newest event was written; None if there is none."""
        rows = self.rows("SELECT recorded_at FROM events ORDER BY seq DESC LIMIT 1")
        return self.read(float, rows[0][0]) if rows else None

    def last_events(self, n: int) -> list[Event]:
        """Return the last `n` events in journal order, the newest last."""
        rows = self.rows("SELECT payload FROM events ORDER BY seq DESC LIMIT ?", (n,))
        return [self._parse(row[0]) for row in reversed(rows)]

    def prune(self, retain_days: float, outbox_days: float, max_events: int) -> Pruned:
        """Delete some of what is older than `retain_days` and published, or than `outbox_days` and not, and the oldest
        unpublished beyond `max_events`; `Pruned.more` says whether to call it again.

        `count_dropped` keeps the sum of what was never published. An open visit and the event that opened it stay,
        however old.
        """
        now = self._clock()
        doomed = (
            ("SELECT seq FROM prunable WHERE published_at IS NOT NULL AND recorded_at < ? LIMIT ?",
             (now - retain_days * DAY_S, MOST_PRUNED)),
            # The + keeps SQLite from the index of all ages: what is published may be a thousand times as much.
            ("SELECT seq FROM prunable WHERE published_at IS NULL AND +recorded_at < ? LIMIT ?",
             (now - outbox_days * DAY_S, MOST_PRUNED)),
            ("SELECT seq FROM prunable WHERE published_at IS NULL ORDER BY seq LIMIT max(0, ?)", None),
        )  # fmt: skip
        gone: list[list[tuple[int, str | None]]] = []
        with self.transaction() as db:
            for condition, values in doomed:
                surplus = min(MOST_PRUNED, self.count_pending() - max_events)
                which = "SELECT seq, json_extract(payload, '$.snapshot') FROM events WHERE seq IN ({})"
                rows = db.execute(which.format(condition), values or (surplus,)).fetchall()
                db.executemany("DELETE FROM events WHERE seq = ?", [(seq,) for seq, _ in rows])
                gone.append(rows)
            dropped = sum(map(len, gone[1:]))
            visits = db.execute(
                "DELETE FROM visits WHERE visit IN (SELECT visit FROM visits WHERE closed_at < ? LIMIT ?)",
                (now - retain_days * DAY_S, MOST_PRUNED),
            ).rowcount
            if dropped:
                db.execute("UPDATE meta SET value = value + ? WHERE key = 'dropped'", (dropped,))
        pictures = tuple(picture for rows in gone for _, picture in rows if picture)
        return Pruned(dropped, pictures, MOST_PRUNED in (visits, *map(len, gone)))

    def overrides(self) -> dict[tuple[str, str], Any]:
        """Return the settings that were changed over MQTT: (camera, setting) -> value."""
        rows = self.rows("SELECT camera, setting, value FROM overrides")
        return {(camera, setting): self.read(json.loads, value) for camera, setting, value in rows}

    def replace_overrides(self, overrides: Mapping[tuple[str, str], Any]) -> None:
        """Keep these overrides and no others."""
        with self.transaction() as db:
            db.execute("DELETE FROM overrides")
            db.executemany(
                "INSERT INTO overrides VALUES (?, ?, ?)",
                [(camera, setting, json.dumps(value)) for (camera, setting), value in overrides.items()],
            )

    def retained(self) -> dict[str, dict[str, str]]:
        """Return the topics on which something of ours may lie retained at the broker: topic -> note."""
        rows = self.rows("SELECT topic, note FROM retained")
        return {topic: self.read(readable_note, note) for topic, note in rows}

    def note_retained(self, notes: Mapping[str, Mapping[str, str]]) -> None:
        """Remember topics before something is published on them; a known topic gets the new note."""
        with self.transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO retained VALUES (?, ?)",
                [(topic, json.dumps(dict(note))) for topic, note in notes.items()],
            )

    def forget_retained(self, topics: Sequence[str]) -> None:
        """Note that nothing of ours lies on these topics any more."""
        with self.transaction() as db:
            db.executemany("DELETE FROM retained WHERE topic = ?", [(topic,) for topic in topics])

    def _write(self, db: sqlite3.Connection, event: Event) -> None:
        """Insert one event and keep the visits, unless its id is known."""
        payload = json.dumps(event.payload(), separators=(",", ":"))
        now = self._clock()
        inserted = db.execute(
            "INSERT OR IGNORE INTO events (id, camera, event_type, recorded_at, payload) VALUES (?, ?, ?, ?, ?)",
            (event.id, event.camera, event.event_type, now, payload),
        )
        if not inserted.rowcount:
            return
        self.highest = max(self.highest, inserted.lastrowid or 0)
        if event.opens_visit and event.track_id is not None:
            # A visit that is still open under this track id was never closed: its process is gone.
            _close_visits(db, event, now, "superseded", event.track_id)
            db.execute(
                "INSERT INTO visits (camera, track_id, opened_by, opening) VALUES (?, ?, ?, ?)",
                (event.camera, event.track_id, event.id, payload),
            )
        elif event.event_type == "left" and event.track_id is not None:
            _close_visits(db, event, now, str(event.why.get("reason", "gone")), event.track_id)
        elif event.event_type == "scene_changed":
            _close_visits(db, event, now, "scene_changed", None)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do all of it or nothing; the disk has it at the end."""
        db = self._opened()
        try:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        except BaseException as error:
            if db.in_transaction:  # SQLite itself has undone it after some errors
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise self._told(error) from error
            raise

    def rows(self, query: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        """Return what a query finds."""
        try:
            return self._opened().execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._told(error) from error

    def read(self, parse: Callable[[Any], _Read], value: Any) -> _Read:
        """Return what `parse` makes of a value from the journal. Raises DamagedError for what it cannot read."""
        try:
            return parse(value)
        except (TypeError, ValueError, AttributeError) as error:
            self.suspect = True
            raise DamagedError(
                f"{self._path}: it holds something that this version cannot read ({type(error).__name__}): it is "
                "damaged, or a newer version wrote it"
            ) from error

    def _opened(self) -> sqlite3.Connection:
        if self._away:
            raise StorageError(self._away)
        if self._db is None:
            raise RuntimeError("the journal is not open")
        return self._db

    def _told(self, error: sqlite3.Error) -> StorageError:
        found = explained(self._path, error)
        self.suspect = self.suspect or isinstance(found, DamagedError)
        return found

    def _entries(self, query: str, parameters: tuple[Any, ...]) -> list[JournalEntry]:
        return [JournalEntry(seq, self._parse(payload), self.read(float, recorded_at))
                for seq, payload, recorded_at in self.rows(query, parameters)]  # fmt: skip

    def _parse(self, payload: str) -> Event:
        return self.read(readable_event, payload)


def is_there(journal: Path) -> bool:
    """Say whether there is a journal. Raises StorageError if this user may not know."""
    try:
        journal.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StorageError(
            f"{journal}: it may not be read ({error.strerror}): do this as root, or as the user soteirad runs as"
        ) from error
    return True


def _close_visits(db: sqlite3.Connection, event: Event, now: float, reason: str, track_id: int | None) -> None:
    """Close the open visit of one track of the event's camera, or all of them."""
    db.execute(
        "UPDATE visits SET closed_by = ?, closed_at = ?, reason = ?"
        " WHERE closed_at IS NULL AND camera = ? AND (? IS NULL OR track_id = ?)",
        (event.id, now, reason, event.camera, track_id, track_id),
    )


def left_of(opening: Event, reason: str, at: float) -> Event:
    """Return the `left` that ends at `at` (epoch seconds) the visit which `opening` began, without `dwell`: nobody saw
    how long it was."""
    return Event(
        id=new_id(at),
        event_type="left",
        camera=opening.camera,
        time=iso_time(at),
        label=opening.label,
        track_id=opening.track_id,
        box=opening.box,
        frame_size=opening.frame_size,
        zones=opening.zones,
        why={"reason": reason},
    )
