"""Questions: the real daemon on video, a real broker, and a strict server that speaks OpenAI's API."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import yaml

from tests.brokers import Mosquitto, Received, Subscriber, retained_at
from tests.clips import DEMO
from tests.daemon import events, payloads, write_config
from tests.house import StartDaemon
from tests.llm_server import LlmServer, hang, status

KEY = "sk-geheim-4711"
PARCEL = {"name": "parcel", "ask": "Is there a parcel?", "answer": "yes_no", "when": {"on": "left"}, "frames": 2}
COUNT = {"name": "count", "ask": "How many?", "answer": "number", "crop": "object", "when": {"labels": ["person"]}}
LIGHT = {"name": "light", "ask": "Which light?", "answer": {"choice": ["day", "night"]},
         "when": {"on": "interval", "interval": 3600}}  # fmt: skip


@pytest.fixture
def model() -> Iterator[LlmServer]:
    with LlmServer(key=KEY) as server:
        yield server


def house(tmp_path: Path, broker: Mosquitto, model: LlmServer | None, camera: dict[str, Any], **sections: Any) -> Path:
    mqtt = {"host": "127.0.0.1", "port": broker.port, "commands": ["ask"]}
    llm = None if model is None else {"providers": [{"base_url": model.url, "model": "eyes", "api_key": KEY}],
                                      "duplicates": {"window": 0}, **sections.pop("llm", {})}  # fmt: skip
    asked = {} if llm is None else {"llm": llm}
    porch = {"source": str(DEMO), "speed": 1, **camera}
    return write_config(tmp_path, broker.port, {"porch": porch}, **{"mqtt": mqtt, **asked, **sections})


def told(messages: list[Received], question: str) -> list[dict[str, Any]]:
    """Return all that was said of a question, in order."""
    return [json.loads(p) for p in payloads(messages, f"soteira/porch/answer/{question}") if p]


def wait_told(listener: Subscriber, question: str, **expected: Any) -> dict[str, Any]:
    """Wait until the last that is said of a question is this."""
    def holds(seen: list[Received]) -> bool:
        return expected.items() <= (told(seen, question) or [{}])[-1].items()

    return told(listener.wait_for(holds), question)[-1]


def frame_at(media_time: float) -> np.ndarray:
    with av.open(str(DEMO)) as container:
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time >= media_time - 0.001:
                return frame.to_ndarray(format="bgr24")
    raise AssertionError(f"{DEMO} has no frame at {media_time}")


def in_journal(tmp_path: Path, question: str) -> list[dict[str, Any]]:
    with sqlite3.connect(tmp_path / "state" / "journal.sqlite3") as db:
        rows = db.execute("SELECT record FROM answers WHERE question = ? ORDER BY id", (question,)).fetchall()
    return [json.loads(row[0]) for row in rows]


def calls_in_journal(tmp_path: Path) -> int:
    with sqlite3.connect(tmp_path / "state" / "journal.sqlite3") as db:
        return int(db.execute("SELECT count(*) FROM calls").fetchone()[0])


def test_an_event_is_published_at_once_and_its_answer_about_the_right_picture_follows(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, model: LlmServer
) -> None:
    corner = [[0, 0, 0.2, 0, 0.2, 0.2, 0, 0.2]]
    path = house(tmp_path, broker, model, {"speed": "max", "questions": [PARCEL, COUNT], "privacy_mask": corner},
                 questions=["describe"])  # fmt: skip
    daemon = start_daemon(path, "--until-end")
    assert daemon.wait_exit() == 0, daemon.log()
    messages = listener.messages()
    found = events(messages)
    entered = [e for e in found if e["event_type"] == "entered"]
    answered = [e for e in found if e["event_type"] == "answered"]
    assert [e["label"] for e in entered] == ["person", "person", "cat"]
    for event in entered:
        expected = ["count", "describe"] if event["label"] == "person" else ["describe"]
        about = [e for e in answered if e["about"] == event["id"]]
        assert sorted(e["question"] for e in about) == expected
        assert all(found.index(e) > found.index(event) for e in about), "the event waited for its answer"
    states = [(t["id"], t["state"]) for t in told(messages, "count")]
    # When the second was asked before the first was answered, what stays is told once more after the first's answer.
    assert [state for _, state in sorted({*states})] == ["answered", "pending"] * 2
    first_id = next(e["id"] for e in answered if e["question"] == "count")
    assert states.index((first_id, "pending")) < states.index((first_id, "answered"))
    assert [r["state"] for r in in_journal(tmp_path, "count")] == ["answered", "answered"]
    # The crop shows the object where the event says that it is.
    crops = [asked.pictures[0] for asked in model.asked() if "How many?" in asked.text]
    assert len(crops) == 2
    for event in entered[:2]:  # which of the two was asked first is the workers' affair
        assert any(_shows(crop, event) for crop in crops)
    wide = [a for a in model.asked() if "How many?" not in a.text]
    assert len(wide) == 6 and {a.pictures[0].shape for a in wide} == {(360, 640, 3)}
    assert all(int(p[4:60, 4:110].max()) < 20 for a in wide for p in a.pictures), "the privacy mask is not black"
    assert sorted(len(a.pictures) for a in model.asked()) == [1, 1, 1, 1, 1, 2, 2, 2]
    everything = daemon.log() + "".join(str(m.payload) for m in messages) + str(in_journal(tmp_path, "parcel"))
    assert KEY not in everything
    assert daemon.log().count(f"pictures of porch are sent to {model.host} (eyes)") == 1


def _shows(crop: np.ndarray, event: dict[str, Any]) -> bool:
    """Say whether the crop is a part of the event's frame, and the event's box lies in it."""
    frame = frame_at(event["media_time"])
    frame[:72, :128] = 0  # the privacy mask
    _, best, _, (left, top) = cv2.minMaxLoc(cv2.matchTemplate(frame, crop, cv2.TM_CCOEFF_NORMED))
    x1, y1, x2, y2 = event["box"]
    height, width = crop.shape[:2]
    inside = left - 2 <= x1 and top - 2 <= y1 and x2 <= left + width + 2 and y2 <= top + height + 2
    return best > 0.95 and inside and width < frame.shape[1] / 2


def test_what_was_under_way_when_the_daemon_was_killed_or_stopped_ends_as_failed_and_the_budget_remembers_it(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, model: LlmServer
) -> None:
    model.then(hang(), hang())
    path = house(tmp_path, broker, model, {"questions": [LIGHT]}, llm={"budget": {"per_day": 50}})
    daemon = start_daemon(path)
    model.wait_for(1)
    first = wait_told(listener, "light", state="pending")["id"]
    daemon.wait_until(lambda: calls_in_journal(tmp_path) == 1, "the call is in the journal")
    daemon.kill()
    daemon = start_daemon(path)
    model.wait_for(2)
    assert {r["id"]: r["state"] for r in in_journal(tmp_path, "light")}[first] == "failed"
    second = wait_told(listener, "light", state="pending")["id"]
    assert second != first
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_exit(5.0) == 0
    assert wait_told(listener, "light", id=second)["state"] == "failed"
    assert [r["state"] for r in in_journal(tmp_path, "light")] == ["failed", "failed"]
    model.released.set()
    daemon = start_daemon(path)
    wait_told(listener, "light", state="answered")
    listener.wait_for(lambda seen: json.loads(payloads(seen, "soteira/llm")[-1])["left"]["per_day"] == 47)
    daemon.stop()


def test_questions_come_over_mqtt_if_that_is_allowed(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, model: LlmServer
) -> None:
    gate = {**LIGHT, "when": {"on": "command"}}
    path = house(tmp_path, broker, model, {"questions": [gate]})
    daemon = start_daemon(path)
    listener.publish("soteira/porch/set/ask", "Who is there?")  # perhaps before there is a picture
    listener.wait_for(events)  # `online` comes before the first picture
    listener.publish("soteira/porch/set/ask", "  What colour\nis the door? ")
    answered = wait_told(listener, "ask", ask="What colour is the door?", state="answered")
    assert answered["on"] == "command" and isinstance(answered["answer"], str)
    listener.publish("soteira/porch/set/ask", "light")
    assert wait_told(listener, "light", state="answered")["answer"] in ("day", "night")
    assert "Question: What colour is the door?" in next(a.text for a in model.asked() if "colour" in a.text)
    asked = len(model.asked())
    for topic, payload in (("porch/set/ask", "x" * 2000), ("porch/set/ask", b"\xff\xfe"), ("porch/set/ask", " \n"),
                           ("yard/set/ask", "hello?")):  # fmt: skip
        listener.publish(f"soteira/{topic}", payload)
    daemon.wait_log("refused", 4)
    document = yaml.safe_load(path.read_text())
    document["mqtt"]["commands"] = ["detect"]
    path.write_text(yaml.safe_dump(document))
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("the configuration was reloaded")
    listener.publish("soteira/porch/set/ask", "Who is there?")
    daemon.wait_log("add ask to mqtt.commands")
    assert len(model.asked()) == asked
    daemon.stop()


def test_a_reload_takes_questions_and_models_away_and_brings_them_back(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, model: LlmServer
) -> None:
    path = house(tmp_path, broker, model, {"questions": [LIGHT]})
    daemon = start_daemon(path)
    first = wait_told(listener, "light", state="answered")
    daemon.wait_log("online")
    process = daemon.camera_pid(DEMO)
    document = yaml.safe_load(path.read_text())
    llm = document.pop("llm")

    def reload(times: int) -> None:
        path.write_text(yaml.safe_dump(document))
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("the configuration was reloaded", times)

    reload(1)
    for topic in ("soteira/porch/answer/light", "soteira/llm"):
        listener.wait_for(lambda seen, topic=topic: payloads(seen, topic)[-1] == "")
    assert not [t for t in retained_at(broker) if "/answer/" in t or t == "soteira/llm"]
    document["llm"] = {**llm, "workers": 1}
    document["cameras"]["porch"]["questions"] = [{**LIGHT, "name": "lamp"}]
    reload(2)
    wait_told(listener, "lamp", state="answered")
    document["cameras"]["porch"]["questions"] = [LIGHT]
    reload(3)
    assert told(listener.messages(), "light")[-1]["answered"]["id"] >= first["id"], "the last answer is known again"
    listener.wait_for(lambda seen: payloads(seen, "soteira/porch/answer/lamp")[-1] == "")
    assert daemon.camera_pid(DEMO) == process, "questions are changed while the camera is watched"
    daemon.stop()


def test_while_the_first_model_fails_the_second_answers_and_nothing_is_sent_to_the_internet_with_local_only(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, model: LlmServer
) -> None:
    with LlmServer(always=status(401)) as locked:
        providers = [{"base_url": "http://soteira.invalid/v1", "model": "far"},
                     {"base_url": locked.url, "model": "locked", "api_key": KEY},
                     {"base_url": model.url, "model": "eyes", "api_key": KEY}]  # fmt: skip
        path = house(tmp_path, broker, model, {"questions": [LIGHT]},
                     llm={"providers": providers, "local_only": True, "timeout": 5})  # fmt: skip
        daemon = start_daemon(path)
        answered = wait_told(listener, "light", state="answered")
        assert answered["server"] == model.host
        assert len(locked.asked()) == 1
        daemon.stop()
