"""Frigate's format: pure functions from our events and state to the messages that Frigate would publish.

After https://docs.frigate.video/integrations/mqtt and what Frigate's tracked object puts into a message. Automations
read these fields without asking whether they are there, so all are there: null, 0, [], {} or false where Soteira
does not know them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from soteirad.event import Event, epoch_time
from soteirad.mqtt.topics import is_late

_TAKEN = ("all", "motion")
"""Last parts of topics that mean something else than a label."""


def events_topic(topic_prefix: str) -> str:
    """Return the topic of all cameras' events."""
    return f"{topic_prefix}/events"


def available_topic(topic_prefix: str) -> str:
    """Return the topic of `online` | `offline` (retained)."""
    return f"{topic_prefix}/available"


def label_topic(topic_prefix: str, camera: str, label: str) -> str:
    """Return the topic of how many objects with this label a camera sees (retained)."""
    return f"{topic_prefix}/{camera}/{topic_label(label)}"


def snapshot_topic(topic_prefix: str, camera: str, label: str) -> str:
    """Return the topic of a camera's latest picture of an object with this label (retained JPEG)."""
    return f"{label_topic(topic_prefix, camera, label)}/snapshot"


def topic_label(label: str) -> str:
    """Return `label` as one part of a topic: / + # and what cannot be printed become _.

    A label `all` or `motion` gets a _ behind it, since those topics are something else.
    """
    text = "".join("_" if c in "/+#" or not c.isprintable() else c for c in label)
    return f"{text}_" if text in _TAKEN else text


def frigate_id(opening: Event) -> str:
    """Return the id that all messages of one visit carry, made from the event that opened it."""
    return f"{epoch_time(opening.time):.6f}-{opening.id[-6:].lower()}"


def event_messages(event: Event, openings: Sequence[Event], topic_prefix: str, now: float) -> list[tuple[str, str]]:
    """Return the (topic, payload) pairs that say in Frigate's format what `event` says.

    `openings` are the opening events of all visits that `event` closed: the one of a `left`, those of a
    `scene_changed`, or a visit whose track id came again. Each ends (`end`); then an `entered` or `present` begins its
    own (`new`). An event that is late at `now`, in seconds since the epoch, gives nothing.
    """
    if is_late(event, now):
        return []
    messages = []
    for opening in openings:
        before = _object(opening, opening)
        messages.append(_message("end", before, _ended(opening, event), topic_prefix))
    if event.opens_visit:
        after = _object(event, event)
        # What Frigate says of an object before it believes in it.
        unsure: dict[str, Any] = {"top_score": 0.0, "false_positive": True, "snapshot": None,
                                  "has_snapshot": False, "current_zones": [], "entered_zones": []}  # fmt: skip
        messages.append(_message("new", {**after, **unsure}, after, topic_prefix))
    return messages


def update_messages(opening: Event, topic_prefix: str, now: float) -> list[tuple[str, str]]:
    """Return the `update` which says that the visit that `opening` began has a better picture since `now`.

    `now` is in seconds since the epoch and stands for the time of that picture.
    """
    before = _object(opening, opening)
    snapshot = {**before["snapshot"], "frame_time": round(now, 6)}
    return [_message("update", before, {**before, "snapshot": snapshot, "has_snapshot": True}, topic_prefix)]


def state_messages(camera: str, state: Mapping[str, Any], topic_prefix: str) -> list[tuple[str, str]]:
    """Return the (topic, payload) pairs of what our retained `state` of a camera means: counts, and motion."""
    counts: Counter[str] = Counter()
    for label, seen in state.get("objects", {}).items():
        counts[label_topic(topic_prefix, camera, label)] += int(seen.get("count", 0))
    return [
        *((topic, str(count)) for topic, count in counts.items()),
        (f"{topic_prefix}/{camera}/all", str(sum(counts.values()))),
        (f"{topic_prefix}/{camera}/motion", "ON" if state.get("motion") else "OFF"),
    ]


def _message(kind: str, before: dict[str, Any], after: dict[str, Any], topic_prefix: str) -> tuple[str, str]:
    payload = {"type": kind, "before": before, "after": after}
    return events_topic(topic_prefix), json.dumps(payload, separators=(",", ":"))


def _ended(opening: Event, event: Event) -> dict[str, Any]:
    """Return the object when `event` closed its visit; only a `left` says anything of the object itself."""
    last = event if event.event_type == "left" else opening
    end = max(epoch_time(event.time), epoch_time(opening.time))
    return {**_object(opening, last), "frame_time": end, "end_time": end}


def _object(opening: Event, last: Event) -> dict[str, Any]:
    """Return the tracked object of the visit that `opening` began, as `last` saw it."""
    start = epoch_time(opening.time)
    scores = [e.confidence for e in (last, opening) if e.confidence is not None] or [0.0]
    still = opening.event_type == "present"
    return {
        "id": frigate_id(opening),
        "camera": opening.camera,
        "frame_time": epoch_time(last.time),
        # The picture was taken for the opening event; a better one of it has the same box.
        "snapshot": {"frame_time": start, **_place(opening), "score": opening.confidence or 0.0, "attributes": [],
                     **_UNKNOWN_OF_SNAPSHOTS},
        "label": opening.label,
        "sub_label": None,
        "top_score": max(scores),
        "false_positive": False,
        "start_time": start,
        "end_time": None,
        "score": scores[0],
        **_place(last if last.box else opening),
        "ratio": _ratio(last if last.box else opening),
        # Who was there before anybody looked has not moved since.
        "active": not still,
        "stationary": still,
        "current_zones": list(last.zones),
        "entered_zones": list(dict.fromkeys((*opening.zones, *last.zones))),
        "has_snapshot": opening.snapshot is not None,
        **_UNKNOWN,
    }  # fmt: skip


_UNKNOWN_OF_SNAPSHOTS: dict[str, Any] = {
    "current_estimated_speed": 0,
    "velocity_angle": 0,
    "path_data": [],
    "recognized_license_plate": None,
    "recognized_license_plate_score": None,
}
_UNKNOWN: dict[str, Any] = {
    **_UNKNOWN_OF_SNAPSHOTS,
    "motionless_count": 0,
    "position_changes": 0,
    "has_clip": False,
    "thumbnail": None,
    "attributes": {},
    "current_attributes": [],
    "pending_loitering": False,
    "max_severity": None,
    "average_estimated_speed": 0,
}


def _place(event: Event) -> dict[str, Any]:
    """Return box, its area, and the region of the picture that was looked at: all of it."""
    region = [0, 0, *event.frame_size] if event.frame_size else []
    if event.box is None:
        return {"box": [], "area": 0, "region": region}
    x1, y1, x2, y2 = event.box
    return {"box": [x1, y1, x2, y2], "area": (x2 - x1) * (y2 - y1), "region": region}


def _ratio(event: Event) -> float:
    """Return the box's width divided by its height."""
    if event.box is None:
        return 0.0
    x1, y1, x2, y2 = event.box
    return round((x2 - x1) / max(1, y2 - y1), 6)
