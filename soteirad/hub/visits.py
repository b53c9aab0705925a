"""The visits that are open, as far as events tell: for events that the journal does not have yet."""

from __future__ import annotations

from collections.abc import Iterable

from soteirad.event import Event


class OpenVisits:
    """Begins with the opening events of what is open. Pure; the same rules as the journal's."""

    def __init__(self, openings: Iterable[Event] = ()) -> None:
        self._open = {(event.camera, event.track_id): event for event in openings}

    def take(self, event: Event) -> list[Event]:
        """Learn of an event; returns the opening events of the visits that it closes."""
        key = event.camera, event.track_id
        closes = event.event_type == "scene_changed"
        if closes:
            closed = self.of(event.camera)
        else:
            ends = event.track_id is not None and (event.opens_visit or event.event_type == "left")
            closed = [self._open[key]] if ends and key in self._open else []
        for opening in closed:
            del self._open[opening.camera, opening.track_id]
        if event.opens_visit and event.track_id is not None:
            self._open[key] = event
        return closed

    def of(self, camera: str) -> list[Event]:
        """Return the opening events of a camera's visits, oldest first."""
        return [event for event in self._open.values() if event.camera == camera]
