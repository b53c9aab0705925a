"""What a connection is made of: the configuration's broker, and files for encryption that may be wrong."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from soteirad.config import MqttConfig, TlsConfig
from soteirad.errors import BrokerError
from soteirad.mqtt.broker import Broker, Tls, broker_of, tls_context
from tests.certificates import Authority, Pair


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def box(authority: Authority) -> Pair:
    return authority.sign("box")


def problem(tls: Tls) -> str:
    with pytest.raises(BrokerError) as caught:
        tls_context(tls)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_configuration_without_extras_is_a_plain_broker_named_after_the_topic_prefix() -> None:
    assert broker_of(MqttConfig(host="h", topic_prefix="house")) == Broker("h", client_id="soteirad-house")


def test_every_key_of_a_configuration_reaches_the_broker_and_the_password_is_not_shown() -> None:
    config = MqttConfig(
        host="h", port=8883, user="u", password=SecretStr("hush"), client_id="me", keepalive=7, version="5",
        tls=TlsConfig(ca=Path("a"), certificate=Path("b"), key=Path("c"), insecure=True),
    )  # fmt: skip
    broker = broker_of(config)
    tls = Tls(Path("a"), Path("b"), Path("c"), insecure=True)
    assert broker == Broker("h", 8883, "u", "hush", "me", 7, "5", tls)
    assert "hush" not in repr(broker)


def test_encryption_checks_the_certificate_and_the_name_and_is_tls_1_2_at_least(authority: Authority) -> None:
    for tls in (Tls(), Tls(ca=authority.ca)):
        context = tls_context(tls)
        assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_given_authority_is_trusted_and_nobody_else(authority: Authority) -> None:
    assert len(tls_context(Tls(ca=authority.ca)).get_ca_certs()) == 1


def test_insecure_checks_neither_certificate_nor_name() -> None:
    context = tls_context(Tls(insecure=True))
    assert (context.check_hostname, context.verify_mode) == (False, ssl.CERT_NONE)


def test_a_file_that_cannot_be_read_is_named_with_its_option(tmp_path: Path, box: Pair) -> None:
    gone = tmp_path / "gone.pem"
    assert f"{gone}: mqtt.tls.ca: this file cannot be read (no such file" in problem(Tls(ca=gone))
    assert f"{gone}: mqtt.tls.key: " in problem(Tls(certificate=box.certificate, key=gone))
    assert f"{gone}: mqtt.tls.certificate: " in problem(Tls(certificate=gone, key=box.key))
    assert "is a directory" in problem(Tls(ca=tmp_path))


@pytest.mark.parametrize("content", [b"", b"hello", bytes(range(256)), "für alle\n".encode()])
def test_a_file_that_holds_something_else_is_told_with_what_it_is_to_hold(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(content)
    assert "no CERTIFICATE in PEM form in this file: it is to hold the certificate of who" in problem(Tls(ca=path))


def test_certificate_and_key_that_were_mixed_up_are_told(box: Pair) -> None:
    assert f"{box.key}: mqtt.tls.certificate: there is no CERTIFICATE" in problem(Tls(None, box.key, box.certificate))


def test_a_damaged_certificate_is_told(tmp_path: Path, authority: Authority, box: Pair) -> None:
    ca, own = tmp_path / "ca.pem", tmp_path / "box.pem"
    ca.write_bytes(authority.ca.read_bytes()[:200])
    assert f"{ca}: mqtt.tls.ca: the certificate in it is damaged" in problem(Tls(ca=ca))
    own.write_bytes(box.certificate.read_bytes()[:200])
    assert f"{own}: mqtt.tls.certificate: it or its key" in problem(Tls(certificate=own, key=box.key))


def test_a_key_of_another_certificate_is_told(authority: Authority, box: Pair) -> None:
    other = authority.sign("other")
    line = problem(Tls(certificate=box.certificate, key=other.key))
    assert f"{other.key}: mqtt.tls.key: the key does not belong to {box.certificate}" in line


def test_a_key_with_a_password_is_told_and_nobody_is_asked_for_it(tmp_path: Path, box: Pair) -> None:
    locked = tmp_path / "locked.key"
    subprocess.run(["openssl", "pkey", "-in", box.key, "-aes256", "-passout", "pass:hush", "-out", locked], check=True)
    assert f"{locked}: mqtt.tls.key: the key is locked with a password" in problem(Tls(None, box.certificate, locked))


def test_one_of_certificate_and_key_alone_is_told(box: Pair) -> None:
    assert "need each other" in problem(Tls(certificate=box.certificate))
    assert "need each other" in problem(Tls(key=box.key))


def test_a_file_with_words_around_its_certificate_can_be_used(tmp_path: Path, authority: Authority) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes("Für zu Hause\n".encode() + authority.ca.read_bytes() + b"\nthe end")
    assert len(tls_context(Tls(ca=path)).get_ca_certs()) == 1
