"""`forget`: takes back all that lies retained at the broker, so that nothing is left of this box there."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

from soteirad.config import Config, load_config
from soteirad.errors import BrokerError
from soteirad.hub.journal import Journal, is_there
from soteirad.hub.retained import SETTLE_S
from soteirad.mqtt.connection import LONGEST_ANNOUNCEMENT
from soteirad.mqtt.notices import Message
from soteirad.mqtt.topics import Topics
from soteirad.mqtt.visit import Visit, visitor

PATIENCE_S = 15.0
"""For all that lies there, and for the broker's acknowledgement of everything."""
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
    broker, seen = visitor(config.mqtt), _Seen(Topics(config.mqtt.topic_prefix))
    subscriptions = [f"{seen.topics.prefix}/#", f"{config.homeassistant.discovery_prefix}/#"]
    try:
        with Visit(broker, subscriptions, LONGEST_ANNOUNCEMENT) as visit:
            visit.listen(seen.take, QUIET_S, PATIENCE_S)
            if visit.dropped:
                raise BrokerError("it sends more at once than can be looked at: try again")
            if not seen.online or force:
                return _taken_back(visit, seen.ours | set(known))
    except BrokerError as error:
        raise BrokerError(f"the MQTT broker at {broker.host}:{broker.port}: {error}") from None
    raise BrokerError(f"a daemon with the topic prefix {seen.topics.prefix} is online and would publish all again: "
                      "stop it first (or, if there is none any more, use --force)")  # fmt: skip


def _taken_back(visit: Visit, found: Collection[str]) -> list[str]:
    """First what tells Home Assistant of us, or it would read nothing where a state was."""
    announcements = sorted(topic for topic in found if topic.endswith("/config"))
    refused = visit.take_back(announcements, PATIENCE_S)
    if announcements:
        visit.hear(lambda _: False, SETTLE_S)
    refused = visit.take_back(sorted(set(found).difference(announcements)), PATIENCE_S) or refused
    if refused:
        raise BrokerError(f"it does not let us take all back ({refused.lower()}): look at its access rules")
    return sorted(found)


class _Seen:
    """What lies retained: `ours`, and whether a daemon of our prefix says `online`."""

    def __init__(self, topics: Topics) -> None:
        self.topics = topics
        self.online = False
        self.ours: set[str] = set()

    def take(self, message: Message) -> None:
        """Take in one message."""
        self.online |= message.topic == self.topics.status() and message.payload == b"online"
        if message.topic.startswith(f"{self.topics.prefix}/") or self._is_announcement(message):
            self.ours.add(message.topic)

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
        status = self.topics.status()
        return entity.get("state_topic") == status or {"topic": status} in entity.get("availability", ())
