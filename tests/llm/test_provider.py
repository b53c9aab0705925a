"""A provider against a real server: what it sends, what it makes of the answer, and how it adapts."""

from __future__ import annotations

import base64
import json
import logging
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from soteirad.llm.provider import BudgetSpent, ProviderError, Reply
from tests.certificates import Authority
from tests.llm.asking import KEY, SCHEMA, ask, messages, provider, server_context
from tests.llm_server import (
    LlmServer,
    answer,
    delay,
    hang,
    prose,
    raw,
    raw_json,
    refuse,
    reject_schema,
    status,
)


def test_a_question_comes_back_with_the_models_text_its_name_and_what_it_cost() -> None:
    with LlmServer(answer("yes", 0.8, "I see it"), key=KEY) as server:
        reply = ask(server.url)
    assert json.loads(reply.text) == {"answer": "yes", "confidence": 0.8, "because": "I see it"}
    assert (reply.model, reply.sent_tokens, reply.answered_tokens) == ("qwen-served", 108, 20)


def test_a_key_that_comes_back_in_an_answer_or_as_the_models_name_is_hidden() -> None:
    said = {"model": f"eyes-{KEY}", "choices": [{"message": {"content": f"yes, your key is {KEY}"}}]}
    with LlmServer(raw_json(said), raw_json({**said, "model": "ollama"})) as server:
        reply, other = ask(server.url), provider(server.url, api_key="ollama").ask(messages(), SCHEMA)
    assert (reply.model, reply.text) == ("eyes-***", "yes, your key is ***")
    assert other.model == "ollama", "the key of a server that wants none is no secret"


def test_what_is_sent_is_the_question_the_picture_the_schema_and_nothing_random() -> None:
    with LlmServer(key=KEY) as server:
        provider(server.url, max_tokens=123).ask(messages(), SCHEMA)
        (asked,) = server.asked()
    assert asked.model == "qwen"
    assert asked.schema == SCHEMA
    assert asked.text == "Answer in JSON.\nIs there a parcel?"
    assert [picture.shape for picture in asked.pictures] == [(48, 64, 3)]
    assert set(asked.body) == {"model", "messages", "max_tokens", "temperature", "response_format"}
    assert (asked.body["max_tokens"], asked.body["temperature"]) == (123, 0)
    assert asked.body["response_format"]["json_schema"]["strict"] is True


def test_without_a_schema_no_form_is_asked_for() -> None:
    with LlmServer() as server:
        assert ask(server.url, None).text == "There is nothing."
        assert "response_format" not in server.asked()[0].body


def test_headers_tell_nothing_but_what_is_needed() -> None:
    with LlmServer() as server:
        ask(server.url)
        headers = server.asked()[0].headers
    assert set(headers) == {"host", "content-type", "content-length", "accept", "accept-encoding", "connection",
                            "user-agent", "authorization"}  # fmt: skip
    assert (headers["host"], headers["accept-encoding"]) == (server.host, "identity")


def test_without_a_key_no_authorization_is_sent() -> None:
    with LlmServer() as server:
        ask(server.url, api_key=None)
        assert "authorization" not in server.asked()[0].headers


def test_user_and_password_of_the_address_are_sent_as_such_and_never_told() -> None:
    with LlmServer(status(403, message="user me:pa/ss is not welcome")) as server:
        url = server.url.replace("://", "://me:pa%2Fss@")
        found = provider(url, api_key=None)
        with pytest.raises(ProviderError) as caught:
            found.ask(messages(), SCHEMA)
        token = server.asked()[0].headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(token) == b"me:pa/ss"
    assert found.host == server.host
    assert "pa/ss" not in str(caught.value)


def test_nothing_in_the_environment_has_a_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                              caplog: pytest.LogCaptureFixture) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login netrc password netrc\n", encoding="utf-8")
    stolen = "http://127.0.0.1:9"
    values = {
        "OPENAI_API_KEY": "env", "OPENAI_BASE_URL": stolen, "OPENAI_ORG_ID": "env", "OPENAI_PROJECT_ID": "env",
        "OPENAI_ADMIN_KEY": "env", "OPENAI_WEBHOOK_SECRET": "env", "OPENAI_LOG": "debug",
        "OPENAI_CUSTOM_HEADERS": "X-Env: env é\nAuthorization: Bearer env\nHost: env\nUser-Agent: env",
        "HTTP_PROXY": stolen, "http_proxy": stolen, "HTTPS_PROXY": stolen, "ALL_PROXY": stolen, "all_proxy": stolen,
        "HOME": str(tmp_path), "NETRC": str(tmp_path / ".netrc"),
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with LlmServer() as server:
        ask(server.url, api_key=None)
        ask(server.url)
        without, with_key = (asked.headers for asked in server.asked())
    assert "authorization" not in without
    assert with_key["authorization"] == f"Bearer {KEY}"
    assert not [value for headers in (without, with_key) for value in headers.values() if "env" in value]
    assert not [r for r in caplog.records if r.name.partition(".")[0] in ("openai", "httpx2", "httpcore2")]


def test_tls_keys_are_not_written_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pair = Authority(tmp_path).sign("server")
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    with LlmServer(context=server_context(pair)) as server, pytest.raises(ProviderError):
        ask(server.url)
    assert not (tmp_path / "keys").exists()


def test_an_encrypted_server_that_the_system_trusts_answers(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with LlmServer(context=server_context(authority.sign("server"))) as server:
        reply = ask(server.url, context=ssl.create_default_context(cafile=authority.ca))
    assert json.loads(reply.text)["answer"] == "yes"


def test_asking_again_without_an_option_takes_no_more_time_than_one_question_may() -> None:
    with LlmServer(delay(0.5, refuse("response_format", "no response_format")), hang()) as server:
        with pytest.raises(ProviderError, match=r"no answer within 0\.\d+ s"):
            provider(server.url, timeout=1.2).ask(messages(), SCHEMA)
        server.released.set()


def test_text_that_was_cut_off_is_returned_for_what_it_is_worth() -> None:
    with LlmServer(prose('{"answer": "ye', "length")) as server:
        assert ask(server.url).text == '{"answer": "ye'


def test_thoughts_stay_in_the_text() -> None:
    with LlmServer(prose("<think>hm</think>{}", reasoning_content="hm")) as server:
        assert ask(server.url).text == "<think>hm</think>{}"


def test_content_in_parts_is_put_together() -> None:
    with LlmServer(prose([{"type": "text", "text": '{"a"'}, 7, {"type": "image"}, ": 1}"])) as server:
        assert ask(server.url).text == '{"a": 1}'


def test_half_a_character_does_not_come_through() -> None:
    with LlmServer(prose("a\ud800b")) as server:
        assert ask(server.url).text == "a?b"


@pytest.mark.parametrize(
    "usage", [None, [], {}, {"prompt_tokens": "3", "completion_tokens": -1}, {"prompt_tokens": True,
    "completion_tokens": 1e3}, {"prompt_tokens": 10**30}],
)  # fmt: skip
def test_without_a_credible_count_tokens_are_unknown(usage: Any) -> None:
    data = {"choices": [{"message": {"content": "{}"}}], "usage": usage, "model": 5}
    with LlmServer(raw_json(data)) as server:
        assert ask(server.url) == Reply("{}", "qwen", None, None)


def test_json_that_is_not_called_json_is_read_all_the_same() -> None:
    data = json.dumps({"choices": [{"message": {"content": "{}"}}]}).encode()
    for kind in ("text/plain", "text/html", "application/octet-stream"):
        with LlmServer(raw(data, kind)) as server:
            assert ask(server.url).text == "{}"


def test_a_server_without_schemas_is_asked_again_without_and_that_is_remembered() -> None:
    with LlmServer(always=reject_schema()) as server:
        found = provider(server.url)
        found.ask(messages(), SCHEMA)
        found.ask(messages(), SCHEMA)
        assert ["response_format" in asked.body for asked in server.asked()] == [True, False, False]


@pytest.mark.parametrize(
    ("option", "text", "instead"),
    [
        ("max_tokens", "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
         "'max_completion_tokens' instead.", {"max_completion_tokens": 400}),
        ("temperature", "Unsupported value: 'temperature' does not support 0 with this model.", {}),
        ("response_format", "Invalid schema for response_format 'answer'", {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("code", [400, 422])
def test_an_option_that_is_refused_is_put_in_another_way(
    option: str, text: str, instead: dict[str, Any], code: int
) -> None:
    with LlmServer(always=refuse(option, text, code)) as server:
        ask(server.url)
        first, second = (asked.body for asked in server.asked())
    assert second == {key: value for key, value in first.items() if key != option} | instead


def test_of_several_options_in_a_refusal_the_first_is_meant() -> None:
    text = 'temperature: extra input; you sent {"temperature": 0, "response_format": {"type": "json_schema"}}'
    with LlmServer(always=refuse("temperature", text)) as server:
        ask(server.url)
        assert set(server.asked()[-1].body) == {"model", "messages", "max_tokens", "response_format"}


def test_a_server_may_refuse_all_three_options() -> None:
    always = refuse("temperature", "temperature: extra inputs are not permitted",
                    then=refuse("max_tokens", "max_tokens?", then=reject_schema()))  # fmt: skip
    with LlmServer(always=always) as server:
        calls: list[int] = []
        found = provider(server.url)
        found.ask(messages(), SCHEMA, on_call=lambda: calls.append(1) is None)
        assert len(server.asked()) == len(calls) == 4
        assert set(server.asked()[-1].body) == {"model", "messages", "max_completion_tokens"}
        found.ask(messages(), SCHEMA)
        assert len(server.asked()) == 5


def test_a_server_that_refuses_whatever_is_asked_is_asked_four_times_at_most() -> None:
    one = status(400, message="no response_format, no max_tokens, no temperature, no nothing")
    with LlmServer(always=one) as server:
        found = provider(server.url)
        with pytest.raises(ProviderError, match="refuses the request"):
            found.ask(messages(), SCHEMA)
        assert len(server.asked()) == 4
        # What did not help is not left out the next time.
        server.then(answer("yes"))
        found.ask(messages(), SCHEMA)
        assert server.asked()[-1].body == server.asked()[0].body


def test_what_is_left_out_is_remembered_although_the_answer_came_too_late() -> None:
    with LlmServer(reject_schema(), hang()) as server:
        found = provider(server.url, timeout=0.5)
        with pytest.raises(ProviderError, match="no answer"):
            found.ask(messages(), SCHEMA)
        found.ask(messages(), SCHEMA)
        assert "response_format" not in server.asked()[-1].body
        server.released.set()


def test_when_no_call_is_left_in_the_budget_none_is_made() -> None:
    with LlmServer() as server:
        with pytest.raises(BudgetSpent, match=r"llm\.budget"):
            provider(server.url).ask(messages(), SCHEMA, on_call=lambda: False)
        assert not server.asked()


def test_a_budget_may_end_between_two_tries_of_one_question() -> None:
    allowed = iter([True, False])
    with LlmServer(always=reject_schema()) as server:
        with pytest.raises(BudgetSpent):
            provider(server.url).ask(messages(), SCHEMA, on_call=lambda: next(allowed))
        assert len(server.asked()) == 1


def in_thread(work: Callable[[], Any], results: list[Any]) -> threading.Thread:
    def run() -> None:
        try:
            results.append(work())
        except ProviderError as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_several_threads_ask_at_the_same_time() -> None:
    together = threading.Barrier(4, timeout=30)

    def reply(_: Any) -> str:
        together.wait()
        return "{}"

    results: list[Any] = []
    with LlmServer(reply_with=reply) as server:
        found = provider(server.url)
        threads = [in_thread(lambda: found.ask(messages(), SCHEMA), results) for _ in range(4)]
        for thread in threads:
            thread.join(30)
    assert [result.text for result in results] == ["{}"] * 4


def test_closing_breaks_off_what_is_under_way_and_refuses_what_comes_later() -> None:
    results: list[Any] = []
    with LlmServer(always=hang()) as server:
        found = provider(server.url, timeout=3600.0)
        threads = [in_thread(lambda: found.ask(messages(), SCHEMA), results) for _ in range(2)]
        server.wait_for(2)
        found.close()
        for thread in threads:
            thread.join(30)
        with pytest.raises(ProviderError, match="since we stop"):
            found.ask(messages(), SCHEMA)
        server.released.set()
    assert [(str(error), error.again) for error in results] == [("it was broken off, since we stop", False)] * 2


def test_a_provider_that_was_never_asked_can_be_closed() -> None:
    provider("http://127.0.0.1:9/v1").close()


def test_the_openai_package_is_loaded_by_the_first_question_only() -> None:
    code = (
        "import sys, soteirad.llm.provider as p\n"
        "from soteirad.config.llm import ProviderConfig\n"
        "c = ProviderConfig(base_url='http://127.0.0.1:9/v1', model='m')\n"
        "o = p.Provider(c, False, 1.0, 1.0)\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'openai', 'httpx2', 'httpcore2', 'httpx'}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
