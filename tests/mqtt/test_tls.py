"""Encrypted connections to a real mosquitto, and what owners are told when they fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from soteirad.mqtt.broker import Broker, Tls
from soteirad.mqtt.client import Acknowledged, Disconnected
from tests.brokers import BrokerTls, Mosquitto
from tests.certificates import Authority
from tests.mqtt.driver import Driver, lines
from tests.tcp_tools import ScriptedServer, wait_for_end


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Mosquitto]:
    """A broker that speaks TLS; its certificate is for localhost and 127.0.0.1."""
    own = authority.sign("broker")
    with Mosquitto(tmp_path_factory.mktemp("secure"), tls=BrokerTls(authority.ca, own.certificate, own.key)) as broker:
        yield broker


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Mosquitto]:
    """A broker that asks for a certificate of the authority."""
    own = authority.sign("asking")
    tls = BrokerTls(authority.ca, own.certificate, own.key, ask=True)
    with Mosquitto(tmp_path_factory.mktemp("asking"), tls=tls) as broker:
        yield broker


def refusal(broker: Broker) -> str:
    """Why the first attempt failed."""
    with Driver(broker) as driver:
        driver.until(lambda: driver.notices)
        (notice,) = driver.notices[:1]
        assert isinstance(notice, Disconnected) and not driver.client.connected
        return notice.reason


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_broker_whose_certificate_the_given_authority_signed_is_connected_to(
    secure: Mosquitto, authority: Authority, host: str, version: str
) -> None:
    at = Broker(host, secure.port, version=version, tls=Tls(ca=authority.ca))  # type: ignore[arg-type]
    with Driver(at) as driver:
        driver.until_connected()
        driver.publish_and_wait("t", b"x" * 300_000)


def test_a_certificate_that_nobody_known_signed_is_refused_with_what_to_do(
    secure: Mosquitto, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")
    reason = refusal(Broker("localhost", secure.port, tls=Tls(ca=other.ca)))
    assert "not trusted" in reason and "mqtt.tls.ca is not who signed it" in reason
    reason = refusal(Broker("localhost", secure.port, tls=Tls()))
    assert "not trusted" in reason and "name who signed it in mqtt.tls.ca" in reason


@pytest.mark.parametrize("alt", ["DNS:broker.home", "IP:10.0.0.9"])
def test_a_certificate_for_another_host_is_refused_and_the_host_named(
    tmp_path: Path, authority: Authority, alt: str
) -> None:
    own = authority.sign("elsewhere", alt)
    with Mosquitto(tmp_path / "broker", tls=BrokerTls(authority.ca, own.certificate, own.key)) as broker:
        for host in ("localhost", "127.0.0.1"):
            reason = refusal(Broker(host, broker.port, tls=Tls(ca=authority.ca)))
            assert f"is for another name than '{host}': set mqtt.host" in reason


def test_a_certificate_that_has_expired_is_refused_and_the_clock_is_mentioned(
    tmp_path: Path, authority: Authority
) -> None:
    own = authority.sign("old", expired=True)
    with Mosquitto(tmp_path / "broker", tls=BrokerTls(authority.ca, own.certificate, own.key)) as broker:
        reason = refusal(Broker("localhost", broker.port, tls=Tls(ca=authority.ca)))
    assert "has expired" in reason and "clock" in reason


def test_insecure_takes_any_certificate_and_warns_once_although_it_connects_again(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    own = authority.sign("anybody", "DNS:broker.home", expired=True)
    with Mosquitto(tmp_path / "broker", tls=BrokerTls(authority.ca, own.certificate, own.key)) as broker, Driver(
        Broker("localhost", broker.port, tls=Tls(insecure=True))
    ) as driver:
        for times in (1, 2):
            driver.until(lambda n=times: driver.connections == n)
            driver.publish_and_wait("t", "x")
            driver.client.drop("test")
            driver.until(lambda: not driver.client.connected)
    assert len([line for line in lines(caplog) if "anybody can pretend to be the broker" in line]) == 1


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_broker_that_asks_for_a_certificate_is_told_as_such(
    asking: Mosquitto, authority: Authority, version: str
) -> None:
    reason = refusal(Broker("localhost", asking.port, version=version, tls=Tls(ca=authority.ca)))  # type: ignore[arg-type]
    assert "certificate" in reason and "mqtt.tls.certificate" in reason


def test_a_certificate_that_the_broker_asked_for_is_accepted(asking: Mosquitto, authority: Authority) -> None:
    box = authority.sign("box")
    at = Broker("localhost", asking.port, tls=Tls(authority.ca, box.certificate, box.key))
    with Driver(at) as driver:
        driver.until_connected()
        token = driver.client.publish("t", "x", qos=1)
        assert token is not None
        driver.until(lambda: Acknowledged(token) in driver.notices)


def test_a_certificate_that_the_broker_does_not_trust_is_told_as_ours(
    asking: Mosquitto, authority: Authority, tmp_path: Path
) -> None:
    box = Authority(tmp_path, "other").sign("box")
    reason = refusal(Broker("localhost", asking.port, tls=Tls(authority.ca, box.certificate, box.key)))
    assert "does not accept our certificate" in reason or "before the broker said a word" in reason


def test_a_port_without_encryption_is_told_when_it_was_expected(broker: Mosquitto) -> None:
    assert "does not answer in TLS" in refusal(Broker(broker.host, broker.port, tls=Tls()))


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x02\x00\x01", b"\x00" * 100, b""])
def test_a_server_that_answers_a_handshake_with_anything_else_does_not_speak_tls(answer: bytes) -> None:
    with ScriptedServer(lambda peer, _: peer.sendall(answer)) as server:
        assert "does not answer in TLS" in refusal(Broker("127.0.0.1", server.port, tls=Tls()))


def test_a_server_that_never_answers_a_handshake_does_not_speak_tls() -> None:
    with ScriptedServer(lambda peer, _: (wait_for_end(peer), None)[1]) as server:
        assert "does not answer in TLS" in refusal(Broker("127.0.0.1", server.port, tls=Tls()))


def test_a_client_without_encryption_is_told_to_try_it_at_a_port_that_wants_it(secure: Mosquitto) -> None:
    assert "If it is its port for encryption, add mqtt.tls" in refusal(Broker("localhost", secure.port))


def test_files_that_cannot_be_used_are_the_reason_until_they_are_mended(
    secure: Mosquitto, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ca = tmp_path / "ca.pem"
    with Driver(Broker("localhost", secure.port, tls=Tls(ca=ca))) as driver:
        driver.until(lambda: driver.notices)
        assert f"{ca}: mqtt.tls.ca: this file cannot be read" in str(driver.notices[0])
        driver.until(lambda: driver.client.retry_at is not None)
        ca.write_bytes(authority.ca.read_bytes())
        driver.until_connected()
    told = [line for line in lines(caplog) if str(ca) in line]
    assert len(told) == 1


def test_a_connection_that_ends_amid_encryption_is_made_anew(secure: Mosquitto, authority: Authority) -> None:
    with Driver(Broker("localhost", secure.port, tls=Tls(ca=authority.ca))) as driver:
        driver.until_connected()
        secure.stop()
        driver.until(lambda: not driver.client.connected)
        secure.start()
        driver.until_connected()


def test_no_thread_is_left_of_failed_handshakes(broker: Mosquitto) -> None:
    before = set(threading.enumerate())
    with Driver(Broker(broker.host, broker.port, tls=Tls())) as driver:
        attempts: set[float | None] = set()

        def retried() -> bool:
            attempts.add(driver.client.retry_at)
            return len(attempts) >= 4

        driver.until(retried)
    for thread in set(threading.enumerate()) - before:
        thread.join(10.0)
    assert set(threading.enumerate()) <= before
