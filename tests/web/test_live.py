"""Live video over a WebSocket, with a real client."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from soteirad.web import live as limits
from tests.waiting import wait_until
from tests.web.running import ANSWER_S, Running
from tests.web.video import FPS, GOP, TIMESCALE, boxes

PORCH = "/api/cameras/porch/live"


def watch(site: Running, path: str = PORCH, **headers: str) -> ClientConnection:
    """Watch, with the bearer token unless there are other headers."""
    sent = headers or site.bearer
    return connect(f"ws://127.0.0.1:{site.port}{path}", additional_headers=sent, proxy=None, open_timeout=ANSWER_S,
                   max_queue=None)  # fmt: skip


def refusal(site: Running, path: str = PORCH, **headers: str) -> tuple[int, str]:
    """Return status and sentence of a refusal."""
    with pytest.raises(InvalidStatus) as found:
        watch(site, path, **headers)
    response = found.value.response
    return response.status_code, json.loads(response.body or b"")["error"]


def messages(viewer: ClientConnection) -> Iterator[Any]:
    """Yield what comes: text as data."""
    while True:
        found = viewer.recv(timeout=ANSWER_S)
        yield json.loads(found) if isinstance(found, str) else found


def time_of(piece: bytes) -> float:
    """Return when a piece is shown, in seconds."""
    at = piece.index(b"tfdt") + 8
    return int.from_bytes(piece[at : at + 8], "big") / TIMESCALE


@contextmanager
def closes_with(code: int) -> Iterator[None]:
    with pytest.raises(ConnectionClosed) as found:
        yield
    assert found.value.rcvd is not None and found.value.rcvd.code == code


def test_first_comes_what_the_video_is_then_its_head_then_pictures_and_what_is_drawn_over_them(site: Running) -> None:
    with watch(site) as viewer:
        found = messages(viewer)
        assert next(found) == {"kind": "start", "codec": "avc1.42c01e", "width": 640, "height": 360, "encoded": False}
        assert [kind for kind, _ in boxes(next(found))] == [b"ftyp", b"moov"]
        shown = [next(found) for _ in range(FPS)]
    pieces = [part for part in shown if isinstance(part, bytes)]
    overlays = [part for part in shown if not isinstance(part, bytes)]
    assert all([kind for kind, _ in boxes(piece)] == [b"moof", b"mdat"] for piece in pieces)
    assert [time_of(piece) for piece in pieces] == [index / FPS for index in range(len(pieces))]
    assert {part["kind"] for part in overlays} == {"overlay"} and overlays[0]["values"]["tracks"]
    wait_until(lambda: site.box.watching == 0)


def test_a_newcomer_gets_at_once_what_there_is_since_the_last_key_frame(site: Running) -> None:
    with watch(site) as first:
        found = messages(first)
        while not isinstance(piece := next(found), bytes) or b"moof" not in piece or time_of(piece) < 0.5:
            pass
        with watch(site) as second:
            later = messages(second)
            assert next(later)["kind"] == "start" and b"moov" in next(later)
            times = [time_of(next(later)) for _ in range(10)]
    assert times == [index / FPS for index in range(10)]


def test_when_the_video_goes_it_says_why_and_when_it_comes_it_begins_anew(site: Running) -> None:
    with watch(site) as viewer:
        found = messages(viewer)
        assert next(found)["kind"] == "start"
        site.box.video_of("porch").go("the cable is out")
        while isinstance(part := next(found), bytes) or part["kind"] == "overlay":
            pass
        assert part == {"kind": "gone", "reason": "the cable is out"}
        site.box.video_of("porch").come()
        assert next(found)["kind"] == "start" and b"moov" in next(found) and time_of(next(found)) == 0


def test_a_camera_that_is_away_says_so_at_once_and_a_gap_is_a_gap_in_the_times(site: Running) -> None:
    with watch(site, "/api/cameras/garden/live?stream=source") as viewer:
        assert next(messages(viewer))["kind"] == "gone"
    with watch(site, PORCH + "?stream=detail") as viewer:
        found = messages(viewer)
        assert next(found)["height"] == 720 and b"moov" in next(found) and time_of(next(found)) == 0
        site.box.video_of("porch", "detail").skip(GOP)
        gap = [0.0] + [time_of(part) for part in (next(found) for _ in range(FPS)) if isinstance(part, bytes)]
        assert max(b - a for a, b in pairwise(gap)) > 1.0


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [("/api/cameras/nobody/live", 404, "no camera of this name"), (PORCH + "?stream=third", 422, "stream"),
     ("/api/cameras/clip/live?stream=detail", 404, "has no detail stream"), (PORCH + "?x=1", 422, "x")],
)  # fmt: skip
def test_what_there_is_not_is_refused_before_it_begins(shared: Running, path: str, status: int, words: str) -> None:
    found, sentence = refusal(shared, path)
    assert found == status and words in sentence


def test_fifty_at_once_do_no_harm_and_when_as_many_watch_as_may_one_more_is_told_when_to_come_again(
    site: Running
) -> None:
    cookie, watching, refused = site.login(), [], []

    def try_it() -> None:
        try:
            watching.append(watch(site, Cookie=cookie, Origin=site.url))
        except (InvalidStatus, InvalidMessage, OSError, EOFError) as error:  # no place, or it was another's by then
            refused.append(error)

    threads = [threading.Thread(target=try_it) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ExitStack() as stack:
        for viewer in watching:
            stack.enter_context(viewer)
        assert len(watching) + len(refused) == 50 and 0 < len(watching) <= limits.MOST_VIEWERS
        assert {error.response.status_code for error in refused if isinstance(error, InvalidStatus)} <= {503}
        while len(watching) < limits.MOST_VIEWERS:
            watching.append(stack.enter_context(watch(site)))
        with pytest.raises(InvalidStatus) as found:
            watch(site)
        response = found.value.response
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5") and b"already" in response.body
        for viewer in watching:
            shown = messages(viewer)
            assert next(shown)["kind"] == "start" and b"moov" in next(shown) and b"moof" in next(shown)
    wait_until(lambda: site.box.watching == 0)
    with watch(site) as viewer:
        assert next(messages(viewer))["kind"] == "start"


def test_the_end_of_the_session_ends_what_was_watched_by_it_and_nothing_else(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SESSION_S", 0.1)
    cookie, other = site.login(), site.login()
    with (
        watch(site, Cookie=cookie, Origin=site.url) as viewer,
        watch(site, Cookie=other, Origin=site.url) as beside,
        watch(site, Cookie=cookie, **site.bearer) as script,
    ):
        answer = site.http.post("/api/logout", headers={"Cookie": cookie, "X-Soteira": "1"})
        assert answer.status_code == 204
        with closes_with(limits.POLICY):
            for _ in messages(viewer):
                pass
        for going_on in (beside, script):
            for _, _ in zip(range(2 * FPS), messages(going_on), strict=False):
                pass


def test_whoever_says_something_is_sent_away(site: Running) -> None:
    for said in ("hello", b"x" * 100):
        with watch(site) as viewer:
            viewer.send(said)
            with closes_with(limits.POLICY):
                for _ in messages(viewer):
                    pass
    with watch(site) as viewer:
        viewer.send(b"x" * 100_000)
        with closes_with(1009):
            for _ in messages(viewer):
                pass
    wait_until(lambda: site.box.watching == 0)


def test_the_end_of_the_server_ends_all_that_is_watched(site: Running) -> None:
    with watch(site) as viewer, watch(site) as deaf:
        assert next(messages(viewer))["kind"] == "start"
        thread = [thread for thread in threading.enumerate() if thread.name == "web"][-1]  # others may be shared
        site.server.stop()
        assert not thread.is_alive()
        with pytest.raises(ConnectionClosed):
            for _ in messages(viewer):
                pass
        assert site.box.watching == 0
        deaf.close_timeout = 0.1


def test_the_end_of_the_box_ends_it_too(site: Running) -> None:
    with watch(site) as viewer:
        assert next(messages(viewer))["kind"] == "start"
        site.box.video_of("porch").end()
        with closes_with(limits.GOING_AWAY):
            for _ in messages(viewer):
                pass


def test_a_fault_in_the_box_is_told_before_it_begins(site: Running) -> None:
    site.box.fail = RuntimeError("broken")
    assert refusal(site)[0] == 500


def test_who_goes_away_without_a_word_is_forgotten(site: Running) -> None:
    viewer = watch(site)
    wait_until(lambda: site.box.watching == 1)
    viewer.socket.shutdown(socket.SHUT_RDWR)
    with closing(viewer):
        wait_until(lambda: site.box.watching == 0)


def test_who_has_nothing_to_see_hears_that_the_machine_is_still_there(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STILL_S", 0.2)
    site.box.video_of("porch").go("the camera does not answer")
    with watch(site) as viewer:
        shown = messages(viewer)
        assert next(shown)["kind"] == "gone"
        assert [next(shown), next(shown)] == [{"kind": "still"}] * 2
