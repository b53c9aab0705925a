"""Why there is no connection, in an owner's words: what, and what to do."""

from __future__ import annotations

import errno
import socket
import ssl

from soteirad.mqtt.broker import Broker

CLOSED = "the broker closed the connection, or the network broke"
SILENT = "it does not answer any more (no reply within the keepalive)"
_CLOCK_WRONG = 9
_EXPIRED = 10
_OTHER_NAME = (62, 64)
_NOT_TLS = (
    "WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE", "BAD_RECORD_TYPE", "UNEXPECTED_MESSAGE", "INVALID_RECORD_TYPE",
)  # fmt: skip
_WANTS_CERTIFICATE = (
    "TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_HANDSHAKE_FAILURE"
)  # fmt: skip
_OUR_CERTIFICATE = (
    "TLSV1_ALERT_UNKNOWN_CA", "SSLV3_ALERT_BAD_CERTIFICATE", "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED", "SSLV3_ALERT_CERTIFICATE_REVOKED", "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    "TLSV1_ALERT_ACCESS_DENIED", "TLSV1_ALERT_DECRYPT_ERROR",
)  # fmt: skip
_TOO_OLD = ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE", "WRONG_SSL_VERSION")
_FOR_A_WHILE = ("Server unavailable", "Server busy", "Quota exceeded", "Connection rate exceeded")
_THEIR_WORDS = {
    "Keep alive timeout": "the broker heard nothing from us within the keepalive",
    "Session taken over": "another client came with our name '{name}': each needs its own mqtt.client_id",
    "Server shutting down": "the broker is being shut down",
    "Packet too large": "a message was too large for the broker: raise max_packet_size at the broker",
}
_NO_TLS_THERE = "it does not answer in TLS: is mqtt.port the broker's port for encryption (usually 8883)?"


def refused(code: str, broker: Broker) -> str:
    """Say what a refused CONNACK means."""
    if code in ("Not authorized", "Bad user name or password"):
        if broker.user is None:
            return "the broker refused us without a user: set mqtt.user and mqtt.password"
        return f"the broker refused the user '{broker.user}' or its password: check mqtt.user and mqtt.password"
    if code == "Unsupported protocol version":
        other = "3.1.1" if broker.version == "5" else "5"
        return f"the broker does not speak MQTT {broker.version}: set mqtt.version to {other}"
    if code == "Client identifier not valid":
        return f"the broker refused the name '{broker.client_id}': set another mqtt.client_id"
    if code in _FOR_A_WHILE:
        return f"the broker takes no connection at the moment ({code.lower()})"
    return f"the broker refused the connection ({code.lower()}): look at the broker's own log"


def lost(code: str, broker: Broker, accepted: bool, theirs: bool) -> str:
    """Say what an end means that paho names `code`; `theirs` says that these are the broker's words (MQTT 5)."""
    if code in ("Unspecified error", "Normal disconnection"):  # paho's words for a closed socket
        if accepted:
            return CLOSED
        return f"the connection was closed before the broker said a word: {_elsewhere(broker)}"
    if theirs:
        meaning = _THEIR_WORDS.get(code, f"the broker ended the connection ({code.lower()})")
        return meaning.format(name=broker.client_id)
    return SILENT if code == "Keep alive timeout" else not_understood(code.lower(), broker, accepted)


def not_understood(detail: str, broker: Broker, accepted: bool) -> str:
    """Say what a packet means that makes no sense; `detail` is what paho makes of it."""
    if accepted:
        return f"the broker's answer was not understood ({detail})"
    return f"what listens there does not speak MQTT {broker.version}: {_elsewhere(broker)}"


def _elsewhere(broker: Broker) -> str:
    """Say what else may listen on that port."""
    version = " (and if so, does it speak MQTT 5, or is mqtt.version to be 3.1.1?)" if broker.version == "5" else ""
    if broker.tls is None:
        return f"is mqtt.port the broker's? If it is its port for encryption, add mqtt.tls{version}"
    certificate = "" if broker.tls.certificate else ", and does the broker ask for mqtt.tls.certificate?"
    return f"is mqtt.port the broker's{certificate or '?'}{version}"


def unreachable(error: OSError, broker: Broker) -> str:
    """Say why no connection came about, in the same words each time."""
    if isinstance(error, socket.gaierror):
        return f"the host name cannot be resolved ({error.strerror}): check mqtt.host"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there: is the broker running, and are mqtt.host and mqtt.port right?"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error, broker)
    # Closed or silent amidst the handshake; before it, a connection is refused or times out without that word.
    if isinstance(error, (ssl.SSLError, ConnectionError)) or "handshake" in str(error):
        return (alert(error, broker) if isinstance(error, ssl.SSLError) else None) or _NO_TLS_THERE
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return "no answer: is the machine on, and does a firewall let us through?"
    return error.strerror or str(error)


def _untrusted(error: ssl.SSLCertVerificationError, broker: Broker) -> str:
    """Say what is wrong with the broker's certificate."""
    if error.verify_code == _EXPIRED:
        return "the broker's certificate has expired: renew it (and is this machine's clock right?)"
    if error.verify_code == _CLOCK_WRONG:
        return "the broker's certificate is not valid yet: is this machine's clock right?"
    if error.verify_code in _OTHER_NAME:
        return (
            f"the broker's certificate is for another name than '{broker.host}': set mqtt.host to the name in it, or "
            "make a certificate for this one"
        )
    given = "mqtt.tls.ca is not who signed it" if broker.tls and broker.tls.ca else "name who signed it in mqtt.tls.ca"
    return f"the broker's certificate is not trusted ({error.verify_message}): {given}"


def alert(error: ssl.SSLError, broker: Broker) -> str | None:
    """Say what an error of TLS means that is not about the broker's certificate; None if it means nothing."""
    reason = error.reason or ""
    has_certificate = broker.tls is not None and broker.tls.certificate is not None
    if reason in _WANTS_CERTIFICATE and not has_certificate:
        return "the broker asks for a certificate: set mqtt.tls.certificate and mqtt.tls.key"
    if reason in _OUR_CERTIFICATE or reason in _WANTS_CERTIFICATE:
        which = "our certificate" if has_certificate else "us"
        return f"the broker does not accept {which} ({_words(reason)}): check mqtt.tls.certificate and the broker's log"
    if reason in _TOO_OLD:
        return "the broker and we share no version of TLS: it has to allow TLS 1.2 or 1.3"
    if reason in _NOT_TLS:
        return _NO_TLS_THERE
    return f"the encryption failed ({_words(reason)}): look at the broker's own log" if "ALERT" in reason else None


def _words(reason: str) -> str:
    return reason.partition("ALERT_")[2].replace("_", " ").lower() or reason.lower()
