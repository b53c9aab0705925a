"""The answer book: the part of the journal that holds what was asked, what became of it, and what it cost."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from soteirad.hub.ask_record import AskRecord
from soteirad.hub.journal import DAY_S, Journal
from soteirad.hub.salvage import readable_record

MOST_RECORDS = 100_000


class AnswerBook:
    """Reads and writes answers and calls in an open journal; every method raises StorageError when the disk fails."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def write(self, records: Sequence[AskRecord], calls: Sequence[tuple[str, float, int]], now: float) -> None:
        """Write what is new or changed, in one transaction; a call is id, time (epoch seconds) and tokens."""
        with self._journal.transaction() as db:
            db.executemany(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET state = excluded.state, record = excluded.record",
                [(r.id, r.camera, r.question, r.state, now, _json(r)) for r in records],
            )
            db.executemany("INSERT OR REPLACE INTO calls VALUES (?, ?, ?)", calls)
            db.execute("DELETE FROM calls WHERE at < ?", (now - DAY_S,))

    def calls(self) -> list[tuple[float, int]]:
        """Return the calls of the last day: time (epoch seconds) and tokens."""
        rows = self._journal.rows("SELECT at, tokens FROM calls ORDER BY at")
        return [(self._journal.read(float, at), self._journal.read(int, tokens)) for at, tokens in rows]

    def pending(self) -> list[AskRecord]:
        """Return what a run that ended left without an answer, oldest first."""
        return self._read("SELECT record FROM answers WHERE state = 'pending' ORDER BY rowid")

    def events(self, ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return the payloads of those events that the journal holds, by id."""
        found = {i: self._journal.rows("SELECT payload FROM events WHERE id = ?", (i,)) for i in ids}
        return {i: self._journal.read(json.loads, rows[0][0]) for i, rows in found.items() if rows}

    def latest(self, camera: str, question: str) -> tuple[AskRecord | None, AskRecord | None]:
        """Return the newest record of a question, and the newest that was answered; by their order on the disk, since
        the clock may have been set back."""
        where = "SELECT record FROM answers WHERE camera = ? AND question = ?"
        newest = self._read(f"{where} ORDER BY rowid DESC LIMIT 1", (camera, question))
        answered = self._read(f"{where} AND state = 'answered' ORDER BY rowid DESC LIMIT 1", (camera, question))
        return (newest[0] if newest else None), (answered[0] if answered else None)

    def prune(self, days: float, now: float) -> None:
        """Delete what is older than `days`, or beyond the last hundred thousand, but for the last answer to each
        question."""
        with self._journal.transaction() as db:
            db.execute(
                "DELETE FROM answers WHERE rowid NOT IN"
                " (SELECT max(rowid) FROM answers WHERE state = 'answered' GROUP BY camera, question)"
                " AND (recorded_at < ? OR rowid <= (SELECT max(rowid) FROM answers) - ?)",
                (now - days * DAY_S, MOST_RECORDS),
            )

    def _read(self, query: str, parameters: tuple[Any, ...] = ()) -> list[AskRecord]:
        rows = self._journal.rows(query, parameters)
        return [self._journal.read(readable_record, row[0]) for row in rows]


def _json(record: AskRecord) -> str:
    return json.dumps(record.payload(), separators=(",", ":"))
