"""What an ONVIF camera says of itself: its maker, and the addresses of its streams.

A camera may name other hosts: for its services, and for its streams. The password goes to another host only if the
owner allows it; otherwise the same question is asked, and the same stream opened, at the camera's own address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import MAXYEAR, datetime, timedelta, timezone
from itertools import islice
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from soteirad.init.addresses import at_host, from_camera
from soteirad.init.shown import shown
from soteirad.init.soap import Account, CameraError, Service, WrongPasswordError, ask, below, first_text

DEVICE = "http://www.onvif.org/ver10/device/wsdl"
MEDIA = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
SCHEMA = "http://www.onvif.org/ver10/schema"
PORTS = (80, 8000, 2020, 8080, 8899)
"""Where makers have their ONVIF service: most, Reolink, TP-Link, some, and cheap ones."""
PATH = "/onvif/device_service"
MOST_PROFILES = 256
MOST_SERVICES = 64
"""What is nested in itself thousands of times would be read for minutes."""
SMALLEST = 300
"""Lines; what is smaller shows too little."""
_TIME = ("Year", "Month", "Day", "Hour", "Minute", "Second")
Allow = Callable[[str], bool]
"""Asked with a host before the password goes there."""


@dataclass(frozen=True)
class Profile:
    """One stream that a camera offers, with the size and codec that it claims; 0 and empty for what it does not say."""

    token: str
    view: str
    width: int
    height: int
    codec: str

    @property
    def text(self) -> str:
        """As it is shown: `640x360 h264`."""
        return f"{self.width}x{self.height} {self.codec}" if self.width else self.codec or "of unknown size"


@dataclass(frozen=True)
class View:
    """What one lens sees: its small stream, its large one if that is another, and their addresses without account."""

    small: Profile
    source: str
    large: Profile | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Description:
    """A camera: its name (fit to be shown) and what its lenses see."""

    title: str
    views: tuple[View, ...]


def service_at(host: str, port: int | None) -> Service:
    """Return the ONVIF service at an address that an owner gave. Raises CameraError if there is none."""
    for tried in PORTS if port is None else (port,):
        service = Service(f"http://{f'[{host}]' if ':' in host else host}:{tried}{PATH}")
        try:
            _clock(service)
        except CameraError as error:
            if port is not None and not isinstance(error, WrongPasswordError):
                raise
            if not isinstance(error, WrongPasswordError):
                continue
        return service
    ports = ", ".join(map(str, PORTS))
    raise CameraError(f"{shown(host)}: no ONVIF service answers there (ports {ports}): give the address of its video")


def describe(url: str, account: Account | None, allow: Allow) -> Description:
    """Ask a camera, whose ONVIF service is at `url`, for its streams. Raises CameraError."""
    service = Service(url)
    service = replace(service, account=account, offset=_clock_offset(service))
    # The first question that needs the password, and the only one if it is wrong: some cameras lock after a few.
    device = ask(service, f'<GetDeviceInformation xmlns="{DEVICE}"/>')
    title = shown(" ".join(filter(None, (first_text(device, "Manufacturer"), first_text(device, "Model")))))
    host, allowed = _host(url), _Once(allow)
    for namespace, address in _media(service):
        media = replace(service, url=_kept(address, host, allowed))
        profiles = list(_profiles(media, namespace))
        if profiles:
            views = tuple(_view(media, namespace, chosen, host, allowed) for chosen in _views(profiles))
            return Description(title, views)
    raise CameraError(f"{service.name}: it names no video stream: is there a profile with video in its settings?")


def pair(profiles: list[Profile]) -> tuple[Profile, Profile | None]:
    """Return the small stream for the gates, and the large one if there is a larger."""
    def area(profile: Profile) -> int:
        return profile.width * profile.height

    enough = [profile for profile in profiles if profile.height >= SMALLEST]
    small = min(enough, key=lambda p: (p.codec == "jpeg", area(p), p.codec != "h264"), default=None)
    small = small or max(profiles, key=area)
    large = max(profiles, key=lambda p: (p.codec != "jpeg", area(p)))
    return small, large if area(large) > area(small) else None


class _Once:
    """Asks the owner about each host only once."""

    def __init__(self, allow: Allow) -> None:
        self._allow = allow
        self._answers: dict[str, bool] = {}

    def __call__(self, host: str) -> bool:
        if host not in self._answers:
            self._answers[host] = self._allow(shown(host))
        return self._answers[host]


def _kept(url: str, host: str, allowed: Allow) -> str:
    """Return an address that may have the password."""
    other = _host(url)
    return url if other == host or (other and allowed(other)) else at_host(url, host)


def _host(url: str) -> str:
    """Return the host of an address; empty for what is none."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").lower() if parts.port != 0 else ""
    except ValueError:
        return ""


def _clock(service: Service) -> datetime | None:
    """Return the camera's time, or None if it says none. Raises CameraError."""
    answer = next(below(ask(service, f'<GetSystemDateAndTime xmlns="{DEVICE}"/>'), "UTCDateTime"), None)
    if answer is None:
        return None
    try:
        year, month, day, *rest = (int(first_text(answer, name)) for name in _TIME)
        return datetime(year, month, day, *rest, tzinfo=timezone.utc)  # type: ignore[misc, arg-type]
    except (ValueError, TypeError, OverflowError):
        return None


def _clock_offset(service: Service) -> timedelta:
    try:
        theirs = _clock(service)
    except WrongPasswordError:  # it is to be told without, but not all makers do
        theirs = None
    # In the last year there is no day left that a later question could be asked on.
    return timedelta() if theirs is None or theirs.year == MAXYEAR else theirs - datetime.now(timezone.utc)


def _media(service: Service) -> Iterator[tuple[str, str]]:
    """Yield the namespaces and addresses of the camera's media services, the one that all know first."""
    found: dict[str, str] = {}
    try:
        wish = "<IncludeCapability>false</IncludeCapability>"
        answer = ask(service, f'<GetServices xmlns="{DEVICE}">{wish}</GetServices>')
        for one in islice(below(answer, "Service"), MOST_SERVICES):
            found.setdefault(first_text(one, "Namespace"), first_text(one, "XAddr"))
    except WrongPasswordError:
        raise
    except CameraError:  # older than this question
        answer = ask(service, f'<GetCapabilities xmlns="{DEVICE}"><Category>Media</Category></GetCapabilities>')
        found = {MEDIA: next((first_text(media, "XAddr") for media in below(answer, "Media")), "")}
    for namespace in (MEDIA, MEDIA2):
        if _host(found.get(namespace, "")) and found[namespace].startswith(("http://", "https://")):
            yield namespace, found[namespace]


def _profiles(media: Service, namespace: str) -> Iterator[Profile]:
    kind = "<Type>All</Type>" if namespace == MEDIA2 else ""
    answer = ask(media, f'<GetProfiles xmlns="{namespace}">{kind}</GetProfiles>')
    for one in islice(below(answer, "Profiles"), MOST_PROFILES):
        encoder = next(below(one, "VideoEncoderConfiguration", "VideoEncoder"), None)
        token = one.get("token", "")
        if encoder is None or not token:
            continue
        lens = next(below(one, "VideoSourceConfiguration", "VideoSource"), None)
        view = "" if lens is None else first_text(lens, "SourceToken")
        yield Profile(token, view, _number(encoder, "Width"), _number(encoder, "Height"), _codec(encoder))


def _views(profiles: list[Profile]) -> list[list[Profile]]:
    by_lens: dict[str, list[Profile]] = {}
    for profile in profiles:
        by_lens.setdefault(profile.view, []).append(profile)
    return list(by_lens.values())


def _view(media: Service, namespace: str, profiles: list[Profile], host: str, allowed: Allow) -> View:
    small, large = pair(profiles)
    source = _stream(media, namespace, small, host, allowed)
    detail = None if large is None else _stream(media, namespace, large, host, allowed)
    return View(small, source, large, detail)


def _stream(media: Service, namespace: str, profile: Profile, host: str, allowed: Allow) -> str:
    token = f"<ProfileToken>{escape(profile.token)}</ProfileToken>"
    if namespace == MEDIA2:
        inner = f"<Protocol>RTSP</Protocol>{token}"
    else:
        inner = (f'<StreamSetup><Stream xmlns="{SCHEMA}">RTP-Unicast</Stream><Transport xmlns="{SCHEMA}">'
                 f"<Protocol>RTSP</Protocol></Transport></StreamSetup>{token}")  # fmt: skip
    answer = ask(media, f'<GetStreamUri xmlns="{namespace}">{inner}</GetStreamUri>')
    return _kept(from_camera(first_text(answer, "Uri")), host, allowed)


def _number(element: Element, name: str) -> int:
    text = first_text(element, name)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def _codec(encoder: Element) -> str:
    return shown(first_text(encoder, "Encoding"), 20).lower()
