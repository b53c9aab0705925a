"""The server: its socket, its limits, and how it ends."""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from soteirad.config.section import from_plain
from soteirad.config.web import WebConfig
from soteirad.errors import StorageError, WebError
from soteirad.web import connection as limits
from soteirad.web.box import Viewer
from soteirad.web.server import WebServer
from tests.brokers import free_port
from tests.waiting import wait_until
from tests.web.box import FakeBox
from tests.web.running import Running, read_answer, running, stream_head

WORDS = "correct horse"
WITHOUT = ("starlette", "uvicorn", "wsproto", "prometheus_client", "h11")


def ended(connection: socket.socket) -> bool:
    """Say whether the other end closed a connection without a word."""
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        server = WebServer(from_plain(WebConfig, {"listen": f"127.0.0.1:{port}"}), tmp_path)
        with pytest.raises(WebError, match=rf"web\.listen: 127\.0\.0\.1:{port} .*another program"):
            server.bind()


def test_an_address_that_is_not_this_machines_is_told(tmp_path: Path) -> None:
    server = WebServer(from_plain(WebConfig, {"listen": f"192.0.2.1:{free_port()}"}), tmp_path)
    with pytest.raises(WebError, match="no such address"):
        server.bind()


def test_a_port_that_this_user_may_not_have_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: socket.socket, _address: object) -> None:  # root may have any port
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(WebError, match="may not listen on port 80; choose one from 1024 up"):
        WebServer(from_plain(WebConfig, {"listen": "127.0.0.1:80"}), tmp_path).bind()


def test_who_asks_between_bind_and_start_is_answered_after_it(tmp_path: Path) -> None:
    site = Running(tmp_path)
    site.box.create()
    site.server.bind()
    with site.connect() as early:
        early.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        site.server.start(site.box)
        assert read_answer(early)[0] == 200
    site.stop()


def test_it_leaves_all_signals_alone_and_ends_with_all_its_threads(tmp_path: Path) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with running(tmp_path) as site:
        assert site.http.get("/healthz").text == "ok\n"
        assert {number: signal.getsignal(number) for number in before} == before
        assert site.server.running
    assert not site.server.running
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("web")])
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", site.port))


def test_an_end_ends_streams_too_and_their_viewers(tmp_path: Path) -> None:
    with running(tmp_path) as site, site.http.stream("GET", "/api/stream", headers=site.bearer) as answer:
        assert answer.status_code == 200 and site.box.looking == 1
        site.server.stop()
        assert "".join(answer.iter_text()).startswith("retry:")
        wait_until(lambda: site.box.looking == 0)


def test_stopping_twice_or_without_a_start_does_nothing(tmp_path: Path) -> None:
    server = WebServer(from_plain(WebConfig, {"listen": f"127.0.0.1:{free_port()}"}), tmp_path)
    server.stop()
    server.bind()
    server.stop()
    server.stop()


def test_without_a_folder_for_the_token_the_start_says_so(tmp_path: Path) -> None:
    server = WebServer(from_plain(WebConfig, {"listen": f"127.0.0.1:{free_port()}"}), tmp_path / "none")
    with pytest.raises(StorageError, match=r"web-token: the token of the page cannot be written"):
        server.start(FakeBox(tmp_path))
    server.stop()


def test_a_password_takes_the_place_of_the_token(tmp_path: Path) -> None:
    with running(tmp_path, password=WORDS) as site:
        assert not (tmp_path / "web-token").exists()
        assert site.http.get("/api/session", headers={"Authorization": f"Bearer {WORDS}"}).status_code == 200
        assert site.http.get("/api/session", headers={"Cookie": site.login(WORDS)}).status_code == 200


def test_a_new_secret_ends_all_sessions(tmp_path: Path) -> None:
    with running(tmp_path) as site:
        cookie = site.login()
    with running(tmp_path, password=WORDS) as site:
        assert site.http.get("/api/session", headers={"Cookie": cookie}).status_code == 401


def test_on_all_addresses_of_ipv6_it_answers_ipv4_too(tmp_path: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("there is no IPv6 here")
    site = Running(tmp_path)
    server = WebServer(from_plain(WebConfig, {"listen": f"[::]:{site.port}"}), tmp_path)
    try:
        server.start(site.box)
        assert site.http.get("/healthz").status_code == 200
    finally:
        server.stop()


def test_connections_that_are_only_held_open_keep_nobody_out(site: Running) -> None:
    held = [site.connect() for _ in range(limits.MOST_CONNECTIONS + 10)]
    for connection in held:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
    assert site.http.get("/healthz").text == "ok\n"
    assert ended(held[0]), "the one that waited longest had to go"
    for connection in held:
        connection.close()


def test_bodies_that_come_slowly_keep_nobody_out(site: Running) -> None:
    held = [site.connect() for _ in range(limits.MOST_CONNECTIONS)]
    for connection in held:
        connection.sendall(b"POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
                           b"Expect: 100-continue\r\n\r\n")  # fmt: skip
        assert connection.recv(12) == b"HTTP/1.1 100", "its body is waited for"
    for _ in range(3):
        with site.connect() as another:
            another.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert read_answer(another)[0] == 200
    for connection in held:
        connection.close()


def test_a_head_that_does_not_come_to_its_end_is_cut_off(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEAD_S", 0.3)
    with site.connect() as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        assert ended(slow)


def test_bytes_that_trickle_do_not_win_time(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEAD_S", 0.5)
    with site.connect() as slow, pytest.raises(OSError):
        slow.settimeout(0.05)
        for _ in range(200):
            slow.sendall(b"x")
            with suppress(TimeoutError):
                if ended(slow):
                    raise ConnectionResetError


def test_a_body_that_does_not_come_is_not_waited_for(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soteirad.web.guard.BODY_S", 0.3)
    with site.connect() as slow:
        slow.sendall(b"POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     b"Content-Length: 100\r\n\r\n{")  # fmt: skip
        status, headers, _ = read_answer(slow)
    assert status == 408 and headers["connection"] == "close"


def test_who_does_not_read_is_cut_off(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STUCK_S", 0.3)
    with site.connect() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(stream_head(site))
        wait_until(lambda: site.box.looking == 1)
        miss = {"camera": "porch", "text": "x" * 100_000}
        wait_until(lambda: site.box.tell("near_miss", miss) or site.box.looking == 0)


def test_when_every_place_works_one_more_is_refused_with_a_sentence(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_CONNECTIONS", 2)
    head = stream_head(site)
    with site.connect() as first, site.connect() as second:
        first.sendall(head)
        second.sendall(head)
        wait_until(lambda: site.box.looking == 2)
        with site.connect() as third:
            status, _, body = read_answer(third)
    assert status == 503 and b"too many open pages" in body


def test_a_head_that_is_too_large_is_refused(site: Running) -> None:
    with site.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: " + b"x" * 2 * limits.LARGEST_HEAD)
        assert read_answer(connection)[0] == 400


def test_what_is_no_http_is_refused_and_not_told_in_the_log(site: Running, caplog: pytest.LogCaptureFixture) -> None:
    with site.connect() as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        assert read_answer(connection)[0] == 400
    assert not caplog.records


def test_the_libraries_are_loaded_by_the_start_and_not_sooner() -> None:
    program = ("import sys; import soteirad.web.server, soteirad.web.box, soteirad.web.items, soteirad.tools.page; "
               f"print([name for name in {WITHOUT} if name in sys.modules])")  # fmt: skip
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told how long a connection may be silent")
def test_a_device_that_vanished_does_not_keep_its_place_for_a_quarter_of_an_hour(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []

    def look(self: limits.Connection) -> None:
        own = self.transport.get_extra_info("socket")
        found.append(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))

    monkeypatch.setattr(limits.Connection, "_be_idle", look)
    site.http.get("/healthz")
    assert found[0] == 1000 * limits.STUCK_S


def test_a_server_that_is_slow_to_end_when_told_to_leaves_no_traceback_behind(
    site: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    busy, go, look = threading.Event(), threading.Event(), site.box.viewer

    def hold(cameras: Sequence[str] | None) -> Viewer:
        busy.set()
        go.wait(10)
        return look(cameras)

    monkeypatch.setattr(site.box, "viewer", hold)  # it is called by the loop's own thread
    with site.connect() as connection:
        connection.sendall(stream_head(site))
        assert busy.wait(10)
        thread = next(thread for thread in threading.enumerate() if thread.name == "web")
        site.server.stop(0.05)
        go.set()
        thread.join(10)
    assert not thread.is_alive()
    assert "the page has failed" not in caplog.text and "Traceback" not in caplog.text
