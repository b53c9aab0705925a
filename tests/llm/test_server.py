"""The test server refuses what the real API would, and says so at the end of a test."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest

from soteirad.llm.provider import ProviderError
from tests.llm.asking import SCHEMA, jpeg, messages, provider
from tests.llm_server import LlmServer

PNG = "data:image/png;base64,iVBORw0KGgo="
HALF_A_JPEG = "data:image/jpeg;base64,/9j/4AAQ"


def changed(schema: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return copy.deepcopy(schema) | keys


def with_key_in_part() -> list[Any]:
    found = messages()
    found[1]["content"][0]["colour"] = "red"
    return found


@pytest.mark.parametrize(
    ("asked", "schema", "text"),
    [
        (messages(PNG), SCHEMA, "no data:image/jpeg"),
        (messages("http://10.0.0.7/picture.jpg"), SCHEMA, "no data:image/jpeg"),
        (messages("data:image/jpeg;base64,a-b"), SCHEMA, "no base64"),
        (messages("data:image/jpeg;base64,aGVsbG8="), SCHEMA, "no JPEG"),
        (messages(HALF_A_JPEG), SCHEMA, "no JPEG"),
        (messages(jpeg(769, 100)), SCHEMA, "its long side is over 768"),
        (messages(), changed(SCHEMA, required=["answer"]), "requires all its properties"),
        (messages(), changed(SCHEMA, additionalProperties=True), "requires all its properties"),
        (messages(), {"type": "string"}, "has to be an object"),
        ([], SCHEMA, "no messages"),
        ([{"role": "owner", "content": "hello"}], SCHEMA, "not of the API's types"),
        (with_key_in_part(), SCHEMA, "colour: Extra inputs are not permitted"),
    ],
)
def test_a_request_that_the_real_api_refuses_fails_the_test(asked: list[Any], schema: dict[str, Any],
                                                            text: str) -> None:  # fmt: skip
    with pytest.raises(AssertionError, match=text), LlmServer() as server, suppress(ProviderError):
        provider(server.url).ask(asked, schema)


def test_a_missing_key_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="no Authorization"), LlmServer(key="another") as server:  # noqa: SIM117
        with pytest.raises(ProviderError, match="check api_key"):
            provider(server.url).ask(messages(), SCHEMA)


def test_an_unknown_option_fails_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    found = provider("http://127.0.0.1:9/v1")
    options = found._options(messages(), SCHEMA, frozenset())
    with pytest.raises(AssertionError, match="not of the API's types: shape"), LlmServer() as server:
        found = provider(server.url)
        monkeypatch.setattr(found, "_options", lambda *_: {**options, "extra_body": {"shape": 1}})
        with pytest.raises(ProviderError):
            found.ask(messages(), SCHEMA)


def test_a_picture_of_768_by_768_passes_and_can_be_looked_at() -> None:
    with LlmServer() as server:
        provider(server.url).ask(messages(jpeg(768, 768)), SCHEMA)
        (picture,) = server.asked()[0].pictures
    assert picture.shape == (768, 768, 3)
    assert picture[0, 0, 2] > 150
