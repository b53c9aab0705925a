"""Reports: visits, in fractions of a frame and media time, become events in pixels and wall-clock time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from soteirad.capture.frame import Frame
from soteirad.event import Box, Event, EventType, iso_time
from soteirad.gates.objects import Zone, zones_of
from soteirad.track.tracker import Visit

MakeId = Callable[[float, float, str], str]
"""(wall-clock seconds, media seconds, what it is about) -> event id."""


class Reporter:
    """Makes a camera's events.

    `names` are the model's labels. `rate` is how many media seconds pass in one wall-clock second (a file's playing
    speed). `show_media_time` adds `media_time`, for files.
    """

    def __init__(self, camera: str, names: Sequence[str], zones: Sequence[Zone], make_id: MakeId,
                 rate: float = 1.0, show_media_time: bool = False) -> None:  # fmt: skip
        self._camera = camera
        self._names = names
        self._zones = zones
        self._make_id = make_id
        self._rate = rate
        self._show_media_time = show_media_time

    def visit(self, visit: Visit, frame: Frame, why: dict[str, Any], latency_ms: dict[str, float],
              snapshot: bool = False) -> Event:  # fmt: skip
        """Return the event of a visit that began or ended, judged on `frame`; `snapshot` names a picture for it."""
        captured = frame.captured - (frame.time - visit.time) / self._rate
        label = self._names[visit.class_index]
        event_id = self._make_id(captured, visit.time, f"{visit.kind}:{visit.track_id}")
        left = visit.kind == "left"
        return Event(
            id=event_id,
            event_type=visit.kind,
            camera=self._camera,
            time=iso_time(captured),
            confirmed=iso_time(frame.captured) if left else None,
            label=label,
            track_id=visit.track_id,
            confidence=round(visit.score, 3),
            box=_pixels(visit.box, frame),
            frame_size=(frame.width, frame.height),
            zones=zones_of(self._zones, label, visit.box),
            dwell=round(visit.dwell, 3) if left else None,
            media_time=round(visit.time, 3) if self._show_media_time else None,
            why={**why, "reason": visit.reason},
            latency_ms={} if left else {k: round(v, 1) for k, v in latency_ms.items()},
            snapshot=snapshot_path(self._camera, captured, event_id) if snapshot else None,
        )

    def camera_event(self, kind: EventType, captured: float, media_time: float, why: dict[str, Any],
                     snapshot: bool = False) -> Event:  # fmt: skip
        """Return an event about the camera itself: `scene_changed`, `source_lost`, `source_restored`.

        `snapshot` names a picture for it.
        """
        event_id = self._make_id(captured, media_time, kind)
        return Event(
            id=event_id,
            event_type=kind,
            camera=self._camera,
            time=iso_time(captured),
            media_time=round(media_time, 3) if self._show_media_time else None,
            why=why,
            snapshot=snapshot_path(self._camera, captured, event_id) if snapshot else None,
        )


def snapshot_path(camera: str, captured: float, event_id: str) -> str:
    """Return the path of an event's picture below the snapshot folder: camera, UTC day, event id."""
    return f"{camera}/{iso_time(captured)[:10]}/{event_id}.jpg"


def _pixels(box: Sequence[float], frame: Frame) -> Box:
    size = (frame.width, frame.height, frame.width, frame.height)
    x1, y1, x2, y2 = (min(s, max(0, round(v * s))) for v, s in zip(box, size, strict=True))
    return x1, y1, x2, y2
