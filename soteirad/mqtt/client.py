"""The one MQTT connection. The only module that imports paho.

paho resends on its own what it could not deliver, in its own order and to the old topic. Soteira's truth is
the journal, so each connection gets a paho object of its own that is thrown away with everything it holds as
soon as the connection ends; what the broker did not acknowledge is published anew by its owner.

paho's network thread never runs our logic: its callbacks put a report on a queue and wake the hub, and
`step`, called from the hub's loop, turns the reports into notices and opens the next connection when it is
due.
"""

from __future__ import annotations

import errno
import logging
import queue
import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from soteirad.mqtt.topics import Topics

KEEPALIVE_S = 30
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


@dataclass(frozen=True)
class Connected:
    """The broker accepted us: publish `online`, all retained state and the outbox."""


@dataclass(frozen=True)
class Disconnected:
    """The connection was lost, or an attempt failed for a new `reason`; tokens handed out before are void."""

    reason: str


@dataclass(frozen=True)
class Acknowledged:
    """The broker has the message of this token (QoS 1), or it was written to the socket (QoS 0)."""

    token: int


MqttNotice = Connected | Disconnected | Acknowledged


class _Link:
    """What one connection's network thread shares with the hub's thread."""

    def __init__(
        self,
        generation: int,
        login: str | None,
        reports: queue.SimpleQueue[_Report],
        on_wake: Callable[[], None],
    ) -> None:
        self.generation = generation
        self.login = login
        self.reason = ""
        self.abandoned = False
        self._reports = reports
        self._on_wake = on_wake

    def because(self, reason: str) -> None:
        """Keep why the connection ended; the first reason is the cause, later ones are consequences."""
        self.reason = self.reason or reason

    def report(self, kind: Literal["up", "acknowledged", "down"], mid: int = 0) -> None:
        """Tell the hub's thread. Never raises: that would kill paho's thread with `is_connected()` true."""
        self._reports.put(_Report(self, kind, mid))
        try:
            self._on_wake()
        except Exception:
            _log.exception("could not wake the hub; it will see the report at its next turn")


@dataclass(frozen=True)
class _Report:
    link: _Link
    kind: Literal["up", "acknowledged", "down"]
    mid: int


class _Connection(paho.Client):
    """A paho client for one connection whose thread always reports its own end, whatever ended it.

    `turned_at` is when (monotonic seconds) the thread last came round.
    """

    turned_at = 0.0

    def loop_misc(self) -> MQTTErrorCode:
        self.turned_at = time.monotonic()
        return super().loop_misc()

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        link: _Link = self.user_data_get()
        try:
            # loop_start asks for retries; here a failed attempt ends the thread, and `step` goes on.
            return super().loop_forever(timeout, retry_first_connection=False)
        except OSError as error:
            link.because(_unreachable(error))
        except UnicodeError:  # what the resolver raises for a..b or a label of 64 letters
            link.because("the host name is not a valid one: check mqtt.host")
        except Exception as error:
            link.because(f"{type(error).__name__}: {error}")
        finally:
            link.report("down")
        return MQTTErrorCode.MQTT_ERR_CONN_LOST


class MqttClient:
    """Keeps one connection to the broker alive, and publishes.

    All methods are for the hub's thread. `on_wake` is called from paho's thread whenever `step` has something
    to do. `keepalive` is in seconds; a broker that died without closing the connection is noticed within
    twice that.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        user: str | None,
        password: str | None,
        topics: Topics,
        on_wake: Callable[[], None],
        keepalive: int = KEEPALIVE_S,
        rng: random.Random | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._user = user
        self._password = password
        self._topics = topics
        self._on_wake = on_wake
        self._keepalive = keepalive
        self._rng = rng or random.Random()
        self._reports: queue.SimpleQueue[_Report] = queue.SimpleQueue()
        self._running = False
        self._connected = False
        self._connected_at = 0.0
        self._connection: _Connection | None = None
        self._link: _Link | None = None
        self._generation = 0
        self._failures = 0
        self._short_lives = 0
        self._retry_at = 0.0
        self._told_reason: str | None = None

    @property
    def connected(self) -> bool:
        """Whether the broker accepted this connection and nothing ended it, as of the last `step`."""
        return self._connected

    @property
    def retry_at(self) -> float | None:
        """When `step` will open the next connection, on the clock of `step`; None while there is one."""
        return self._retry_at if self._running and self._connection is None else None

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
        notices: list[MqttNotice] = []
        while not self._reports.empty():  # we are the only reader
            self._take(self._reports.get(), now, notices)
        if self._running and self._connection is None and now >= self._retry_at:
            self._open()
        return notices

    def publish(self, topic: str, payload: bytes | str, qos: int = 0, retain: bool = False) -> int | None:
        """Hand a message to the network thread and return its token, or None if there is no connection.

        Nothing is queued for a later connection.
        """
        if not self._connected or self._connection is None or self._link is None:
            return None
        info = self._connection.publish(topic, payload, qos, retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return None
        return self._link.generation << _MID_BITS | info.mid

    def drop(self, reason: str) -> None:
        """Break the connection off; `step` then reports `Disconnected(reason)` and connects anew."""
        if self._link is not None:
            self._link.because(reason)
            self._break_socket()

    def stop(self, timeout: float) -> list[MqttNotice]:
        """Publish the retained `offline`, wait up to `timeout` seconds for its answer, and disconnect.

        Returns what else happened meanwhile, so that an event acknowledged at the last moment is not sent
        again after the restart. A broker that does not answer delays it by `timeout` and about a second.
        """
        self._running = False
        notices: list[MqttNotice] = []
        token = self.publish(self._topics.status(), "offline", qos=1, retain=True)
        if token is not None:
            self._wait(notices, lambda: Acknowledged(token) in notices, timeout)
        if self._connection is not None and self._link is not None:
            self._link.abandoned = True
            self._link.because("stopped")
            self._connection.disconnect()
            self._wait(notices, lambda: self._connection is None, _GRACE_S)
        if self._connection is not None:  # the socket's buffer is full, or the name look-up hangs
            self._break_socket()
            self._wait(notices, lambda: self._connection is None, _GRACE_S / 2)
        self._forget()  # a thread that still hangs is a daemon thread and finds itself abandoned
        return notices

    def _open(self) -> None:
        """Make a fresh paho object and let its thread connect."""
        self._generation += 1
        self._link = _Link(self._generation, self._user, self._reports, self._on_wake)
        connection = _Connection(
            CallbackAPIVersion.VERSION2,
            client_id=f"soteirad-{self._topics.prefix}",
            clean_session=True,
            userdata=self._link,
            reconnect_on_failure=False,
        )
        # Plain functions, not bound methods: no reference cycle keeps a dead connection's sockets open.
        connection.on_connect = _on_connect
        connection.on_disconnect = _on_disconnect
        connection.on_publish = _on_publish
        if self._user is not None:
            connection.username_pw_set(self._user, self._password)
        connection.will_set(self._topics.status(), "offline", qos=1, retain=True)
        connection.connect_async(self._host, self._port, self._keepalive)
        self._connection = connection
        connection.turned_at = time.monotonic()
        connection.loop_start()

    def _take(self, report: _Report, now: float, notices: list[MqttNotice]) -> None:
        """Turn one report into state and notices; those of a discarded connection are void."""
        if report.link is not self._link:
            return
        if report.kind == "acknowledged":
            notices.append(Acknowledged(report.link.generation << _MID_BITS | report.mid))
        elif report.kind == "up":
            self._connected = True
            self._connected_at = now
            self._told_reason = None
            _log.info("connected to the MQTT broker at %s:%d", self._host, self._port)
            notices.append(Connected())
        else:
            self._take_down(report.link.reason or "the connection ended", now, notices)

    def _take_down(self, reason: str, now: float, notices: list[MqttNotice]) -> None:
        was_connected = self._connected
        self._forget()
        if not self._running:
            if was_connected:
                _log.info("disconnected from the MQTT broker")
                notices.append(Disconnected(reason))
            return
        if was_connected:
            _log.warning("lost the MQTT broker at %s:%d: %s", self._host, self._port, reason)
            notices.append(Disconnected(reason))
            self._count_life(now - self._connected_at)
        elif reason != self._told_reason:
            self._told_reason = reason
            _log.warning("no connection to the MQTT broker at %s:%d: %s", self._host, self._port, reason)
            notices.append(Disconnected(reason))
        ceiling = min(RETRY_MAX_S, RETRY_MIN_S * 2 ** min(self._failures, 10))
        self._retry_at = now + max(RETRY_MIN_S, ceiling * self._rng.uniform(0.5, 1.0))
        self._failures += 1

    def _count_life(self, lasted: float) -> None:
        """Judge a connection by its life; several short ones in a row mean a rival for our client id."""
        if lasted >= STABLE_S:
            self._failures = self._short_lives = 0
            return
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

    def _wait(self, notices: list[MqttNotice], done: Callable[[], bool], timeout: float) -> None:
        """Take reports until `done`, the end of the connection or the timeout."""
        deadline = time.monotonic() + timeout
        while not done() and self._connection is not None:
            try:
                report = self._reports.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return
            self._take(report, time.monotonic(), notices)

    def _break_socket(self) -> None:
        """Make the network thread see the end of the connection now, even if the broker is frozen."""
        sock = None if self._connection is None else self._connection.socket()
        if isinstance(sock, socket.socket):
            with suppress(OSError):  # the thread may have closed it at this very moment
                sock.shutdown(socket.SHUT_RDWR)


def _on_connect(client: paho.Client, link: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
    if code.is_failure:
        link.because(_refusal(str(code), link.login))  # paho closes the connection next
    elif link.abandoned:
        client.disconnect()
    else:
        link.report("up")


def _on_disconnect(_client: paho.Client, link: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
    if str(code) == "Keep alive timeout":
        link.because("it does not answer any more (no reply within the keepalive)")
    elif str(code) in ("Unspecified error", "Normal disconnection"):  # paho's words for a closed socket
        link.because("the broker closed the connection, or the network broke")
    else:
        link.because(str(code))


def _on_publish(_client: paho.Client, link: Any, mid: int, _code: ReasonCode, _properties: Any) -> None:
    link.report("acknowledged", mid)


def _refusal(code: str, login: str | None) -> str:
    """Say what a refused CONNACK means for the owner."""
    if code in ("Not authorized", "Bad user name or password"):
        if login is None:
            return "the broker refused us without a user: set mqtt.user and mqtt.password"
        return f"the broker refused the user '{login}' or its password: check mqtt.user and mqtt.password"
    return f"the broker refused the connection: {code}"


def _unreachable(error: OSError) -> str:
    """Say why no connection came about, in the same words each time."""
    if isinstance(error, socket.gaierror):
        return f"the host name cannot be resolved ({error.strerror}): check mqtt.host"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there: is the broker running, and are mqtt.host and mqtt.port right?"
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return "no answer: is the machine on, and does a firewall let us through?"
    return error.strerror or str(error)
