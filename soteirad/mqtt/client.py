"""The one MQTT connection, kept alive, and what is published and received on it.

paho resends on its own what it could not deliver, in its own order and to the old topic. Soteira's truth is
the journal, so each connection gets a paho object of its own that is thrown away with everything it holds as
soon as the connection ends; what the broker did not acknowledge is published anew by its owner.

`step`, called from the hub's loop, turns the reports of paho's network thread into notices and opens the next
connection when it is due.
"""

from __future__ import annotations

import logging
import queue
import random
import time
from collections.abc import Callable, Sequence

from paho.mqtt.enums import MQTTErrorCode

from soteirad.mqtt.broker import Broker
from soteirad.mqtt.connection import (
    LONGEST_PAYLOAD,
    Connection,
    Link,
    Report,
    expiring,
    make_connection,
)
from soteirad.mqtt.limit import SizeLimit
from soteirad.mqtt.notices import Acknowledged, Connected, Disconnected, Message, MqttNotice
from soteirad.mqtt.topics import Topics

__all__ = ["LONGEST_PAYLOAD", "Acknowledged", "Connected", "Disconnected", "Message", "MqttClient", "MqttNotice"]

RETRY_MIN_S = 1.0
RETRY_MAX_S = 30.0
STABLE_S = 10.0
"""A connection that lasted this long was a good one: the next retry is quick again."""
SHORT_LIVES_BEFORE_HINT = 3
HANG_S = 300.0
"""A network thread comes round every second, but looking a name up may take minutes where name servers are away."""
_GRACE_S = 1.0
_MID_BITS = 16

_log = logging.getLogger("soteirad.mqtt")


class MqttClient:
    """Keeps one connection to the broker alive, publishes, and receives what `subscriptions` (filters) bring.

    All methods are for the hub's thread. `on_wake` is called from paho's thread whenever `step` has something
    to do. A broker that died without closing the connection is noticed within twice its `keepalive`.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        topics: Topics,
        subscriptions: Sequence[str] = (),
        on_wake: Callable[[], None],
        rng: random.Random | None = None,
    ) -> None:
        self._broker = broker
        self._where = f"{broker.host}:{broker.port}"
        self._topics = topics
        self._subscriptions = tuple(subscriptions)
        self._on_wake = on_wake
        self._rng = rng or random.Random()
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._limit = SizeLimit()
        self._handed_over: dict[int, tuple[int, str]] = {}
        self._backlog = 0
        self._now = 0.0
        self._running = False
        self._connected = False
        self._connected_at = 0.0
        self._connection: Connection | None = None
        self._link: Link | None = None
        self._generation = 0
        self._failures = 0
        self._short_lives = 0
        self._retry_at = 0.0
        self._told_reason: str | None = None
        self._told_not_allowed: tuple[str, ...] = ()
        self._told_insecure = False
        self._told_dropped = False
        self._told_refused: set[str] = set()

    @property
    def connected(self) -> bool:
        """Whether the broker accepted this connection and nothing ended it, as of the last `step`."""
        return self._connected

    @property
    def backlog(self) -> int:
        """Bytes of payload handed over on this connection that the broker does not have yet, as of the last `step`.

        The broker has a message that was written to the socket (QoS 0) or acknowledged (QoS 1).
        """
        return self._backlog

    @property
    def dropped(self) -> int:
        """How many messages of this connection were not kept, because they came too fast."""
        return 0 if self._link is None else self._link.dropped

    @property
    def retry_at(self) -> float | None:
        """When `step` will open the next connection, on the clock of `step`; None while there is one."""
        return self._retry_at if self._running and self._connection is None else None

    def fits(self, size: int) -> bool:
        """Return whether a message of `size` payload bytes is worth publishing to this broker.

        False for what the broker says that it does not take (MQTT 5), and for what broke connections before.
        `publish` does not ask: events always go.
        """
        return self._limit.fits(size)

    def hangs(self, now: float) -> bool:
        """Say whether the network thread has not come round for too long; `now` is monotonic seconds."""
        return self._connection is not None and now - self._connection.turned_at > HANG_S

    def start(self) -> None:
        """Begin to connect, in the background. Never fails: `step` reports what came of it."""
        if not self._running:
            self._running = True
            self._open()

    def step(self, now: float) -> list[MqttNotice]:
        """Return what happened since the last call, and open a connection if one is due.

        `now` is monotonic seconds; call it at every turn of the loop, at least once a second.
        """
        self._now = now
        notices: list[MqttNotice] = []
        for _ in range(self._reports.qsize()):  # no more, or a flood of messages would keep us here
            self._take(self._reports.get(), now, notices)
        if self._link is not None and self._link.dropped and not self._told_dropped:
            self._told_dropped = True
            _log.warning("dropped messages (%d so far) from the MQTT broker at %s: they come too fast, or their topics "
                         "are no text; who sends them?", self._link.dropped, self._where)  # fmt: skip
        if self._running and self._connection is None and now >= self._retry_at:
            self._open()
        return notices

    def publish(
        self, topic: str, payload: bytes | str, qos: int = 0, retain: bool = False, expiry: int | None = None
    ) -> int | None:
        """Hand a message to the network thread and return its token, or None if there is no connection.

        Nothing is queued for a later connection. After `expiry` seconds a broker that speaks MQTT 5 forgets the
        message; with 3.1.1 it is ignored.
        """
        if not self._connected or self._connection is None or self._link is None:
            return None
        data = payload.encode() if isinstance(payload, str) else payload
        properties = expiring(expiry) if expiry is not None and self._broker.version == "5" else None
        info = self._connection.publish(topic, data, qos, retain, properties)
        token = self._token(info.mid)
        accepted = info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS
        watched = self._limit.sent(token, len(data), self._now, accepted)
        if not accepted:
            return None
        self._handed_over[token] = (len(data), topic)
        self._backlog += len(data)
        if watched and qos == 0:  # paho may hold others back for a while
            self._probe(token)
        return token

    def drop(self, reason: str) -> None:
        """Break the connection off; `step` then reports `Disconnected(reason)` and connects anew."""
        if self._link is not None:
            self._link.because(reason)
            if self._connection is not None:
                self._connection.break_off()

    def stop(self, timeout: float, for_good: bool = False) -> list[MqttNotice]:
        """Publish the retained `offline`, wait up to `timeout` seconds for its answer, and disconnect.

        From a broker that is left `for_good` the status is taken back instead: nobody would do it later.

        Returns what else happened meanwhile, so that an event acknowledged at the last moment is not sent
        again after the restart. A broker that does not answer delays it by `timeout` and about a second.
        """
        self._running = False
        notices: list[MqttNotice] = []
        last = "" if for_good else "offline"
        token = self.publish(self._topics.status(), last, qos=1, retain=True)
        if token is not None:
            self._wait(notices, lambda: Acknowledged(token) in notices, timeout)
        if self._connection is not None and self._link is not None:
            self._link.abandoned = True
            self._link.because("stopped")
            self._connection.disconnect()
            self._wait(notices, lambda: self._connection is None, _GRACE_S)
        if self._connection is not None:  # the socket's buffer is full, or the name look-up hangs
            self._connection.break_off()
            self._wait(notices, lambda: self._connection is None, _GRACE_S / 2)
        self._forget()  # a thread that still hangs is a daemon thread and finds itself abandoned
        return notices

    def _open(self) -> None:
        """Make a fresh paho object and let its thread connect."""
        self._generation += 1
        self._link = Link(self._generation, self._broker, self._subscriptions, self._reports, self._on_wake)
        self._connection = make_connection(self._link, self._topics.status())
        self._connection.loop_start()

    def _token(self, mid: int) -> int:
        return self._generation << _MID_BITS | mid

    def _probe(self, token: int) -> None:
        """Ask what any broker answers in order and what changes nothing: to end a subscription that we don't have."""
        if self._connection is not None:
            _, mid = self._connection.unsubscribe(f"{self._topics.status()}/none")
            self._limit.probing(token, self._token(mid or 0))

    def _take(self, report: Report, now: float, notices: list[MqttNotice]) -> None:
        """Turn one report into state and notices; those of a discarded connection are void."""
        if report.message is not None:
            report.link.taken()
        if report.link is not self._link:
            return
        if report.message is not None:
            notices.append(report.message)
        elif report.kind == "acknowledged":
            self._take_acknowledged(report, now, notices)
        elif report.kind == "answered":
            self._limit.answered(self._token(report.mid))
        elif report.kind == "subscribed":
            self._take_subscribed(report.link)
        elif report.kind == "up":
            self._take_up(report.link, now, notices)
        else:
            self._take_down(report.link, now, notices)

    def _take_up(self, link: Link, now: float, notices: list[MqttNotice]) -> None:
        self._connected = True
        self._connected_at = now
        self._told_reason = None
        self._told_dropped = False
        self._limit.connected(link.packet_limit)
        _log.info("connected to the MQTT broker at %s", self._where)
        if self._broker.tls is not None and self._broker.tls.insecure and not self._told_insecure:
            self._told_insecure = True
            _log.warning("mqtt.tls.insecure: the broker's certificate is not checked; anybody can pretend to be the "
                         "broker")  # fmt: skip
        notices.append(Connected())

    def _take_acknowledged(self, report: Report, now: float, notices: list[MqttNotice]) -> None:
        token = self._token(report.mid)
        size, topic = self._handed_over.pop(token, (0, ""))
        self._backlog -= size
        if self._limit.written(token, now):
            self._probe(token)
        if report.refused and topic not in self._told_refused:
            self._told_refused.add(topic)
            _log.warning("the MQTT broker at %s received a message on %s but passes it to nobody (%s): look at the "
                         "broker's access rules", self._where, topic, report.refused.lower())  # fmt: skip
        notices.append(Acknowledged(token))

    def _take_subscribed(self, link: Link) -> None:
        if link.not_allowed and link.not_allowed != self._told_not_allowed:
            _log.warning("the broker does not allow us to subscribe to %s: nothing can be changed that way; look at "
                         "the broker's access rules", ", ".join(link.not_allowed))  # fmt: skip
        self._told_not_allowed = link.not_allowed

    def _take_down(self, link: Link, now: float, notices: list[MqttNotice]) -> None:
        was_connected, reason = self._connected, link.reason or "the connection ended"
        self._forget()
        if not self._running:
            if was_connected:
                _log.info("disconnected from the MQTT broker")
                notices.append(Disconnected(reason))
            return
        if was_connected:
            _log.warning("lost the MQTT broker at %s: %s", self._where, reason)
            notices.append(Disconnected(reason))
            self._judge_end(link, now)
        else:
            self._limit.failed()
            if reason != self._told_reason:
                self._told_reason = reason
                _log.warning("no connection to the MQTT broker at %s: %s", self._where, reason)
                notices.append(Disconnected(reason))
        ceiling = min(RETRY_MAX_S, RETRY_MIN_S * 2 ** min(self._failures, 10))
        self._retry_at = now + max(RETRY_MIN_S, ceiling * self._rng.uniform(0.5, 1.0))
        self._failures += 1

    def _judge_end(self, link: Link, now: float) -> None:
        """Judge a connection by its end and its life.

        One that broke on a large message teaches a limit; several short lives mean a rival for our name.
        """
        known = self._limit.learned
        by_size = self._limit.ended(now, link.closed, link.too_large)
        if self._limit.learned != known:
            _log.warning(
                "the MQTT broker at %s closes the connection when a message of %d bytes comes: messages of that size "
                "are left out from now on; raise max_packet_size at the broker, then restart soteirad",
                self._where, self._limit.learned,
            )  # fmt: skip
        if now - self._connected_at >= STABLE_S:
            self._failures = self._short_lives = 0
        elif not by_size:
            self._short_lives += 1
            if self._short_lives == SHORT_LIVES_BEFORE_HINT:
                _log.warning(
                    "the MQTT broker closes the connection again and again: does another Soteira use the topic "
                    "prefix '%s' on this broker? Give each box its own mqtt.topic_prefix",
                    self._topics.prefix,
                )

    def _forget(self) -> None:
        self._connection = None
        self._link = None
        self._connected = False
        self._handed_over.clear()
        self._backlog = 0

    def _wait(self, notices: list[MqttNotice], done: Callable[[], bool], timeout: float) -> None:
        """Take reports until `done`, the end of the connection or the timeout."""
        deadline = time.monotonic() + timeout
        while not done() and self._connection is not None:
            try:
                report = self._reports.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return
            self._take(report, time.monotonic(), notices)
