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

    def clip(self, camera: str) -> str:
        """Return the topic that says that a visit's clip is complete."""
        return f"{self.prefix}/{camera}/clip"

    def late_clip(self, camera: str) -> str:
        """Return the topic of clips that could not be told of in time."""
        return f"{self.prefix}/{camera}/clip/late"

    def snapshot(self, camera: str) -> str:
        """Return the topic of a camera's latest picture (retained JPEG)."""
        return f"{self.prefix}/{camera}/snapshot"

    def preview(self, camera: str) -> str:
        """Return the topic of a small picture of what the camera sees now (retained JPEG)."""
        return f"{self.prefix}/{camera}/preview"

    def retained(self, camera: str) -> tuple[str, ...]:
        """Return the topics on which something of a camera lies retained."""
        return self.camera_status(camera), self.state(camera), self.snapshot(camera), self.preview(camera)

    def answer(self, camera: str, question: str) -> str:
        """Return the topic of the latest answer to a question (retained)."""
        return f"{self.prefix}/{camera}/answer/{question}"

    def llm(self) -> str:
        """Return the topic of how the models that answer questions do, and what is left of their budget (retained)."""
        return f"{self.prefix}/llm"

    def info(self) -> str:
        """Return the topic of what the daemon says of itself (retained)."""
        return f"{self.prefix}/info"

    def command(self, camera: str, name: str) -> str:
        """Return the topic of a command for a camera."""
        return f"{self.prefix}/{camera}/set/{name}"

    def daemon_command(self, name: str) -> str:
        """Return the topic of a command for the daemon itself."""
        return f"{self.prefix}/set/{name}"

    def commands(self) -> tuple[str, str]:
        """Return the topic filters of all commands."""
        return self.command("+", "+"), self.daemon_command("+")

    def camera_of(self, topic: str) -> str:
        """Return the part of a topic that names a camera; empty if there is none."""
        first, *rest = topic.removeprefix(f"{self.prefix}/").split("/")
        return first if rest else ""

    def diagnostics(self, camera: str) -> str:
        """Return the topic of a camera's figures."""
        return f"{self.prefix}/{camera}/diagnostics"


def is_late(event: Event, now: float) -> bool:
    """Say whether `event` is too old at `now` (seconds since the epoch) to fire an automation.

    That somebody left is sure only later than they were last seen; what counts is when it was sure.
    """
    return now - epoch_time(event.confirmed or event.time) > LATE_AFTER_S


def event_topic(topics: Topics, event: Event, now: float) -> str:
    """Return the topic on which `event` is to be published at `now` (seconds since the epoch)."""
    late = is_late(event, now)
    if event.event_type == "recorded":
        return topics.late_clip(event.camera) if late else topics.clip(event.camera)
    return topics.late_event(event.camera) if late else topics.event(event.camera)
