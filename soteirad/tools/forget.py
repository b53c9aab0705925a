"""`forget`: takes back all that lies retained at the broker, so that nothing is left of this box there."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from soteirad.config import Config, load_config
from soteirad.errors import BrokerError
from soteirad.hub.journal import Journal, is_there
from soteirad.hub.retained import SETTLE_S
from soteirad.mqtt.broker import broker_of
from soteirad.mqtt.client import Acknowledged, Disconnected, Message, MqttClient, MqttNotice
from soteirad.mqtt.topics import Topics

PATIENCE_S = 15.0
"""For the connection, and for the broker's acknowledgement of everything."""
QUIET_S = 1.5
"""Brokers send what is retained at once; after so long a silence there is no more."""


def forget_all(path: Path, force: bool = False) -> list[str]:
    """Take back what lies under the configuration's prefix, what the journal knows of, and our announcements.

    `force` does so even if a daemon seems to be online: its last will may have died with the broker.

    Returns the topics. Raises ConfigError, StorageError, and BrokerError if the broker cannot be reached or a daemon
    is there that would publish all again.
    """
    config = load_config(path)
    if not is_there(config.storage.journal):
        return _take_back_all(config, (), force)
    with closing(Journal(config.storage.journal)) as journal:
        journal.open(make=False)
        found = _take_back_all(config, journal.retained().keys(), force)
        journal.forget_retained(found)
    return found


def _take_back_all(config: Config, known: Collection[str], force: bool) -> list[str]:
    visit = _Visit(config)
    try:
        found = sorted(visit.look(force) | set(known))
        # First what tells Home Assistant of us, or it would read nothing where a state was.
        announcements = [topic for topic in found if topic.endswith("/config")]
        visit.take_back(announcements)
        if announcements:
            visit.pause(SETTLE_S)
        visit.take_back([topic for topic in found if topic not in announcements])
    finally:
        visit.leave()
    return found


class _Visit:
    """One connection to the broker that listens and takes back; nobody notices that it came and went."""

    def __init__(self, config: Config) -> None:
        self._topics = Topics(config.mqtt.topic_prefix)
        discovery = config.homeassistant.discovery_prefix
        self._woken = threading.Event()
        broker = broker_of(config.mqtt)
        self._broker = replace(broker, client_id=f"{broker.client_id}-forget")
        self._client = MqttClient(self._broker, topics=self._topics, on_wake=self._woken.set, visitor=True,
                                  subscriptions=[f"{self._topics.prefix}/#", f"{discovery}/#"])  # fmt: skip
        self._online = False
        self._found: set[str] = set()
        self._heard_at = 0.0
        self._missing: set[int] = set()

    def look(self, force: bool) -> set[str]:
        """Connect and return the topics on which something of ours lies. Raises BrokerError."""
        self._client.start()
        self._until(lambda: self._client.connected, "it does not answer")
        self._heard_at = time.monotonic()
        self._until(lambda: time.monotonic() - self._heard_at > QUIET_S, "it sends messages without end")
        if self._client.dropped:
            raise self._error("it sends more at once than can be looked at: try again")
        if self._online and not force:
            raise BrokerError(f"a daemon with the topic prefix {self._topics.prefix} is online and would publish all "
                              "again: stop it first (or, if there is none any more, use --force)")  # fmt: skip
        return self._found

    def take_back(self, topics: Collection[str]) -> None:
        """Take back what lies on these topics. Raises BrokerError."""
        for topic in topics:
            token = self._client.publish(topic, b"", qos=1, retain=True)
            if token is None:
                raise self._error("the connection ended")
            self._missing.add(token)
        self._until(lambda: not self._missing, "it does not acknowledge that the messages were taken back")

    def pause(self, seconds: float) -> None:
        """Let others take in what was taken back."""
        end = time.monotonic() + seconds
        self._until(lambda: time.monotonic() > end, "")

    def leave(self) -> None:
        """Disconnect."""
        self._client.stop(1.0)

    def _until(self, done: Callable[[], bool], problem: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            if time.monotonic() > deadline:
                raise self._error(problem)
            self._woken.wait(0.1)
            self._woken.clear()
            for notice in self._client.step(time.monotonic()):
                self._take(notice)

    def _take(self, notice: MqttNotice) -> None:
        if isinstance(notice, Disconnected):
            raise self._error(notice.reason)
        if isinstance(notice, Acknowledged):
            self._missing.discard(notice.token)
        elif isinstance(notice, Message) and notice.retain and notice.size:
            self._heard_at = time.monotonic()
            self._online |= notice.topic == self._topics.status() and notice.payload == b"online"
            if notice.topic.startswith(f"{self._topics.prefix}/") or self._is_announcement(notice):
                self._found.add(notice.topic)

    def _is_announcement(self, message: Message) -> bool:
        """Say whether somebody tells Home Assistant of a device of ours."""
        try:
            payload = json.loads(message.payload)
            entities = payload["components"].values() if "components" in payload else [payload]
            return payload["origin"]["name"] == "Soteira" and any(map(self._is_entity, entities))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return False

    def _is_entity(self, entity: Any) -> bool:
        """Say whether an entity goes by our status; names do not tell `house` with camera `2_a` from `house_2`."""
        status = self._topics.status()
        return entity.get("state_topic") == status or {"topic": status} in entity.get("availability", ())

    def _error(self, reason: str) -> BrokerError:
        return BrokerError(f"the MQTT broker at {self._broker.host}:{self._broker.port}: {reason}")
