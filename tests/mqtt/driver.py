"""A minimal hub loop around one MQTT client, for tests."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from soteirad.mqtt.broker import Broker
from soteirad.mqtt.client import Acknowledged, Connected, Message, MqttClient, MqttNotice
from soteirad.mqtt.topics import Topics

SPEED = 30.0
"""The client's clock runs this much faster than the test's, so that backoff costs little."""


class Driver:
    """Sleeps until it is woken, steps, keeps the notices."""

    def __init__(self, broker: Broker, subscriptions: Sequence[str] = (), speed: float = SPEED) -> None:
        self.woken = threading.Event()
        self.notices: list[MqttNotice] = []
        self._speed = speed
        self.client = MqttClient(
            broker, topics=Topics("soteira"), subscriptions=subscriptions, on_wake=self.woken.set,
            rng=random.Random(1),
        )  # fmt: skip

    def __enter__(self) -> Driver:
        self.client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop(1.0)

    @property
    def connections(self) -> int:
        return self.notices.count(Connected())

    @property
    def messages(self) -> list[Message]:
        return [n for n in self.notices if isinstance(n, Message)]

    def turn(self) -> None:
        self.woken.wait(0.02)
        self.woken.clear()
        self.notices += self.client.step(time.monotonic() * self._speed)

    def until(self, condition: Callable[[], object], timeout: float = 30.0) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"not reached in {timeout} s; notices: {self.notices[-20:]}"
            self.turn()

    def until_connected(self) -> None:
        self.until(lambda: self.client.connected)

    def publish_and_wait(self, topic: str, payload: str | bytes, retain: bool = False) -> None:
        token = self.client.publish(topic, payload, qos=1, retain=retain)
        assert token is not None
        self.until(lambda: Acknowledged(token) in self.notices)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the client wrote to the log."""
    return [r.getMessage() for r in caplog.records if r.name == "soteirad.mqtt"]
