"""The event: what a camera confirmed, in the shape that is journaled and published."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, get_args

from ulid import ULID

EventType = Literal[
    "entered", "left", "present", "scene_changed", "source_lost", "source_restored", "answered", "recorded"
]
EVENT_TYPES: tuple[str, ...] = get_args(EventType)

_CLIP = re.compile(r"[A-Za-z0-9_-]+/[0-9]{4}-[0-9]{2}-[0-9]{2}/([0-7][0-9A-HJKMNP-TV-Z]{25})\.mp4")

Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels of the frame named by `frame_size`."""


@dataclass(frozen=True)
class Event:
    """One confirmed event. Field names are the wire format (`<prefix>/<camera>/event`).

    `time` is the capture time of the frame that the event speaks of, in UTC with milliseconds: for `entered` and
    `present` the frame that confirmed the object, for `left` the last frame in which it was seen.
    `confirmed` is when that was sure, where it differs (`left`): what counts as late is measured from it.
    `media_time` is set for files only: seconds since the clip's first frame.
    `why` says what led to it; for `left` it holds `reason`: gone | restart | source_ended | source_lost.
    `question`, `answer` (missing while the model is unsure) and `about` (the id of the event that it was asked on) are
    those of an `answered`; its `confidence` is the model's own.
    `clip` is the path of a visit's video below the folder of clips. It is named before there is one: a `recorded` says
    that it is complete, with the id of the event that named it first (`about`), that event's time and label, and in
    `why` its `seconds`, `bytes`, when it `begins` (UTC) and its `codec`.
    """

    id: str
    event_type: EventType
    camera: str
    time: str
    confirmed: str | None = None
    label: str | None = None
    track_id: int | None = None
    confidence: float | None = None
    box: Box | None = None
    frame_size: tuple[int, int] | None = None
    zones: tuple[str, ...] = ()
    dwell: float | None = None
    media_time: float | None = None
    why: dict[str, Any] = field(default_factory=dict)
    latency_ms: dict[str, float] = field(default_factory=dict)
    snapshot: str | None = None
    clip: str | None = None
    question: str | None = None
    answer: bool | float | str | None = None
    about: str | None = None

    @property
    def opens_visit(self) -> bool:
        """Whether somebody is there from now on."""
        return self.event_type in ("entered", "present")

    def payload(self) -> dict[str, Any]:
        """Return the event as JSON-ready data, without the fields that do not apply."""
        return {k: v for k, v in asdict(self).items() if v is not None and v != {}}

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> Event:
        """Rebuild an event from `payload()` data (as read from JSON). Raises TypeError for anything else."""
        if not isinstance(payload, dict):
            raise TypeError("an event is a mapping of fields")
        lists = {k: tuple(payload[k]) for k in ("zones", "box", "frame_size") if payload.get(k) is not None}
        return cls(**{**payload, **lists})


def iso_time(epoch: float) -> str:
    """Format seconds since the epoch as UTC with milliseconds, `2026-11-21T23:18:56.123Z`."""
    text = datetime.fromtimestamp(epoch, tz=timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def epoch_time(text: str) -> float:
    """Parse `iso_time` output back to seconds since the epoch."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def spoken(answer: bool | float | str | None) -> str:
    """Return an answer as people say it."""
    if answer is None:
        return "unsure"
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    return f"{answer:g}" if isinstance(answer, float) else str(answer)


def new_id(epoch: float) -> str:
    """Return a new ULID whose time part is `epoch` (seconds)."""
    return str(ULID.from_timestamp(float(epoch)))  # an int would be milliseconds


def clip_id(event_id: str) -> str:
    """Return the ULID of the `recorded` that tells of the clip which the event of that id named.

    It is always the same one, so that telling twice is telling once; its time part is that of the event's.
    """
    digest = hashlib.sha256(f"clip:{event_id}".encode()).digest()
    return str(ULID.from_bytes(ULID.from_str(event_id).bytes[:6] + digest[:10]))


def namer_of_clip(path: object) -> str | None:
    """Return the id of the event that a clip is named after; None for what is no clip's path."""
    found = _CLIP.fullmatch(path) if isinstance(path, str) else None
    return None if found is None else found[1]


def replay_id(clip_hash: str, media_time: float, what: str) -> str:
    """Return the ULID that the same clip, moment and event always get (time part: media time)."""
    digest = hashlib.sha256(f"{clip_hash}:{media_time:.3f}:{what}".encode()).digest()
    millis = max(0, round(media_time * 1000))
    return str(ULID.from_bytes(millis.to_bytes(6, "big") + digest[:10]))
