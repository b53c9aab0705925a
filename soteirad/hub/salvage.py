"""What can be saved of a damaged journal, in a new one: events above all, then visits, answers and what was set.

A row is taken if it says what a row of its table says; everything else on the pages is damage or was never ours.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from soteirad.event import EVENT_TYPES, Event, epoch_time
from soteirad.hub.ask_record import AskRecord
from soteirad.hub.carve import Cell, carve
from soteirad.hub.tables import SCHEMA_VERSION, make_tables

MOST_SEQ = 10**12
"""No box has so many events: a place beyond it is damage."""
MOST_TIME = 253_402_300_799
"""The last second of the year 9999: a later one is damage."""
UNKNOWN_AHEAD = 1_000_000
"""How far beyond the last place that is known the next event goes, if it is not known how many there were: no place is
given twice."""
_AT_ONCE = 1000
_COLUMNS = "events (seq, id, camera, event_type, recorded_at, published_at, topic, payload)"

_Other = TypeVar("_Other")
Statement = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Saved:
    """What a salvage has saved: events, how many of them wait for the broker, open visits, answers, and settings that
    were changed."""

    events: int = 0
    waiting: int = 0
    visits: int = 0
    answers: int = 0
    settings: int = 0

    def __str__(self) -> str:
        return (f"{self.events} events ({self.waiting} of them not yet published), {self.visits} open visits, "
                f"{self.answers} answers and {self.settings} settings")  # fmt: skip


def salvage(damaged: Path, target: Path, at_least: int = 0, on_progress: Callable[[], object] = lambda: None) -> Saved:
    """Make a new journal at `target`, where no file is, of what can be read of a damaged one; that is not touched.

    New events go behind place `at_least`. The new file has its version only once everything is in it and on the disk.
    `on_progress` is called now and then: a large one takes minutes. Raises sqlite3.Error and OSError.
    """
    with closing(sqlite3.connect(target, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = MEMORY")  # nobody else knows of it, and a half one is thrown away
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN")
        make_tables(db)
        sequence = 0
        for cells in _some(carve(damaged)):
            on_progress()
            for cell in cells:
                sequence = max(sequence, _sequence(cell))
                for query, values in _statements(cell):
                    with suppress(sqlite3.IntegrityError, OverflowError):
                        db.execute(query, values)
        _continue(db, sequence, at_least)
        _close_what_was_closed(db, on_progress)
        saved = Saved(*(int(db.execute(f"SELECT count(*) FROM {what}").fetchone()[0]) for what in (  # noqa: S608
            "events", "events WHERE published_at IS NULL", "visits WHERE closed_at IS NULL", "answers", "overrides",
        )))  # fmt: skip
        db.execute("COMMIT")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    return saved


def _some(cells: Iterator[Cell]) -> Iterator[list[Cell]]:
    while found := list(islice(cells, _AT_ONCE)):
        yield found


def _statements(cell: Cell) -> Iterator[Statement]:
    """Yield what puts a row into its table; nothing if it is of none."""
    make = _SHAPES.get(len(cell.values))
    # What there was once may be taken back since; only an event is better told twice than never.
    if make is not None and (cell.sure or make is _eight):
        with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
            yield from make(cell)


def _eight(cell: Cell) -> Iterator[Statement]:
    return _visit(cell) if isinstance(cell.values[2], int) else _event(cell)


def _event(cell: Cell) -> Iterator[Statement]:
    _, event_id, camera, kind, recorded_at, published_at, topic, payload = cell.values
    event = readable_event(payload)
    if (event.id, event.camera, event.event_type) != (event_id, camera, kind):
        raise ValueError
    recorded, published = _time_or(recorded_at, epoch_time(event.time)), _time_or(published_at, None)
    topic = topic if isinstance(topic, str) else None
    values = event_id, camera, kind, recorded, published, topic, payload
    if 0 < cell.rowid <= MOST_SEQ:
        yield f"INSERT OR IGNORE INTO {_COLUMNS} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (cell.rowid, *values)  # noqa: S608
    # One whose place cannot be, or is another's, waits beyond all places until it is known which are free.
    yield (f"INSERT OR IGNORE INTO {_COLUMNS} "  # noqa: S608
           "SELECT max(?, (SELECT coalesce(max(seq), 0) FROM events)) + 1,"
           " ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM events WHERE id = ?)",
           (MOST_SEQ, *values, event_id))  # fmt: skip
    if published is not None:  # an older copy of the row may have come first
        yield ("UPDATE events SET published_at = ?, topic = ? WHERE id = ? AND published_at IS NULL",
               (published, topic, event_id))  # fmt: skip


def _visit(cell: Cell) -> Iterator[Statement]:
    _, camera, track_id, opened_by, opening, closed_by, closed_at, reason = cell.values
    event = readable_event(opening)
    if (event.id, event.camera, event.track_id) != (opened_by, camera, track_id) or not cell.sure:
        raise ValueError
    closed = _time_or_none(closed_at)
    yield ("INSERT OR IGNORE INTO visits VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
           (cell.rowid, camera, track_id, opened_by, opening, _text_or_none(closed_by), closed, _text_or_none(reason)))
    if closed is not None:
        yield ("UPDATE visits SET closed_by = ?, closed_at = ?, reason = ? WHERE opened_by = ? AND closed_at IS NULL",
               (_text_or_none(closed_by), closed, _text_or_none(reason), opened_by))  # fmt: skip


def _answer(cell: Cell) -> Iterator[Statement]:
    answer_id, camera, question, state, recorded_at, record = cell.values
    found = readable_record(record)
    if (found.id, found.camera, found.question, found.state) != (answer_id, camera, question, state):
        raise ValueError
    values = (cell.rowid, answer_id, camera, question, state, _time(recorded_at), record)
    yield ("INSERT OR IGNORE INTO answers (rowid, id, camera, question, state, recorded_at, record)"
           " VALUES (?, ?, ?, ?, ?, ?, ?)", values)  # fmt: skip
    if state != "pending":
        yield ("UPDATE answers SET state = ?, record = ? WHERE id = ? AND state = 'pending'",
               (state, record, answer_id))  # fmt: skip


def _three(cell: Cell) -> Iterator[Statement]:
    first, second, third = cell.values
    if isinstance(first, str) and isinstance(second, str) and isinstance(third, str):
        json.loads(third)
        yield "INSERT OR IGNORE INTO overrides VALUES (?, ?, ?)", (first, second, third)
    elif isinstance(first, str) and isinstance(third, int):
        yield "INSERT OR IGNORE INTO calls VALUES (?, ?, ?)", (first, _time(second), third)


def _two(cell: Cell) -> Iterator[Statement]:
    first, second = cell.values
    if first == "dropped" and isinstance(second, int) and second >= 0:
        yield "UPDATE meta SET value = max(value, ?) WHERE key = 'dropped'", (second,)
    elif isinstance(first, str) and isinstance(second, str):
        readable_note(second)
        yield "INSERT OR IGNORE INTO retained VALUES (?, ?)", (first, second)


_SHAPES: dict[int, Callable[[Cell], Iterator[Statement]]] = {8: _eight, 6: _answer, 3: _three, 2: _two}


def _sequence(cell: Cell) -> int:
    """Return how many events there ever were, if this is the row that says it."""
    if len(cell.values) == 2 and cell.values[0] == "events" and isinstance(cell.values[1], int):
        return cell.values[1] if 0 < cell.values[1] <= MOST_SEQ else 0
    return 0


def _close_what_was_closed(db: sqlite3.Connection, on_progress: Callable[[], object]) -> None:
    """Bring the visits in line with the events: of either some may be lost."""
    seen: dict[tuple[str, int | None], Event] = {}
    ended: dict[str, str] = {}
    for count, (payload,) in enumerate(db.execute("SELECT payload FROM events ORDER BY seq")):
        if count % _AT_ONCE == 0:
            on_progress()
        event = readable_event(payload)
        key = event.camera, event.track_id
        if event.event_type == "scene_changed":
            gone = [other for other in seen if other[0] == event.camera]
        else:
            gone = [key] if key in seen and (event.opens_visit or event.event_type == "left") else []
        ended.update((seen.pop(other).id, event.id) for other in gone)
        if event.opens_visit and event.track_id is not None:
            seen[key] = event
    for (opened_by,) in db.execute("SELECT opened_by FROM visits WHERE closed_at IS NULL").fetchall():
        if opened_by in ended:
            db.execute("UPDATE visits SET closed_by = ?, reason = 'restored', closed_at ="
                       " (SELECT recorded_at FROM events WHERE id = ?) WHERE opened_by = ? AND closed_at IS NULL",
                       (ended[opened_by], ended[opened_by], opened_by))  # fmt: skip
    for event in seen.values():  # it was entered, and nothing says that it left
        with suppress(sqlite3.IntegrityError):
            db.execute("INSERT INTO visits (camera, track_id, opened_by, opening) SELECT ?, ?, ?, payload FROM events"
                       " WHERE id = ? AND NOT EXISTS (SELECT 1 FROM visits WHERE opened_by = ?)",
                       (event.camera, event.track_id, event.id, event.id, event.id))  # fmt: skip


def _continue(db: sqlite3.Connection, sequence: int, at_least: int) -> None:
    """Let the next event go behind all that there ever were."""
    last = int(db.execute("SELECT coalesce(max(seq), 0) FROM events WHERE seq <= ?", (MOST_SEQ,)).fetchone()[0])
    if not sequence and last:
        last += UNKNOWN_AHEAD
    last = max(last, sequence, at_least)
    for (seq,) in db.execute("SELECT seq FROM events WHERE seq > ? ORDER BY seq", (MOST_SEQ,)).fetchall():
        last += 1
        db.execute("UPDATE events SET seq = ? WHERE seq = ?", (last, seq))
    db.execute("DELETE FROM sqlite_sequence WHERE name = 'events'")
    db.execute("INSERT INTO sqlite_sequence VALUES ('events', ?)", (last,))


def readable(text: object) -> Any:
    """Return what a text of JSON says. Raises ValueError and TypeError."""
    if not isinstance(text, str):
        raise TypeError("it is no text")
    return json.loads(text)


def readable_event(payload: object) -> Event:
    """Return the event that a row holds. Raises ValueError and TypeError for what cannot be one."""
    event = Event.from_payload(readable(payload))
    if event.event_type not in EVENT_TYPES or not isinstance(event.id, str) or not isinstance(event.camera, str):
        raise ValueError("it is no event")
    _time(epoch_time(event.time))
    if not isinstance(event.why, dict):
        raise ValueError("its reason is none")
    if event.track_id is not None and not isinstance(event.track_id, int):
        raise ValueError("its track is no number")
    return event


def readable_note(note: object) -> dict[str, str]:
    """Return the note on a topic that a row holds. Raises ValueError and TypeError for what cannot be one."""
    found = readable(note)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError("it is no note")
    return found


def readable_record(record: object) -> AskRecord:
    """Return the asking that a row holds. Raises ValueError and TypeError for what cannot be one."""
    return AskRecord.from_payload(readable(record))


def _time(value: object) -> float:
    if not isinstance(value, (int, float)) or not 0 <= value <= MOST_TIME:
        raise ValueError("it is no time")
    return float(value)


def _time_or(value: object, other: _Other) -> float | _Other:
    """An event is worth more than when it was written."""
    try:
        return other if value is None else _time(value)
    except ValueError:
        return other


def _time_or_none(value: object) -> float | None:
    return None if value is None else _time(value)


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None
