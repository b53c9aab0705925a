"""One connection: the paho object, its thread's callbacks, and the link on which they report to the hub's thread.

paho's network thread never runs our logic: its callbacks put a report on a queue and wake the hub. None of them
may raise, for that would kill paho's thread with `is_connected()` true.
"""

from __future__ import annotations

import logging
import queue
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from soteirad.errors import BrokerError
from soteirad.mqtt import reasons
from soteirad.mqtt.broker import Broker, tls_context
from soteirad.mqtt.notices import Message

LONGEST_PAYLOAD = 4096
"""Bytes; what is larger is no command of ours, and is not kept."""
LONGEST_ANNOUNCEMENT = 1_000_000
"""Bytes of what somebody tells Home Assistant, for who looks into that."""
MOST_WAITING = 1000
"""Messages that wait for the hub; beyond that they are dropped."""
LARGEST_PACKET = 32 * 1024 * 1024
"""Bytes; a broker that speaks MQTT 5 is asked to keep larger ones to itself, and one that sends it is left."""
READ_AT_ONCE = 64 * 1024
"""Bytes; paho asks for all that a packet says it has, and Python makes room for that before any of it is there."""

_log = logging.getLogger("soteirad.mqtt")

ReportKind = Literal["up", "acknowledged", "answered", "subscribed", "message", "down"]


class Link:
    """What one connection's network thread shares with the hub's thread."""

    def __init__(
        self,
        generation: int,
        broker: Broker,
        subscriptions: Sequence[str],
        reports: queue.SimpleQueue[Report],
        on_wake: Callable[[], None],
        longest: int = LONGEST_PAYLOAD,
    ) -> None:
        self.generation = generation
        self.longest = longest
        self.broker = broker
        self.subscriptions = tuple(subscriptions)
        self.reason = ""
        self.closed = False
        self.too_large = False
        self.abandoned = False
        self.accepted = False
        self.packet_limit: int | None = None
        self.not_allowed: tuple[str, ...] = ()
        self.dropped = 0
        self._room = threading.Semaphore(MOST_WAITING)
        self._reports = reports
        self._on_wake = on_wake

    def because(self, reason: str, closed: bool = False, too_large: bool = False) -> None:
        """Keep why the connection ended; the first reason is the cause, later ones are consequences.

        `closed` says that the other side closed it without a word, `too_large` that it named a packet's size.
        """
        if not self.reason:
            self.reason, self.closed, self.too_large = reason, closed, too_large

    def report(self, kind: ReportKind, mid: int = 0, message: Message | None = None, refused: str = "") -> None:
        """Tell the hub's thread. Never raises."""
        self._reports.put(Report(self, kind, mid, message, refused))
        try:
            self._on_wake()
        except Exception:
            _log.exception("could not wake the hub; it will see the report at its next turn")

    def deliver(self, message: Message) -> None:
        """Report a message, or count it if too many wait."""
        if self._room.acquire(blocking=False):
            self.report("message", message=message)
        else:
            self.dropped += 1

    def taken(self) -> None:
        """The hub's thread took a message: there is room for another."""
        self._room.release()


@dataclass(frozen=True)
class Report:
    """One report of a network thread; `refused` is the broker's reason not to take a message (MQTT 5)."""

    link: Link
    kind: ReportKind
    mid: int
    message: Message | None
    refused: str


class Connection(paho.Client):
    """A paho client for one connection whose thread always reports its own end, whatever ended it.

    `turned_at` is when (monotonic seconds) the thread last came round.
    """

    turned_at = 0.0

    def loop_misc(self) -> MQTTErrorCode:
        """Note that the thread came round."""
        self.turned_at = time.monotonic()
        return super().loop_misc()

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        """Live for one connection; a failed attempt ends the thread, although loop_start asks for retries."""
        link: Link = self.user_data_get()
        try:
            if link.broker.tls is not None:  # here, since it reads files that may have been mended meanwhile
                self.tls_set_context(tls_context(link.broker.tls))
            return super().loop_forever(timeout, retry_first_connection=False)
        except BrokerError as error:
            link.because(str(error))
        except OSError as error:
            link.because(reasons.unreachable(error, link.broker))
        except UnicodeError:  # what the resolver raises for a..b or a label of 64 letters
            link.because("the host name is not a valid one: check mqtt.host")
        except Exception as error:  # how paho 2.1 takes a packet that makes no sense
            _log.debug("the connection's thread ended", exc_info=True)
            detail = f"{type(error).__name__}: {error}"
            link.because(reasons.not_understood(detail, link.broker, link.accepted), closed=link.accepted)
        finally:
            link.report("down")
        return MQTTErrorCode.MQTT_ERR_CONN_LOST

    def _sock_recv(self, bufsize: int) -> bytes:
        """Read a part of a packet; 3.1.1 allows one of 256 MB, whatever is subscribed to. paho has no public limit."""
        if bufsize > LARGEST_PACKET:
            link: Link = self.user_data_get()
            link.because(f"the MQTT broker announced a message of {bufsize // 2**20} MB, which is none for us")
            raise ConnectionError(link.reason)
        return bytes(super()._sock_recv(min(bufsize, READ_AT_ONCE)))

    def in_flight_at_most(self, count: int) -> None:
        """Heed the broker's Receive Maximum (MQTT 5): it breaks connections that exceed it.

        paho has no public way once it is connected; in `on_connect` nothing is in flight yet.
        """
        self._max_inflight_messages = min(self._max_inflight_messages, count)

    def break_off(self) -> None:
        """Make the network thread see the end of the connection now, even if the broker is frozen."""
        sock = self.socket()
        if isinstance(sock, socket.socket):
            with suppress(OSError):  # the thread may have closed it at this very moment
                sock.shutdown(socket.SHUT_RDWR)


def make_connection(link: Link, will_topic: str | None) -> Connection:
    """Return a paho object that is ready for `loop_start`, with a retained `offline` as its last will, if any."""
    broker = link.broker
    five = broker.version == "5"
    connection = Connection(
        CallbackAPIVersion.VERSION2,
        client_id=broker.client_id,
        clean_session=None if five else True,
        userdata=link,
        protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
    )
    # Plain functions, not bound methods: no reference cycle keeps a dead connection's sockets open.
    connection.on_connect = _on_connect
    connection.on_disconnect = _on_disconnect
    connection.on_publish = _on_publish
    connection.on_subscribe = _on_subscribe
    connection.on_unsubscribe = _on_unsubscribe
    connection.on_message = _on_message
    if broker.tls is not None:
        connection.on_log = _on_log
    if broker.user is not None:
        connection.username_pw_set(broker.user, broker.password)
    if will_topic is not None:
        connection.will_set(will_topic, "offline", qos=1, retain=True)
    if five:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0
        properties.MaximumPacketSize = LARGEST_PACKET
        connection.connect_async(broker.host, broker.port, broker.keepalive, clean_start=True, properties=properties)
    else:
        connection.connect_async(broker.host, broker.port, broker.keepalive)
    connection.turned_at = time.monotonic()
    return connection


def expiring(seconds: int) -> Properties:
    """Return the properties of a message that the broker forgets after `seconds` (MQTT 5)."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.MessageExpiryInterval = seconds
    return properties


def _on_connect(client: paho.Client, link: Any, _flags: Any, code: ReasonCode, properties: Properties | None) -> None:
    if code.is_failure:
        link.because(reasons.refused(str(code), link.broker))  # paho closes the connection next
    elif link.abandoned:
        client.disconnect()
    elif not link.accepted:
        link.accepted = True
        link.packet_limit = getattr(properties, "MaximumPacketSize", None)
        if isinstance(client, Connection):
            client.in_flight_at_most(getattr(properties, "ReceiveMaximum", 65535))
        if link.subscriptions:
            client.subscribe([(topic, 1) for topic in link.subscriptions])
        link.report("up")


def _on_disconnect(_client: paho.Client, link: Any, flags: Any, code: ReasonCode, _properties: Any) -> None:
    theirs = bool(flags.is_disconnect_packet_from_server)
    reason = reasons.lost(str(code), link.broker, link.accepted, theirs)
    # An answer that paho does not understand counts as well: mosquitto 2.0 gives one to a message that is too large.
    closed = link.accepted and not theirs and reason != reasons.SILENT
    link.because(reason, closed=closed, too_large=theirs and str(code) == "Packet too large")


def _on_publish(_client: paho.Client, link: Any, mid: int, code: ReasonCode, _properties: Any) -> None:
    link.report("acknowledged", mid, refused=str(code) if code.is_failure else "")


def _on_subscribe(_client: paho.Client, link: Any, _mid: int, codes: list[ReasonCode], _properties: Any) -> None:
    link.not_allowed = tuple(t for t, code in zip(link.subscriptions, codes, strict=False) if code.is_failure)
    link.report("subscribed")


def _on_unsubscribe(_client: paho.Client, link: Any, mid: int, _codes: Any, _properties: Any) -> None:
    link.report("answered", mid)


def _on_message(_client: paho.Client, link: Any, message: paho.MQTTMessage) -> None:
    if not link.accepted:
        return
    try:
        topic = message.topic
    except UnicodeDecodeError:
        link.dropped += 1
        return
    size = len(message.payload)
    payload = bytes(message.payload) if size <= link.longest else b""
    link.deliver(Message(topic, payload, bool(message.retain), size))


def _on_log(_client: paho.Client, link: Any, level: int, _text: str) -> None:
    """Catch what TLS says: paho only logs it, and then speaks of an unspecified error."""
    error = sys.exc_info()[1]
    if level == LogLevel.MQTT_LOG_ERR and isinstance(error, ssl.SSLError) and not link.accepted:
        reason = reasons.alert(error, link.broker)
        if reason is not None:
            link.because(reason)
