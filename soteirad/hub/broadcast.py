"""The broadcast: all that the hub says and hears over MQTT. One connection, the outbox, and what is retained."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from soteirad.config import Config
from soteirad.event import Event
from soteirad.hub.bulletin import Bulletin
from soteirad.hub.guard import Guard
from soteirad.hub.intake import Intake
from soteirad.hub.journal import Journal
from soteirad.hub.mirror import FrigateMirror
from soteirad.hub.outbox import Outbox
from soteirad.hub.retained import Retained
from soteirad.mqtt.broker import broker_of
from soteirad.mqtt.client import Connected, Message, MqttClient, MqttNotice
from soteirad.mqtt.homeassistant import birth_topic
from soteirad.mqtt.topics import Topics

BIRTH_DELAY_S = (0.5, 3.0)
"""How long to wait, by chance, when Home Assistant was started: all that speak to it answer at that moment."""


class Broadcast:
    """For the hub's thread. `overridden` names the changed settings of a camera, `on_state` hears of each state, and
    `guards` is the family of those who tell of the same disk."""

    def __init__(self, config: Config, journal: Journal, intake: Intake, on_wake: Callable[[], None],
                 overridden: Callable[[str], Collection[str]], on_state: Callable[[str, Mapping[str, Any]], None],
                 guards: list[Guard]) -> None:  # fmt: skip
        self._journal = journal
        self._intake = intake
        self._guard = Guard(guards)
        self._on_wake = on_wake
        self._connect(config, {})
        self._retained = Retained(self._client, journal, Guard(guards))
        self.bulletin = Bulletin(self._retained, self.topics, overridden, self._mirror, on_state)

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._client.connected

    def waiting(self) -> int:
        """Return how many events the broker does not have yet; if the disk does not say, those ahead of it."""
        found = [self._outbox.waiting_ahead()]
        self._guard(lambda: found.append(self._outbox.waiting()))
        return found[-1]

    def load(self) -> None:
        """Learn what an earlier run left at the broker. Raises StorageError."""
        self._retained.load()

    def start(self) -> None:
        """Begin to connect."""
        self._client.start()

    def step(self, now: float) -> list[Message]:
        """Publish what is due at `now` (monotonic seconds); returns what somebody published for us."""
        heard = self._take(self._client.step(now), now)
        self.pump()
        self._retained.step(now)
        return heard

    def write_again(self) -> None:
        """Put what is known to lie at the broker on disk once more: the journal has lost it."""
        self._retained.write_again()

    def pump(self) -> None:
        """Publish what the journal holds."""
        self._guard(self._outbox.pump)

    def diagnostics(self, camera: str, values: Mapping[str, Any]) -> None:
        """Publish a camera's figures; nobody misses them."""
        self._client.publish(self.topics.diagnostics(camera), json.dumps(values, separators=(",", ":")))

    def due(self) -> list[float]:
        """Return when (monotonic seconds) `step` has something to do."""
        return [at for at in (self._client.retry_at, self._retained.due()) if at is not None]

    def hangs(self, now: float) -> bool:
        """Say whether the network thread hangs."""
        return self._client.hangs(now)

    def move(self, old: Config, new: Config, timeout: float) -> None:
        """Go by another configuration file; the connection is a new one if it has to be. `configure` has to follow."""
        same = broker_of(new.mqtt) == broker_of(old.mqtt) and birth_topic(new) == self._birth
        if same and new.mqtt.topic_prefix == old.mqtt.topic_prefix:
            return
        elsewhere = new.mqtt.host != old.mqtt.host  # another port is most often the same broker, now encrypted
        if elsewhere:
            self._retained.take_back_all()
        self._end(timeout, elsewhere)
        self._connect(new, self._outbox.acknowledged)
        self.bulletin.move(self._client, self.topics)
        self._client.start()

    def stop(self, timeout: float) -> None:
        """Say that we go, wait for the answer for `timeout` seconds, and disconnect."""
        self.bulletin.stopping()
        self._end(timeout)

    def _end(self, timeout: float, for_good: bool = False) -> None:
        self._take(self._client.stop(timeout, for_good), time.monotonic())
        self.pump()

    def _connect(self, config: Config, acknowledged: Mapping[str, str]) -> None:
        """Make the connection's objects; the connection itself begins with `start`."""
        self.topics = Topics(config.mqtt.topic_prefix)
        self._birth = birth_topic(config)
        heard = [*self.topics.commands(), *([self._birth] if self._birth else [])]
        self._client = MqttClient(broker_of(config.mqtt), topics=self.topics, subscriptions=heard,
                                  on_wake=self._on_wake)  # fmt: skip
        self._outbox = Outbox(self._journal, self._client, self.topics, mirror=self._mirrored,
                              ahead=self._intake.ahead, acknowledged=acknowledged)  # fmt: skip

    def _take(self, notices: list[MqttNotice], now: float) -> list[Message]:
        heard = []
        for notice in notices:
            self._outbox.on_notice(notice)
            self._retained.on_notice(notice)
            if isinstance(notice, Connected):
                self._retained.publish_all(now)
            elif isinstance(notice, Message) and notice.topic != self._birth:
                heard.append(notice)
            elif isinstance(notice, Message) and notice.payload == b"online" and not notice.retain:
                self._retained.publish_all(now, random.uniform(*BIRTH_DELAY_S))
        return heard

    def _mirrored(self, event: Event) -> list[tuple[str, str]]:
        return self.bulletin.mirrored(event)

    def _mirror(self, prefix: str) -> FrigateMirror:
        def publish(topic: str, payload: bytes | str, qos: int = 0, retain: bool = False) -> object:
            return self._client.publish(topic, payload, qos, retain)

        return FrigateMirror(self._retained, publish, prefix, self._intake.openings)
