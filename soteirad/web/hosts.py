"""By which names the page may be asked for, and whether a request comes from the page itself."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_PORTS = {"http": 80, "https": 443}


def known_names(more: Iterable[str]) -> frozenset[str]:
    """Return the names that mean this machine: its own ones, and `more` (from `web.hosts`)."""
    own = socket.gethostname().lower().rstrip(".")
    short = own.split(".", maxsplit=1)[0]
    return frozenset({"localhost", own, short, f"{short}.local", *(name.lower().rstrip(".") for name in more)} - {""})


def split_host(header: str) -> tuple[str, int | None] | None:
    """Return name and port of a Host header, the name in small letters; None if it is none."""
    match = _HOST.fullmatch(header)
    if match is None:
        return None
    port = match["port"]
    return match["name"].lower().strip("[]").rstrip("."), None if port is None else int(port)


def is_known(header: str, names: frozenset[str]) -> bool:
    """Say whether a Host header names this machine.

    A name that somebody else owns may be made to lead here, and then his pages may read ours: so only our names, and
    addresses, which nobody can give another meaning.
    """
    found = split_host(header)
    if found is None:
        return False
    if found[0] in names:
        return True
    try:
        ipaddress.ip_address(found[0])
    except ValueError:
        return False
    return True


def is_same(origin: str, host: str) -> bool:
    """Say whether an Origin header is that of the page which the Host header names."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return False
    found, default = split_host(host), _PORTS.get(parts.scheme)
    if found is None or default is None or not parts.hostname:
        return False
    name, asked = found
    return parts.hostname.rstrip(".") == name and (port or default) == (asked or default)
