"""The topic tree: pure functions from a prefix, a camera and an event to a topic."""

from __future__ import annotations

from dataclasses import dataclass

from soteirad.event import Event, epoch_time

LATE_AFTER_S = 60.0
"""An event that is older than this when it is published must not fire an automation any more."""


@dataclass(frozen=True)
class Topics:
    """The topics of one box. `prefix` is the box's identity on the broker (it may hold slashes)."""

    prefix: str

    def status(self) -> str:
        """Return the topic of the daemon's `online` | `offline` (retained, last will)."""
        return f"{self.prefix}/status"

    def camera_status(self, camera: str) -> str:
        """Return the topic of a camera's `online` | `offline` (retained)."""
        return f"{self.prefix}/{camera}/status"

    def state(self, camera: str) -> str:
        """Return the topic of a camera's retained state."""
        return f"{self.prefix}/{camera}/state"

    def event(self, camera: str) -> str:
        """Return the topic of a camera's events that are on time."""
        return f"{self.prefix}/{camera}/event"

    def late_event(self, camera: str) -> str:
        """Return the topic of a camera's events that could not be published in time."""
        return f"{self.prefix}/{camera}/event/late"

    def snapshot(self, camera: str) -> str:
        """Return the topic of a camera's latest picture (retained JPEG)."""
        return f"{self.prefix}/{camera}/snapshot"

    def diagnostics(self, camera: str) -> str:
        """Return the topic of a camera's figures."""
        return f"{self.prefix}/{camera}/diagnostics"


def event_topic(topics: Topics, event: Event, now: float) -> str:
    """Return the topic on which `event` is to be published at `now` (seconds since the epoch).

    That somebody left is sure only later than they were last seen; what counts is when it was sure.
    """
    if now - epoch_time(event.confirmed or event.time) > LATE_AFTER_S:
        return topics.late_event(event.camera)
    return topics.event(event.camera)
