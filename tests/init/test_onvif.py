"""A camera is asked for its streams: with digests that a strict camera checks, and against one that means harm."""

from __future__ import annotations

import gzip
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import urlsplit

import pytest

from soteirad.init import soap
from soteirad.init.onvif import Description, Profile, View, describe, pair, service_at
from soteirad.init.soap import LARGEST, Account, CameraError, WrongPasswordError
from tests.brokers import free_port
from tests.init.onvif_camera import MEDIA, MEDIA2, Answer, Lens, OnvifCamera, Settings, answer

LARGE = Lens("main", "v", (2560, 1440), "H264", "rtsp://127.0.0.1:554/main?a=1&b=2")
SMALL = Lens("sub", "v", (640, 360), "H264", "rtsp://127.0.0.1:554/sub")
ACCOUNT = Account("viewer", "s3cret")


@contextmanager
def camera(**settings: Any) -> Iterator[OnvifCamera]:
    with OnvifCamera(Settings(**{"profiles": (LARGE, SMALL), **settings}), free_port()) as made:
        yield made
        assert not made.complaints


def asked(made: OnvifCamera, account: Account | None = ACCOUNT) -> Description:
    def allow(host: str) -> bool:
        raise AssertionError(f"asked about {host}")

    return describe(made.service, account, allow)


@pytest.mark.parametrize("settings", [
    {}, {"auth": "http digest"}, {"services": (MEDIA2,)}, {"old": True}, {"clock": timedelta(hours=-3)},
    {"clock": timedelta(days=-9000)}, {"old": True, "auth": "http digest", "services": (MEDIA,)},
], ids=str)  # fmt: skip
def test_a_camera_gives_its_small_and_its_large_stream_whatever_its_kind(settings: dict[str, Any]) -> None:
    with camera(**settings) as made:
        found = asked(made)
    assert found.title == "ACME D-500"
    assert [(view.source, view.detail) for view in found.views] == [(SMALL.uri, LARGE.uri)]
    assert (found.views[0].small.text, found.views[0].small.codec) == ("640x360 h264", "h264")


def test_a_wrong_password_is_tried_once_and_told() -> None:
    with camera() as made, pytest.raises(WrongPasswordError, match="refuses user or password"):
        asked(made, Account("viewer", "wrong"))
    assert made.asked.count("GetDeviceInformation") == 1 and "GetProfiles" not in made.asked


def test_a_camera_that_wants_an_account_says_so_to_nobody() -> None:
    with camera() as made, pytest.raises(WrongPasswordError, match="wants a user"):
        asked(made, None)


def test_a_camera_that_wants_the_plain_password_does_not_get_it() -> None:
    with camera(auth="http basic") as made, pytest.raises(CameraError, match="plain text"):
        asked(made)


def test_the_password_is_never_sent_as_it_is() -> None:
    with camera() as made:
        asked(made)
        assert not any("s3cret" in headers for headers in made.headers)


def test_each_lens_of_a_camera_is_one_view() -> None:
    second = (Lens("m2", "w", (1280, 720), "H264", "rtsp://127.0.0.1/2"),)
    with camera(profiles=(LARGE, SMALL, *second)) as made:
        views = asked(made).views
    assert [(view.source, view.detail) for view in views] == [(SMALL.uri, LARGE.uri), ("rtsp://127.0.0.1/2", None)]


def test_a_camera_without_video_is_told() -> None:
    with camera(profiles=()) as made, pytest.raises(CameraError, match="names no video stream"):
        asked(made)


@pytest.mark.parametrize("may", [True, False])
def test_another_host_is_told_and_gets_the_password_only_if_that_is_allowed(may: bool) -> None:
    stray = Lens("sub", "v", (640, 360), "H264", "rtsp://10.66.6.6:555/sub")
    told: list[str] = []

    def allow(host: str) -> bool:
        told.append(host)
        return may

    with camera(profiles=(stray,)) as made:
        view = describe(made.service, ACCOUNT, allow).views[0]
    assert told == ["10.66.6.6"]
    assert view.source == (stray.uri if may else "rtsp://127.0.0.1:555/sub")


def test_a_service_elsewhere_is_asked_at_the_camera_itself_when_it_is_not_allowed() -> None:
    told: list[str] = []
    with camera(media_host="10.66.6.6") as made:
        found = describe(made.service, ACCOUNT, lambda host: bool(told.append(host)))
    assert told == ["10.66.6.6"] and found.views[0].source == SMALL.uri


@pytest.mark.parametrize("uri", [
    "file:///etc/passwd", "http://127.0.0.1/x", "rtsp://", "rtsp://a:0/", "rtsp://127.0.0.1/\u202e", "-i /dev/zero",
    "rtsp://127.0.0.1:99999/", "rtsp://127.0.0.1/" + "x" * 2000, "concat:a|b", "rtsp://a b/x", "", "rtsp://{SOTEIRA_X}/",
])  # fmt: skip
def test_a_stream_address_that_may_not_be_opened_is_refused(uri: str) -> None:
    with camera(profiles=(Lens("sub", "v", (640, 360), "H264", uri),)) as made, pytest.raises(CameraError):
        asked(made)


@pytest.mark.parametrize("uri,kept", [
    ("rtsp://127.0.0.1/{SOTEIRA_MQTT_PASSWORD}", "rtsp://127.0.0.1/%7BSOTEIRA_MQTT_PASSWORD%7D"),
    ("rtsp://127.0.0.1/a@10.66.6.6/b", "rtsp://127.0.0.1/a%4010.66.6.6/b"),
    ("rtsp://other:account@127.0.0.1/a", "rtsp://127.0.0.1/a"),
    ("rtsp://127.0.0.1/a?x={SOTEIRA_X}#y", "rtsp://127.0.0.1/a?x=%7BSOTEIRA_X%7D"),
])  # fmt: skip
def test_a_stream_address_cannot_ask_for_a_secret_or_mean_another_host(uri: str, kept: str) -> None:
    with camera(profiles=(Lens("sub", "v", (640, 360), "H264", uri),)) as made:
        assert asked(made).views[0].source == kept


BOMB = b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]><x>&a;</x>"
SOUP: list[Answer] = [
    (200, {}, b""), (200, {}, b"\x00\xff"), (200, {}, BOMB), (200, {}, b"<x/>"), (404, {}, b"<html>"),
    (302, {"Location": "http://10.66.6.6/"}, b""), (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b"),
    (401, {"WWW-Authenticate": "Digest"}, b""), (401, {"WWW-Authenticate": 'Digest realm="a", nonce=x, qop=huh'}, b""),
    (401, {"WWW-Authenticate": 'Digest realm="a", nonce="x", algorithm="NONE"'}, b""), (500, {}, b"x" * 600_000),
    (401, {"WWW-Authenticate": 'Digest realm="a", nonce="x", qop="auth-int"'}, b""),
    (401, {"WWW-Authenticate": "Digest realm=, nonce=, qop="}, b""),
]  # fmt: skip


@pytest.mark.parametrize("names", ["GetServices GetCapabilities", "GetDeviceInformation", "GetProfiles"])
@pytest.mark.parametrize("soup", SOUP, ids=range(len(SOUP)))
def test_an_answer_that_is_none_is_an_error_for_the_owner(names: str, soup: Answer) -> None:
    with camera(instead=dict.fromkeys(names.split(), lambda: soup)) as made:
        try:
            asked(made)
        except CameraError as error:
            assert str(error).isprintable() and "s3cret" not in str(error)
        else:
            assert soup == SOUP[3] and names == "GetDeviceInformation", "only a name may be missing"


def test_a_challenge_that_would_fill_the_memory_is_not_unpacked() -> None:
    head = {"WWW-Authenticate": 'Digest realm="a", nonce="x", qop="auth"', "Content-Encoding": "gzip"}

    def answer_of(content: bytes) -> dict[str, Callable[[], Answer]]:
        return {"GetDeviceInformation": lambda: (401, head, content)}

    bomb = gzip.compress(bytes(200_000_000))
    assert len(bomb) < LARGEST
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for content in (bomb, b"x" * (LARGEST + 100_000)):
        with camera(instead=answer_of(content)) as made:
            with pytest.raises(CameraError):
                asked(made)
            assert made.asked.count("GetDeviceInformation") == (2 if content is bomb else 1), "too large: left at once"
    unit = 1 if sys.platform == "darwin" else 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < 100_000_000


@pytest.mark.parametrize("host", ["127.0.0.1", "10.66.6.6"])
def test_a_service_at_a_port_that_there_is_not_is_an_error_for_the_owner(host: str) -> None:
    body = f"<d:Service><d:Namespace>{MEDIA}</d:Namespace><d:XAddr>http://{host}:99999/m</d:XAddr></d:Service>"
    with camera(instead={"GetServices": lambda: answer(body)}) as made, pytest.raises(CameraError, match="no video"):
        describe(made.service, ACCOUNT, lambda _host: False)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("question,name,deep", [("GetServices", "Service", 26_000), ("GetProfiles", "Profiles", 8000)])
def test_an_answer_that_is_nested_in_itself_is_read_in_seconds(question: str, name: str, deep: int) -> None:
    body = f"<{name}>" * deep + f"</{name}>" * deep
    with camera(instead={question: lambda: answer(body)}) as made, pytest.raises(CameraError, match="no video"):
        asked(made)


def test_what_a_camera_says_cannot_move_the_cursor() -> None:
    evil = ("<d:GetDeviceInformationResponse><d:Manufacturer>A&#x9b;2J</d:Manufacturer><d:Model>B\nC</d:Model>"
            "</d:GetDeviceInformationResponse>")  # fmt: skip
    with camera(instead={"GetDeviceInformation": lambda: answer(evil)}) as made:
        assert asked(made).title == "A?2J B?C"


def test_a_time_that_there_is_not_is_none() -> None:
    def late() -> Answer:
        return answer("<d:x><tt:UTCDateTime><tt:Year>99999</tt:Year><tt:Month>13</tt:Month></tt:UTCDateTime></d:x>")

    with camera(instead={"GetSystemDateAndTime": late}) as made:
        assert asked(made).views


def test_the_last_second_of_all_time_is_no_time_to_ask_at(monkeypatch: pytest.MonkeyPatch) -> None:
    last = "".join(f"<tt:{name}>{value}</tt:{name}>" for name, value in zip(
        ("Year", "Month", "Day", "Hour", "Minute", "Second"), (9999, 12, 31, 23, 59, 59), strict=True))  # fmt: skip
    body = f"<d:x><tt:UTCDateTime>{last}</tt:UTCDateTime></d:x>"
    monkeypatch.setattr(soap, "datetime", Later)
    # The time of the digest is not the camera's.
    with camera(instead={"GetSystemDateAndTime": lambda: answer(body)}) as made, suppress(WrongPasswordError):
        asked(made)


class Later(datetime):
    """A clock that has gone on since the camera told its time."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime.now(tz) + timedelta(seconds=2)


def test_a_camera_that_dawdles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soap, "PATIENCE_S", 0.2)
    let_go = threading.Event()

    def dawdle() -> Answer:
        let_go.wait(10)
        return 500, {}, b""

    with camera(instead={"GetDeviceInformation": dawdle}) as made:
        with pytest.raises(CameraError, match="takes too long"):
            asked(made)
        let_go.set()


def test_an_address_is_tried_at_the_ports_that_makers_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with camera() as made:
        monkeypatch.setattr("soteirad.init.onvif.PORTS", (free_port(), made.port))
        assert urlsplit(service_at("127.0.0.1", None).url).port == made.port
        assert urlsplit(service_at("127.0.0.1", made.port).url).port == made.port
    with pytest.raises(CameraError, match="nothing answers there"):
        service_at("127.0.0.1", free_port())


def test_the_small_stream_is_the_smallest_that_shows_enough() -> None:
    def profile(width: int, height: int, codec: str = "h264") -> Profile:
        return Profile(f"{width}", "v", width, height, codec)

    tiny, small, large, jpeg = profile(320, 180), profile(640, 360), profile(2560, 1440), profile(640, 360, "jpeg")
    assert pair([large, tiny, jpeg, small]) == (small, large)
    assert pair([tiny]) == (tiny, None)
    assert pair([large]) == (large, None)
    assert pair([profile(0, 0, "")])[1] is None
    assert View(small, "rtsp://a").detail is None
