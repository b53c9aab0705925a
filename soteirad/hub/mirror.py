"""The mirror: the same visits, counts and pictures in Frigate's format, for automations that were written for it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from soteirad.event import Event
from soteirad.messages import Picture
from soteirad.mqtt.frigate import available_topic, event_messages, snapshot_topic, state_messages, update_messages

REMEMBERED = 256
"""How many opening events are remembered, so that a picture finds its label; pictures come within seconds."""


class Publish(Protocol):
    """`MqttClient.publish`; what it returns is not looked at."""

    def __call__(self, topic: str, payload: bytes | str, qos: int = 0, retain: bool = False) -> object:
        """Hand one message to the broker, if there is one right now."""


class FrigateMirror:
    """Publishes under Frigate's topics. For the hub's thread.

    `openings` is `Journal.openings`; `clock` gives seconds since the epoch. Counts, motion, pictures and `available`
    are retained, published on change and again by `connected`. Events are given to the outbox, which publishes
    them right after our own. A dead daemon's `available` stays `online`: a connection has one last will, and that is
    for our own status.
    """

    def __init__(self, publish: Publish, topic_prefix: str, openings: Callable[[str], list[Event]],
                 clock: Callable[[], float] = time.time) -> None:  # fmt: skip
        self._publish = publish
        self._prefix = topic_prefix
        self._openings = openings
        self._clock = clock
        self._retained: dict[str, tuple[str | bytes, int]] = {}
        self._cameras: dict[str, str] = {}
        self._counted: dict[str, set[str]] = {}
        self._visits: OrderedDict[str, Event] = OrderedDict()
        self._pictured: set[str] = set()
        self._told: set[str] = set()
        self._shown: dict[str, str] = {}

    def connected(self) -> None:
        """Say that we are online and publish all retained again: the broker is new, or may have forgotten."""
        self._retained[available_topic(self._prefix)] = ("online", 1)
        for topic, (payload, qos) in self._retained.items():
            self._publish(topic, payload, qos=qos, retain=True)

    def offline(self) -> None:
        """Say that we are about to stop."""
        self._set(available_topic(self._prefix), "offline", 1)

    def confirmed(self, event: Event) -> None:
        """Remember an event that was just committed, so that its picture can be told by label."""
        if event.event_type in ("entered", "present") and event.label is not None and event.id not in self._visits:
            self._visits[event.id] = event
            while len(self._visits) > REMEMBERED:
                gone, _ = self._visits.popitem(last=False)
                self._pictured.discard(gone)
                self._told.discard(gone)

    def events(self, event: Event) -> list[tuple[str, str]]:
        """Return the (topic, payload) pairs that follow `event`, for `Outbox(mirror=...)`.

        Raises StorageError if the journal cannot be read.
        """
        messages = event_messages(event, self._openings(event.id), self._prefix, self._clock())
        if messages and event.id in self._visits:
            self._told.add(event.id)
        return messages

    def state(self, camera: str, state: Mapping[str, Any]) -> None:
        """Publish what changed of a camera's counts and motion."""
        messages = dict(state_messages(camera, state, self._prefix))
        for topic in self._counted.get(camera, set()) - set(messages):
            self._set(topic, b"", 1, camera)  # a label that is not looked for any more
        self._counted[camera] = set(messages)
        for topic, payload in messages.items():
            self._set(topic, payload, 1, camera)

    def picture(self, picture: Picture) -> None:
        """Take a picture: the label's latest, and an `update` if it took the place of one that was told of."""
        event = self._visits.get(picture.event_id)
        if event is None or event.label is None:
            return
        topic = snapshot_topic(self._prefix, event.camera, event.label)
        shown = self._visits.get(self._shown.get(topic, ""))
        if shown is None or shown.time <= event.time:
            self._shown[topic] = event.id
            self.snapshot(event.camera, event.label, picture.jpeg)
        if event.id in self._pictured and event.id in self._told:
            for update_topic, payload in update_messages(event, self._prefix, self._clock()):
                self._publish(update_topic, payload, qos=1, retain=False)
        self._pictured.add(event.id)

    def snapshot(self, camera: str, label: str, jpeg: bytes) -> None:
        """Publish the latest picture of an object with this label."""
        self._set(snapshot_topic(self._prefix, camera, label), jpeg, 0, camera)

    def forget(self, camera: str) -> None:
        """Take back all that is retained of a camera that is no more, now or when the broker is there again."""
        for topic in [topic for topic, owner in self._cameras.items() if owner == camera]:
            self._set(topic, b"", 1, camera)

    def take_back(self) -> None:
        """Take everything back from a broker or a prefix that will not be used any more, but remember it."""
        for topic in (available_topic(self._prefix), *self._cameras):
            self._publish(topic, b"", qos=1, retain=True)

    def move(self, publish: Publish, topic_prefix: str) -> None:
        """Publish to another broker or under another prefix from now on; `connected` then fills it."""
        old, self._publish, self._prefix = self._prefix, publish, topic_prefix

        def moved(topic: str) -> str:
            return topic_prefix + topic[len(old) :]

        self._retained = {moved(topic): value for topic, value in self._retained.items()}
        self._cameras = {moved(topic): camera for topic, camera in self._cameras.items()}
        self._counted = {camera: set(map(moved, topics)) for camera, topics in self._counted.items()}
        self._shown = {moved(topic): event_id for topic, event_id in self._shown.items()}

    def _set(self, topic: str, payload: str | bytes, qos: int, camera: str | None = None) -> None:
        if camera is not None:
            self._cameras[topic] = camera
        if self._retained.get(topic) != (payload, qos):
            self._retained[topic] = (payload, qos)
            self._publish(topic, payload, qos=qos, retain=True)
