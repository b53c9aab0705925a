"""What there is to say of one question that was asked: on disk, on MQTT and as an event. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from soteirad.config import QuestionConfig
from soteirad.event import Event, iso_time

if TYPE_CHECKING:  # who only reads records needs nothing that asks
    from soteirad.llm.pool import AskState


@dataclass(frozen=True)
class AskRecord:
    """One question that was asked, as it is journaled and published. Field names are the wire format.

    `time` is when the picture was captured, `on` what it was asked on, `kind` that of the answer. `reason` says why it
    was not answered. `similarity` is how like the last picture a duplicate is. `answer` is None while the model is
    unsure.
    """

    id: str
    camera: str
    question: str
    ask: str
    on: str
    time: str
    state: AskState = "pending"
    kind: str = "text"
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


def answer_payload(record: AskRecord, answered: AskRecord | None) -> dict[str, Any]:
    """Return the `<camera>/answer/<question>` payload: what became of the last asking, and the last answer there is.

    Only an answer changes `answer`: it is null while the model is unsure, and stays while nobody could be asked. What
    answered other words is left out: the question was changed since, or another one was sent.
    """
    payload = record.payload()
    if answered is None or (answered.ask, answered.kind) != (record.ask, record.kind):
        return payload
    return {**payload, "answer": answered.answer, "confidence": answered.confidence, "because": answered.because,
            "answered": {"id": answered.id, "time": answered.time}}  # fmt: skip


def unasked_payload(camera: str, question: QuestionConfig) -> dict[str, Any]:
    """Return the same for a question that was changed and has not been asked since."""
    return {"camera": camera, "question": question.name, "ask": question.ask, "kind": question.answer.kind,
            "state": "failed", "reason": "it was changed and has not been asked since", "answer": None}  # fmt: skip


def answered_event(record: AskRecord, now: float) -> Event:
    """Return the event that tells an answer at `now` (seconds since the epoch); what counts as late begins then."""
    return Event(
        id=record.id, event_type="answered", camera=record.camera, time=record.time, confirmed=iso_time(now),
        label=record.label, zones=record.zones, confidence=record.confidence, question=record.question,
        answer=record.answer, about=record.event_id,
        why={"on": record.on, "because": record.because, "model": record.model},
    )  # fmt: skip


def as_told_by(event: Mapping[str, Any], record: AskRecord) -> AskRecord:
    """Return the record of an answer as the event tells it."""
    why = event.get("why", {})
    return replace(record, state="answered", answer=event.get("answer"), confidence=event.get("confidence"),
                   because=why.get("because"), model=why.get("model"))  # fmt: skip


def unanswered(record: AskRecord) -> AskRecord:
    """Return the record of an answer as it was before."""
    return replace(record, state="pending", answer=None, confidence=None, because=None)
