"""The guard: who and what is let through to the application."""

from __future__ import annotations

import asyncio
from itertools import product
from pathlib import Path

import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from soteirad.web.guard import LARGEST_BODY, LONGEST_QUERY, Guard
from soteirad.web.routes import Route
from soteirad.web.table import API, PAGE
from tests.waiting import wait_until
from tests.web.running import Running, error_of, running

OPEN = {("GET", "/"), ("GET", "/static/{name}"), ("GET", "/healthz"), ("GET", "/readyz"), ("POST", "/api/login")}
WORDS = "correct horse"
CLOSED = [route for route in API if not route.open]
FILE = "01M80GR3W7ZFDTXZJGYFTM8T6X.jpg"
VALUES = {"camera": "porch", "setting": "min_score", "seq": "1", "day": "2026-11-22", "file": FILE}
WRITE = ("PUT", "/api/cameras/porch/thresholds/min_score")


def test_what_needs_no_secret_is_what_holds_none() -> None:
    assert {(route.method, route.path) for route in (*PAGE, *API) if route.open} == OPEN


@pytest.mark.parametrize("route", CLOSED, ids=lambda route: f"{route.method} {route.path}")
def test_every_other_route_asks_for_it(shared: Running, route: Route) -> None:
    for headers in ({}, {"Cookie": "soteira_session=forged"}, {"Authorization": "Basic dXNlcjpwdw=="}):
        asked = {**headers, "X-Soteira": "1"}
        answer = shared.http.request(route.method, route.path.format_map(VALUES), headers=asked)
        assert answer.status_code == 401 and "log in" in error_of(answer), headers
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/nothing", "/static/../api/session", "/nothing", "//api/session", "/API/session",
             "/static/..%2f..%2fapi/session", "/api/login"],
)  # fmt: skip
def test_what_is_not_there_says_nothing_to_strangers(shared: Running, path: str) -> None:
    status, _, _ = shared.raw(f"GET {path} HTTP/1.1\nHost: localhost")
    assert status == 401 or (status == 404 and path.startswith("/static/"))


def test_a_wrong_bearer_token_is_told_from_none(site: Running) -> None:
    answer = site.http.get("/api/session", headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 401 and "is wrong" in error_of(answer)


def test_a_bearer_token_needs_no_session_and_no_header(shared: Running) -> None:
    answer = shared.http.request(*WRITE, headers=shared.bearer, json={"value": 0.4})
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Soteira": "1"}, 202),
        ({"X-Soteira": "1", "Origin": "{url}"}, 202),
        ({}, 403),
        ({"X-Soteira": "0"}, 403),
        ({"Origin": "{url}"}, 403),
        ({"X-Soteira": "1", "Origin": "http://evil.example"}, 403),
        ({"X-Soteira": "1", "Origin": "null"}, 403),
        ({"X-Soteira": "1", "Origin": "http://127.0.0.1:1"}, 403),
    ],
)
def test_a_session_changes_something_only_from_the_page_itself(
    shared: Running, headers: dict[str, str], status: int
) -> None:
    told = {name: value.format(url=shared.url) for name, value in headers.items()}
    answer = shared.http.request(*WRITE, headers={**told, "Cookie": shared.login()}, json={"value": 0.4})
    assert answer.status_code == status, answer.text


def test_another_page_cannot_even_begin_a_session(shared: Running) -> None:
    answer = shared.http.post("/api/login", json={"token": shared.token}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "localhost.evil.example", "", "a b", "box@evil"])
def test_a_name_that_is_not_this_machines_is_refused_everywhere(shared: Running, host: str) -> None:
    for path in ("/", "/healthz", "/api/session"):
        bearer = f"Authorization: Bearer {shared.token}"
        status, headers, body = shared.raw(f"GET {path} HTTP/1.1\nHost: {host}\n{bearer}")
        assert status == 421 or (status == 400 and not host.isprintable())
        assert b"web.hosts" in body and headers["content-type"] == "application/json"


def test_two_hosts_or_none_are_refused(shared: Running) -> None:
    assert shared.raw("GET /healthz HTTP/1.1\nHost: localhost\nHost: evil.example")[0] in (400, 421)
    assert shared.raw("GET /healthz HTTP/1.1")[0] == 400
    assert shared.raw("GET /healthz HTTP/1.0")[0] == 421


def test_every_answer_carries_the_headers_that_keep_a_browser_from_mischief(shared: Running) -> None:
    answers = [shared.http.get("/healthz"), shared.get("/api/cameras"), shared.get("/api/nothing"),
               shared.http.get("/api/session"),
               shared.http.get("/healthz", headers={"Host": "evil.example"})]  # fmt: skip
    for answer in answers:
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert policy == {
            "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data: blob:",
            "media-src": "'self' blob:", "connect-src": "'self'",
            "frame-ancestors": "'none'", "base-uri": "'none'", "form-action": "'self'",
        }  # fmt: skip
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers and "access-control-allow-origin" not in answer.headers


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(shared: Running) -> None:
    large = b"x" * (LARGEST_BODY + 1)
    head = "POST /api/login HTTP/1.1\nHost: localhost\nContent-Type: application/json\n"
    said = shared.raw(f"{head}Content-Length: 10000000000")
    assert said[0] == 413 and b"at most 64 kB" in said[2]
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(large) // 4, large[: len(large) // 4]) for _ in range(5)) + b"0\r\n\r\n"
    assert shared.raw(f"{head}Transfer-Encoding: chunked", chunked)[0] == 413


@pytest.mark.parametrize("sent", [b"", b'{"token"'], ids=["nothing of it", "half of it"])
def test_nothing_is_done_for_who_is_gone_before_the_request_was_whole(sent: bytes) -> None:
    messages: list[Message] = [{"type": "http.request", "body": sent, "more_body": True}] if sent else []
    answered: list[Message] = []

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        answered.append(message)

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        pytest.fail("somebody who is gone is served")

    guard = Guard(app, None, frozenset({"localhost"}), [("POST", "/x")])  # type: ignore[arg-type]
    scope: Scope = {"type": "http", "method": "POST", "path": "/x", "raw_path": b"/x", "query_string": b"",
                    "headers": [(b"host", b"localhost")]}  # fmt: skip
    asyncio.run(guard(scope, receive, send))
    assert answered == []


def test_an_address_that_is_too_long_is_refused(shared: Running) -> None:
    assert shared.get("/api/events?" + "x" * LONGEST_QUERY + "=1").status_code == 414


def test_a_hundred_logins_are_fine_and_thirty_wrong_ones_are_not(site: Running) -> None:
    cookies = [site.login() for _ in range(100)]
    assert site.http.get("/api/session", headers={"Cookie": cookies[-1]}).status_code == 200
    assert site.http.get("/api/session", headers={"Cookie": cookies[0]}).status_code == 401, "there may be only so many"
    wrong = [site.http.post("/api/login", json={"token": "wrong"}) for _ in range(30)]
    assert [answer.status_code for answer in wrong] == [401] * 10 + [429] * 20
    assert int(wrong[-1].headers["retry-after"]) > 0 and "wait" in error_of(wrong[-1])
    assert site.get("/api/session").status_code == 200
    assert site.http.get("/api/session", headers={"Cookie": cookies[-1]}).status_code == 200
    assert site.http.get("/api/session", headers={"Cookie": site.login()}).status_code == 200


def test_one_password_after_another_is_stopped_whichever_way_it_is_given(
    tmp_path: Path,
) -> None:
    with running(tmp_path, password=WORDS) as site:
        cookie = site.login(WORDS)
        statuses = set()
        for number, way in product(range(10), ("bearer", "login")):
            statuses.add(guess(site, way, f"password{number}").status_code)
        assert statuses == {401, 429}
        assert {guess(site, way, WORDS).status_code for way in ("bearer", "login")} == {429}
        assert site.http.get("/api/session", headers={"Cookie": cookie}).status_code == 200


def guess(site: Running, way: str, secret: str) -> httpx2.Response:
    if way == "login":
        return site.http.post("/api/login", json={"token": secret})
    return site.http.get("/api/session", headers={"Authorization": f"Bearer {secret}"})


def test_logging_out_ends_the_session_and_takes_the_cookie_back(shared: Running) -> None:
    cookie = {"Cookie": shared.login(), "X-Soteira": "1"}
    answer = shared.http.post("/api/logout", headers=cookie)
    assert answer.status_code == 204 and "Max-Age=0" in answer.headers["set-cookie"]
    assert shared.http.get("/api/session", headers=cookie).status_code == 401


def test_secrets_are_in_no_log(site: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    cookie = site.login()
    site.http.get(f"/api/session?token={site.token}", headers={"Cookie": cookie})
    site.get("/api/session")

    def told() -> str:
        return "\n".join(
            record.getMessage() for record in caplog.records if record.name.startswith(("soteirad", "uvicorn"))
        )

    wait_until(lambda: told().count("GET /api/session") == 2)  # they are written once the answers are out
    assert site.token not in told() and cookie.partition("=")[2] not in told()


def test_an_address_begins_no_line_of_its_own_in_the_log(site: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    site.http.get("/static/x%0a2026-11-22%20ERROR%20forged")

    def lines() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == "soteirad.web.guard"]

    wait_until(lines)  # it is written once the answer is out
    [told] = lines()
    assert "\n" not in told and "x%0a2026" in told


@pytest.mark.parametrize("others", ['prefs={"a": 1}', "a b=1", "flag", "x=\u00e9\"", "=", "soteira=1"])
def test_cookies_of_other_programs_on_this_machine_do_not_hide_the_sessions(shared: Running, others: str) -> None:
    cookie = shared.login()
    for text in (f"{others}; {cookie}", f"{cookie}; {others}"):
        status, _, _ = shared.raw(f"GET /api/session HTTP/1.1\nHost: localhost\nCookie: {text}")
        assert status == 200, text
