"""A strict ONVIF camera: answers WS-Discovery on a multicast group of its own, and SOAP with digests that it checks.

The video is somebody else's: it only names addresses. What it is asked has to be right to the letter; anything else is
kept in `complaints`, and answered as cameras answer it.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from defusedxml.ElementTree import fromstring

GROUP = "239.255.255.250"
SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
DISCOVERY = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
DIGEST = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
DEVICE = "http://www.onvif.org/ver10/device/wsdl"
MEDIA = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
SCHEMA = "http://www.onvif.org/ver10/schema"
OPEN = ("GetSystemDateAndTime", "GetServices", "GetCapabilities")
"""What the standard lets anybody ask."""
Answer = tuple[int, Mapping[str, str], bytes]


@dataclass(frozen=True)
class Lens:
    """A profile: its token, lens, size, codec and address."""

    token: str
    source: str
    size: tuple[int, int]
    codec: str
    uri: str


@dataclass
class Settings:
    """How this camera is made. `instead` replaces answers by their question's name."""

    user: str = "viewer"
    password: str = "s3cret"  # noqa: S105
    name: str = "ACME%20Dome"
    hardware: str = "D-500"
    auth: Literal["token", "http digest", "http basic"] = "token"
    services: tuple[str, ...] = (MEDIA, MEDIA2)
    old: bool = False
    clock: timedelta = timedelta()
    profiles: tuple[Lens, ...] = ()
    service_host: str = "127.0.0.1"
    media_host: str = "127.0.0.1"
    discovery: Callable[[str, str], list[bytes]] | None = None
    instead: dict[str, Callable[[], Answer]] = field(default_factory=dict)


class OnvifCamera:
    """Runs in threads of the test."""

    def __init__(self, settings: Settings, group_port: int) -> None:
        self.settings = settings
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.headers: list[str] = []
        self._nonces: set[str] = set()
        self._http_nonce = secrets.token_hex(8)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._udp.bind(("", group_port))
        group = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton("127.0.0.1"))
        self._udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        self._udp.settimeout(0.01)
        self._mouth = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._mouth.bind(("127.0.0.1", 0))
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._serve, self._answer_probes)]

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def service(self) -> str:
        return f"http://{self.settings.service_host}:{self.port}/onvif/device_service"

    def __enter__(self) -> OnvifCamera:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.shutdown()
        for thread in self._threads:
            thread.join()
        self._server.server_close()
        self._udp.close()
        self._mouth.close()

    def _serve(self) -> None:
        self._server.serve_forever(0.01)

    def _answer_probes(self) -> None:
        while not self._stop.is_set():
            try:
                data, sender = self._udp.recvfrom(65535)
            except TimeoutError:
                continue
            for answer in self._probe_matches(data):
                self._mouth.sendto(answer, sender)

    def _probe_matches(self, data: bytes) -> list[bytes]:
        root = fromstring(data)
        types = root.find(f"{{{SOAP}}}Body/{{{DISCOVERY}}}Probe/{{{DISCOVERY}}}Types")
        action = root.findtext(f"{{{SOAP}}}Header/{{{ADDRESSING}}}Action")
        asked = root.findtext(f"{{{SOAP}}}Header/{{{ADDRESSING}}}MessageID") or ""
        right = (root.tag == f"{{{SOAP}}}Envelope" and action == f"{DISCOVERY}/Probe" and types is not None
                 and re.fullmatch("urn:uuid:[0-9a-f-]{36}", asked) and (types.text or "").startswith("t:"))  # fmt: skip
        if not right:
            self.complaints.append(f"a probe that is none: {data!r}")
            return []
        if (types is not None and types.text) != "t:NetworkVideoTransmitter":
            return []
        if self.settings.discovery is not None:
            return self.settings.discovery(asked, self.service)
        return [probe_match(asked, self.service, self.settings.name, self.settings.hardware)]

    def post(self, headers: Any, data: bytes) -> Answer:
        """Answer one question."""
        self.headers.append(str(headers))
        root = fromstring(data)
        body = root.find(f"{{{SOAP}}}Body")
        if root.tag != f"{{{SOAP}}}Envelope" or body is None or len(body) != 1:
            self.complaints.append(f"no question: {data!r}")
            return fault(400, "ter:InvalidArgs")
        question = body[0]
        namespace, _, name = question.tag.removeprefix("{").partition("}")
        if "application/soap+xml" not in headers.get("Content-Type", ""):
            self.complaints.append("the kind of content is not told")
        self.asked.append(name)
        if name in self.settings.instead:
            return self.settings.instead[name]()
        if name not in OPEN and (refusal := self._refusal(headers, root)):
            return refusal
        known = {"GetSystemDateAndTime": DEVICE, "GetServices": DEVICE, "GetCapabilities": DEVICE,
                 "GetDeviceInformation": DEVICE}  # fmt: skip
        if known.get(name, namespace) != namespace or (name not in known and namespace not in self.settings.services):
            self.complaints.append(f"{name} is nothing in {namespace}")
            return fault(400, "ter:ActionNotSupported")
        return getattr(self, f"_{name}")(question, namespace)  # type: ignore[no-any-return]

    def _refusal(self, headers: Any, root: Element) -> Answer | None:
        if self.settings.auth == "http basic":
            if "Authorization" in headers:
                self.complaints.append(f"the password in plain: {headers['Authorization']}")
            return 401, {"WWW-Authenticate": 'Basic realm="camera"'}, b""
        if self.settings.auth == "http digest":
            return None if self._http_digest(headers.get("Authorization", "")) else (
                401, {"WWW-Authenticate": f'Digest realm="camera", nonce="{self._http_nonce}", qop="auth", '
                                          "algorithm=MD5"}, b"")  # fmt: skip
        return None if self._token(root) else fault(400, "ter:NotAuthorized")

    def _token(self, root: Element) -> bool:
        token = root.find(f"{{{SOAP}}}Header/{{{WSSE}}}Security/{{{WSSE}}}UsernameToken")
        if token is None:
            return False
        password = token.find(f"{{{WSSE}}}Password")
        nonce, created = token.findtext(f"{{{WSSE}}}Nonce") or "", token.findtext(f"{{{WSU}}}Created") or ""
        if password is None or password.get("Type") != DIGEST:
            self.complaints.append("the password is not a digest")
            return False
        if nonce in self._nonces:
            self.complaints.append("a number used twice")
            return False
        self._nonces.add(nonce)
        told = datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        if abs(told - self._now()) > timedelta(seconds=30):
            return False
        hashed = base64.b64decode(nonce) + created.encode() + self.settings.password.encode()
        digest = hashlib.sha1(hashed).digest()  # noqa: S324 - the standard's
        return (token.findtext(f"{{{WSSE}}}Username") == self.settings.user
                and password.text == base64.b64encode(digest).decode())  # fmt: skip

    def _http_digest(self, header: str) -> bool:
        found = dict(re.findall(r'(\w+)="?([^",]+)"?', header))
        if not header.startswith("Digest ") or found.get("nonce") != self._http_nonce:
            return False
        one = _md5(f"{self.settings.user}:camera:{self.settings.password}")
        two = _md5(f"POST:{found['uri']}")
        expected = _md5(f"{one}:{found['nonce']}:{found['nc']}:{found['cnonce']}:auth:{two}")
        return found["username"] == self.settings.user and found["response"] == expected

    def _now(self) -> datetime:
        return datetime.now(timezone.utc) + self.settings.clock

    def _media_address(self) -> str:
        return f"http://{self.settings.media_host}:{self.port}/onvif/media"

    def _GetSystemDateAndTime(self, _question: Element, _namespace: str) -> Answer:  # noqa: N802
        now = self._now()
        date = f"<tt:Year>{now.year}</tt:Year><tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day>"
        time = f"<tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute><tt:Second>{now.second}</tt:Second>"
        return answer("<d:GetSystemDateAndTimeResponse><d:SystemDateAndTime>"
                      "<tt:DateTimeType>NTP</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime>"
                      f"<tt:Time>{time}</tt:Time><tt:Date>{date}</tt:Date></tt:UTCDateTime></d:SystemDateAndTime>"
                      "</d:GetSystemDateAndTimeResponse>")  # fmt: skip

    def _GetDeviceInformation(self, _question: Element, _namespace: str) -> Answer:  # noqa: N802
        return answer("<d:GetDeviceInformationResponse><d:Manufacturer>ACME</d:Manufacturer><d:Model>"
                      f"{escape(self.settings.hardware)}</d:Model></d:GetDeviceInformationResponse>")  # fmt: skip

    def _GetServices(self, question: Element, _namespace: str) -> Answer:  # noqa: N802
        if self.settings.old:
            return fault(500, "ter:ActionNotSupported")
        if question.findtext(f"{{{DEVICE}}}IncludeCapability") != "false":
            self.complaints.append("GetServices without IncludeCapability")
        services = "".join(f"<d:Service><d:Namespace>{one}</d:Namespace><d:XAddr>{self._media_address()}</d:XAddr>"
                           "</d:Service>" for one in (DEVICE, *self.settings.services))  # fmt: skip
        return answer(f"<d:GetServicesResponse>{services}</d:GetServicesResponse>")

    def _GetCapabilities(self, question: Element, _namespace: str) -> Answer:  # noqa: N802
        if question.findtext(f"{{{DEVICE}}}Category") != "Media":
            self.complaints.append("GetCapabilities of another category")
        media = f"<tt:Media><tt:XAddr>{self._media_address()}</tt:XAddr></tt:Media>"
        found = f"<d:Capabilities>{media}</d:Capabilities>"
        return answer(f"<d:GetCapabilitiesResponse>{found}</d:GetCapabilitiesResponse>")

    def _GetProfiles(self, question: Element, namespace: str) -> Answer:  # noqa: N802
        if namespace == MEDIA2:
            if question.findtext(f"{{{MEDIA2}}}Type") != "All":
                self.complaints.append("GetProfiles without a type")
            found = "".join(
                f'<m2:Profiles token="{one.token}"><m2:Name>x</m2:Name><m2:Configurations><m2:VideoSource token="v">'
                f"{_lens(one)}</m2:VideoSource><m2:VideoEncoder token='e'>"
                f"<tt:Name>x</tt:Name><tt:UseCount>1</tt:UseCount><tt:Encoding>{one.codec}</tt:Encoding>{_size(one)}</m2:VideoEncoder></m2:Configurations></m2:Profiles>"
                for one in self.settings.profiles)  # fmt: skip
            return answer(f"<m2:GetProfilesResponse>{found}</m2:GetProfilesResponse>")
        found = "".join(
            f'<m:Profiles token="{one.token}" fixed="true"><tt:Name>x</tt:Name><tt:VideoSourceConfiguration token="v">'
            f"{_lens(one)}</tt:VideoSourceConfiguration>"
            '<tt:VideoEncoderConfiguration token="e"><tt:Name>x</tt:Name><tt:UseCount>1</tt:UseCount>'
            f"<tt:Encoding>{one.codec}</tt:Encoding>{_size(one)}"
            "</tt:VideoEncoderConfiguration></m:Profiles>" for one in self.settings.profiles)  # fmt: skip
        return answer(f'<m:GetProfilesResponse>{found}<m:Profiles token="sound"/></m:GetProfilesResponse>')

    def _GetStreamUri(self, question: Element, namespace: str) -> Answer:  # noqa: N802
        if namespace == MEDIA2:
            if question.findtext(f"{{{MEDIA2}}}Protocol") != "RTSP":
                self.complaints.append("GetStreamUri without RTSP")
        elif (question.findtext(f"{{{MEDIA}}}StreamSetup/{{{SCHEMA}}}Stream") != "RTP-Unicast" or question.findtext(
                f"{{{MEDIA}}}StreamSetup/{{{SCHEMA}}}Transport/{{{SCHEMA}}}Protocol") != "RTSP"):  # fmt: skip
            self.complaints.append("GetStreamUri without its set-up")
        token = question.findtext(f"{{{namespace}}}ProfileToken")
        uri = escape(next(one.uri for one in self.settings.profiles if one.token == token))
        if namespace == MEDIA2:
            return answer(f"<m2:GetStreamUriResponse><m2:Uri>{uri}</m2:Uri></m2:GetStreamUriResponse>")
        return answer(f"<m:GetStreamUriResponse><m:MediaUri><tt:Uri>{uri}</tt:Uri></m:MediaUri>"
                      "</m:GetStreamUriResponse>")  # fmt: skip


def probe_match(asked: str, service: str, name: str = "ACME", hardware: str = "D-500", extra: str = "") -> bytes:
    """Return the datagram in which a camera says where it is."""
    scopes = f"onvif://www.onvif.org/Profile/Streaming onvif://www.onvif.org/name/{name} " \
             f"onvif://www.onvif.org/hardware/{hardware}"  # fmt: skip
    return (f'<?xml version="1.0"?>{extra}<s:Envelope xmlns:s="{SOAP}" xmlns:a="{ADDRESSING}" xmlns:d="{DISCOVERY}">'
            f"<s:Header><a:MessageID>urn:uuid:1</a:MessageID><a:RelatesTo>{asked}</a:RelatesTo>"
            '<d:AppSequence InstanceId="x" MessageNumber="-"/></s:Header><s:Body><d:ProbeMatches><d:ProbeMatch>'
            f"<d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>{scopes}</d:Scopes>"
            f"<d:XAddrs>http://[fe80::1]/onvif {service}</d:XAddrs></d:ProbeMatch></d:ProbeMatches></s:Body>"
            "</s:Envelope>").encode()  # fmt: skip


def answer(body: str) -> Answer:
    """Return a good answer."""
    text = (f'<?xml version="1.0"?><s:Envelope xmlns:s="{SOAP}" xmlns:d="{DEVICE}" xmlns:m="{MEDIA}" '
            f'xmlns:m2="{MEDIA2}" xmlns:tt="{SCHEMA}"><s:Body>{body}</s:Body></s:Envelope>')  # fmt: skip
    return 200, {"Content-Type": "application/soap+xml"}, text.encode()


def fault(status: int, code: str) -> Answer:
    """Return a refusal."""
    text = (f'<s:Envelope xmlns:s="{SOAP}"><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>'
            f"{code}</s:Value></s:Subcode></s:Code></s:Fault></s:Body></s:Envelope>")  # fmt: skip
    return status, {"Content-Type": "application/soap+xml"}, text.encode()


def _size(lens: Lens) -> str:
    width, height = lens.size
    return f"<tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution>"


def _lens(lens: Lens) -> str:
    bounds = '<tt:Bounds x="0" y="0" width="9999" height="9999"/>'
    return f"<tt:Name>x</tt:Name><tt:UseCount>2</tt:UseCount><tt:SourceToken>{lens.source}</tt:SourceToken>{bounds}"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()  # noqa: S324 - the standard's


def _handler(camera: OnvifCamera) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers, content = camera.post(self.headers, data)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
