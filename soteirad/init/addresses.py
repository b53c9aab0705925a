"""Addresses of streams: what a camera or an owner says, made safe to be written, opened and shown. Pure.

A camera's words end up in a configuration in which `{SOTEIRA_X}` stands for a secret and an @ for the end of a
password: what could be taken for either is percent-encoded.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from soteirad.config.address import LIVE_SCHEMES, encode, encode_user_info, is_device, is_live, scheme_of
from soteirad.config.secrets import redact_url
from soteirad.init.shown import shown
from soteirad.init.soap import Account, CameraError

LONGEST = 1000
_PATH = "/-._~!$&'()*+,;=:?%"
PATTERNS = (
    ("Reolink", "rtsp://10.0.0.7/h264Preview_01_sub", "rtsp://10.0.0.7/h264Preview_01_main"),
    ("Hikvision", "rtsp://10.0.0.7/Streaming/Channels/102", "rtsp://10.0.0.7/Streaming/Channels/101"),
    ("Dahua, Amcrest", "rtsp://10.0.0.7/cam/realmonitor?channel=1&subtype=1",
     "rtsp://10.0.0.7/cam/realmonitor?channel=1&subtype=0"),
    ("Axis", "rtsp://10.0.0.7/axis-media/media.amp?resolution=640x360", "rtsp://10.0.0.7/axis-media/media.amp"),
    ("TP-Link Tapo", "rtsp://10.0.0.7/stream2", "rtsp://10.0.0.7/stream1"),
    ("Foscam", "rtsp://10.0.0.7/videoSub", "rtsp://10.0.0.7/videoMain"),
)  # fmt: skip
"""Maker, small stream, large stream; from the makers' manuals."""


def from_camera(uri: str) -> str:
    """Return the address that a camera gave, without an account. Raises CameraError for what may not be opened."""
    try:
        parts = urlsplit(uri.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    usable = host and port != 0 and uri.strip().isprintable() and len(uri) <= LONGEST
    if not usable or parts.scheme.lower() not in ("rtsp", "rtsps"):
        raise CameraError(f"the camera gives an address that cannot be used: {shown(redact_url(uri))}")
    return _joined(parts.scheme.lower(), _netloc(host, port), parts.path, parts.query)


def at_host(url: str, host: str) -> str:
    """Return `url` with another host, its port as it is."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=_netloc(host, parts.port)))


def split_account(url: str) -> tuple[str, Account | None]:
    """Return an owner's address without user and password, and these (None if there are none)."""
    if scheme_of(url) not in LIVE_SCHEMES:
        return url, None
    parts = urlsplit(encode_user_info(url))
    user_info, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = user_info.partition(":")
    return urlunsplit(parts._replace(netloc=host)), Account(unquote(user), unquote(password))


def with_account(url: str, account: Account | None) -> str:
    """Return the address that opens the stream. Raises CameraError if it would open another one."""
    return url if account is None else with_password(url, account.user, quote(account.password, safe=""))


def with_password(url: str, user: str, password: str) -> str:
    """Return `url` with an account whose password is written as it is: encoded, or a reference. Raises CameraError."""
    parts = urlsplit(url)
    whole, checked = (urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{given}@{parts.netloc}"))
                      for given in (password, "x"))  # fmt: skip
    if urlsplit(encode_user_info(checked)).hostname != parts.hostname:
        raise CameraError(f"{shown(redact_url(url))}: with a password before it this address would mean another host")
    return whole


def as_secret(password: str) -> str:
    """Return what a secret has to hold so that it means `password` in an address: what looks encoded is encoded."""
    return password if unquote(encode(password)) == password else quote(password, safe="")


def has_own_secrets(url: str) -> bool:
    """Say whether an address without an account has a password of its own, in its path or behind its `?`."""
    return redact_url(url) != url


def takes_account(url: str) -> bool:
    """Say whether user and password can stand in this address."""
    return is_live(url) and not is_device(url)


def _netloc(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"


def _joined(scheme: str, netloc: str, path: str, query: str) -> str:
    if re.search("[^A-Za-z0-9.:_%\\[\\]-]", netloc):
        raise CameraError(f"the camera gives an address with a host that cannot be used: {shown(netloc)}")
    return urlunsplit((scheme, netloc, quote(path, safe=_PATH), quote(query, safe=_PATH), ""))
