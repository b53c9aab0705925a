"""Single questions to an ONVIF service: SOAP over HTTP, with the password only ever as a digest.

What answers is whatever listens there: redirects are not followed, an answer has a limit of size and time, and XML with
a document type (the way to bombs and to files of this machine) is refused.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

import httpx2
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from soteirad.errors import SoteiraError
from soteirad.init.patience import TookTooLongError, within
from soteirad.init.shown import shown

LARGEST = 500_000
"""Bytes of an answer; NVRs with 64 channels have profiles of 200 kB."""
PATIENCE_S = 10.0
READ_S = 5.0
_WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_DIGEST = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
_REFUSALS = ("notauthorized", "not authorized", "failedauthentication")
_BASE64 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"


class CameraError(SoteiraError):
    """A camera cannot be asked, or its answer cannot be used."""


class WrongPasswordError(CameraError):
    """It refused user or password."""


class MalformedError(CameraError):
    """What came is no XML that may be read."""


@dataclass(frozen=True)
class Account:
    """User and password at a camera."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Service:
    """Where to ask, as whom, and how far the camera's clock is from ours: a digest of the wrong time is refused."""

    url: str
    account: Account | None = None
    offset: timedelta = timedelta()

    @property
    def name(self) -> str:
        """Host and port, as they may be shown."""
        return shown(urlsplit(self.url).netloc.rpartition("@")[2])


def ask(service: Service, body: str) -> Element:
    """Send one question (the XML within the body) and return the answer's root. Raises CameraError."""
    try:
        return within(PATIENCE_S, lambda: _ask(service, body))
    except TookTooLongError:
        raise CameraError(f"{service.name}: it takes too long to answer: is it a camera with ONVIF?") from None


def parse(data: bytes) -> Element:
    """Return the root of an XML text that has no document type. Raises MalformedError."""
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError):
        raise MalformedError("what it answers is no XML that may be read") from None
    return root


def below(element: Element, *names: str) -> Iterator[Element]:
    """Yield the elements with one of these names, whatever their namespaces: makers differ."""
    for one in element.iter():
        if isinstance(one.tag, str) and one.tag.rpartition("}")[2] in names:
            yield one


def first_text(element: Element, name: str) -> str:
    """Return the text of the first element of that name; empty without one."""
    return next(((one.text or "").strip() for one in below(element, name)), "")


def _ask(service: Service, body: str) -> Element:
    status, data, challenge = _post(service, _envelope(service, body))
    try:
        root = parse(data)
    except MalformedError:
        if status == httpx2.codes.UNAUTHORIZED:
            raise _refused(service, challenge) from None
        raise CameraError(f"{service.name}: no ONVIF service answers there (HTTP {status}): is ONVIF switched on "
                          "in the camera, and is the address right?") from None  # fmt: skip
    fault = next(below(root, "Fault"), None)
    if fault is None and status == httpx2.codes.OK:
        return root
    words = " ".join((one.text or "").strip() for one in below(fault, "Value", "Text")) if fault is not None else ""
    # Some makers answer 400 or 500 to a wrong digest, and say so only in the fault.
    if status == httpx2.codes.UNAUTHORIZED or any(word in words.lower() for word in _REFUSALS):
        raise _refused(service, challenge)
    raise CameraError(f"{service.name}: it refuses the question (HTTP {status}{': ' if words else ''}"
                      f"{shown(words, 100)})")  # fmt: skip


def _refused(service: Service, challenge: str) -> CameraError:
    if service.account is not None and challenge.lower().startswith("basic"):
        return CameraError(f"{service.name}: it wants the password as plain text, which others could read, so it was "
                           "not sent: give the address of its video, or allow digests in its settings")  # fmt: skip
    if service.account is None:
        return WrongPasswordError(f"{service.name}: it wants a user and a password")
    return WrongPasswordError(f"{service.name}: it refuses user or password; some cameras have users of their own for "
                              "ONVIF, to be made in their settings")  # fmt: skip


def _post(service: Service, envelope: str) -> tuple[int, bytes, str]:
    """Return status, content and challenge of the answer. Raises CameraError."""
    account = service.account
    # It answers only to a challenge for a digest; a camera that wants the plain password does not get it.
    auth = httpx2.DigestAuth(account.user, account.password) if account is not None else httpx2.Auth()
    headers = {"Content-Type": "application/soap+xml; charset=utf-8", "Accept-Encoding": "identity"}
    try:
        with httpx2.Client(verify=_any_certificate(), trust_env=False, follow_redirects=False, timeout=READ_S,
                           headers=headers) as client:  # fmt: skip
            # Not left to the client, which reads a challenge whole, and unpacks it, whatever its size.
            flow = auth.auth_flow(client.build_request("POST", service.url, content=envelope.encode()))
            request = next(flow)
            while True:
                answer, data = _sent(service, client, request)
                try:
                    request = flow.send(answer)
                except StopIteration:
                    return answer.status_code, data, answer.headers.get("WWW-Authenticate", "")
    except httpx2.ConnectError:
        raise CameraError(f"{service.name}: nothing answers there: is it on, and is the address right?") from None
    except httpx2.TimeoutException:
        raise CameraError(f"{service.name}: it does not answer: is it on, and is the address right?") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, LookupError, NotImplementedError) as error:
        raise CameraError(f"{service.name}: its answer cannot be understood ({type(error).__name__})") from None


def _sent(service: Service, client: httpx2.Client, request: httpx2.Request) -> tuple[httpx2.Response, bytes]:
    """Return the answer to a request, closed, and its content as it came."""
    answer = client.send(request, stream=True)
    try:
        data = b""
        for piece in answer.iter_raw():
            data += piece
            if len(data) > LARGEST:
                raise CameraError(f"{service.name}: its answer is too large: is it a camera with ONVIF?")
    finally:
        answer.close()
    return answer, data


def _any_certificate() -> ssl.SSLContext:
    """Cameras sign their certificates themselves; the password does not travel anyway."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _envelope(service: Service, body: str) -> str:
    header = "" if service.account is None else f"<s:Header>{_security(service.account, service.offset)}</s:Header>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">'
        f"{header}<s:Body>{body}</s:Body></s:Envelope>"
    )


def _security(account: Account, offset: timedelta) -> str:
    """Return WS-Security's user name token: a digest of password, time and a number used once."""
    nonce = secrets.token_bytes(16)
    created = (datetime.now(timezone.utc) + offset).strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = hashlib.sha1(nonce + created.encode() + account.password.encode()).digest()  # noqa: S324 - the standard's
    return (
        f'<w:Security s:mustUnderstand="1" xmlns:w="{_WSSE}" xmlns:u="{_WSU}"><w:UsernameToken>'
        f"<w:Username>{escape(account.user)}</w:Username>"
        f'<w:Password Type="{_DIGEST}">{base64.b64encode(digest).decode()}</w:Password>'
        f'<w:Nonce EncodingType="{_BASE64}">{base64.b64encode(nonce).decode()}</w:Nonce>'
        f"<u:Created>{created}</u:Created></w:UsernameToken></w:Security>"
    )
