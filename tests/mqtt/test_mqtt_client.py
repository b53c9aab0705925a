"""The MQTT client against a real mosquitto, and once against amqtt."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import soteirad
from soteirad.mqtt.broker import Broker
from soteirad.mqtt.client import HANG_S, Acknowledged, Connected, Disconnected, MqttClient, MqttNotice
from soteirad.mqtt.topics import Topics
from tests.brokers import Mosquitto, Subscriber, free_port, retained_at
from tests.mqtt.driver import Driver, lines

TOPICS = Topics("soteira")
STATUS = TOPICS.status()


@pytest.fixture
def driver(broker: Mosquitto) -> Iterator[Driver]:
    driver = Driver(Broker(broker.host, broker.port))
    driver.client.start()
    driver.until(lambda: driver.client.connected)
    yield driver
    driver.client.stop(2.0)


def network_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if "soteirad" in t.name]


def test_a_constructed_client_does_nothing_until_it_is_started(broker: Mosquitto) -> None:
    before = threading.active_count()
    driver = Driver(Broker(broker.host, broker.port))
    assert driver.client.step(0.0) == []
    assert not driver.client.connected
    assert driver.client.publish(STATUS, "online", 1, True) is None
    assert driver.client.stop(1.0) == []
    assert threading.active_count() == before


def test_a_published_message_is_acknowledged_with_its_own_token(broker: Mosquitto, driver: Driver) -> None:
    subscriber = Subscriber(broker)
    subscriber.start()
    tokens = [driver.client.publish("t", f"{n}", qos=1, retain=False) for n in range(200)]
    driver.until(lambda: len(driver.notices) == 201)
    assert driver.notices == [Connected(), *(Acknowledged(t) for t in tokens if t is not None)]
    assert [m.payload for m in subscriber.wait_for(lambda m: len(m) == 200)] == [b"%d" % n for n in range(200)]
    subscriber.stop()


def test_stop_leaves_a_retained_offline_and_no_thread(broker: Mosquitto, driver: Driver) -> None:
    driver.publish_and_wait(STATUS, "online", retain=True)
    driver.client.stop(5.0)
    assert not driver.client.connected
    late = Subscriber(broker)
    late.start()
    (message,) = late.wait_for(lambda m: len(m) == 1)
    assert (message.topic, message.payload, message.retain) == (STATUS, b"offline", True)
    late.stop()
    for thread in network_threads():
        thread.join(10.0)
    assert not network_threads()


def test_stop_leaves_nothing_at_a_broker_that_is_left_for_good(broker: Mosquitto, driver: Driver) -> None:
    driver.publish_and_wait(STATUS, "online", retain=True)
    driver.client.stop(5.0, for_good=True)
    assert STATUS not in retained_at(broker)


def test_stop_hands_over_what_was_acknowledged_meanwhile(driver: Driver) -> None:
    token = driver.client.publish("t", "last words", qos=1)
    assert token is not None
    assert Acknowledged(token) in driver.client.stop(5.0)


def test_stop_returns_although_the_broker_is_frozen(broker: Mosquitto, driver: Driver) -> None:
    broker.freeze()
    for _ in range(200):  # more than the socket takes, so that not even a goodbye can be written
        driver.client.publish("t", b"x" * 100_000, qos=0)
    stopped = threading.Event()
    stopper = threading.Thread(target=lambda: (driver.client.stop(0.5), stopped.set()), daemon=True)
    stopper.start()
    assert stopped.wait(20.0)
    assert not driver.client.connected
    for thread in network_threads():
        thread.join(10.0)
    assert not network_threads()
    broker.thaw()


def test_stop_returns_although_the_broker_never_answered_the_connection(broker: Mosquitto) -> None:
    broker.freeze()
    driver = Driver(Broker(broker.host, broker.port))
    driver.client.start()
    driver.turn()
    driver.client.stop(0.5)
    broker.thaw()
    assert not driver.client.connected


def test_a_killed_daemon_is_announced_offline_by_its_last_will(broker: Mosquitto) -> None:
    subscriber = Subscriber(broker)
    subscriber.start()
    code = (
        "import sys, threading, time\n"
        "from soteirad.mqtt.broker import Broker\n"
        "from soteirad.mqtt.client import MqttClient\n"
        "from soteirad.mqtt.topics import Topics\n"
        "woken = threading.Event()\n"
        "client = MqttClient(Broker('127.0.0.1', int(sys.argv[1])), topics=Topics('soteira'), on_wake=woken.set)\n"
        "client.start()\n"
        "while not client.connected:\n"
        "    woken.wait(1); client.step(time.monotonic())\n"
        "client.publish('soteira/status', 'online', 1, True)\n"
        "threading.Event().wait()\n"
    )
    root = str(Path(soteirad.__file__).parent.parent)
    daemon = subprocess.Popen([sys.executable, "-c", code, str(broker.port)], env={**os.environ, "PYTHONPATH": root})
    subscriber.wait_for(lambda m: [x.payload for x in m] == [b"online"])
    daemon.kill()
    daemon.wait()
    subscriber.wait_for(lambda m: [x.payload for x in m] == [b"online", b"offline"])
    subscriber.stop()


def test_a_refused_password_is_not_a_connection_and_is_explained_once_without_the_password(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    broker = Mosquitto(tmp_path / "broker", users={"soteira": "right-secret"})
    broker.start()
    driver = Driver(Broker(broker.host, broker.port, "soteira", "wrong-secret"))
    driver.client.start()
    driver.until(lambda: broker.log().count("not authorised") >= 3)
    assert not driver.client.connected
    assert driver.client.publish("t", "x", 1) is None
    (line,) = lines(caplog)
    assert "refused the user 'soteira' or its password: check mqtt.user and mqtt.password" in line
    assert "secret" not in caplog.text
    assert [type(n) for n in driver.notices] == [Disconnected]
    driver.client.stop(1.0)

    anonymous = Driver(Broker(broker.host, broker.port))
    anonymous.client.start()
    anonymous.until(lambda: anonymous.notices)
    assert "set mqtt.user and mqtt.password" in lines(caplog)[-1]
    anonymous.client.stop(1.0)

    right = Driver(Broker(broker.host, broker.port, "soteira", "right-secret"))
    right.client.start()
    right.until(lambda: right.client.connected)
    right.client.stop(1.0)
    broker.stop()


def test_a_closed_port_is_retried_with_one_log_line_until_the_broker_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "soteirad.mqtt")
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    broker.stop()
    driver = Driver(Broker(broker.host, broker.port))
    attempts: set[float] = set()
    driver.client.start()

    def retried() -> bool:
        if driver.client.retry_at is not None:
            attempts.add(driver.client.retry_at)
        return len(attempts) >= 4

    driver.until(retried)
    assert len(lines(caplog)) == 1
    assert "nothing listens there: is the broker running" in lines(caplog)[0]
    broker.start()
    driver.until(lambda: driver.client.connected)
    assert lines(caplog)[1:] == [f"connected to the MQTT broker at 127.0.0.1:{broker.port}"]
    driver.client.stop(2.0)
    broker.stop()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b"])
def test_a_host_that_cannot_be_resolved_is_retried_and_told_once(host: str, caplog: pytest.LogCaptureFixture) -> None:
    driver = Driver(Broker(host))
    attempts: set[float] = set()
    driver.client.start()

    def retried() -> bool:
        if driver.client.retry_at is not None:
            attempts.add(driver.client.retry_at)
        return len(attempts) >= 2

    driver.until(retried, timeout=90.0)
    assert len(lines(caplog)) == 1
    assert host in lines(caplog)[0]
    driver.client.stop(0.5)


def test_retries_back_off_from_one_second_to_thirty() -> None:
    broker = Broker("127.0.0.1", free_port())
    client = MqttClient(broker, topics=TOPICS, on_wake=lambda: None, rng=random.Random(7))
    client.start()
    now, delays = 1000.0, []
    deadline = time.monotonic() + 60.0
    pause = threading.Event()
    while len(delays) < 12 and time.monotonic() < deadline:
        client.step(now)
        if client.retry_at is not None:
            delays.append(client.retry_at - now)
            now = client.retry_at
        else:
            pause.wait(0.005)
    client.stop(0.5)
    assert delays[0] == 1.0
    assert all(1.0 <= d <= 30.0 for d in delays)
    assert all(min(30, 2**n) / 2 <= d <= max(1, min(30, 2**n)) for n, d in enumerate(delays))
    assert len(set(delays[6:])) == len(delays[6:])  # jitter


def test_after_a_restart_of_the_broker_nothing_is_resent_by_the_client_itself(
    broker: Mosquitto, driver: Driver
) -> None:
    subscriber = Subscriber(broker)
    subscriber.start()
    driver.publish_and_wait("t", "before")
    broker.freeze()
    lost = driver.client.publish("t", "swallowed", qos=1)
    assert lost is not None
    driver.client.drop("test")
    driver.until(lambda: Disconnected("test") in driver.notices)
    assert driver.client.publish("t", "refused", qos=1) is None
    broker.kill()
    broker.start()
    subscriber.wait_subscribed(2)
    driver.until(lambda: driver.notices.count(Connected()) == 2)
    driver.publish_and_wait("t", "after")
    assert Acknowledged(lost) not in driver.notices
    seen = [m.payload for m in subscriber.wait_for(lambda m: m[-1:] != [] and m[-1].payload == b"after")]
    assert seen == [b"before", b"after"]
    subscriber.stop()


def test_tokens_of_two_connections_never_coincide(broker: Mosquitto, driver: Driver) -> None:
    first = {driver.client.publish("t", "x", qos=1) for _ in range(50)}
    broker.stop()
    driver.until(lambda: not driver.client.connected)
    broker.start()
    driver.until(lambda: driver.client.connected)
    second = {driver.client.publish("t", "x", qos=1) for _ in range(50)}
    assert len(first) == len(second) == 50
    assert not first & second


def test_a_frozen_broker_is_noticed_by_its_silence(broker: Mosquitto) -> None:
    driver = Driver(Broker(broker.host, broker.port, keepalive=2))
    driver.client.start()
    driver.until(lambda: driver.client.connected)
    broker.freeze()
    driver.until(lambda: not driver.client.connected, timeout=60.0)
    assert "does not answer any more" in str(driver.notices[-1])
    broker.thaw()
    driver.until(lambda: driver.client.connected)
    driver.client.stop(2.0)


def test_each_transition_is_one_log_line(broker: Mosquitto, driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "soteirad.mqtt")
    broker.stop()
    driver.until(lambda: len(lines(caplog)) >= 2)
    broker.start()
    driver.until(lambda: driver.client.connected)
    driver.client.stop(2.0)
    told = [line.split(" the MQTT broker")[0] for line in lines(caplog)]
    assert told == ["lost", "no connection to", "connected to", "disconnected from"]


def test_two_boxes_with_one_prefix_are_told_so(broker: Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    one, two = (Driver(Broker(broker.host, broker.port)) for _ in range(2))
    one.client.start()
    two.client.start()

    def told() -> bool:
        two.turn()
        return "does another Soteira use the topic prefix 'soteira'" in caplog.text

    one.until(told, timeout=60.0)
    one.client.stop(1.0)
    two.client.stop(1.0)


def test_a_hub_that_cannot_be_woken_does_not_kill_the_network_thread(broker: Mosquitto) -> None:
    def broken() -> None:
        raise OSError("the wake pipe is closed")

    client = MqttClient(Broker(broker.host, broker.port), topics=TOPICS, on_wake=broken)
    client.start()
    pause = threading.Event()
    deadline = time.monotonic() + 30.0
    notices: list[MqttNotice] = []
    while not client.connected and time.monotonic() < deadline:
        pause.wait(0.01)
        notices += client.step(time.monotonic())
    token = client.publish("t", "x", qos=1)
    assert token is not None
    assert Acknowledged(token) in client.stop(5.0)


def test_failed_attempts_leave_no_sockets_open_even_before_garbage_collection() -> None:
    gc.collect()
    gc.disable()
    try:
        driver = Driver(Broker("127.0.0.1", free_port()))
        driver.client.start()
        before = len(list(Path("/dev/fd").iterdir()))
        attempts: set[float] = set()

        def retried() -> bool:
            if driver.client.retry_at is not None:
                attempts.add(driver.client.retry_at)
            return len(attempts) >= 6

        driver.until(retried, timeout=60.0)
        driver.client.stop(0.5)
        assert len(list(Path("/dev/fd").iterdir())) <= before
    finally:
        gc.enable()


def test_a_server_that_speaks_no_mqtt_is_retried_and_never_counts_as_connected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(1024)
                    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        driver = Driver(Broker("127.0.0.1", server.getsockname()[1]))
        driver.client.start()
        driver.until(lambda: driver.client.retry_at is not None)
        assert Connected() not in driver.notices
        driver.client.stop(0.5)
        server.shutdown(socket.SHUT_RDWR)


def test_it_works_with_amqtt_which_speaks_only_mqtt_3_1_1() -> None:
    broker_module = pytest.importorskip("amqtt.broker", reason="amqtt is not installed (the extra `demo`)")
    port = free_port()
    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    loop = asyncio.new_event_loop()
    up, down = threading.Event(), threading.Event()

    async def serve() -> None:
        broker = broker_module.Broker(config, loop=loop)
        await broker.start()
        up.set()
        while not down.is_set():
            await asyncio.sleep(0.02)
        await broker.shutdown()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert up.wait(20.0)
    driver = Driver(Broker("127.0.0.1", port))
    driver.client.start()
    driver.until(lambda: driver.client.connected)
    tokens = [driver.client.publish("t", f"{n}", qos=1) for n in range(50)]
    driver.until(lambda: all(Acknowledged(t) in driver.notices for t in tokens if t is not None))
    assert None not in tokens
    driver.client.stop(5.0)
    down.set()
    thread.join(20.0)


def test_a_network_thread_that_comes_round_does_not_hang_however_long_it_is_connected(driver: Driver) -> None:
    assert driver.client._connection is not None
    turned = driver.client._connection.turned_at
    assert not driver.client.hangs(turned + HANG_S)
    assert driver.client.hangs(turned + HANG_S + 0.1), "if it never came round again"
    driver.until(lambda: driver.client._connection is not None and driver.client._connection.turned_at > turned)
    assert not driver.client.hangs(turned + HANG_S + 0.1)


def test_a_frozen_broker_is_no_hanging_thread(broker: Mosquitto, driver: Driver) -> None:
    broker.freeze()
    assert driver.client._connection is not None
    turned = driver.client._connection.turned_at
    driver.until(lambda: driver.client._connection is not None and driver.client._connection.turned_at > turned)
    assert not driver.client.hangs(time.monotonic())
    broker.thaw()


def test_a_name_look_up_that_never_ends_is_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, may = threading.Event(), threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        asked.set()
        may.wait(60.0)
        raise socket.gaierror(socket.EAI_AGAIN, "no name server")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    driver = Driver(Broker("broker.home"))
    assert not driver.client.hangs(time.monotonic() + 2 * HANG_S), "nothing was started yet"
    driver.client.start()
    assert asked.wait(30.0)
    now = time.monotonic()
    assert not driver.client.hangs(now) and driver.client.hangs(now + HANG_S)
    may.set()
    driver.until(lambda: driver.client.retry_at is not None)
    assert not driver.client.hangs(now + 2 * HANG_S), "an attempt that has failed hangs no more"
    driver.client.stop(1.0)
