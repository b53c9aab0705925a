"""What the broker does not have yet, and connections on which nothing comes through any more."""

from __future__ import annotations

import pytest

from soteirad.mqtt.broker import Broker
from tests.brokers import Mosquitto
from tests.mqtt.driver import Driver
from tests.tcp_tools import TcpProxy

PICTURE = b"p" * 1_000_000


@pytest.fixture
def driver(broker: Mosquitto) -> Driver:
    with Driver(Broker(broker.host, broker.port)) as driver:
        driver.until_connected()
        yield driver


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_frozen_broker_makes_the_backlog_grow_by_what_is_published_until_it_reads_again(
    broker: Mosquitto, version: str
) -> None:
    with Driver(Broker(broker.host, broker.port, version=version)) as driver:  # type: ignore[arg-type]
        driver.until_connected()
        assert driver.client.backlog == 0
        broker.freeze()
        for count in range(1, 4):
            driver.client.publish("event", "e" * 100, qos=1)
            assert driver.client.backlog == 100 * count
        for _ in range(20):
            driver.client.publish("picture", PICTURE)
        driver.turn()
        assert driver.client.backlog >= 300 + 5 * len(PICTURE), "what the sockets hold is written"
        before = driver.client.backlog
        driver.client.publish("text", "ü" * 10, qos=1)
        driver.client.publish("picture", PICTURE)
        assert driver.client.backlog == before + 20 + len(PICTURE)
        broker.thaw()
        driver.until(lambda: driver.client.backlog == 0)
        assert driver.connections == 1


def test_the_backlog_is_gone_with_its_connection(broker: Mosquitto, driver: Driver) -> None:
    broker.freeze()
    for _ in range(20):
        driver.client.publish("picture", PICTURE, qos=1)
    driver.turn()
    assert driver.client.backlog >= 10 * len(PICTURE)
    driver.client.drop("test")
    driver.until(lambda: not driver.client.connected)
    assert driver.client.backlog == 0
    assert driver.client.publish("picture", PICTURE) is None and driver.client.backlog == 0
    broker.thaw()
    driver.until_connected()
    driver.publish_and_wait("t", "x")
    assert driver.client.backlog == 0


def test_messages_with_qos_0_leave_the_backlog_when_they_are_written(driver: Driver) -> None:
    for _ in range(10):
        driver.client.publish("picture", PICTURE)
    driver.until(lambda: driver.client.backlog == 0)


def test_a_connection_on_which_nothing_comes_through_any_more_is_noticed_within_twice_the_keepalive(
    broker: Mosquitto,
) -> None:
    with TcpProxy(broker.port) as proxy, Driver(Broker("127.0.0.1", proxy.port, keepalive=1)) as driver:
        driver.until_connected()
        driver.publish_and_wait("t", "x")
        proxy.silent = True
        driver.client.publish("t", "lost", qos=1)
        driver.until(lambda: not driver.client.connected)
        assert "does not answer any more" in str(driver.notices[-1]) and driver.client.backlog == 0
        driver.until(lambda: driver.client.retry_at is not None)
        proxy.silent = False
        driver.until(lambda: driver.connections == 2)
        driver.publish_and_wait("t", "y")
