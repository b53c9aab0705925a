"""The plan of clips: which there are to be, and from when to when. Pure.

A visit has one clip, from some seconds before the entry to some after the departure. A visit that lasts longer than a
clip may has one of its entry, and one of its departure under the id of the `left`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from soteirad.config.clips import ClipsConfig
from soteirad.event import Event


@dataclass(frozen=True)
class ClipOrder:
    """A clip that is to be written: its path below the folder of clips, from `begins` to `ends` on the clock of the
    gates, the `moment` on that clock of the event that named it, and what is noted of that event in the file."""

    path: str
    begins: float
    ends: float
    moment: float
    note: dict[str, Any]


@dataclass(frozen=True)
class ClipEnd:
    """A clip that is under way ends at `ends`."""

    path: str
    ends: float


class ClipPlan:
    """For the gate thread. Times are those of the clock of the gates, in seconds."""

    def __init__(self, settings: ClipsConfig) -> None:
        self._settings = settings
        self._visits: dict[int, ClipOrder] = {}

    def see(self, event: Event, time: float) -> tuple[Event, ClipOrder | ClipEnd | None]:
        """Return an event of that moment with the clip that shows it, and what is to be done for that."""
        if event.track_id is None:
            return event, None
        if event.event_type == "entered":
            order = self._order(event, time, self._settings.max)
            self._visits[event.track_id] = order
            return replace(event, clip=order.path), order
        if event.event_type != "left":
            return event, None
        ends = time + self._settings.after
        entry = self._visits.pop(event.track_id, None)
        if entry is not None and ends <= entry.ends:
            return replace(event, clip=entry.path), ClipEnd(entry.path, ends)
        if event.why.get("reason") != "gone":  # the watch ended: nobody was seen to leave
            return event, None
        order = self._order(event, time, self._settings.before + self._settings.after)
        return replace(event, clip=order.path), order

    def _order(self, event: Event, time: float, seconds: float) -> ClipOrder:
        path = f"{event.camera}/{event.time[:10]}/{event.id}.mp4"
        kept = ("id", "camera", "time", "label", "track_id", "zones", "media_time")
        note = {key: value for key, value in event.payload().items() if key in kept}
        begins = time - self._settings.before
        return ClipOrder(path, begins, begins + seconds, time, note)
