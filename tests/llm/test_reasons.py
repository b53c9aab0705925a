"""What a provider says of a real server that refuses, fails, is late or talks nonsense."""

from __future__ import annotations

import logging
import re
import time
import traceback
from email.utils import formatdate
from pathlib import Path

import pytest

from soteirad.llm.provider import ProviderError
from tests.brokers import free_port
from tests.certificates import Authority
from tests.llm.asking import KEY, ask, failure, server_context
from tests.llm_server import (
    LlmAnswer,
    LlmServer,
    cut_body,
    delay,
    dribble,
    hang,
    hangs_up,
    html,
    huge,
    invalid_json,
    no_choice,
    prose,
    raw,
    raw_json,
    redirect,
    refusal,
    status,
)


def test_a_certificate_that_nobody_knows_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with LlmServer(context=server_context(Authority(tmp_path).sign("server"))) as server:
        with pytest.raises(ProviderError, match=r"certificate is not accepted .*add its authority") as caught:
            ask(server.url)
        assert not caught.value.again
        assert not server.asked()


def test_https_where_only_http_is_spoken_is_told() -> None:
    with LlmServer() as server, pytest.raises(ProviderError, match="does it speak https"):
        ask(server.url.replace("http:", "https:"))


@pytest.mark.parametrize(
    ("one", "text", "again"),
    [
        (status(401), r"refuses us \(HTTP 401\): check api_key", False),
        (status(402), "wants to be paid", False),
        (status(403, message="no access"), "check api_key, and whether it may use the model 'qwen'.*no access", False),
        (status(404, message="try pulling it"), "no model 'qwen', or nothing.*check model.*try pulling it", False),
        (status(405), "check model and base_url", False),
        (status(413), "refuses the request", False),
        (status(429), "too many requests", True),
        (status(429, code="insufficient_quota"), "quota of the account there is used up", False),
        (status(500, message="out of\nmemory"), 'fails .HTTP 500.: look at its own log; it says "out of memory"', True),
        (status(500, message="image input is not supported"), "does the model 'qwen' see pictures", True),
        (status(400, message="image_url is not allowed"), "refuses .* see pictures.*image_url is not allowed", False),
        (raw_json([{"error": {"message": "no such key"}}], 400), "no such key", False),
        (raw_json({"detail": [{"loc": ["body"], "msg": "too long"}]}, 422), "too long", False),
        (raw(b"<html>Bad gateway</html>", "text/html", 502), r"fails \(HTTP 502\): look at its own log$", True),
        (status(418), "HTTP 418", False),
        (redirect("http://127.0.0.1:9/v1"), "not followed: put the final address into base_url", False),
        (html(), "is /v1 missing in base_url", False),
        (raw(b"Hello", "text/html"), "is /v1 missing in base_url", False),
        (invalid_json(), "this one is no JSON", True),
        (raw(b"[" * 100_000), "this one is no JSON", True),
        (raw(b'{"choices": "\xff"}'), "this one is no JSON", True),
        (raw_json({"hello": "world"}), "no OpenAI-compatible API", False),
        (raw_json([1, 2]), "no OpenAI-compatible API", False),
        (raw_json(None), "no OpenAI-compatible API", False),
        (raw_json({"choices": {"a": 1}}), "no OpenAI-compatible API", False),
        (raw_json({"error": {"message": "overloaded", "code": 503}}), r"HTTP 503.*overloaded", True),
        (raw_json({"error": "model is loading"}), "answers with an error.*model is loading", True),
        (no_choice(), "holds nothing", True),
        (raw_json({"choices": [None]}), "holds nothing", True),
        (raw_json({"choices": [{"message": "text"}]}), "holds nothing", True),
        (refusal("I won't."), "refuses to answer; it says \"I won't.\"", False),
        (prose([{"type": "refusal", "refusal": "Never."}]), "refuses to answer; it says \"Never.\"", False),
        (prose(None), "answer is empty: does the model 'qwen' see pictures", True),
        (prose(" \n"), "answer is empty", True),
        (prose({"a": 1}), "answer is empty", True),
        (prose(None, "length"), "raise max_tokens", False),
        (prose("", "content_filter"), "a filter there", False),
        (cut_body(), "in the middle of its answer", True),
        (hangs_up(), "closed the connection without an answer", True),
        (huge(), "larger than 256 kB", False),
    ],
)  # fmt: skip
def test_what_a_server_does_wrong_is_told_with_what_to_do(
    one: LlmAnswer, text: str, again: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = failure(one)
    assert error.again is again
    assert error.reason == str(error)
    assert re.search(text, error.reason), error.reason
    assert "\n" not in error.reason
    assert KEY not in "".join(traceback.format_exception(error)) + caplog.text


@pytest.mark.parametrize(("code", "words"), [(400, f"bad key {KEY}"), (403, "x" * 185 + KEY), (500, KEY * 20)])
def test_a_key_that_a_server_quotes_is_not_told_not_even_a_part_of_it(
    code: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = "".join(traceback.format_exception(failure(status(code, message=words)))) + caplog.text
    assert KEY[:9] not in told


def test_a_server_that_wants_a_key_is_told_apart_from_one_that_refuses_it() -> None:
    assert "set api_key" in failure(status(401), api_key=None).reason


def test_an_address_without_v1_is_asked_about_when_nothing_is_found_there() -> None:
    with LlmServer() as server, pytest.raises(ProviderError, match=r"is /v1 missing\?") as caught:
        try:
            ask(server.url.removesuffix("/v1"))
        finally:
            server.violations.clear()
    assert not caught.value.again


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("1.5", 1.5), ("soon", None), ("-3", None), ("inf", None)])
def test_a_server_may_say_for_how_many_seconds_it_wants_to_be_left_alone(value: str, seconds: float | None) -> None:
    assert failure(status(429, value)).retry_after == seconds


def test_a_server_may_say_until_when_it_wants_to_be_left_alone() -> None:
    found = failure(status(503, formatdate(time.time() + 1000, usegmt=True))).retry_after
    assert found is not None
    assert 0 < found <= 1000
    assert failure(status(503, formatdate(time.time() - 1000, usegmt=True))).retry_after == 0


def test_a_redirect_is_not_followed() -> None:
    with LlmServer() as elsewhere:
        for code in (301, 302, 307, 308):
            failure(redirect(f"{elsewhere.url}/chat/completions", code))
        assert not elsewhere.asked()
        assert not elsewhere.violations


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(ProviderError, match="nothing listens there") as caught:
        ask(f"http://127.0.0.1:{free_port()}/v1")
    assert caught.value.again


def test_a_name_that_does_not_exist_is_told() -> None:
    with pytest.raises(ProviderError, match="host name cannot be resolved") as caught:
        ask("http://nobody.invalid/v1")
    assert caught.value.again


@pytest.mark.parametrize("one", [hang(), delay(3600.0), dribble(), dribble(headers=True)])
def test_an_answer_that_does_not_come_in_time_is_given_up(one: LlmAnswer) -> None:
    error = failure(one, timeout=0.5)
    assert error.reason == "no answer within 0.5 s"
    assert error.again


def test_what_an_answer_cost_is_known_even_when_it_is_of_no_use() -> None:
    error = failure(prose(None, "length"))
    assert (error.sent_tokens, error.answered_tokens) == (108, 20)
