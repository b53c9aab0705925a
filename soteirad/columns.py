"""Events as rows of a table: the one place that says which column holds what. A spreadsheet may open such a table, so
no text in it is a formula."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from soteirad.event import Event, iso_time, spoken

LOG_FIELDS = ("seq", "recorded", "time", "camera", "event_type", "label", "track_id", "confidence", "zones", "dwell",
              "trigger", "reason", "question", "answer", "because", "about", "x1", "y1", "x2", "y2", "snapshot",
              "media_time", "clip", "id")  # fmt: skip
"""The columns of the event log. A later version may add some before `id`, and takes none away."""

_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
"""What a cell begins with that a spreadsheet takes for a formula; the last four are the wide forms of the first."""


def log_row(seq: int, recorded_at: float, event: Event, fields: Iterable[str] = LOG_FIELDS) -> list[Any]:
    """Return an event of the journal as the cells of these of `LOG_FIELDS`; `recorded_at` is in epoch seconds."""
    return cells(event, fields, seq=seq, recorded=iso_time(recorded_at))


def cells(event: Event, fields: Iterable[str], **more: Any) -> list[Any]:
    """Return an event as the cells of these columns; `more` are columns that are not the event's own."""
    columns = {**_columns(event), **more}
    return [_harmless(columns[field]) for field in fields]


def _columns(event: Event) -> dict[str, Any]:
    answer: float | str | None = spoken(event.answer) if event.event_type == "answered" else None
    if isinstance(event.answer, (int, float)) and not isinstance(event.answer, bool):
        answer = event.answer  # as the number that it is
    x1, y1, x2, y2 = event.box or (None,) * 4
    return {
        "id": event.id, "event_type": event.event_type, "camera": event.camera, "time": event.time,
        "label": event.label, "track_id": event.track_id, "confidence": event.confidence,
        "zones": " ".join(event.zones), "dwell": event.dwell, "media_time": event.media_time,
        "trigger": event.why.get("trigger"), "reason": event.why.get("reason"), "because": event.why.get("because"),
        "question": event.question, "answer": answer, "about": event.about, "snapshot": event.snapshot,
        "clip": event.clip,
        "x1": x1, "y1": y1, "x2": x2, "y2": y2,
    }  # fmt: skip


def _harmless(value: Any) -> Any:
    """Return a cell's value: text on one line, with a `'` before what would be a formula."""
    if not isinstance(value, str):
        return value
    text = "".join(char if char.isprintable() else " " for char in value)
    return f"'{text}" if text.lstrip().startswith(tuple(_FORMULA)) else text
