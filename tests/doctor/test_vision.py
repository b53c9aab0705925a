"""`soteirad doctor --llm` against servers that see, guess, refuse and do not answer."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from soteirad.tools.doctor import Finding, examine

from soteirad.config import LlmConfig
from soteirad.tools.present import finding_line
from tests.command import typed
from tests.daemon import soteirad
from tests.llm_request import Asked
from tests.llm_server import LlmServer, prose, reject_schema, status

COLOURS = {"red": 2, "green": 1, "blue": 0}


def seeing(asked: Asked) -> dict[str, Any]:
    """Answer as a model does that looks at the last picture."""
    picture = asked.pictures[-1]
    if "How many people" in asked.text:
        return said(1)
    if "colour" in asked.text:
        mean = picture.reshape(-1, 3).mean(axis=0)
        return said(max(COLOURS, key=lambda name: mean[COLOURS[name]]))
    return said("signs, astronaut, ball")


def said(value: Any) -> dict[str, Any]:
    return {"answer": value, "confidence": 0.9, "because": "it can be seen"}


def found_of(server: LlmServer) -> dict[str, Finding]:
    llm = LlmConfig.model_validate({"providers": [{"base_url": server.url, "model": "eyes"}], "timeout": 5})
    return {finding.what.removeprefix("eyes, "): finding for finding in examine(llm)}


def test_a_model_that_sees_passes_everything() -> None:
    with LlmServer(reply_with=seeing) as server:
        found = found_of(server)
        assert [finding.verdict for finding in found.values()] == ["ok"] * 4
        golden = server.asked()[0].pictures[0]
        assert golden.shape == (480, 640, 3) and golden[60, 70, 2] > 150, "the stop sign of the golden picture is red"
        assert [len(asked.pictures) for asked in server.asked()] == [1, 1, 2, 1]
        assert np.ptp(server.asked()[1].pictures[0].reshape(-1, 3).mean(axis=0)) > 100
    assert "1 (it can be seen)" in next(iter(found.values())).text
    assert all(finding_line(finding).startswith("OK  ") for finding in found.values())


def test_a_model_that_does_not_look_is_warned_of() -> None:
    with LlmServer(reply_with=lambda asked: said("green" if "colour" in asked.text else 4)) as server:
        found = found_of(server)
    assert found["pictures"].verdict == found["several pictures"].verdict == "warn"
    assert "does not see the picture" in found["pictures"].text


def test_a_server_that_refuses_or_ignores_a_schema_is_told_apart_from_one_that_keeps_to_it() -> None:
    with LlmServer(reply_with=seeing, always=reject_schema()) as server:
        refused = found_of(server)["answers by a schema"]
    with LlmServer(always=prose("Sure! Three words: signs, astronaut, ball")) as server:
        ignored = found_of(server)["answers by a schema"]
    assert (refused.verdict, ignored.verdict) == ("warn", "warn")
    assert "refuses a schema" in refused.text
    assert "does not keep to it" in ignored.text


@pytest.mark.parametrize(("code", "told"), [(401, "api_key"), (404, "eyes"), (500, "500")])
def test_a_server_that_cannot_answer_is_asked_once_and_its_reason_is_told(code: int, told: str) -> None:
    with LlmServer(always=status(code)) as server:
        found = found_of(server)
        assert len(server.asked()) == 1
    (only,) = found.values()
    assert only.verdict == "fail" and told in only.text


def test_the_command_prints_what_it_finds_and_ends_with_1_if_something_fails() -> None:
    with LlmServer(reply_with=seeing) as server:
        good = soteirad("doctor", "--llm", "--base-url", server.url, "--model", "eyes", "--json")
    assert good.returncode == 0 and len(json.loads(good.stdout)) == 4
    gone = typed("doctor", "--llm", "--base-url", server.url, "--model", "eyes")
    assert gone.returncode == 1 and gone.stdout.startswith("FAIL") and "nothing listens there" in gone.stdout
    assert typed("doctor").returncode == 2
