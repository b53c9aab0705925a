"""Webhooks against a real HTTP server that answers, refuses, hangs and hangs up."""

from __future__ import annotations

import json
import logging
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from soteirad.config.broker import WebhookConfig
from soteirad.event import Event, iso_time, new_id
from soteirad.hub import webhooks as webhooks_module
from soteirad.hub.request import Request, make_request
from soteirad.hub.webhooks import LONGEST_BODY, QUEUE, RETRY_S, Webhooks, next_wait
from tests.brokers import free_port
from tests.daemon import until
from tests.http_receiver import Answer, Receiver, hang_up, status

QUICK = (0.01, 0.02)
SLOW = (3600.0, 3600.0)
Start = Callable[..., Webhooks]
Serve = Callable[..., Receiver]


@pytest.fixture
def serve() -> Iterator[Serve]:
    started: list[Receiver] = []

    def start(*script: Answer, **options: Any) -> Receiver:
        started.append(Receiver(*script, **options).start())
        return started[-1]

    yield start
    for receiver in started:
        receiver.stop()


@pytest.fixture
def webhooks(caplog: pytest.LogCaptureFixture) -> Iterator[Start]:
    caplog.set_level(logging.DEBUG)
    started: list[Webhooks] = []

    def start(*configs: dict[str, Any], **options: Any) -> Webhooks:
        found = [WebhookConfig.model_validate(keys) for keys in configs]
        started.append(Webhooks(found, **{"retries": QUICK, **options}))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop(5.0)


def event(number: int = 0, at: float | None = None, **more: Any) -> Event:
    at = time.time() if at is None else at
    fields = {"event_type": "entered", "camera": "porch", "label": "person", "track_id": number, **more}
    return Event(id=new_id(at), time=iso_time(at), **fields)


def paths(receiver: Receiver, count: int) -> list[str]:
    return [asked.path for asked in receiver.wait_for(count)]


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(r.levelname, r.getMessage()) for r in caplog.records]


def wait_told(caplog: pytest.LogCaptureFixture, text: str) -> None:
    assert until(lambda: any(text in message for _, message in told(caplog)), 30.0), told(caplog)


def test_an_event_arrives_whole_at_each_webhook_that_is_for_it(serve: Serve, webhooks: Start) -> None:
    receiver = serve()
    hooks = webhooks({"url": receiver.url + "/all", "when": {"events": ["entered", "left"]}},
                     {"url": receiver.url + "/left", "when": {"events": ["left"]}})  # fmt: skip
    first, second = event(1), event(2, event_type="left")
    hooks.submit(first)
    receiver.wait_for(1)
    hooks.submit(second)
    asked = receiver.wait_for(3)
    assert asked[0].path == "/all" and json.loads(asked[0].body) == json.loads(json.dumps(first.payload()))
    assert {a.path for a in asked[1:]} == {"/all", "/left"}
    assert {json.loads(a.body)["id"] for a in asked[1:]} == {second.id}
    assert asked[0].headers["Host"] == receiver.host


def test_requests_to_one_address_keep_their_order(serve: Serve, webhooks: Start) -> None:
    receiver = serve(status(500), status(200), status(503), hang_up)
    hooks = webhooks({"url": receiver.url + "/{track_id}", "method": "GET"})
    for number in range(20):
        hooks.submit(event(number))
    assert list(dict.fromkeys(paths(receiver, 23))) == [f"/{number}" for number in range(20)]


@pytest.mark.parametrize("code", [429, 500, 503])
def test_what_may_pass_is_tried_three_times_and_the_next_event_again(
    serve: Serve, webhooks: Start, code: int
) -> None:
    receiver = serve(*[status(code)] * 3)
    hooks = webhooks({"url": receiver.url + "/{track_id}"})
    hooks.submit(event(1))
    hooks.submit(event(2))
    assert paths(receiver, 4) == ["/1", "/1", "/1", "/2"]


@pytest.mark.parametrize("code", [301, 302, 307, 400, 401, 403, 404, 410])
def test_a_refusal_is_final_and_a_redirect_is_not_followed(
    serve: Serve, webhooks: Start, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    receiver = serve(status(code, Location="/elsewhere"))
    hooks = webhooks({"url": receiver.url + "/{track_id}"})
    hooks.submit(event(1))
    hooks.submit(event(2))
    assert paths(receiver, 2) == ["/1", "/2"]
    wait_told(caplog, "works again")
    assert f"HTTP {code}" in told(caplog)[0][1]
    assert paths(receiver, 2) == ["/1", "/2"]


def test_a_connection_that_is_closed_without_an_answer_is_tried_again(
    serve: Serve, webhooks: Start, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = serve(hang_up, hang_up)
    webhooks({"url": receiver.url}).submit(event())
    receiver.wait_for(3)
    wait_told(caplog, "works again")
    assert told(caplog)[0] == (
        "WARNING", f"webhook to {receiver.host} fails: it closed the connection without an answer"
    )  # fmt: skip


def test_an_answer_that_does_not_come_is_tried_again(
    serve: Serve, webhooks: Start, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = serve()
    receiver.then(receiver.hang)
    webhooks({"url": receiver.url, "timeout": 0.2}).submit(event())
    receiver.wait_for(2)
    wait_told(caplog, "works again")
    assert told(caplog)[0] == ("WARNING", f"webhook to {receiver.host} fails: no answer within 0.2 s")


def test_a_failing_address_is_told_once_and_so_is_that_it_works_again(
    serve: Serve, webhooks: Start, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = serve(*[status(500)] * 4, hang_up)
    hooks = webhooks({"url": receiver.url})
    hooks.submit(event(1))
    hooks.submit(event(2))
    wait_told(caplog, "works again")
    receiver.then(status(404))
    for number in (3, 4, 5):
        hooks.submit(event(number))
    assert until(lambda: len(told(caplog)) == 4, 30.0), told(caplog)
    assert [level for level, _ in told(caplog)] == ["WARNING", "INFO", "WARNING", "INFO"]


def test_nobody_listening_and_an_unknown_host_are_told_in_an_owners_words(
    webhooks: Start, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    hooks = webhooks({"url": f"http://127.0.0.1:{port}/"}, {"url": "http://nobody.invalid/"})
    hooks.submit(event())
    wait_told(caplog, f"webhook to 127.0.0.1:{port} fails: nothing listens there")
    wait_told(caplog, "webhook to nobody.invalid fails: the host name cannot be resolved")


def test_no_secret_is_ever_told_at_any_log_level(
    serve: Serve, webhooks: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(config: WebhookConfig, event: Event) -> Request:
        if config.url.endswith("/bad"):
            raise ValueError("hush9: a fault of our own")
        return make_request(config, event)

    monkeypatch.setattr(webhooks_module, "make_request", make)
    receiver = serve(status(404), status(302, Location="/hush4"), *[status(500)] * 3, hang_up)
    address = receiver.url.replace("://", "://me:hush1@") + "/hush2?token=hush3"
    hooks = webhooks({"url": address, "headers": {"X-Key": "hush5"}, "body": "hush6"},
                     {"url": "http://me:hush7@nobody.invalid/hush8"},
                     {"url": receiver.url + "/bad"})  # fmt: skip
    for number in range(6):
        hooks.submit(event(number))
    wait_told(caplog, "works again")
    wait_told(caplog, "nobody.invalid fails")
    wait_told(caplog, "check its address and headers")
    assert "hush" not in caplog.text
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(
    ("planned", "asked_for", "wait"),
    [(1.0, None, 1.0), (4.0, None, 4.0), (None, None, 0.0), (1.0, 20.0, 20.0), (None, 20.0, 20.0),
     (1.0, 86400.0, 60.0), (4.0, 0.0, 0.0)],
)  # fmt: skip
def test_the_server_says_how_long_to_leave_it_alone_up_to_a_minute(
    planned: float | None, asked_for: float | None, wait: float
) -> None:
    assert RETRY_S == (1.0, 4.0)
    assert next_wait(planned, asked_for) == wait


def test_retry_after_is_read_from_the_answer(serve: Serve, webhooks: Start) -> None:
    receiver = serve(status(503, Retry_After="0"), status(429, Retry_After="Sun, 06 Nov 1994 08:49:37 GMT"))
    webhooks({"url": receiver.url}, retries=SLOW).submit(event())
    receiver.wait_for(3)


def test_nonsense_in_retry_after_counts_as_none(serve: Serve, webhooks: Start) -> None:
    receiver = serve(status(503, Retry_After="soon"))
    webhooks({"url": receiver.url}).submit(event())
    receiver.wait_for(2)


def test_an_event_that_got_too_old_is_given_up(serve: Serve, webhooks: Start) -> None:
    now = [1_800_000_000.0]
    receiver = serve()

    def fail_and_let_time_pass(handler: Any) -> None:
        now[0] += 61
        status(500)(handler)

    receiver.then(fail_and_let_time_pass)
    hooks = webhooks({"url": receiver.url + "/{track_id}", "when": {"events": ["entered", "left"]}},
                     clock=lambda: now[0])  # fmt: skip
    hooks.submit(event(1, at=now[0] - 61))
    hooks.submit(event(2, at=now[0] - 59))
    hooks.submit(event(3, at=now[0]))
    hooks.submit(event(4, at=now[0] + 61))
    hooks.submit(event(5, at=now[0] - 60, event_type="left", confirmed=iso_time(now[0] + 60)))
    assert paths(receiver, 3) == ["/2", "/4", "/5"]


def test_an_address_that_hangs_delays_no_other(serve: Serve, webhooks: Start) -> None:
    stuck, receiver = serve(), serve()
    stuck.then(stuck.hang)
    hooks = webhooks({"url": stuck.url, "timeout": 3600}, {"url": receiver.url})
    for number in range(5):
        hooks.submit(event(number))
    receiver.wait_for(5)
    assert len(stuck.asked()) == 1
    stuck.released.set()


def test_when_too_many_wait_the_oldest_go_and_that_is_told_once_with_their_number_at_the_end(
    serve: Serve, webhooks: Start, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = serve()
    receiver.then(receiver.hang)
    hooks = webhooks({"url": receiver.url + "/{track_id}", "method": "GET", "timeout": 3600})
    hooks.submit(event(0))
    receiver.wait_for(1)
    for number in range(1, QUEUE + 8):
        hooks.submit(event(number))
    assert told(caplog) == [
        ("WARNING", f"webhook to {receiver.host}: 200 requests wait for it already: the oldest are dropped")
    ]
    receiver.released.set()
    wait_told(caplog, "7 requests were dropped")
    found = list(dict.fromkeys(paths(receiver, QUEUE + 2)))
    assert found == ["/0", *(f"/{number}" for number in range(8, QUEUE + 8))]


def test_a_large_answer_is_not_read_to_its_end(serve: Serve, webhooks: Start) -> None:
    written: list[int] = []
    ended = threading.Event()

    def endless(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while sum(written) < 1000 * LONGEST_BODY:
                written.append(handler.wfile.write(b"x" * LONGEST_BODY))
        except OSError:
            ended.set()

    receiver = serve(endless)
    hooks = webhooks({"url": receiver.url})
    hooks.submit(event(1))
    hooks.submit(event(2))
    receiver.wait_for(2)
    assert ended.wait(30.0), "the connection was not closed"


def test_the_environment_names_no_proxy(
    serve: Serve, webhooks: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, receiver = serve(), serve()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    webhooks({"url": receiver.url}).submit(event())
    receiver.wait_for(1)
    assert not proxy.asked()


def test_stop_sends_what_waits_and_takes_nothing_more(serve: Serve, webhooks: Start) -> None:
    receiver = serve()
    hooks = webhooks({"url": receiver.url + "/{track_id}"})
    for number in range(10):
        hooks.submit(event(number))
    hooks.stop(30.0)
    assert [asked.path for asked in receiver.asked()] == [f"/{number}" for number in range(10)]
    hooks.submit(event(11))
    hooks.stop(30.0)
    assert len(receiver.asked()) == 10


def test_stop_interrupts_the_wait_for_the_next_try(
    serve: Serve, webhooks: Start, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = serve(status(500))
    hooks = webhooks({"url": receiver.url}, retries=SLOW)
    hooks.submit(event())
    wait_told(caplog, "HTTP 500")
    hooks.stop(3600.0)
    assert not _threads(receiver)
    assert len(receiver.asked()) == 1


def test_stop_leaves_an_address_that_hangs_behind(serve: Serve, webhooks: Start) -> None:
    receiver = serve()
    receiver.then(receiver.hang)
    hooks = webhooks({"url": receiver.url, "timeout": 3600})
    hooks.submit(event(1))
    receiver.wait_for(1)
    hooks.submit(event(2))
    hooks.stop(0.05)
    (thread,) = _threads(receiver)
    assert thread.daemon
    receiver.released.set()
    thread.join(30.0)
    assert not thread.is_alive() and len(receiver.asked()) == 1


def test_submit_before_start_waits_and_stop_without_start_does_nothing(serve: Serve) -> None:
    receiver = serve()
    hooks = Webhooks([WebhookConfig.model_validate({"url": receiver.url})])
    hooks.submit(event())
    hooks.start()
    receiver.wait_for(1)
    hooks.stop(30.0)
    Webhooks([WebhookConfig.model_validate({"url": receiver.url})]).stop(30.0)
    Webhooks([]).stop(30.0)


def test_a_certificate_that_nobody_signed_is_refused_unless_the_owner_accepts_any(
    tmp_path: Path, serve: Serve, webhooks: Start, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                    "-days", "2", "-subj", "/CN=nvr"], check=True, capture_output=True)  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    receiver = serve(context=context)
    webhooks({"url": receiver.url + "/strict"}).submit(event())
    wait_told(caplog, "its certificate is not accepted")
    webhooks({"url": receiver.url + "/any", "insecure": True}).submit(event())
    assert paths(receiver, 1) == ["/any"]
    assert not recwarn.list


def test_without_webhooks_there_is_no_thread_and_urllib3_is_not_loaded() -> None:
    code = (
        "import sys, threading; from soteirad.hub.webhooks import Webhooks; hooks = Webhooks([]); hooks.start(); "
        "assert threading.active_count() == 1; assert 'urllib3' not in sys.modules; hooks.stop(1.0)"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})


def _threads(receiver: Receiver) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"webhook {receiver.host}"]
