"""What comes in: from a real mosquitto, and from a scripted broker that keeps to no rules."""

from __future__ import annotations

import json
import socket
import struct
import threading
from pathlib import Path

import pytest

from soteirad.mqtt.broker import Broker
from soteirad.mqtt.client import LONGEST_PAYLOAD, Connected, Message
from soteirad.mqtt.connection import MOST_WAITING
from tests.brokers import Mosquitto, mosquitto_plugin
from tests.mqtt.driver import Driver, lines
from tests.tcp_tools import ScriptedServer, wait_for_end
from tests.waiting import wait_until

ACCEPTED = b"\x20\x02\x00\x00"
VERSIONS = pytest.mark.parametrize("version", ["3.1.1", "5"])


def publish_packet(topic: bytes, payload: bytes) -> bytes:
    """A PUBLISH with QoS 0, whatever its topic."""
    body = struct.pack("!H", len(topic)) + topic + payload
    assert len(body) < 16384
    return bytes([0x30, len(body) & 127 | 128, len(body) >> 7]) + body


@pytest.fixture
def sender(broker: Mosquitto) -> Driver:
    """Another client, with a name of its own."""
    driver = Driver(Broker(broker.host, broker.port, client_id="sender"))
    with driver:
        driver.until_connected()
        yield driver


def last(driver: Driver, topic: str) -> bool:
    return any(m.topic == topic for m in driver.messages)


@VERSIONS
def test_messages_of_all_subscriptions_arrive_after_connected_with_their_retain_flag(
    broker: Mosquitto, sender: Driver, version: str
) -> None:
    sender.publish_and_wait("a/kept", "1", retain=True)
    at = Broker(broker.host, broker.port, version=version)  # type: ignore[arg-type]
    with Driver(at, subscriptions=("a/+", "b/#")) as driver:
        driver.until(lambda: last(driver, "a/kept"))
        assert driver.notices == [Connected(), Message("a/kept", b"1", True, 1)]
        sender.publish_and_wait("other", "no")
        sender.publish_and_wait("b/x/y", b"\xff\x00")
        sender.publish_and_wait("a/kept", "2", retain=True)
        sender.publish_and_wait("a/end", "")
        driver.until(lambda: last(driver, "a/end"))
        assert driver.messages[1:] == [
            Message("b/x/y", b"\xff\x00", False, 2),
            Message("a/kept", b"2", False, 1),
            Message("a/end", b"", False, 0),
        ]


def test_after_each_reconnect_it_is_subscribed_again(broker: Mosquitto, sender: Driver) -> None:
    with Driver(Broker(broker.host, broker.port), subscriptions=("a/#", "b/#")) as driver:
        for count in range(1, 4):
            driver.until(lambda n=count: driver.connections == n)
            sender.publish_and_wait(f"a/{count}", "x", retain=True)
            sender.publish_and_wait(f"b/{count}", "x", retain=True)
            driver.until(lambda n=count: last(driver, f"a/{n}") and last(driver, f"b/{n}"))
            driver.client.drop("test")
            driver.until(lambda: not driver.client.connected)


@VERSIONS
@pytest.mark.parametrize("size", [LONGEST_PAYLOAD, LONGEST_PAYLOAD + 1, 10_000_000])
def test_a_payload_over_the_limit_is_not_kept_but_its_size_is_told(
    broker: Mosquitto, sender: Driver, size: int, version: str
) -> None:
    at = Broker(broker.host, broker.port, version=version)  # type: ignore[arg-type]
    with Driver(at, subscriptions=["set/#"]) as driver:
        driver.until_connected()
        driver.turn()
        sender.publish_and_wait("set/x", b"x" * size, retain=True)
        driver.until(lambda: last(driver, "set/x"))
        (message,) = driver.messages
        assert message.size == size and message.payload == (b"x" * size if size <= LONGEST_PAYLOAD else b"")
        driver.publish_and_wait("t", "still there")


def test_topics_that_are_no_text_and_nonsense_payloads_kill_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def script(peer: socket.socket, _: int) -> None:
        peer.sendall(ACCEPTED + publish_packet(b"a/\xff\xfe", b"x") * 3 + publish_packet(b"a/\x00", b"\xff" * 9))
        peer.sendall(publish_packet("a/ü".encode(), b"\xc3\x28"))
        wait_for_end(peer)

    with ScriptedServer(script) as server, Driver(Broker("127.0.0.1", server.port), ["a/#"]) as driver:
        driver.until(lambda: last(driver, "a/ü"))
        assert [m.payload for m in driver.messages] == [b"\xff" * 9, b"\xc3\x28"]
        assert driver.client.connected and server.connections == 1
    assert len([line for line in lines(caplog) if "dropped messages" in line and "no text" in line]) == 1


def test_a_flood_is_bounded_counted_and_told_once_for_each_connection(caplog: pytest.LogCaptureFixture) -> None:
    sent = [threading.Event(), threading.Event()]

    def script(peer: socket.socket, number: int) -> None:
        peer.sendall(ACCEPTED)
        packets = publish_packet(b"a/b", b"x" * 20) * (MOST_WAITING // 10)
        for _ in range(25):
            peer.sendall(packets)
        peer.sendall(publish_packet(b"a/b", b"last"))
        peer.sendall(b"\xd0\x00")  # an answer to no ping, to be read after all
        sent[number - 1].set()
        wait_for_end(peer)

    with ScriptedServer(script) as server, Driver(Broker("127.0.0.1", server.port), ["a/#"]) as driver:
        for count in (1, 2):
            assert sent[count - 1].wait(30.0)
            link = driver.client._link
            assert link is not None
            wait_until(lambda link=link: link.dropped == 1501)
            before = len(driver.messages)
            driver.turn()
            driver.turn()
            assert len(driver.messages) - before == MOST_WAITING
            assert len([line for line in lines(caplog) if "dropped messages (1501 so far)" in line]) == count
            driver.client.drop("test")
            driver.until(lambda: not driver.client.connected)
            if count == 1:
                driver.until(lambda: driver.client.retry_at is None)


def test_there_is_room_again_when_the_hub_has_taken_what_waited(broker: Mosquitto, sender: Driver) -> None:
    with Driver(Broker(broker.host, broker.port), subscriptions=["a/#"]) as driver:
        sender.publish_and_wait("a/kept", "x", retain=True)
        driver.until(lambda: last(driver, "a/kept"))  # now it is subscribed
        count = 3 * MOST_WAITING // 2
        for n in range(count):
            sender.client.publish(f"a/{n}", "x")
            if (n + 1) % (MOST_WAITING // 2) == 0:
                driver.until(lambda n=n: last(driver, f"a/{n}"))
        assert [m.topic for m in driver.messages[1:]] == [f"a/{n}" for n in range(count)]


def test_messages_before_the_broker_accepted_us_are_not_taken() -> None:
    def script(peer: socket.socket, _: int) -> None:
        peer.sendall(publish_packet(b"a/early", b"x") + ACCEPTED + publish_packet(b"a/late", b"x") + ACCEPTED)
        wait_for_end(peer)

    with ScriptedServer(script) as server, Driver(Broker("127.0.0.1", server.port), ["a/#"]) as driver:
        driver.until(lambda: last(driver, "a/late"))
        driver.turn()
        assert [m.topic for m in driver.messages] == ["a/late"]
        assert driver.connections == 1, "a second acceptance is none"


@VERSIONS
def test_a_subscription_that_the_broker_refuses_is_one_warning_and_the_watch_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, version: str
) -> None:
    allowed = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}
    rules = {"defaultACLAccess": allowed, "clients": [], "groups": [], "roles": [
        {"rolename": "some", "acls": [{"acltype": "subscribePattern", "topic": "yes/#", "allow": True}]}
    ]}  # fmt: skip
    rules["groups"] = [{"groupname": "all", "roles": [{"rolename": "some"}]}]
    rules["anonymousGroup"] = "all"
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(rules), encoding="utf-8")
    plugin = mosquitto_plugin("mosquitto_dynamic_security.so")
    extra = [f"plugin {plugin}", f"plugin_opt_config_file {path}"]
    with Mosquitto(tmp_path / "broker", extra=extra) as broker:
        at = Broker(broker.host, broker.port, version=version)  # type: ignore[arg-type]
        with Driver(at, subscriptions=("no/#", "yes/#", "neither/+")) as driver:
            for count in (1, 2):
                driver.until(lambda n=count: driver.connections == n)
                driver.publish_and_wait("yes/x", str(count))
                driver.until(lambda n=count: Message("yes/x", b"%d" % n, False, 1) in driver.messages)
                driver.client.drop("test")
                driver.until(lambda: not driver.client.connected)
    (line,) = [line for line in lines(caplog) if "the broker does not allow" in line]
    assert "no/#, neither/+" in line and "yes" not in line


@pytest.mark.parametrize(
    ("answer", "told"),
    [(b"\x90\x03\x00\x01\x80", "does not allow us to subscribe to a/#"), (b"\x90\x03\x00\x01\x55", "not understood"),
     (b"\x90\x01\x00", "not understood")],
)  # fmt: skip
def test_an_answer_to_a_subscription_is_a_refusal_or_ends_the_connection_if_it_makes_no_sense(
    answer: bytes, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    def script(peer: socket.socket, _: int) -> None:
        peer.sendall(ACCEPTED)
        peer.recv(100)
        peer.sendall(answer)
        wait_for_end(peer)

    with ScriptedServer(script) as server, Driver(Broker("127.0.0.1", server.port), ["a/#"]) as driver:
        driver.until(lambda: told in caplog.text)
        assert driver.client.connected == ("allow" in told)


@VERSIONS
def test_a_message_that_would_fill_the_memory_ends_the_connection_before_it_comes(
    version: str, caplog: pytest.LogCaptureFixture
) -> None:
    accepted = ACCEPTED if version == "3.1.1" else b"\x20\x03\x00\x00\x00"

    def announce(connection: socket.socket, _: int) -> None:
        connection.sendall(accepted)
        connection.sendall(b"\x30\xff\xff\xff\x7f" + b"\x00\x01a" + bytes(100_000))
        wait_for_end(connection)

    with ScriptedServer(announce) as server, Driver(Broker("127.0.0.1", server.port, version=version)) as driver:  # type: ignore[arg-type]
        driver.until(lambda: any("announced a message of 255 MB" in line for line in lines(caplog)))
        assert driver.messages == []
