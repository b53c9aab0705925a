"""The stream: what browsers get, that they do not wait for each other, and that nothing is left of those who go."""

from __future__ import annotations

import math
import socket
from contextlib import ExitStack, suppress

import httpx2
import pytest

from soteirad.web import stream
from soteirad.web.workers import MOST_STREAMS
from tests.waiting import wait_until
from tests.web.running import NO_TLS, Running, error_of, parts_of, stream_head


def test_messages_come_in_order_under_their_names(site: Running) -> None:
    with site.http.stream("GET", "/api/stream", headers=site.bearer) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        for _ in range(5):
            site.box.tick()
        site.box.set("porch", "min_score", 0.7)
        parts = parts_of(answer)
        found = []
        while not found or found[-1][0] != "camera":
            found.append(next(parts))
    frames = [data["seq"] for name, data in found if name == "frame" and data["camera"] == "porch"]
    assert frames == [1, 2, 3, 4, 5]
    assert [name for name, _ in found].count("event") == 1
    assert found[-1][1]["thresholds"]["min_score"]["value"] == 0.7


def test_only_the_cameras_that_were_asked_for_come(site: Running) -> None:
    with site.http.stream("GET", "/api/stream?cameras=clip,garden", headers=site.bearer) as answer:
        site.box.tick()
        site.box.tick()
        parts = parts_of(answer)
        assert [next(parts)[1]["camera"] for _ in range(2)] == ["clip", "clip"]


@pytest.mark.parametrize("cameras", ["nothing", "porch,nothing", "../porch"])
def test_a_camera_that_there_is_not_is_told_before_the_stream_begins(shared: Running, cameras: str) -> None:
    answer = shared.get(f"/api/stream?cameras={cameras}")
    assert answer.status_code == 404 and "use porch, garden, clip" in error_of(answer)


def test_a_browser_that_goes_leaves_no_viewer(site: Running) -> None:
    with site.http.stream("GET", "/api/stream", headers=site.bearer) as answer:
        lines = answer.iter_lines()  # held: an iterator that is thrown away closes the connection
        next(lines)
        assert site.box.looking == 1
    wait_until(lambda: site.box.looking == 0)


def test_a_quiet_stream_says_that_it_is_still_there(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.0)
    with site.http.stream("GET", "/api/stream", headers=site.bearer) as answer:
        assert ": still there" in answer.iter_lines()


def test_more_streams_than_there_may_be_are_refused_and_others_are_answered_meanwhile(site: Running) -> None:
    with ExitStack() as stack:
        answers = []
        for _ in range(MOST_STREAMS):
            client = stack.enter_context(httpx2.Client(base_url=site.url, verify=NO_TLS, trust_env=False))
            answers.append(stack.enter_context(client.stream("GET", "/api/stream", headers=site.bearer)))
        assert {answer.status_code for answer in answers} == {200}
        refused = site.get("/api/stream")
        assert refused.status_code == 503 and "close one" in error_of(refused) and refused.headers["retry-after"] == "5"
        for path in ("/healthz", "/api/cameras", "/api/events", "/metrics"):
            assert site.get(path).status_code == 200
        site.box.tick()
        for answer in answers:
            assert next(parts_of(answer))[0] == "frame"
    wait_until(lambda: site.box.looking == 0)
    with site.http.stream("GET", "/api/stream", headers=site.bearer) as answer:
        assert answer.status_code == 200, "places are given back"


def test_fifty_at_once_are_served_or_refused_and_nothing_is_left_of_them(site: Running) -> None:
    with ExitStack() as stack:
        browsers = []
        for _ in range(50):
            browsers.append(stack.enter_context(site.connect()))
            with suppress(OSError):  # it had to make room
                browsers[-1].sendall(stream_head(site))
        found = [status_of(browser) for browser in browsers]
        assert found.count(200) == MOST_STREAMS and set(found) <= {0, 200, 503}
        assert site.get("/api/session").status_code == 200
    wait_until(lambda: site.box.looking == 0)


def status_of(connection: socket.socket) -> int:
    """Return the status of an answer; 0 if the connection was cut off."""
    try:
        head = connection.recv(12)
    except ConnectionResetError:
        return 0
    return int(head[9:12]) if head else 0


def test_numbers_that_json_does_not_know_become_null(site: Running) -> None:
    with site.http.stream("GET", "/api/stream", headers=site.bearer) as answer:
        site.box.tell("near_miss", {"camera": "porch", "values": {"score": math.nan, "limit": math.inf, "ok": 0.5}})
        assert next(parts_of(answer))[1]["values"] == {"score": None, "limit": None, "ok": 0.5}


def test_a_viewer_that_breaks_ends_its_stream_and_is_told_in_the_log(
    site: Running, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("tests.web.box.FakeViewer.next", broken)
    with site.http.stream("GET", "/api/stream", headers=site.bearer) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx2.RemoteProtocolError):
            answer.read()
    wait_until(lambda: site.box.looking == 0)
    wait_until(lambda: "GET /api/stream failed: this is a fault in Soteira" in caplog.text)


def test_whoever_only_asks_for_the_head_opens_no_viewer(site: Running) -> None:
    answer = site.http.head("/api/stream", headers=site.bearer)
    assert answer.status_code == 200 and site.box.opened == 0
