"""`config` alone: where the page is, and how to get in."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys
from collections import UserDict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from soteirad.config import Config, load_config
from soteirad.errors import ConfigError, SoteiraError
from soteirad.web.token import read_token, token_file

_SIOCGIFADDR = 0x8915
_INET6 = Path("/proc/net/if_inet6")
_INTERFACES = Path("/sys/class/net")
_GLOBAL = "00"
_ANYWHERE = "192.0.2.1", "2001:db8::1"
"""Addresses for documentation: asking for the way there sends nothing."""


@dataclass(frozen=True)
class Page:
    """Where the page is: `addresses` to open, the best one first; `hint` is what there is to know besides."""

    addresses: tuple[str, ...]
    hint: str = ""


def find_page(path: Path, own: Iterable[str] | None = None) -> Page:
    """Return where the page of the configuration file at `path` is; `own` are this machine's addresses.

    Raises ConfigError, and SoteiraError when there is no page.
    """
    config = _load(path)
    if not config.web.enabled:
        raise SoteiraError(f"{path}: there is no page: web.enabled is false")
    host, port = config.web.address
    names = [*config.web.hosts, host]
    if ipaddress.ip_address(host).is_unspecified:
        both = ipaddress.ip_address(host).version == 6
        found = [a for a in (own_addresses() if own is None else own) if both or ":" not in a]
        names = [*config.web.hosts, *found, "127.0.0.1"]
    addresses = [f"http://{f'[{name}]' if ':' in name else name}:{port}/" for name in dict.fromkeys(names)]
    if config.web.password is not None:
        return Page(tuple(addresses), "it asks for web.password of the configuration file")
    storage = config.storage.path
    try:
        token = read_token(storage)
    except OSError as error:
        hint = (
            f"{token_file(storage)}: the token cannot be read: {error.strerror}; do this as root or as the user "
            "soteirad runs as, and the address lets you in"
        )
        return Page(tuple(addresses), hint)
    if token is None:
        hint = f"{token_file(storage)}: there is no token yet: it is made when the daemon starts"
        return Page(tuple(addresses), hint)
    return Page(tuple(f"{address}#token={token}" for address in addresses))


def _load(path: Path) -> Config:
    """Load the file, also where the daemon's secrets are not at hand: none of them is needed here."""
    try:
        return load_config(path)
    except ConfigError as error:
        try:
            return load_config(path, _Secrets(os.environ))
        except ConfigError:
            raise error from None


class _Secrets(UserDict[str, str]):
    """An environment in which every variable is set."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return "unknown-here"


def own_addresses() -> list[str]:
    """Return the addresses by which other machines may reach this one, that of the way to the internet first."""
    found = [*_on_the_way(), *_of_interfaces(), *_of_name()]
    return [text for text in dict.fromkeys(found) if _is_usable(text)]


def _is_usable(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return not (address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast)


def _on_the_way() -> Iterator[str]:
    for family, target in zip((socket.AF_INET, socket.AF_INET6), _ANYWHERE, strict=True):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            yield str(probe.getsockname()[0])


def _of_interfaces() -> Iterator[str]:
    """Yield what the interfaces that are up have; on Linux only."""
    if sys.platform != "linux":
        return
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with suppress(OSError):
                if (_INTERFACES / name / "operstate").read_text().strip() == "down":
                    continue
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                yield socket.inet_ntoa(answer[20:24])
    with suppress(OSError):
        for line in _INET6.read_text().splitlines():
            digits, _, _, scope, *_ = line.split()
            if scope == _GLOBAL:
                yield str(ipaddress.IPv6Address(int(digits, 16)))


def _of_name() -> Iterator[str]:
    with suppress(OSError):
        for *_, address in socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM):
            yield str(address[0]).partition("%")[0]
