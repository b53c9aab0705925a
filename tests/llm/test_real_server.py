"""A real server that was not made for these tests: llama.cpp's, with a tiny random vision model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from soteirad.config import AnswerType, LlmConfig, ProviderConfig
from soteirad.doctor.vision import check, see
from soteirad.event import iso_time
from soteirad.llm.answer import answer_schema, read_answer
from soteirad.llm.picture import Shot
from soteirad.llm.prompt import chat_messages
from soteirad.llm.provider import Provider, ProviderError
from soteirad.messages import Ask
from soteirad.snapshot import encode_jpeg
from tests.brokers import Mosquitto, Subscriber
from tests.clips import DEMO
from tests.daemon import events, write_config
from tests.doctor.people import patient
from tests.house import StartDaemon
from tests.llama_server import MODEL, LlamaServer

KINDS = [AnswerType("yes_no"), AnswerType("number"), AnswerType("choice", ("open", "closed")), AnswerType("text")]


@pytest.fixture(scope="module")
def server() -> Iterator[LlamaServer]:
    server = LlamaServer().start()
    yield server
    server.stop()


def provider(server: LlamaServer, timeout: float = 60.0) -> Provider:
    return Provider(ProviderConfig(base_url=server.url, model=MODEL), True, 5.0, timeout)


def ask(pictures: int) -> Ask:
    now = time.time()
    jpeg = encode_jpeg(np.random.default_rng(7).integers(0, 255, (270, 480, 3), np.uint8), 80)
    return Ask("1", "q", "command", iso_time(now), shots=tuple(Shot(jpeg, 480, 270, now) for _ in range(pictures)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
@pytest.mark.parametrize("pictures", [1, 4])
def test_it_takes_our_pictures_and_keeps_to_our_schema(server: LlamaServer, kind: AnswerType, pictures: int) -> None:
    asked = provider(server)
    reply = asked.ask(chat_messages("Is the gate open?", kind, "porch", ask(pictures)), answer_schema(kind))
    found = read_answer(reply.text, kind)
    assert asked.takes_schema
    assert reply.model == MODEL and reply.sent_tokens is not None and reply.sent_tokens > 256 * pictures
    assert found.value is None or isinstance(found.value, {"yes_no": bool, "number": (int, float)}.get(kind.kind, str))
    assert kind.kind != "choice" or found.value in (None, "open", "closed")
    assert found.confidence is None or 0 <= found.confidence <= 1


def test_a_question_that_is_too_long_for_the_model_is_refused_with_its_reason(server: LlamaServer) -> None:
    messages = chat_messages("Who? " * 20_000, AnswerType("text"), "porch", ask(1))
    with pytest.raises(ProviderError) as caught:
        provider(server).ask(messages, answer_schema(AnswerType("text")))
    assert not caught.value.again
    assert "context" in str(caught.value)


def test_the_doctor_says_what_it_is_able_to_do(server: LlamaServer) -> None:
    llm = LlmConfig.model_validate({"providers": [{"base_url": server.url, "model": MODEL}]})
    found = {finding.what: finding for finding in see(llm)}
    assert len(found) == 4 and all(what.startswith(f"{server.host}, ") for what in found)
    assert found[f"{server.host}, answers by a schema"].verdict == "ok"
    assert all(finding.ms for finding in found.values())


def test_its_list_of_models_is_understood(server: LlamaServer, tmp_path: Path) -> None:
    for name in (MODEL, "any-other"):
        (found,) = check(patient(tmp_path, llm={"providers": [{"base_url": server.url, "model": name}]}))
        assert found.verdict == "ok", "it serves its one model by any name"


def test_the_daemon_gets_its_answers(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, server: LlamaServer
) -> None:
    question = {"name": "gate", "ask": "Is the gate open?", "answer": {"choice": ["open", "closed"]}, "frames": 3}
    llm = {"providers": [{"base_url": server.url, "model": MODEL}], "local_only": True}
    cameras = {"porch": {"source": str(DEMO), "speed": "max", "questions": [question]}}
    daemon = start_daemon(write_config(tmp_path, broker.port, cameras, llm=llm), "--until-end")
    assert daemon.wait_exit() == 0, daemon.log()
    found = events(listener.messages())
    answered = {e["about"]: e for e in found if e["event_type"] == "answered"}
    entered = [e["id"] for e in found if e["event_type"] == "entered"]
    assert len(entered) == 3 and set(answered) == {*entered}
    assert all(e.get("answer") in (None, "open", "closed") and e["why"]["model"] == MODEL for e in answered.values())
