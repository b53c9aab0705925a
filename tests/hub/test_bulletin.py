"""The bulletin at a real broker: what a subscriber finds that comes now, by the configuration in force."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from soteirad.config import Config
from soteirad.hub.bulletin import Bulletin
from soteirad.hub.guard import Guard
from soteirad.hub.journal import Journal
from soteirad.hub.mirror import FrigateMirror
from soteirad.hub.retained import PACE_S, Retained
from soteirad.messages import Picture
from soteirad.mqtt.broker import Broker
from soteirad.mqtt.client import Acknowledged, MqttClient
from soteirad.mqtt.topics import Topics
from soteirad.state import camera_state
from tests.brokers import Mosquitto, Subscriber

PREFIXES = (f"box{n}" for n in itertools.count())
LLM = {"providers": [{"base_url": "http://127.0.0.1:11434/v1", "model": "m"}]}
PARCEL = {"name": "parcel", "ask": "Is there a parcel?", "answer": "yes_no"}
CARS = {"name": "cars", "ask": "How many cars?", "answer": "number"}
NOBODY = {"person": {"present": False, "count": 0}}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One broker for all tests: each has a prefix of its own."""
    broker = Mosquitto(tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker
    broker.stop()


class Rig:
    """A bulletin, published through a real client; `now` is the clock of its pace."""

    def __init__(self, broker: Mosquitto, folder: Path, prefix: str) -> None:
        self.broker, self.folder, self.prefix = broker, folder, prefix
        self.overridden: dict[str, list[str]] = {}
        self._woken = threading.Event()
        self.client = MqttClient(Broker(broker.host, broker.port, client_id=prefix), topics=Topics(prefix),
                                 on_wake=self._woken.set)  # fmt: skip
        self.journal = Journal(folder / "journal.sqlite3")
        self.journal.open()
        self.retained = Retained(self.client, self.journal, Guard())
        self.retained.load()
        self.bulletin = Bulletin(self.retained, Topics(prefix), lambda name: self.overridden.get(name, []), self.mirror)
        self.now = 0.0
        self._acknowledged: set[int] = set()
        self.client.start()
        self._until(lambda: self.client.connected)

    def mirror(self, prefix: str) -> FrigateMirror:
        return FrigateMirror(self.retained, self.client.publish, prefix, self.journal.openings)

    def config(self, commands: tuple[str, ...] = (), snapshots: bool = True, discovery: str = "off",
               llm: bool = False, questions: Any = (), **cameras: dict[str, Any]) -> Config:  # fmt: skip
        sections = {name: {"source": f"rtsp://h/{name}", **keys} for name, keys in cameras.items()}
        return Config.model_validate({
            **({"llm": LLM} if llm else {}), "questions": list(questions),
            "mqtt": {"commands": list(commands), "topic_prefix": self.prefix}, "cameras": sections,
            "storage": {"snapshots": snapshots},
            "homeassistant": {"discovery": discovery, "discovery_prefix": f"{self.prefix}/ha"},
        })  # fmt: skip

    def _turn(self) -> None:
        self._woken.wait(0.01)
        self._woken.clear()
        for notice in self.client.step(time.monotonic()):
            self.retained.on_notice(notice)
            self._acknowledged.add(notice.token if isinstance(notice, Acknowledged) else 0)
        self.retained.step(self.now)

    def _until(self, true: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30.0
        while not true():
            assert time.monotonic() < deadline
            self._turn()

    def settle(self) -> None:
        """Let all that is due be published and acknowledged, however long its pace takes."""
        while self.retained.due() is not None:
            self.now += PACE_S
            self._turn()
        token = self.client.publish("sync", b"", qos=1)
        self._until(lambda: token in self._acknowledged)

    def found(self) -> dict[str, Any]:
        """What lies at the broker under the prefix: JSON is read, pictures are bytes."""
        self.settle()
        look, end = (Subscriber(self.broker, f"{self.prefix}/{topic}", f"{self.prefix}-{topic}-{time.monotonic_ns()}")
                     for topic in ("#", "none"))  # fmt: skip
        look.start()
        end.start()
        end.publish(f"{self.prefix}/end", b"")
        seen = look.wait_for(lambda found: any(m.topic.endswith("/end") for m in found))
        for subscriber in (look, end):
            subscriber.stop()
        return {m.topic.removeprefix(f"{self.prefix}/"): _read(m.payload) for m in seen if m.retain}

    def close(self) -> None:
        self.client.stop(2.0)
        self.journal.close()


def _read(payload: bytes) -> Any:
    if payload.startswith(b"{"):
        return json.loads(payload)
    return payload if payload.startswith(b"jpeg") else payload.decode()


@pytest.fixture
def rig(shared: Mosquitto, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(shared, tmp_path, next(PREFIXES))
    yield rig
    rig.close()


def watched(loaded: Config, name: str, **more: Any) -> dict[str, Any]:
    """What the process of a camera says of it."""
    state = camera_state(loaded.cameras[name], (), [("person", (0.1, 0.1, 0.2, 0.2))], True)
    return {**state, "snapshot": None, **more}


def test_at_the_start_cameras_are_offline_and_nobody_is_there(rig: Rig) -> None:
    rig.bulletin.configure(rig.config(porch={}, yard={"enabled": False}))
    found = rig.found()
    assert sorted(found) == ["info", "porch/state", "porch/status", "status"]
    assert (found["status"], found["porch/status"]) == ("online", "offline")
    state = found["porch/state"]
    assert (state["objects"], state["motion"], state["enabled"], state["detect"]) == (NOBODY, False, True, True)
    assert (state["overrides"], state["snapshot"]) == ([], None)
    assert not rig.bulletin.online("porch") and not rig.bulletin.online("nowhere")


def test_the_same_configuration_again_publishes_nothing(rig: Rig) -> None:
    loaded = rig.config(("enabled", "snapshot"), discovery="device", porch={}, yard={"enabled": False})
    rig.bulletin.configure(loaded)
    rig.bulletin.status("porch", True)
    rig.bulletin.state("porch", watched(loaded, "porch"))
    rig.bulletin.snapshot("porch", Picture("id", "x", b"jpeg 1"))
    rig.bulletin.preview("porch", b"jpeg 2")
    before = rig.found()
    listener = Subscriber(rig.broker, f"{rig.prefix}/#", f"{rig.prefix}-listener")
    listener.start()
    rig.bulletin.configure(loaded)
    assert rig.found() == before and rig.bulletin.online("porch")
    assert [m.topic for m in listener.messages() if not m.retain] == [f"{rig.prefix}/end"]
    listener.stop()


def test_a_state_shows_the_settings_in_force_and_which_of_them_are_overrides(rig: Rig) -> None:
    loaded = rig.config(porch={"detect": False, "objects": {"min_score": 0.9}})
    rig.bulletin.configure(loaded)
    rig.overridden["porch"] = ["detect", "min_score"]
    former = rig.config(porch={})
    rig.bulletin.state("porch", watched(former, "porch"))  # it was under way when the settings changed
    state = rig.found()["porch/state"]
    assert (state["detect"], state["min_score"], state["overrides"]) == (False, 0.9, ["detect", "min_score"])
    assert state["objects"]["person"]["count"] == 1


def test_somebody_who_wished_it_otherwise_is_told_the_same_again(rig: Rig) -> None:
    rig.bulletin.configure(rig.config(porch={}))
    rig.settle()
    listener = Subscriber(rig.broker, f"{rig.prefix}/porch/state", f"{rig.prefix}-listener")
    listener.start()
    for name in ("porch", "nowhere", "", "set"):
        rig.bulletin.again(name)
    rig.settle()
    assert len(listener.wait_for(lambda seen: any(not m.retain for m in seen))) == 2
    listener.stop()


def test_when_a_process_ended_nobody_is_there_and_the_last_picture_is_still_the_last(rig: Rig) -> None:
    loaded = rig.config(porch={})
    rig.bulletin.configure(loaded)
    rig.bulletin.status("porch", True)
    rig.bulletin.state("porch", watched(loaded, "porch", snapshot={"event": "x"}))
    rig.bulletin.snapshot("porch", Picture("id", "x", b"jpeg"))
    rig.bulletin.ended("porch")
    found = rig.found()
    state = found["porch/state"]
    assert (found["porch/status"], found["porch/snapshot"], state["snapshot"]) == ("offline", b"jpeg", {"event": "x"})
    assert (state["objects"], state["motion"]) == (NOBODY, False) and not rig.bulletin.online("porch")


def test_a_camera_that_left_the_configuration_stays_until_its_process_ended(rig: Rig) -> None:
    loaded, rest = rig.config(porch={}, yard={}), rig.config(porch={})
    rig.bulletin.configure(loaded)
    rig.bulletin.status("yard", True)
    rig.bulletin.state("yard", watched(loaded, "yard"))
    rig.bulletin.snapshot("yard", Picture("id", "x", b"jpeg"))
    rig.bulletin.configure(rest, leaving=["yard"])
    assert {"yard/status", "yard/state", "yard/snapshot"} <= set(rig.found())
    rig.bulletin.ended("yard")
    rig.bulletin.removed("yard")
    assert not [topic for topic in rig.found() if topic.startswith("yard")]
    assert not [topic for topic in rig.journal.retained() if "/yard/" in topic]
    rig.bulletin.configure(rig.config(porch={}, yard={}))
    assert rig.found()["yard/state"]["objects"] == NOBODY, "nothing of its former life is left"


@pytest.mark.parametrize("after", ["removed", "not to be switched any more"])
def test_a_camera_that_is_off_and_has_no_process_goes_at_once(rig: Rig, after: str) -> None:
    rig.bulletin.configure(rig.config(("enabled",), porch={}, yard={"enabled": False}))
    assert rig.found()["yard/state"]["enabled"] is False
    rest = rig.config(("enabled",), porch={}) if after == "removed" else rig.config(porch={}, yard={"enabled": False})
    rig.bulletin.configure(rest)
    assert sorted(rig.found()) == ["info", "porch/state", "porch/status", "status"]


def test_a_camera_that_was_switched_off_over_mqtt_is_there_to_be_switched_on_again(rig: Rig) -> None:
    loaded = rig.config(("enabled",), discovery="device", porch={})
    rig.bulletin.configure(loaded)
    rig.bulletin.status("porch", True)
    rig.bulletin.state("porch", watched(loaded, "porch"))
    rig.overridden["porch"] = ["enabled"]
    rig.bulletin.configure(rig.config(("enabled",), discovery="device", porch={"enabled": False}), leaving=["porch"])
    assert (rig.found()["porch/status"], rig.found()["porch/state"]["enabled"]) == ("online", False)
    rig.bulletin.ended("porch")
    rig.bulletin.removed("porch")
    found = rig.found()
    assert (found["porch/status"], found["porch/state"]["enabled"]) == ("offline", False)
    assert found["porch/state"]["objects"] == NOBODY and found["porch/state"]["overrides"] == ["enabled"]
    assert f"ha/device/{rig.prefix}_porch/config" in found


def test_pictures_that_are_not_wanted_any_more_are_taken_back(rig: Rig) -> None:
    rig.bulletin.configure(rig.config(porch={"preview": 5}, yard={"preview": 5}))
    for name in ("porch", "yard"):
        rig.bulletin.snapshot(name, Picture("id", "x", b"jpeg s"))
        rig.bulletin.preview(name, b"jpeg p")
    assert {"porch/snapshot", "porch/preview", "yard/preview"} <= set(rig.found())
    rig.bulletin.configure(rig.config(snapshots=False, porch={}, yard={"preview": 5}))
    assert [t for t in sorted(rig.found()) if t.endswith(("snapshot", "preview"))] == ["yard/preview"]


def test_a_picture_that_was_under_way_when_pictures_ended_is_not_published(rig: Rig) -> None:
    rig.bulletin.configure(rig.config(porch={"preview": 5}))
    rig.bulletin.configure(rig.config(snapshots=False, porch={}))
    rig.bulletin.snapshot("porch", Picture("id", "x", b"jpeg s"))
    rig.bulletin.preview("porch", b"jpeg p")
    assert sorted(rig.found()) == ["info", "porch/state", "porch/status", "status"]


def test_pictures_on_command_stay_when_the_regular_ones_end(rig: Rig) -> None:
    rig.bulletin.configure(rig.config(("snapshot",), porch={"preview": 5}))
    rig.bulletin.preview("porch", b"jpeg p")
    rig.bulletin.configure(rig.config(("snapshot",), porch={}))
    assert rig.found()["porch/preview"] == b"jpeg p"


def test_what_an_earlier_run_left_of_cameras_that_are_gone_is_taken_back(rig: Rig, shared: Mosquitto) -> None:
    loaded = rig.config(porch={}, yard={"preview": 1})
    rig.bulletin.configure(loaded)
    for name in loaded.cameras:
        rig.bulletin.snapshot(name, Picture("id", "x", b"jpeg"))
    rig.bulletin.preview("yard", b"jpeg")
    rig.settle()
    rig.close()
    successor = Rig(shared, rig.folder, rig.prefix)
    successor.bulletin.configure(successor.config(porch={}))
    assert sorted(successor.found()) == ["info", "porch/snapshot", "porch/state", "porch/status", "status"]
    successor.close()


def test_under_another_prefix_everything_is_told_anew_and_the_former_is_taken_back(rig: Rig) -> None:
    loaded = rig.config(porch={})
    rig.bulletin.configure(loaded)
    rig.bulletin.status("porch", True)
    rig.settle()
    rig.bulletin.move(rig.client, Topics(f"{rig.prefix}/new"))
    rig.bulletin.configure(loaded)
    found = rig.found()
    assert sorted(found) == ["new/info", "new/porch/state", "new/porch/status", "new/status"]
    assert found["new/porch/status"] == "online"


def answered(rig: Rig, *of: tuple[str, str]) -> None:
    """Tell answers, and how the models do."""
    for camera, question in of:
        rig.bulletin.answer(camera, question, {"question": question, "answer": True})
    rig.bulletin.llm({"state": "ok"})


def answers(rig: Rig) -> list[str]:
    return [topic for topic in sorted(rig.found()) if "/answer/" in topic or topic == "llm"]


def test_answers_lie_retained_with_the_state_of_the_models(rig: Rig) -> None:
    rig.bulletin.configure(rig.config(("ask",), llm=True, questions=[PARCEL], porch={}))
    answered(rig, ("porch", "parcel"), ("porch", "ask"))
    found = rig.found()
    assert found["porch/answer/parcel"] == {"question": "parcel", "answer": True}
    assert found["porch/answer/ask"]["question"] == "ask" and found["llm"] == {"state": "ok"}


def test_an_answer_that_was_under_way_when_its_question_went_is_not_published(rig: Rig) -> None:
    rig.bulletin.configure(rig.config(llm=True, questions=[PARCEL], porch={}))
    answered(rig, ("porch", "cars"), ("porch", "ask"), ("yard", "parcel"))
    assert answers(rig) == ["llm"]


ALL_ANSWERS = (("porch", "parcel"), ("porch", "cars"), ("porch", "ask"), ("yard", "parcel"), ("yard", "cars"))
CHANGES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a question": ({"questions": [CARS]}, ["llm", "porch/answer/ask", "porch/answer/cars", "yard/answer/cars"]),
    "a question of one camera": ({"porch": {"questions": [{"name": "parcel", "enabled": False}]}}, [
        "llm", "porch/answer/ask", "porch/answer/cars", "yard/answer/cars", "yard/answer/parcel"]),
    "a camera": ({"yard": None}, ["llm", "porch/answer/ask", "porch/answer/cars", "porch/answer/parcel"]),
    "a camera that is off": ({"yard": {"enabled": False}}, [
        "llm", "porch/answer/ask", "porch/answer/cars", "porch/answer/parcel"]),
    "the command": ({"commands": ()}, [
        "llm", "porch/answer/cars", "porch/answer/parcel", "yard/answer/cars", "yard/answer/parcel"]),
    "llm": ({"llm": False}, []),
}  # fmt: skip


def asking(rig: Rig, **changes: Any) -> Config:
    keys = {"commands": ("ask",), "llm": True, "questions": [PARCEL, CARS], "porch": {}, "yard": {}, **changes}
    return rig.config(**{name: value for name, value in keys.items() if value is not None})


@pytest.mark.parametrize("what", CHANGES)
def test_the_answers_to_what_is_not_asked_any_more_are_taken_back(rig: Rig, what: str) -> None:
    changes, left = CHANGES[what]
    rig.bulletin.configure(asking(rig))
    answered(rig, *ALL_ANSWERS)
    assert len(answers(rig)) == 6
    rig.bulletin.configure(asking(rig, **changes))
    assert answers(rig) == left
    noted = {topic.removeprefix(f"{rig.prefix}/") for topic in rig.journal.retained()}
    assert sorted(topic for topic in noted if "/answer/" in topic or topic == "llm") == left


@pytest.mark.parametrize("what", CHANGES)
def test_the_answers_of_an_earlier_run_to_what_is_not_asked_any_more_are_taken_back(
    rig: Rig, shared: Mosquitto, what: str
) -> None:
    changes, left = CHANGES[what]
    rig.bulletin.configure(asking(rig))
    answered(rig, *ALL_ANSWERS)
    rig.settle()
    rig.close()
    successor = Rig(shared, rig.folder, rig.prefix)
    successor.bulletin.configure(asking(successor, **changes))
    assert answers(successor) == left, "and what is asked still stays as it was"
    successor.close()


def test_a_question_that_is_asked_again_has_its_answer_again(rig: Rig) -> None:
    rig.bulletin.configure(asking(rig))
    answered(rig, ("porch", "parcel"))
    rig.bulletin.configure(asking(rig, questions=[CARS]))
    rig.settle()
    rig.bulletin.configure(asking(rig))
    answered(rig, ("porch", "parcel"))
    assert answers(rig) == ["llm", "porch/answer/parcel"]


@pytest.mark.parametrize("what", ["a question", "llm"])
def test_home_assistant_loses_an_entity_before_its_topic_is_emptied(rig: Rig, what: str) -> None:
    """It would read nothing where an answer was, which is an error in its log."""
    rig.bulletin.configure(asking(rig, discovery="device"))
    answered(rig, *ALL_ANSWERS)
    rig.settle()
    listener = Subscriber(rig.broker, f"{rig.prefix}/#", f"{rig.prefix}-listener")
    listener.start()
    rig.bulletin.configure(asking(rig, discovery="device", **CHANGES[what][0]))
    rig.settle()
    gone = "porch/answer/parcel" if what == "a question" else "llm"
    seen = listener.wait_for(lambda seen: any(m.topic.endswith(gone) and not m.payload for m in seen))
    topics = [m.topic.removeprefix(f"{rig.prefix}/") for m in seen if not m.retain]
    device = f"ha/device/{rig.prefix}_{'porch' if what == 'a question' else 'hub'}/config"
    assert topics.index(device) < topics.index(gone)
    listener.stop()
