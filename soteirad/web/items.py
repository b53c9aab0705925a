"""An event as the page gets it, from the journal and on the stream."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from soteirad.archive import Row
from soteirad.event import spoken
from soteirad.hub.ask_record import AskRecord


def event_item(row: Row, answers: Sequence[AskRecord], pictures: Path | None = None) -> dict[str, Any]:
    """Return an item of `GET /api/events`, also for the stream.

    With the folder of `pictures`, one that is gone is not offered.
    """
    snapshot = row.event.snapshot
    if snapshot is not None and pictures is not None and not (pictures / snapshot).is_file():
        snapshot = None
    return {
        "seq": row.seq,
        "event": row.event.payload(),
        "published": row.published_at is not None,
        "topic": row.topic,
        "picture": None if snapshot is None else f"/api/snapshots/{snapshot}",
        "answers": [_answer(record) for record in answers],
    }


def _answer(record: AskRecord) -> dict[str, Any]:
    text = spoken(record.answer) if record.state == "answered" else record.reason or record.state
    return {"question": record.question, "state": record.state, "answer": record.answer, "text": text,
            "time": record.time}  # fmt: skip
