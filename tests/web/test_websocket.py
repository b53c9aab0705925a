"""Connections that become WebSockets: which do, what limits they keep, and what rubbish does to them."""

from __future__ import annotations

import base64
import http.client
import random
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from soteirad.web import connection as limits
from soteirad.web.connection import begins_websocket
from tests.waiting import wait_until
from tests.web.running import Running, read_answer, running
from tests.web.test_live import PORCH, messages, watch

WORDS = "correct horse"
KEY = base64.b64encode(bytes(16)).decode()
RIGHT = {"Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
         "Sec-WebSocket-Key": KEY}  # fmt: skip


def head(site: Running, path: str = PORCH, line: str = "GET {path} HTTP/1.1", **more: str | None) -> bytes:
    """Return the request that begins a WebSocket, with the token; names with `_` for `-`, None leaves a header out."""
    headers = {**RIGHT, "Authorization": f"Bearer {site.token}"}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}  # type: ignore[misc]
    lines = [line.format(path=path), *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def answer_to(site: Running, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of the answer to a request, whether or not the connection ends with it."""
    with site.connect() as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection, method=request.split(b" ")[0].decode())
        answer.begin()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def open_raw(site: Running, **more: str | None) -> socket.socket:
    """Open a WebSocket of which nothing is read but its beginning."""
    connection = site.connect()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(head(site, **more))
    assert connection.recv(12) == b"HTTP/1.1 101"
    return connection


@pytest.mark.parametrize(
    "wrong",
    [
        {"Upgrade": None}, {"Upgrade": "h2c"}, {"Upgrade": "websocket, h2c"}, {"Connection": None},
        {"Connection": "keep-alive"}, {"Sec_WebSocket_Version": "8"}, {"Sec_WebSocket_Version": None},
        {"Sec_WebSocket_Key": None}, {"Sec_WebSocket_Key": "short"}, {"Sec_WebSocket_Key": "\xe9" * 24},
        {"line": "HEAD {path} HTTP/1.1"}, {"Content_Length": "5"}, {"Transfer_Encoding": "chunked"},
        {"Sec_WebSocket_Extensions": "\xe9"}, {"Sec_WebSocket_Protocol": "\xe9"},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_right_beginning_is_told_that_there_is_a_websocket(
    shared: Running, caplog: pytest.LogCaptureFixture, wrong: dict[str, Any]
) -> None:
    body = b"0\r\n\r\n" if {"Content_Length", "Transfer_Encoding"} & set(wrong) else b""
    status, headers, answer = answer_to(shared, head(shared, **wrong) + body)
    assert status == 426 and headers["sec-websocket-version"] == "13" and headers["upgrade"] == "websocket"
    assert b"WebSocket" in answer or "HEAD" in str(wrong)
    assert not caplog.records


@pytest.mark.parametrize(
    ("request_line", "status"),
    [("GET {path} HTTP/1.0", 426), ("POST {path} HTTP/1.1", 405), ("GET /api/session HTTP/1.1", 200),
     ("GET /api/cameras/porch/live/ HTTP/1.1", 404), ("GET /nothing HTTP/1.1", 404), ("GET / HTTP/1.1", 200)],
)  # fmt: skip
def test_anywhere_else_an_upgrade_is_as_if_it_had_not_been_asked(
    shared: Running, caplog: pytest.LogCaptureFixture, request_line: str, status: int
) -> None:
    assert answer_to(shared, head(shared, line=request_line))[0] == status
    assert not caplog.records


@pytest.mark.parametrize("host", ["evil.example", "\xe9vil.example", "a..b", "x" * 80, "xn--mnchen-3ya.example"])
def test_a_name_that_is_not_this_machines_is_refused_however_it_is_written(
    shared: Running, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    status, _, body = answer_to(shared, head(shared, Host=host))
    assert status == 421 and b"web.hosts" in body and not caplog.records


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Cookie": "{cookie}", "Origin": "{url}"}, 101),
        ({"Cookie": "{cookie}", "Origin": "http://evil.example"}, 403),
        ({"Cookie": "{cookie}", "Origin": "null"}, 403),
        ({"Cookie": "{cookie}", "Origin": "http://127.0.0.1:1"}, 403),
        ({"Cookie": "{cookie}"}, 403),
        ({"Cookie": "soteira_session=forged", "Origin": "{url}"}, 401),
        ({"Origin": "{url}"}, 401),
        ({}, 401),
        ({"Authorization": "Bearer {token}"}, 101),
        ({"Authorization": "Bearer {token}", "Origin": "http://evil.example"}, 101),
        ({"Authorization": "Bearer wrong", "Cookie": "{cookie}", "Origin": "{url}"}, 401),
    ],
)
def test_only_the_page_itself_may_watch_in_a_session(site: Running, headers: dict[str, str], status: int) -> None:
    known = {"cookie": site.login(), "url": site.url, "token": site.token}
    sent: dict[str, Any] = {name: text.format_map(known) for name, text in headers.items()}
    request = head(site, **{"Authorization": None, "Host": f"127.0.0.1:{site.port}", **sent})
    with site.connect() as connection:
        connection.sendall(request)
        assert connection.recv(12) == f"HTTP/1.1 {status}".encode()


def test_who_guesses_a_password_with_websockets_has_to_wait_too(tmp_path: Path) -> None:
    with running(tmp_path, password=WORDS) as site:
        lines = [f"GET {PORCH} HTTP/1.1", *(f"{name}: {value}" for name, value in RIGHT.items())]
        request = "\r\n".join([*lines, "Authorization: Bearer wrong", "", ""]).encode()
        told = [answer_to(site, request)[0] for _ in range(12)]
    assert told[:10] == [401] * 10 and told[-1] == 429


def test_a_refusal_carries_the_headers_that_every_answer_has(shared: Running) -> None:
    status, headers, body = answer_to(shared, head(shared, "/api/cameras/nobody/live"))
    assert status == 404 and b"no camera" in body
    assert headers["content-type"] == "application/json" and headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff" and "content-security-policy" in headers


def test_the_limits_of_a_request_do_not_cut_what_has_become_a_websocket(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HEAD_S", 0.3)
    with watch(site) as viewer:
        until = time.monotonic() + 1.0
        for _ in messages(viewer):
            if time.monotonic() > until:
                break


def test_an_upgrade_behind_another_request_on_the_same_connection_works_as_well(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HEAD_S", 0.3)
    with site.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + head(site))
        data = b""
        while data.count(b"moof") < 30:
            part = connection.recv(65536)
            assert part, "it was cut"
            data += part
    assert data.startswith(b"HTTP/1.1 200") and data.count(b"HTTP/1.1 101") == 1


def test_who_does_not_read_is_cut_off_and_others_notice_nothing(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STUCK_S", 0.3)
    with watch(site, PORCH + "?stream=detail") as other:
        found = messages(other)
        next(found)
        with open_raw(site, path=PORCH + "?stream=detail"):
            wait_until(lambda: site.box.watching == 2)
            while site.box.watching == 2:
                next(found)
        next(found)


def test_a_ping_without_an_answer_ends_it(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    config = site.server._server.config  # its times are fixed at the start
    monkeypatch.setattr(config, "ws_ping_interval", 0.1)
    monkeypatch.setattr(config, "ws_ping_timeout", 0.3)
    with watch(site, "/api/cameras/garden/live"), open_raw(site, path="/api/cameras/garden/live"):
        wait_until(lambda: site.box.watching == 2)
        wait_until(lambda: site.box.watching == 1)


def test_websockets_count_among_the_connections_and_those_of_strangers_give_way(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_CONNECTIONS", 3)
    with watch(site) as one, watch(site) as two, watch(site) as three:
        with site.connect() as fourth:
            assert read_answer(fourth)[0] == 503
        for viewer in (one, two, three):
            next(messages(viewer))
    wait_until(lambda: site.box.watching == 0)
    wait_until(lambda: not site.server._server.server_state.connections)
    held = [site.connect() for _ in range(3)]
    for connection in held:
        connection.sendall(head(site)[:-2])
    with watch(site) as viewer:
        assert next(messages(viewer))["kind"] == "start"
    for connection in held:
        connection.close()


def test_pings_of_somebody_who_does_not_read_are_not_answered_without_end(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STUCK_S", 60.0)
    with open_raw(site, path=PORCH + "?stream=detail") as deaf:
        [connection] = list(site.server._server.server_state.connections)
        wait_until(lambda: not connection.writable.is_set())
        ping = b"\x89\xfd" + bytes(4) + bytes(125)
        deaf.settimeout(5)
        for _ in range(200):
            deaf.sendall(ping * 100)
        assert site.http.get("/healthz").status_code == 200
        assert connection.transport.get_write_buffer_size() < 1_000_000


@pytest.mark.parametrize("seed", range(12))
def test_rubbish_before_and_after_the_beginning_ends_it_without_a_word_in_the_log(
    site: Running, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    dice = random.Random(seed)
    frames = (b"\x81\x05hello", b"\x88\x80" + bytes(4), b"\x88\x82" + bytes(4) + b"\x03\xe8", b"\x8a\x80" + bytes(4),
              b"\x81\x83" + bytes(4) + b"\xff\xff\xff", b"\x01\x80" + bytes(4), b"\xff\xff" * 9,
              b"\x82\xff" + b"\xff" * 8 + bytes(4), b"GET / HTTP/1.1\r\n\r\n")  # fmt: skip
    for _ in range(8):
        with site.connect() as connection:
            path = dice.choice((PORCH, "/api/cameras/nobody/live", "/api/session"))
            rubbish = dice.choice((dice.randbytes(dice.randrange(300)), dice.choice(frames), dice.choice(frames) * 2))
            try:
                connection.sendall(head(site, path) + (rubbish if dice.random() < 0.5 else b""))
                if dice.random() < 0.7:
                    connection.recv(100)
                for _ in range(3):
                    connection.sendall(rubbish)
                if dice.random() < 0.5:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:  # it was cut meanwhile, as is right
                pass
    wait_until(lambda: site.box.watching == 0)
    assert site.http.get("/healthz").status_code == 200
    assert not [record for record in caplog.records if record.levelname not in ("DEBUG", "INFO")], caplog.text


def test_a_beginning_is_judged_by_its_head_alone() -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in RIGHT.items()]
    scope = {"method": "GET", "http_version": "1.1", "headers": headers}
    assert begins_websocket(scope)
    assert begins_websocket({**scope, "headers": [*headers, (b"connection", b"keep-alive")]})
    assert not begins_websocket({**scope, "headers": [*headers, (b"upgrade", b"websocket")]})
    for index in range(len(headers)):
        assert not begins_websocket({**scope, "headers": headers[:index] + headers[index + 1 :]}), headers[index]
