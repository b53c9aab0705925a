"""`soteirad doctor --llm` against servers that see, guess, refuse and do not answer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soteirad.config import LlmConfig
from soteirad.doctor.finding import Finding
from soteirad.doctor.present import finding_lines
from soteirad.doctor.vision import check, see
from tests.command import typed
from tests.daemon import soteirad
from tests.doctor.people import patient
from tests.http_receiver import Answer, Receiver
from tests.http_receiver import status as reply
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
    return {finding.what.partition(", ")[2].removeprefix("eyes, "): finding for finding in see(llm)}


def test_a_model_that_sees_passes_everything() -> None:
    with LlmServer(reply_with=seeing) as server:
        found = found_of(server)
        assert [finding.verdict for finding in found.values()] == ["ok"] * 4
        golden = server.asked()[0].pictures[0]
        assert golden.shape == (480, 640, 3) and golden[60, 70, 2] > 150, "the stop sign of the golden picture is red"
        assert [len(asked.pictures) for asked in server.asked()] == [1, 1, 2, 1]
        assert np.ptp(server.asked()[1].pictures[0].reshape(-1, 3).mean(axis=0)) > 100
    assert "1 (it can be seen)" in next(iter(found.values())).text
    assert all(finding_lines(finding)[0].startswith("  OK  ") for finding in found.values())


def test_a_model_that_does_not_look_is_warned_of() -> None:
    with LlmServer(reply_with=lambda asked: said("green" if "colour" in asked.text else 4)) as server:
        found = found_of(server)
    assert found["pictures"].verdict == found["several pictures"].verdict == "warn"
    assert "does not see the picture" in found["pictures"].text and "vision" in found["pictures"].remedy


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
    assert only.verdict == "fail" and told in f"{only.text}: {only.remedy}"


def test_the_command_prints_what_it_finds_and_ends_with_1_if_something_fails() -> None:
    with LlmServer(reply_with=seeing) as server:
        good = soteirad("doctor", "--llm", "--base-url", server.url, "--model", "eyes", "--json")
    assert good.returncode == 0 and json.loads(good.stdout)["summary"] == {"ok": 4, "warn": 0, "fail": 0}
    gone = typed("doctor", "--llm", "--base-url", server.url, "--model", "eyes")
    assert gone.returncode == 1 and gone.stdout.startswith("  FAIL") and "nothing listens there" in gone.stdout
    assert typed("doctor", "--base-url", server.url).returncode == 2


def asked(folder: Path, answer: Answer, model: str = "eyes:7b", key: str | None = "key-geheim") -> tuple[Finding, str]:
    """Return what is found of a server that answers so, and the one request that it got."""
    receiver = Receiver(answer).start()
    try:
        provider = {"base_url": f"{receiver.url}/v1", "model": model, "api_key": key}
        (found,) = check(patient(folder, llm={"providers": [provider]}))
        (request,) = receiver.asked()
    finally:
        receiver.stop()
    assert request.headers.get("Authorization") == f"Bearer {key}"
    return found, f"{request.method} {request.path}"


def listed(*names: str, by: str = "somebody") -> Answer:
    data = {"object": "list", "data": [{"id": name, "object": "model", "owned_by": by} for name in names]}
    return reply(200, json.dumps(data).encode(), Content_Type="application/json")


def test_a_server_is_asked_for_the_names_of_its_models_which_costs_nothing(tmp_path: Path) -> None:
    found, request = asked(tmp_path, listed("other", "eyes:7b"))
    assert found.verdict == "ok" and "it has the model eyes:7b" in found.text
    assert request == "GET /v1/models"


def test_a_model_that_the_server_does_not_have_is_a_fault(tmp_path: Path) -> None:
    found, _ = asked(tmp_path, listed("a", "b"))
    assert found.verdict == "fail" and found.text == "it has no model eyes:7b; it has a, b"


def test_a_server_that_serves_one_model_by_any_name_is_well(tmp_path: Path) -> None:
    assert asked(tmp_path, listed("/models/x.gguf", by="llamacpp"))[0].verdict == "ok"
    assert asked(tmp_path, listed("eyes:latest"), model="eyes")[0].verdict == "ok"


@pytest.mark.parametrize("answer", [reply(404), reply(200, b"<html>"), reply(200, b"[]")])
def test_a_server_without_such_a_list_is_told_of_and_no_fault(answer: Answer, tmp_path: Path) -> None:
    found, _ = asked(tmp_path, answer)
    assert found.verdict == "warn" and "--llm" in found.remedy


def test_a_server_that_refuses_the_key_is_a_fault(tmp_path: Path) -> None:
    found, _ = asked(tmp_path, reply(401, b'{"error": "bad key key-geheim"}'))
    assert found.verdict == "fail" and "api_key" in found.remedy and "geheim" not in str(found)


def test_without_vision_models_nothing_is_sent(tmp_path: Path) -> None:
    (found,) = check(patient(tmp_path))
    assert found.verdict == "ok" and "nothing is sent" in found.text


def test_pictures_are_sent_only_when_that_is_wished_for(tmp_path: Path) -> None:
    with LlmServer(reply_with=seeing) as server:
        sick = patient(tmp_path, llm={"providers": [{"base_url": server.url, "model": "eyes"}]})
        assert len(list(check(replace(sick, pictures=True)))) == len(server.asked()) == 4
