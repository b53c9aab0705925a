"""Which broker, as whom, and how: what a connection needs to know, and the encryption that is made of it."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from soteirad.config import MqttConfig
from soteirad.errors import BrokerError


@dataclass(frozen=True)
class Tls:
    """An encrypted connection; `ca` None trusts whom the system trusts, `insecure` trusts anybody."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False


@dataclass(frozen=True)
class Broker:
    """A broker and who we are there. `keepalive` is in seconds; `tls` None means no encryption."""

    host: str
    port: int = 1883
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    client_id: str = "soteirad"
    keepalive: int = 30
    version: Literal["3.1.1", "5"] = "3.1.1"
    tls: Tls | None = None


def broker_of(config: MqttConfig) -> Broker:
    """Return the broker of a configuration, with its password unpacked."""
    tls = config.tls
    return Broker(
        host=config.host,
        port=config.port,
        user=config.user,
        password=config.password.get_secret_value() if config.password else None,
        client_id=config.client_id or f"soteirad-{config.topic_prefix}",
        keepalive=config.keepalive,
        version=config.version,
        tls=Tls(tls.ca, tls.certificate, tls.key, tls.insecure) if tls else None,
    )


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return what encrypts a connection (TLS 1.2 or newer).

    Raises BrokerError with the file, what is wrong with it and what to do.
    """
    context = _checking_context(tls.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.13 refuses what home-made authorities often leave out; the same files shall do everywhere.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.certificate is not None and tls.key is not None:
        _load_identity(context, tls.certificate, tls.key)
    elif tls.certificate is not None or tls.key is not None:
        raise BrokerError("mqtt.tls: a certificate and its key need each other: give both or none")
    return context


def _checking_context(ca: Path | None) -> ssl.SSLContext:
    """Return a context that trusts `ca` and nobody else, or whom the system trusts."""
    if ca is None:
        return ssl.create_default_context()
    text = _pem(ca, "mqtt.tls.ca", "CERTIFICATE", "the certificate of who signed the broker's")
    try:
        return ssl.create_default_context(cadata=text)
    except ssl.SSLError:
        raise BrokerError(f"{ca}: mqtt.tls.ca: the certificate in it is damaged: copy it again") from None


def _load_identity(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    _pem(certificate, "mqtt.tls.certificate", "CERTIFICATE", "this box's certificate")
    _pem(key, "mqtt.tls.key", "PRIVATE KEY", "the key of this box's certificate")
    asked: list[str] = []

    def no_password() -> str:  # without it OpenSSL would ask at the terminal, and wait
        asked.append("password")
        return ""

    try:
        context.load_cert_chain(certificate, key, no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        if asked:
            problem = f"{key}: mqtt.tls.key: the key is locked with a password: take it off with openssl pkey"
        elif getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            problem = f"{key}: mqtt.tls.key: the key does not belong to {certificate}: give the one it was made with"
        else:
            problem = f"{certificate}: mqtt.tls.certificate: it or its key {key} is damaged: make or copy both again"
        raise BrokerError(problem) from None


def _pem(path: Path, option: str, kind: str, needed: str) -> str:
    """Return the text of a file that holds a PEM block of this kind."""
    try:
        text = path.read_bytes().decode("ascii", errors="replace")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BrokerError(f"{path}: {option}: this file cannot be read ({reason}): it is to hold {needed}") from None
    if not re.search(f"-----BEGIN [A-Z ]*{kind}-----", text):
        raise BrokerError(f"{path}: {option}: there is no {kind} in PEM form in this file: it is to hold {needed}")
    return text.replace("\ufffd", "?")  # what is outside of the blocks may be in any script
