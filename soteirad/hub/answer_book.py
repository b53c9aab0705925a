"""The answer book: the part of the journal that holds what was asked, what became of it, and what it cost."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from soteirad.hub.journal import DAY_S, Journal
from soteirad.llm.pool import AskState


@dataclass(frozen=True)
class AskRecord:
    """One question that was asked, as it is journaled and published. Field names are the wire format.

    `time` is when the picture was captured, `on` what it was asked on. `reason` says why it was not answered.
    `similarity` is how like the last picture a duplicate is. `answer` is None while the model is unsure.
    """

    id: str
    camera: str
    question: str
    ask: str
    on: str
    time: str
    state: AskState = "pending"
    event_id: str | None = None
    label: str | None = None
    zones: tuple[str, ...] = ()
    answer: bool | float | str | None = None
    confidence: float | None = None
    because: str | None = None
    reason: str | None = None
    similarity: float | None = None
    model: str | None = None
    server: str | None = None
    latency_ms: float | None = None
    sent_tokens: int | None = None
    answered_tokens: int | None = None
    calls: int = 0

    def payload(self) -> dict[str, Any]:
        """Return it as JSON-ready data, without the fields that do not apply; `answer` is always there."""
        return {k: v for k, v in asdict(self).items() if k == "answer" or (v is not None and v != ())}

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> AskRecord:
        """Rebuild it from `payload()` data. Fields that this version does not know are left out."""
        known = {field.name for field in fields(cls)}
        data = {key: value for key, value in payload.items() if key in known}
        return cls(**{**data, "zones": tuple(data.get("zones", ()))})


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
        return [(at, tokens) for at, tokens in self._journal.rows("SELECT at, tokens FROM calls ORDER BY at")]

    def pending(self) -> list[AskRecord]:
        """Return what a run that ended left without an answer, oldest first."""
        return self._read("SELECT record FROM answers WHERE state = 'pending' ORDER BY id")

    def events(self, ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return the payloads of those events that the journal holds, by id."""
        found = {i: self._journal.rows("SELECT payload FROM events WHERE id = ?", (i,)) for i in ids}
        return {i: json.loads(rows[0][0]) for i, rows in found.items() if rows}

    def latest(self, camera: str, question: str) -> tuple[AskRecord | None, AskRecord | None]:
        """Return the newest record of a question, and the newest that was answered."""
        where = "SELECT record FROM answers WHERE camera = ? AND question = ?"
        newest = self._read(f"{where} ORDER BY id DESC LIMIT 1", (camera, question))
        answered = self._read(f"{where} AND state = 'answered' ORDER BY id DESC LIMIT 1", (camera, question))
        return (newest[0] if newest else None), (answered[0] if answered else None)

    def prune(self, days: float, now: float) -> None:
        """Delete what is older than `days`, but for the last answer to each question."""
        with self._journal.transaction() as db:
            db.execute(
                "DELETE FROM answers WHERE recorded_at < ? AND id NOT IN"
                " (SELECT max(id) FROM answers WHERE state = 'answered' GROUP BY camera, question)",
                (now - days * DAY_S,),
            )

    def _read(self, query: str, parameters: tuple[Any, ...] = ()) -> list[AskRecord]:
        return [AskRecord.from_payload(json.loads(row[0])) for row in self._journal.rows(query, parameters)]


def _json(record: AskRecord) -> str:
    return json.dumps(record.payload(), separators=(",", ":"))
