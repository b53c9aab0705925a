"""The mirror: the same visits, counts and pictures in Frigate's format, for automations that were written for it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from soteirad.event import Event
from soteirad.hub.retained import Retained
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
    are retained. Events are given to the outbox, which publishes them right after our own. A dead daemon's `available`
    stays `online`: a connection has one last will, and that is for our own status.
    """

    def __init__(self, retained: Retained, publish: Publish, topic_prefix: str, openings: Callable[[str], list[Event]],
                 clock: Callable[[], float] = time.time) -> None:  # fmt: skip
        self._retained = retained
        self._publish = publish
        self.prefix = topic_prefix
        self._openings = openings
        self._clock = clock
        self._counted: dict[str, set[str]] = {}
        self._visits: OrderedDict[str, Event] = OrderedDict()
        self._pictured: set[str] = set()
        self._told: set[str] = set()
        self._shown: dict[str, str] = {}

    def online(self, online: bool) -> None:
        """Say that we are there, or about to stop."""
        self._retained.set(available_topic(self.prefix), "online" if online else "offline")

    def pictures(self, cameras: Mapping[str, Sequence[str]]) -> list[str]:
        """Return the topics on which a picture of a camera's labels may lie, of this run or an earlier one."""
        return [snapshot_topic(self.prefix, name, label) for name, labels in cameras.items() for label in labels]

    def confirmed(self, event: Event) -> None:
        """Remember an event that was just committed, so that its picture can be told by label."""
        if event.opens_visit and event.label is not None and event.id not in self._visits:
            self._visits[event.id] = event
            while len(self._visits) > REMEMBERED:
                gone, _ = self._visits.popitem(last=False)
                self._pictured.discard(gone)
                self._told.discard(gone)

    def events(self, event: Event) -> list[tuple[str, str]]:
        """Return the (topic, payload) pairs that follow `event`, for `Outbox(mirror=...)`.

        Raises StorageError if the journal cannot be read.
        """
        messages = event_messages(event, self._openings(event.id), self.prefix, self._clock())
        if messages and event.id in self._visits:
            self._told.add(event.id)
        return messages

    def state(self, camera: str, state: Mapping[str, Any]) -> None:
        """Publish what changed of a camera's counts and motion."""
        messages = dict(state_messages(camera, state, self.prefix))
        self._retained.take_back(self._counted.get(camera, set()) - messages.keys())  # labels not looked for any more
        self._counted[camera] = set(messages)
        for topic, payload in messages.items():
            self._retained.set(topic, payload)

    def picture(self, picture: Picture) -> None:
        """Take a picture: the label's latest, and an `update` if it took the place of one that was told of."""
        event = self._visits.get(picture.event_id)
        if event is None or event.label is None:
            return
        topic = snapshot_topic(self.prefix, event.camera, event.label)
        shown = self._visits.get(self._shown.get(topic, ""))
        if shown is None or shown.time <= event.time:
            self._shown[topic] = event.id
            self._retained.picture(topic, picture.jpeg)
        if event.id in self._pictured and event.id in self._told:
            for update_topic, payload in update_messages(event, self.prefix, self._clock()):
                self._publish(update_topic, payload, qos=1, retain=False)
        self._pictured.add(event.id)

    def forget(self, camera: str) -> None:
        """Take back all that is retained of a camera that is no more."""
        pictures = [topic for topic in self._shown if topic.startswith(f"{self.prefix}/{camera}/")]
        self._retained.take_back([*self._counted.pop(camera, ()), *pictures])
