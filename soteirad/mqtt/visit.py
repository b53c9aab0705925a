"""A visit: one connection to the broker that comes, says and hears a little, and goes; for commands, not the daemon."""

from __future__ import annotations

import queue
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType

from soteirad.config import MqttConfig
from soteirad.errors import BrokerError
from soteirad.mqtt.broker import Broker, broker_of
from soteirad.mqtt.connection import LONGEST_PAYLOAD, Connection, Link, Report, make_connection
from soteirad.mqtt.notices import Message

CONNECT_S = 10.0
ANSWER_S = 5.0
LEAVE_S = 1.0
"""For the goodbye."""


def visitor(config: MqttConfig) -> Broker:
    """Return the broker with a name of our own there: another client of the daemon's name would throw that out."""
    broker = broker_of(config)
    return replace(broker, client_id=f"{broker.client_id}-v{secrets.randbelow(1000)}")


class Visit:
    """`with Visit(broker, topics) as visit: ...`, for one thread. It leaves no will and nothing behind.

    Entering connects and subscribes. Every method raises BrokerError, with why, when the broker ends it or is silent.
    Of messages of more than `longest` bytes only the size is kept.
    """

    def __init__(self, broker: Broker, subscriptions: Sequence[str], longest: int = LONGEST_PAYLOAD) -> None:
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._link = Link(0, broker, subscriptions, self._reports, lambda: None, longest)
        self._connection: Connection | None = None
        self._heard: list[Message] = []
        self._done: dict[int, str] = {}
        self._subscribed = not subscriptions

    def __enter__(self) -> Visit:
        self._connection = make_connection(self._link, None)
        self._connection.loop_start()
        try:
            self._until(lambda: self._link.accepted and self._subscribed, CONNECT_S, "it does not answer")
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self._leave()

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._link.abandoned = True
        self._link.because("left")
        connection.disconnect()
        deadline = time.monotonic() + LEAVE_S
        with suppress(queue.Empty):
            while self._reports.get(timeout=max(0.0, deadline - time.monotonic())).kind != "down":
                pass
            return
        connection.break_off()  # a broker that is frozen; a thread that looks a name up finds itself abandoned

    @property
    def not_allowed(self) -> tuple[str, ...]:
        """What we asked to hear and may not, as far as the broker says."""
        return self._link.not_allowed

    @property
    def dropped(self) -> int:
        """How many messages were not kept, because they came too fast."""
        return self._link.dropped

    def publish(self, topic: str, payload: str) -> str:
        """Publish a message (QoS 1, not retained); returns why the broker refuses it, empty if it does not say.

        Only brokers that speak MQTT 5 do.
        """
        token = self._hand_over(topic, payload)
        self._until(lambda: token in self._done, ANSWER_S, "it does not acknowledge a message")
        return self._done[token]

    def take_back(self, topics: Collection[str], seconds: float) -> str:
        """Take back what lies retained on topics, within so many seconds; returns why the broker refuses one, or ""."""
        tokens = [self._hand_over(topic, "", retain=True) for topic in topics]
        self._until(lambda: self._done.keys() >= set(tokens), seconds,
                    "it does not acknowledge that the messages were taken back")  # fmt: skip
        return next((self._done[token] for token in tokens if self._done[token]), "")

    def _hand_over(self, topic: str, payload: str, *, retain: bool = False) -> int:
        if self._connection is None:
            raise RuntimeError("not connected")
        return self._connection.publish(topic, payload, qos=1, retain=retain).mid

    def hear(self, enough: Callable[[list[Message]], bool], seconds: float) -> list[Message]:
        """Return what was heard so far, after at most `seconds`, or as soon as it is `enough`."""
        deadline = time.monotonic() + seconds
        while not enough(self._heard) and (left := deadline - time.monotonic()) > 0:
            self._take(left)
        return list(self._heard)

    def listen(self, take: Callable[[Message], None], quiet: float, seconds: float) -> None:
        """Give `take` all that lies retained: until no more of it has come for `quiet` seconds.

        BrokerError if it goes on for longer than `seconds`. Nothing is kept here.
        """
        end, silent = time.monotonic() + seconds, time.monotonic() + quiet
        while (left := silent - time.monotonic()) > 0:
            if time.monotonic() > end:
                raise BrokerError("it sends messages without end")
            self._take(left)
            heard, self._heard = self._heard, []
            for message in heard:
                if message.retain and message.size:
                    silent = time.monotonic() + quiet
                    take(message)

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
