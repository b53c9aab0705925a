"""Questions in a real Home Assistant: asked by the real daemon of a server that speaks the API of real ones."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.homeassistant import contract
from tests.homeassistant.client import Change
from tests.homeassistant.contract import ANY, HUB
from tests.homeassistant.house import House
from tests.homeassistant.rig import State, number
from tests.http_camera import HttpCamera
from tests.llm_request import Asked
from tests.llm_server import LlmServer, status

pytestmark = [pytest.mark.homeassistant, pytest.mark.timeout(600), pytest.mark.usefixtures("quiet")]

COMMANDS = ["snapshot", "ask"]
PER_DAY = 2000
VISIT_S = 60.0
PAGES = "SOTEIRA_SHOTS"
BY_COMMAND = {"on": "command"}
PARCEL = {"name": "parcel", "ask": "Is there a parcel on the doorstep?", "answer": "yes_no", "when": BY_COMMAND}
CARS = {"name": "cars", "ask": "How many cars are in the yard?", "answer": "number", "when": BY_COMMAND}
CHOICES = ["open", "half open", "closed"]
GATE = {"name": "gate", "ask": "Is the garden gate open or closed?", "answer": {"choice": CHOICES}, "when": BY_COMMAND}
SCENE = {"name": "scene", "ask": "What is happening?", "answer": "text", "when": BY_COMMAND}
VISITOR = {"name": "visitor", "ask": "Who came?", "answer": "text", "when": {"on": "entered"}, "crop": "object"}
QUESTIONS = [PARCEL, CARS, GATE, SCENE, VISITOR]
KINDS = {"parcel": "yes_no", "cars": "number", "gate": "choice", "scene": "text", "visitor": "text"}
BUTTONS = ("parcel", "cars", "gate", "scene")
ENTITIES = {name: f"{'binary_' if kind == 'yes_no' else ''}sensor.porch_question_{name}"
            for name, kind in KINDS.items()}  # fmt: skip
WANTED = {
    **contract.camera("porch", ["person", "cat"], commands=COMMANDS), **contract.box(COMMANDS),
    **contract.questions("porch", KINDS, BUTTONS), **contract.models(),
}  # fmt: skip


class Model:
    """What the model says to each question, until a test says otherwise."""

    def __init__(self) -> None:
        self.says: dict[str, Any] = {
            PARCEL["ask"]: True, CARS["ask"]: 2, GATE["ask"]: "closed", SCENE["ask"]: "Nothing moves.",
            VISITOR["ask"]: "A man with a bag.",
        }  # fmt: skip
        self.server = LlmServer(reply_with=self._reply)

    def _reply(self, asked: Asked) -> dict[str, Any]:
        said = next((says for question, says in self.says.items() if f"Question: {question}" in asked.text), "unsure")
        return {"answer": {True: "yes", False: "no"}[said] if isinstance(said, bool) else said, "confidence": 0.91,
                "because": "a brown box leans on the door"}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    model = Model()
    with model.server:
        yield model


def configure(house: House, visits: HttpCamera, model: Model | None, questions: list[dict[str, Any]]) -> Path:
    porch = {"source": visits.url, "name": "Front porch"}
    llm = {} if model is None else {"llm": {
        "providers": [{"base_url": model.server.url, "model": "qwen2.5vl"}], "duplicates": {"window": 0},
        "budget": {"per_minute": None, "per_hour": None, "per_day": PER_DAY},
    }}  # fmt: skip
    return house.config({"porch": porch}, COMMANDS, questions=questions, **llm)


@pytest.fixture(scope="module")
def watching(house: House, visits: HttpCamera, model: Model) -> Iterator[Daemon]:
    """A daemon with a camera and questions, when Home Assistant knows it."""
    daemon = house.run(configure(house, visits, model, QUESTIONS))
    house.homeassistant.wait(lambda ha: ha.entities().keys() >= WANTED.keys(), "all entities are there", 60)
    house.homeassistant.wait_state("binary_sensor.porch_connectivity", "on", 60)
    house.homeassistant.wait_state("button.porch_ask_parcel", lambda state: state["state"] != "unavailable", 60)
    yield daemon
    house.clear()


def ask(house: House, model: Model, name: str, said: Any) -> None:
    """Press the button of a question, to which the model says something."""
    question = next(one["ask"] for one in QUESTIONS if one["name"] == name)
    model.says[question] = said
    house.homeassistant.call("button.press", f"button.porch_ask_{name}")


def test_each_question_is_an_entity_of_its_kind_and_there_is_no_other(house: House, watching: Daemon) -> None:
    ha = house.homeassistant
    assert ha.entities().keys() == WANTED.keys()
    for entity_id, wanted in WANTED.items():
        entity, state = ha.entities()[entity_id], ha.state(entity_id)
        assert entity.unique_id == wanted.unique_id
        assert (entity.disabled_by is None) == wanted.enabled == (state is not None), entity_id
        assert wanted.category in (ANY, entity.category), (entity_id, entity.category)
        if (ha.kind, wanted.device_class) != ("old", "enum"):  # which knows no options
            assert wanted.device_class in (ANY, ha.device_class(entity_id)), (entity_id, ha.device_class(entity_id))
    gate, cars = ha.state(ENTITIES["gate"]), ha.state(ENTITIES["cars"])
    assert gate is not None and gate["attributes"].get("options") == (CHOICES if ha.kind == "new" else None)
    assert cars is not None and cars["attributes"]["state_class"] == "measurement"
    names = {entity_id: ha.entities()[entity_id].name for entity_id in (
        ENTITIES["parcel"], "button.porch_ask_parcel", "text.porch_ask", "sensor.porch_question_ask",
        "sensor.soteira_llm_left", "binary_sensor.soteira_llm_problem")}  # fmt: skip
    assert [*names.values()] == ["Parcel", "Ask parcel", "Ask", "Answer", "Questions left today", "Vision model"]


LONG = "There is a long story to tell. " * 12
SAID = [
    ("parcel", [(True, "on"), (False, "off"), ("unsure", "unknown"), (True, "on")]),
    ("cars", [(3, "3"), (0, "0"), ("unsure", "unknown"), (2.5, "2.5")]),
    ("gate", [("open", "open"), ("half open", "half open"), ("unsure", "unknown"), ("closed", "closed")]),
    ("scene", [("Ein Mann grüßt 😀.", "Ein Mann grüßt 😀."), ("{{ 1 }} <b>'\"", "{{ 1 }} <b>'\""),
               ("unsure", "unknown"), (LONG, LONG[:254] + "…")]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "said"), SAID, ids=[name for name, _ in SAID])
def test_a_state_follows_the_answers_and_is_unknown_while_the_model_is_unsure(
    house: House, watching: Daemon, model: Model, name: str, said: list[tuple[Any, str]]
) -> None:
    for value, shown in said:
        ask(house, model, name, value)
        state = house.homeassistant.wait_state(ENTITIES[name], shown)
    attributes = state["attributes"]
    assert attributes["because"] == "a brown box leans on the door" and attributes["confidence"] == 0.91
    assert (attributes["model"], attributes["on"], attributes["question"]) == ("qwen2.5vl-served", "command", name)
    assert attributes["answer"] == (LONG.strip() if name == "scene" else said[-1][0])


def test_a_button_asks_its_question_about_the_picture_of_that_moment(
    house: House, watching: Daemon, model: Model
) -> None:
    before = len(model.server.asked())
    ask(house, model, "parcel", False)
    house.homeassistant.wait_state(ENTITIES["parcel"], "off")
    new = [asked for asked in model.server.asked()[before:] if str(PARCEL["ask"]) in asked.text]
    assert len(new) == 1 and "Camera: Front porch." in new[0].text and len(new[0].pictures) == 1


def test_what_is_typed_is_asked_and_the_answer_is_shown_beside_it(house: House, watching: Daemon, model: Model) -> None:
    ha, question = house.homeassistant, "Is the light over the door on? Ja/nein?"
    model.says[question] = "It is on."
    ha.call("text.set_value", "text.porch_ask", value=question)
    ha.wait_state("sensor.porch_question_ask", "It is on.")
    ha.wait_state("text.porch_ask", question)
    assert [question in asked.text for asked in model.server.asked()].count(True) == 1
    model.says["Who rings?"] = "unsure"
    ha.call("text.set_value", "text.porch_ask", value="Who rings?")
    ha.wait_state("text.porch_ask", "Who rings?")
    ha.wait_state("sensor.porch_question_ask", "unknown")


def test_a_visitor_is_asked_about_and_the_event_entity_has_the_answer(
    house: House, watching: Daemon, model: Model
) -> None:
    ha = house.homeassistant

    def answers(seen: list[Change]) -> list[Change]:
        return [change for change in seen if change.attributes.get("question") == "visitor"]

    with ha.changes() as changes:
        seen = changes.wait("event.porch_event", answers, VISIT_S)
    attributes = answers(seen)[0].attributes
    assert attributes["event_type"] == "answered"
    assert (attributes["answer"], attributes["label"]) == ("A man with a bag.", "person")
    entered = [c.attributes["id"] for c in seen if c.attributes.get("event_type") == "entered"]
    assert attributes["about"] in entered or not entered
    assert attributes["why"]["because"] == "a brown box leans on the door"
    ha.wait_state(ENTITIES["visitor"], "A man with a bag.")


def test_the_box_counts_what_is_left_for_today(house: House, watching: Daemon, model: Model) -> None:
    ha = house.homeassistant
    ask(house, model, "cars", 4)
    ha.wait_state(ENTITIES["cars"], "4")
    ha.wait(lambda ha: number(ha.state("sensor.soteira_llm_left") or {"state": ""}) ==
            PER_DAY - len(model.server.asked()), "every call is counted", VISIT_S)  # fmt: skip
    ha.wait_state("binary_sensor.soteira_llm_problem", "off")


def test_a_question_that_fails_keeps_the_last_answer_and_its_reason_can_be_read(
    house: House, watching: Daemon, model: Model
) -> None:
    ha = house.homeassistant
    ask(house, model, "gate", "open")
    ha.wait_state(ENTITIES["gate"], "open")
    model.says[str(GATE["ask"])] = "ajar or so"
    ha.call("button.press", "button.porch_ask_gate")
    state = ha.wait_state(ENTITIES["gate"], lambda state: "reason" in state["attributes"])
    assert state["state"] == "open" and model.server.host in state["attributes"]["reason"]


def test_shots_of_a_camera_with_questions(house: House, watching: Daemon, model: Model, tmp_path: Path) -> None:
    ha, folder = house.homeassistant, Path(os.environ.get(PAGES) or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    question = "Is the light over the door on?"
    model.says[question] = "Yes, the lamp over the door shines."
    shown: dict[str, tuple[Any, str]] = {
        "parcel": (True, "on"), "cars": (2, "2"), "gate": ("closed", "closed"),
        "scene": ("A man with a bag walks to the door.", "A man with a bag walks to the door."),
    }  # fmt: skip
    for name, (said, state) in shown.items():
        ask(house, model, name, said)
        ha.wait_state(ENTITIES[name], state)
    ha.call("text.set_value", "text.porch_ask", value=question)
    ha.wait_state("sensor.porch_question_ask", model.says[question])
    ha.wait_state(ENTITIES["visitor"], "A man with a bag.", VISIT_S)
    ha.wait_state("image.porch_last_object", lambda state: state["state"] != "unknown", VISIT_S)
    file = folder / f"homeassistant-questions-{ha.kind}.png"
    ha.screenshot(f"/config/devices/device/{ha.devices()['soteira_porch'].id}", file, 1180, 1600, shows="Ask parcel")
    assert int.from_bytes(file.read_bytes()[16:20], "big") == 1180


def test_models_that_fail_are_a_problem_of_the_box_until_one_answers_again(
    house: House, watching: Daemon, model: Model
) -> None:
    ha, problem = house.homeassistant, "binary_sensor.soteira_llm_problem"
    ha.wait_state(problem, "off")
    before = len(model.server.asked())
    model.server.then(*[status(401)] * 5)
    for count in range(1, 6):
        ask(house, model, "parcel", False)
        model.server.wait_for(before + count)

    def failing(state: State) -> bool:
        return state["state"] == "on" and state["attributes"]["providers"][0]["state"] != "closed"

    state = ha.wait_state(problem, failing)
    assert state["attributes"]["failed"] >= 5 and state["attributes"]["providers"][0]["server"] == model.server.host

    def mended(_: Any) -> bool:
        threading.Event().wait(2.0)  # more than a hundred questions in a minute are not taken
        ask(house, model, "parcel", True)
        return ha.value(problem) == "off"

    ha.wait(mended, "a probe is answered, and all is well", 90)
    ha.wait_state(ENTITIES["parcel"], "on")


def test_a_question_of_another_kind_is_another_entity_and_one_that_is_gone_is_none(
    house: House, watching: Daemon, visits: HttpCamera, model: Model
) -> None:
    ha = house.homeassistant
    ask(house, model, "parcel", True)
    ha.wait_state(ENTITIES["parcel"], "on")
    how_many = {**PARCEL, "answer": "number", "ask": "How many parcels are on the doorstep?"}
    configure(house, visits, model, [how_many, CARS, SCENE, VISITOR])
    watching.signal(signal.SIGHUP)
    kinds = {name: kind for name, kind in KINDS.items() if name != "gate"} | {"parcel": "number"}
    rest = {entity_id for entity_id in WANTED if "question" not in entity_id and entity_id != "button.porch_ask_gate"}
    wanted = rest | contract.questions("porch", kinds, ("parcel", "cars", "scene")).keys()
    ha.wait(lambda ha: ha.entities().keys() == wanted, "only what is asked is there", VISIT_S)
    ha.wait_state("sensor.porch_question_parcel", "unknown")
    model.says[str(how_many["ask"])] = 3
    ha.call("button.press", "button.porch_ask_parcel")
    ha.wait_state("sensor.porch_question_parcel", "3")
    ha.wait(lambda _: "soteira/porch/answer/gate" not in house.retained(), "its answer is taken back")


def test_without_a_model_nothing_of_questions_is_left(
    house: House, watching: Daemon, visits: HttpCamera
) -> None:
    ha = house.homeassistant
    configure(house, visits, None, QUESTIONS)
    watching.signal(signal.SIGHUP)
    wanted = contract.camera("porch", ["person", "cat"], commands=COMMANDS).keys() | contract.box(COMMANDS).keys()
    ha.wait(lambda ha: ha.entities().keys() == wanted, "only what sees is there", VISIT_S)
    ha.wait(lambda _: not [t for t in house.retained() if "answer" in t or t == "soteira/llm"], "all is taken back")
    assert json.loads(house.retained()["soteira/porch/state"])["enabled"] is True
    assert ha.devices().keys() == {"soteira_porch", HUB}
