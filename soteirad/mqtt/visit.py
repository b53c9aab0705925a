"""A visit: one connection to the broker that comes, says and hears a little, and goes; for commands, not the daemon."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from soteirad.errors import BrokerError
from soteirad.mqtt.broker import Broker
from soteirad.mqtt.connection import Connection, Link, Report, make_connection
from soteirad.mqtt.notices import Message

CONNECT_S = 10.0
ANSWER_S = 5.0


class Visit:
    """`with Visit(broker, topics) as visit: ...`, for one thread. It leaves no will and nothing behind.

    Entering connects and subscribes. Every method raises BrokerError, with why, when the broker ends it or is silent.
    """

    def __init__(self, broker: Broker, subscriptions: Sequence[str]) -> None:
        self._broker = broker
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._link = Link(0, broker, subscriptions, self._reports, lambda: None)
        self._connection: Connection | None = None
        self._heard: list[Message] = []
        self._done: dict[int, str] = {}
        self._subscribed = not subscriptions

    def __enter__(self) -> Visit:
        self._connection = make_connection(self._link, None)
        self._connection.loop_start()
        try:
            self._until(lambda: self._link.accepted and self._subscribed, CONNECT_S, "it does not answer")
        except BrokerError:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        if self._connection is not None:
            self._link.abandoned = True
            self._connection.disconnect()
            self._connection.loop_stop()
            self._connection = None

    @property
    def not_allowed(self) -> tuple[str, ...]:
        """What we asked to hear and may not, as far as the broker says."""
        return self._link.not_allowed

    def publish(self, topic: str, payload: str) -> str:
        """Publish a message (QoS 1, not retained); returns why the broker refuses it, empty if it does not say.

        Only brokers that speak MQTT 5 do.
        """
        if self._connection is None:
            raise RuntimeError("not connected")
        token = self._connection.publish(topic, payload, qos=1).mid
        self._until(lambda: token in self._done, ANSWER_S, "it does not acknowledge a message")
        return self._done[token]

    def hear(self, enough: Callable[[list[Message]], bool], seconds: float) -> list[Message]:
        """Return what was heard so far, after at most `seconds`, or as soon as it is `enough`."""
        deadline = time.monotonic() + seconds
        while not enough(self._heard) and (left := deadline - time.monotonic()) > 0:
            self._take(left)
        return list(self._heard)

    def _until(self, done: Callable[[], bool], seconds: float, problem: str) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if (left := deadline - time.monotonic()) <= 0:
                raise BrokerError(self._link.reason or problem)
            self._take(left)

    def _take(self, seconds: float) -> None:
        try:
            report = self._reports.get(timeout=seconds)
        except queue.Empty:
            return
        if report.kind == "down":
            raise BrokerError(self._link.reason or "the connection ended")
        if report.kind == "acknowledged":
            self._done[report.mid] = report.refused
        elif report.kind == "subscribed":
            self._subscribed = True
        elif report.message is not None:
            self._link.taken()
            self._heard.append(report.message)
