"""A message to ourselves over the broker: whether we may write a topic, and read it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from soteirad.errors import BrokerError
from soteirad.mqtt.broker import Broker
from soteirad.mqtt.notices import Message
from soteirad.mqtt.visit import Visit

RETURN_S = 3.0
"""For the message to come back; what lies retained comes before it."""


@dataclass(frozen=True)
class Trip:
    """What came of it: whether the message came `back`, and after how many `ms`.

    `refused` is why the broker does not pass it on, empty if it does, None if it does not say; `heard` is all of it,
    what is retained before the rest.
    """

    back: bool
    ms: float
    refused: str | None
    heard: tuple[Message, ...]

    def retained(self, topic: str) -> str | None:
        """Return what lies retained on a topic; None if nothing came."""
        found = [m.payload.decode("utf-8", "replace") for m in self.heard if m.topic == topic and m.retain]
        return found[-1] if found else None


def travel(visit: Visit, broker: Broker, topic: str) -> Trip:
    """Send a message to ourselves. If it does not come back, a second connection asks why. Raises BrokerError."""
    token, began = secrets.token_hex(8), time.monotonic()

    def returned(found: Sequence[Message]) -> bool:
        return any(m.topic == topic and m.payload == token.encode() for m in found)

    try:
        refused: str | None = visit.publish(topic, token)
        heard = visit.hear(returned, 0.0 if refused else RETURN_S)
    except BrokerError:
        # mosquitto 2.0 closes the connection of who speaks MQTT 3.1.1 and publishes what it may not.
        refused, heard = _refusal(broker, topic), visit.hear(lambda _: True, 0.0)
        if not refused:
            raise
    back, ms = returned(heard), (time.monotonic() - began) * 1000
    if not back and not refused and broker.version != "5":
        refused = _refusal(broker, topic)
    return Trip(back, ms, refused, tuple(heard))


def _refusal(broker: Broker, topic: str) -> str | None:
    """Return why the broker does not pass a message on, which it says in MQTT 5; None if it does not speak that."""
    with suppress(BrokerError), Visit(replace(broker, version="5"), []) as visit:
        return visit.publish(topic, "")
    return None
