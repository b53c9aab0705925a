"""An event as the page gets it, from the journal and on the stream."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from soteirad.archive import Row
from soteirad.event import Event, epoch_time, namer_of_clip, spoken
from soteirad.hub.ask_record import AskRecord

UNBEGUN_S = 60.0
"""So long after its event a clip of which nothing is there is taken to come; later there is none."""

MOST_PARTS = 999


def event_item(row: Row, answers: Sequence[AskRecord], pictures: Path | None = None, clips: Path | None = None,
               recorded: Event | None = None) -> dict[str, Any]:  # fmt: skip
    """Return an item of `GET /api/events`, also for the stream.

    `recorded` is the event that says that its clip is complete. With the folders of `pictures` and `clips`, what is
    gone of them is not offered.
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
        "clip": _clip(row.event, row.event if row.event.event_type == "recorded" else recorded, clips),
        "answers": [_answer(record) for record in answers],
    }


def _clip(event: Event, recorded: Event | None, clips: Path | None) -> dict[str, Any] | None:
    """Return where an event's clip is and what is known of it; None if it has none, or none any more."""
    if namer_of_clip(event.clip) is None or event.clip is None:
        return None
    complete = clips is not None and (clips / event.clip).is_file()
    if clips is not None and not complete and not _is_coming(clips / event.clip, event, recorded):
        return None
    # The `recorded` of a visit that goes on for longer than events are kept goes before it.
    ready = complete or recorded is not None
    known = {} if recorded is None else recorded.why
    return {"url": f"/api/clips/{event.clip}", "ready": ready, "seconds": _number(known.get("seconds")),
            "bytes": _whole(known.get("bytes")), "codec": _text(known.get("codec")),
            "more": _more(event.clip, _whole(known.get("parts")) or 1)}  # fmt: skip


def _more(path: str, parts: int) -> list[str]:
    """Return where the further parts of a clip are."""
    return [f"/api/clips/{path.removesuffix('.mp4')}-{part}.mp4" for part in range(2, min(parts, MOST_PARTS) + 1)]


def _is_coming(place: Path, event: Event, recorded: Event | None) -> bool:
    """Say whether a clip that is not there is on its way."""
    half = place.with_name(f".{place.name}.part")
    return recorded is None and (half.is_file() or time.time() < epoch_time(event.time) + UNBEGUN_S)


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _answer(record: AskRecord) -> dict[str, Any]:
    text = spoken(record.answer) if record.state == "answered" else record.reason or record.state
    return {"question": record.question, "state": record.state, "answer": record.answer, "text": text,
            "time": record.time}  # fmt: skip
