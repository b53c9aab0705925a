"""MQTT 5 with a real mosquitto, with a broker that speaks only 3.1.1, and refusals in both versions."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from soteirad.mqtt.broker import Broker
from soteirad.mqtt.client import Acknowledged, Disconnected
from tests.brokers import Mosquitto, Subscriber
from tests.mqtt.driver import Driver, lines
from tests.tcp_tools import ScriptedServer, wait_for_end
from tests.waiting import wait_until


def five(broker: Mosquitto) -> Broker:
    return Broker(broker.host, broker.port, version="5")


def kept(broker: Mosquitto, name: str) -> list[str]:
    """The topics that a new subscriber finds."""
    subscriber = Subscriber(broker, client_id=name)
    subscriber.start()
    with Driver(Broker(broker.host, broker.port, client_id="marker")) as driver:
        driver.until_connected()
        driver.publish_and_wait("mark", "x")
    found = subscriber.wait_for(lambda m: any(x.topic == "mark" for x in m))
    subscriber.stop()
    return sorted(m.topic for m in found if m.retain)


def test_a_retained_message_with_an_expiry_is_gone_later_and_others_stay(broker: Mosquitto) -> None:
    with Driver(five(broker)) as driver:
        driver.until_connected()
        for topic, expiry in (("brief", 1), ("long", 1000), ("kept", None)):
            token = driver.client.publish(topic, "x", qos=1, retain=True, expiry=expiry)
            driver.until(lambda t=token: Acknowledged(t) in driver.notices)
        wait_until(lambda: "brief" not in kept(broker, f"late-{time.monotonic()}"))
        assert {"kept", "long"} <= set(kept(broker, "last"))


def test_an_expiry_is_ignored_by_3_1_1(broker: Mosquitto) -> None:
    with Driver(Broker(broker.host, broker.port)) as driver:
        driver.until_connected()
        token = driver.client.publish("t", "x", qos=1, retain=True, expiry=1)
        driver.until(lambda: Acknowledged(token or 0) in driver.notices)


def test_the_last_will_is_published_when_a_connection_breaks(broker: Mosquitto, listener: Subscriber) -> None:
    with Driver(five(broker)) as driver:
        driver.until_connected()
        driver.client.drop("test")
        listener.wait_for(lambda m: [(x.topic, x.payload) for x in m] == [("soteira/status", b"offline")])


def test_a_broker_that_wants_few_messages_under_way_gets_few(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", extra=["max_inflight_messages 3"]) as broker, Driver(five(broker)) as driver:
        driver.until_connected()
        tokens = [driver.client.publish("t", f"{n}", qos=1) for n in range(200)]
        driver.until(lambda: all(Acknowledged(t) in driver.notices for t in tokens if t is not None))
        assert driver.connections == 1 and None not in tokens


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_refused_password_is_never_a_connection_in_either_version(
    tmp_path: Path, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Mosquitto(tmp_path / "broker", users={"soteira": "right-secret"}) as broker:

        def at(*user: str) -> Broker:
            return Broker(broker.host, broker.port, *user, version=version)  # type: ignore[arg-type]

        with Driver(at("soteira", "wrong-secret")) as wrong:
            wrong.until(lambda: broker.log().count("not authorised") >= 2)
            assert not wrong.client.connected
            assert [type(n) for n in wrong.notices] == [Disconnected]
            assert "refused the user 'soteira' or its password" in str(wrong.notices[0])
        with Driver(at()) as nobody:
            nobody.until(lambda: nobody.notices)
            assert "set mqtt.user and mqtt.password" in str(nobody.notices[0])
        with Driver(at("soteira", "right-secret")) as right:
            right.until_connected()
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("version", "answer", "told"),
    [
        ("3.1.1", b"\x20\x02\x00\x02", "refused the name 'soteirad': set another mqtt.client_id"),
        ("3.1.1", b"\x20\x02\x00\x03", "takes no connection at the moment (server unavailable)"),
        ("3.1.1", b"\x20\x02\x00\x04", "set mqtt.user and mqtt.password"),
        ("3.1.1", b"\x20\x02\x00\x05", "set mqtt.user and mqtt.password"),
        ("3.1.1", b"\x20\x02\x00\x63", "refused the connection"),
        ("3.1.1", b"\x20\x02\x00\x01", "does not speak MQTT 3.1.1"),
        ("5", b"\x20\x02\x00\x01", "does not speak MQTT 5: set mqtt.version to 3.1.1"),
        ("5", b"\x20\x03\x00\x84\x00", "does not speak MQTT 5: set mqtt.version to 3.1.1"),
        ("5", b"\x20\x03\x00\x85\x00", "refused the name 'soteirad': set another mqtt.client_id"),
        ("5", b"\x20\x03\x00\x86\x00", "set mqtt.user and mqtt.password"),
        ("5", b"\x20\x03\x00\x87\x00", "set mqtt.user and mqtt.password"),
        ("5", b"\x20\x03\x00\x88\x00", "takes no connection at the moment (server unavailable)"),
        ("5", b"\x20\x03\x00\x8a\x00", "refused the connection (banned)"),
        ("5", b"\x20\x03\x00\x9a\x00", "refused the connection (retain not supported)"),
    ],
)
def test_a_refusal_is_never_a_connection_and_says_what_to_do(version: str, answer: bytes, told: str) -> None:
    with ScriptedServer(lambda peer, _: peer.sendall(answer)) as server, Driver(
        Broker("127.0.0.1", server.port, version=version)  # type: ignore[arg-type]
    ) as driver:
        driver.until(lambda: server.connections >= 2 and driver.notices)
        assert driver.connections == 0 and driver.client.publish("t", "x", 1) is None
        (notice,) = driver.notices
        assert told in str(notice)


GARBAGE = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n", b"",
    b"\x00" * 50, b"\xff" * 50, b"\x20\x00", b"\x20\x01\x00", b"\x20\x7f\x00\x00",
    b"\x20\xff\xff\xff\xff\xff", b"\x30\x00", b"\x40\x02\x00\x01", b"\x90\x00", b"\xd0\x00", b"\xe0\x00",
    b"SSH\r\n", b"\x20\x05\x00\x00\x02\x99\x99", b"\x15\x03\x03\x00\x02\x02\x46",
]  # fmt: skip


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_broker_that_answers_garbage_is_never_a_connection_and_is_tried_again(
    version: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ScriptedServer(lambda peer, n: peer.sendall(GARBAGE[(n - 1) % len(GARBAGE)])) as server, Driver(
        Broker("127.0.0.1", server.port, version=version), speed=300.0  # type: ignore[arg-type]
    ) as driver:
        driver.until(lambda: server.connections > len(GARBAGE))
        assert driver.connections == 0
    reasons = [n.reason for n in driver.notices if isinstance(n, Disconnected)]
    assert all("mqtt.port" in reason for reason in reasons), reasons
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("code", "told"),
    [(0x8B, "being shut down"), (0x8E, "another client came with our name 'soteirad'"), (0x95, "max_packet_size"),
     (0x8D, "heard nothing from us"), (0x98, "ended the connection (administrative action)")],
)  # fmt: skip
def test_with_mqtt_5_a_broker_that_ends_the_connection_says_why(code: int, told: str) -> None:
    def script(peer: socket.socket, _: int) -> None:
        peer.sendall(b"\x20\x03\x00\x00\x00" + bytes([0xE0, 2, code, 0]))
        wait_for_end(peer)

    with ScriptedServer(script) as server, Driver(Broker("127.0.0.1", server.port, version="5")) as driver:
        driver.until(lambda: any(isinstance(n, Disconnected) for n in driver.notices))
        assert told in str(driver.notices[-1])


def test_a_message_that_the_broker_does_not_pass_on_is_told_once_for_each_topic(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite yes/#\n", encoding="utf-8")
    rules.chmod(0o600)
    with Mosquitto(tmp_path / "broker", extra=[f"acl_file {rules}"]) as broker, Driver(five(broker)) as driver:
        for topic in ("yes/a", "no/a", "no/a", "no/b"):
            driver.until_connected()
            driver.publish_and_wait(topic, "x")
            if topic.startswith("no"):  # mosquitto 2.0.11 closes the connection then, others do not
                driver.client.drop("test")
                driver.until(lambda: not driver.client.connected)
    told = [line for line in lines(caplog) if "passes it to nobody (not authorized)" in line]
    assert ["no/a" in line for line in told[:2]] == [True, False] and "no/b" in told[1]
