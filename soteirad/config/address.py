"""Addresses of sources: which kind one is, and passwords with characters that mean something in an address."""

from __future__ import annotations

import base64
import re
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import quote, unquote, urlsplit, urlunsplit

LIVE_SCHEMES = ("rtsp", "rtsps", "http", "https")
V4L2_FOLDER = "/dev/"
AVFOUNDATION = "avfoundation:"

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%[^\]]*)?\]|[^\s/?#@:\[\]]+)(:\d{1,5})?(?=[/?]|$)")
_CERTAIN_HOST = re.compile(r"localhost|\[.*|[^/?#]*[.:][^/?#]*")
"""What no piece of a password happens to look like: an address, a name with a dot, a port."""
_AS_IT_IS = re.compile(r"([A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*")
"""What may stand in user info (RFC 3986, section 3.2.1)."""
_PRIVATE = tuple(
    ip_network(net) for net in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
                                "::1/128", "fc00::/7", "fe80::/10")
)  # fmt: skip
"""This machine and private networks: RFC 1122, 1918, 3927, 4291 and 4193."""


def scheme_of(source: str) -> str:
    """Return the scheme in lower case, or an empty text for a path or a device."""
    scheme, separator, _ = source.partition("://")
    return scheme.lower() if separator else ""


def is_device(source: str) -> bool:
    """Say whether `source` is a camera on this machine: V4L2 (/dev/video0) or AVFoundation (avfoundation:0)."""
    return source.startswith((V4L2_FOLDER, AVFOUNDATION)) and not source.startswith("/dev/shm/")  # noqa: S108


def is_live(source: str) -> bool:
    """Say whether `source` is a camera, whose frames are lost when nobody takes them, or a file."""
    return bool(scheme_of(source)) or is_device(source)


def encode_user_info(url: str) -> str:
    """Return `url` with odd characters of user name and password percent-encoded.

    `rtsp://admin:p@ss#1@10.0.0.7/live` is what an owner writes, and the last @ before something that looks like a host
    ends the password. What is encoded already stays. An @ in a path stays, too. The scheme becomes lower case, as
    FFmpeg wants it.
    """
    start = url.find("://") + 3
    url, rest = url[:start].lower() + url[start:], url[start:]
    end = _end_of_user_info(rest)
    if end is None:
        return url
    user, colon, password = rest[:end].partition(":")
    return f"{url[:start]}{encode(user)}{colon}{encode(password)}{rest[end:]}"


def encode(text: str) -> str:
    """Percent-encode one part of user info, unless it needs none or has had it already."""
    return text if _AS_IT_IS.fullmatch(text) else quote(text, safe="")


def split_user_info(url: str) -> tuple[str, dict[str, str]]:
    """Return an HTTP address without user and password, and the header that takes their place."""
    parts = urlsplit(encode_user_info(url))
    user_info, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    user, _, password = user_info.partition(":")
    token = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {token}"}


def told_host(url: str) -> str:
    """Return host and port of an HTTP address, all of it that is ever told."""
    return urlsplit(encode_user_info(url)).netloc.rpartition("@")[2]


def is_private(address: str) -> bool:
    """Say whether an IP address is of this machine or of a private network; False for what is no address."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found.version == net.version and found in net for net in _PRIVATE)


def names_public_host(url: str) -> bool:
    """Say whether an address has an IP address in it that is not a private one; what a name means shows only later."""
    try:
        host = urlsplit(url).hostname or ""
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return not is_private(host)


def _end_of_user_info(rest: str) -> int | None:
    """Return where the @ stands that ends user info, or None without one."""
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    plain = authority.rfind("@")
    host = authority[plain + 1 :]
    # What is a host by the letter may be a piece of a password (p@ss/word): then another @ and a real host follow.
    later = [at for at in (m.start() for m in re.finditer("@", rest)) if at > plain and _HOST.match(rest, at + 1)]
    # A camera's address has no fragment: a # before an @ is part of a password.
    if _HOST.fullmatch(host) and rest[len(authority) : len(authority) + 1] != "#":
        if plain < 0 or _CERTAIN_HOST.fullmatch(host):
            later = []
        later = [at for at in later if _CERTAIN_HOST.match(rest, at + 1)]
    if later:
        return later[0]
    return plain if plain >= 0 else None
