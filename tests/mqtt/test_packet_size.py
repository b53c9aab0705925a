"""Brokers that take no large messages: a real mosquitto with a limit, and ends that only look like one."""

from __future__ import annotations

from pathlib import Path

import pytest

from soteirad.mqtt.broker import Broker
from soteirad.mqtt.client import Acknowledged
from tests.brokers import Mosquitto, Subscriber
from tests.mqtt.driver import Driver, lines

PICTURE = b"p" * 60_000


class Publisher(Driver):
    """A hub that publishes its retained state at each connection, as far as it fits: small, a picture, small.

    Its clock is slower than the other tests': the five seconds of a suspicion are to last on a busy machine.
    """

    def __init__(self, broker: Broker, speed: float = 5.0) -> None:
        super().__init__(broker, speed=speed)

    picture_qos = 0
    published = 0
    last_token: int | None = None

    def turn(self) -> None:
        super().turn()
        if self.client.connected and self.connections > self.published:
            self.published = self.connections
            self.client.publish("status", "online", qos=1, retain=True)
            if self.client.fits(len(PICTURE)):
                self.client.publish("snapshot", PICTURE, self.picture_qos, retain=True)
            self.last_token = self.client.publish("state", "{}", qos=1, retain=True)

    def until_live(self) -> None:
        """Until a connection has taken everything, and answers still."""
        self.until(lambda: self.client.connected and Acknowledged(self.last_token or 0) in self.notices)


def test_a_picture_that_breaks_two_connections_is_left_out_of_the_third_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Mosquitto(tmp_path / "broker", extra=["max_packet_size 20000"]) as broker, Publisher(
        Broker(broker.host, broker.port)
    ) as hub:
        hub.until_live()
        assert hub.connections == 3
        assert not hub.client.fits(len(PICTURE)) and hub.client.fits(15_000)
        hub.client.drop("test")
        hub.until(lambda: not hub.client.connected)
        hub.until_live()
        assert hub.connections == 4 and not hub.client.fits(len(PICTURE)), "a limit is not forgotten"
    (line,) = [line for line in lines(caplog) if "max_packet_size" in line]
    assert f"when a message of {len(PICTURE)} bytes comes" in line
    assert not [line for line in lines(caplog) if "another Soteira" in line]


def test_a_picture_that_fits_is_published_at_each_connection(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", extra=["max_packet_size 100000"]) as broker:
        subscriber = Subscriber(broker, "snapshot")
        subscriber.start()
        with Publisher(Broker(broker.host, broker.port)) as hub:
            for count in range(1, 4):
                hub.until_live()
                subscriber.wait_for(lambda m, n=count: len(m) == n)
                hub.client.drop("test")
                hub.until(lambda: not hub.client.connected)
        subscriber.stop()


def test_a_connection_that_is_dropped_or_whose_broker_restarts_teaches_no_limit(broker: Mosquitto) -> None:
    with Publisher(Broker(broker.host, broker.port)) as hub:
        for count in range(3):
            hub.until_connected()
            broker.freeze()  # so that the picture is on its way
            hub.turn()
            if count % 2:
                hub.client.drop("test")
                hub.until(lambda: not hub.client.connected)
                broker.thaw()
            else:
                broker.kill()
                hub.until(lambda: hub.client.retry_at is not None)
                told = len(hub.notices)
                hub.until(lambda n=told: len(hub.notices) > n)  # nobody listens
                broker.start()
        hub.until_live()
        assert hub.client.fits(len(PICTURE))


def test_a_rival_with_our_name_teaches_no_limit(broker: Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    at = Broker(broker.host, broker.port)
    with Publisher(at) as one, Publisher(at) as two:

        def told() -> bool:
            two.turn()
            return "does another Soteira use the topic prefix" in caplog.text

        one.until(told)
        assert one.client.fits(len(PICTURE)) and two.client.fits(len(PICTURE))


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_broker_that_drops_large_messages_breaks_two_connections_at_most(
    tmp_path: Path, version: str, qos: int
) -> None:
    """mosquitto 2.0 acknowledges them (QoS 1) and closes the connection none the less; others only drop them."""
    with Mosquitto(tmp_path / "broker", extra=["message_size_limit 20000"]) as broker:
        subscriber = Subscriber(broker)
        subscriber.start()
        with Publisher(Broker(broker.host, broker.port, version=version)) as hub:  # type: ignore[arg-type]
            hub.picture_qos = qos
            hub.until_live()
            hub.publish_and_wait("end", "x")
            assert hub.connections <= 3 and hub.client.backlog == 0
        topics = [m.topic for m in subscriber.wait_for(lambda m: any(x.topic == "end" for x in m))]
        assert "snapshot" not in topics and "state" in topics
        subscriber.stop()


def test_with_mqtt_5_the_broker_says_what_it_takes_and_no_connection_is_broken(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", extra=["max_packet_size 20000"]) as broker, Publisher(
        Broker(broker.host, broker.port, version="5")
    ) as hub:
        hub.until_live()
        assert not hub.client.fits(20_000) and hub.client.fits(19_000)
        hub.publish_and_wait("just fits", b"x" * 19_000)
        assert hub.connections == 1


def test_with_mqtt_5_a_message_that_is_too_large_nevertheless_is_told_by_the_brokers_own_word(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", extra=["max_packet_size 20000"]) as broker, Driver(
        Broker(broker.host, broker.port, version="5")
    ) as driver:
        driver.until_connected()
        driver.client.publish("t", PICTURE)
        driver.until(lambda: not driver.client.connected)
        assert "max_packet_size" in str(driver.notices[-1]) or "closed" in str(driver.notices[-1])
        driver.until_connected()
        driver.publish_and_wait("t", "goes on")


def test_probes_do_not_disturb_what_is_published_meanwhile(broker: Mosquitto) -> None:
    subscriber = Subscriber(broker)
    subscriber.start()
    with Driver(Broker(broker.host, broker.port)) as driver:
        driver.until_connected()
        sizes = [11_000 + n * 1000 for n in range(40)]
        tokens = [driver.client.publish("t", b"x" * size, qos=n % 2) for n, size in enumerate(sizes)]
        driver.until(lambda: all(Acknowledged(t) in driver.notices for t in tokens if t is not None))
        assert len(driver.notices) == 41 and None not in tokens
    found = subscriber.wait_for(lambda m: sum(x.topic == "t" for x in m) == 40)
    assert sorted(len(m.payload) for m in found if m.topic == "t") == sizes
    subscriber.stop()
