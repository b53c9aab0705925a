"""Questions in the file: what they may be, how cameras inherit them, and each message with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from soteirad.config import Config, load_config
from soteirad.config.question import DESCRIBE, MOST_QUESTIONS, AnswerType, QuestionConfig
from soteirad.errors import ConfigError

PARCEL = {"name": "parcel", "ask": "Is there a parcel?", "answer": "yes_no"}
TWICE = "there is a question of this name already: choose another"
NEEDED = "is missing: add it; allowed is"
EMPTY = "this list is empty: allowed is"
FOR_OBJECTS = "only objects dwell: leave this key out, or ask on entered or left"
ONE_WORD = (
    'describe is the only question of one word: write {name: parcel, ask: "Is there a parcel?", answer: yes_no}'
)
OUTSIDE = "this number is out of range: allowed is a"
NO_CHOICE = "this is no possible answer: write some words on one line, in quotes if they are a number"
TWO_OF_THEM = "this answer is there twice, or is unsure, which is always possible: leave it out"


def config(
    questions: Any = None, own: Any = None, camera: dict[str, Any] | None = None, **sections: Any
) -> Config:
    porch = {"source": "rtsp://h/s", "questions": own, **(camera or {})}
    return Config.model_validate({"questions": questions, "cameras": {"porch": porch}, **sections})


def porch(*args: Any, **kwargs: Any) -> dict[str, QuestionConfig]:
    return {question.name: question for question in config(*args, **kwargs).cameras["porch"].questions}


def problems(*args: Any, **kwargs: Any) -> dict[tuple[int | str, ...], str]:
    with pytest.raises(ValidationError) as caught:
        config(*args, **kwargs)
    return {line["loc"]: line["msg"] for line in caught.value.errors()}


def problem_of(**keys: Any) -> dict[tuple[int | str, ...], str]:
    """Return what is wrong with one global question, with places from the question on."""
    return {place[2:]: text for place, text in problems([{**PARCEL, **keys}]).items()}


def lines(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "soteira.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file, {})
    return [line.removeprefix(f"{file}:") for line in caught.value.problems]


def test_a_question_needs_a_name_and_words_and_has_the_documented_defaults() -> None:
    asked = porch([{"name": "what", "ask": "What is it?"}])["what"]
    assert asked.model_dump() == {
        "name": "what", "ask": "What is it?", "answer": "text", "enabled": True, "frames": 1, "crop": "frame",
        "keep": 5,
        "when": {"on": ("entered",), "labels": None, "zones": None, "min_dwell": 0, "cooldown": 0, "interval": 300},
    }
    assert asked.answer == AnswerType("text")


def test_without_questions_nothing_is_asked() -> None:
    assert config().questions == config([]).questions == config().cameras["porch"].questions == ()


def test_the_word_describe_is_a_whole_question() -> None:
    described = porch(["describe"])["describe"]
    assert (described.ask, described.answer) == (DESCRIBE["ask"], AnswerType("text"))
    assert porch(None, ["describe"]) == {"describe": described}
    assert problems(["descibe"]) == {("questions", 0): ONE_WORD}


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        ("yes_no", AnswerType("yes_no")), ("number", AnswerType("number")), ("text", AnswerType("text")),
        ({"choice": ["open", " half open "]}, AnswerType("choice", ("open", "half open"))),
    ],
)  # fmt: skip
def test_there_are_four_kinds_of_answers_and_each_is_written_as_it_was_read(answer: Any, meant: AnswerType) -> None:
    asked = porch([{**PARCEL, "answer": answer}])["parcel"]
    assert asked.answer == meant
    assert QuestionConfig.model_validate(asked.model_dump(exclude_unset=True)) == asked


@pytest.mark.parametrize(
    ("answer", "place", "text"),
    [
        ("maybe", (), "this is no kind of answer: allowed are yes_no, number, text and choice: [open, closed]"),
        ("choice", (), "a choice between what? write answer: {choice: [open, closed]}"),
        (["a", "b"], (), "a list where a kind of answer is needed: "
         "allowed are yes_no, number, text and choice: [open, closed]"),
        ({"choice": ["open"]}, ("choice",), "list two to 50 possible answers, such as [open, closed]"),
        ({"choice": "open"}, ("choice",), "list two to 50 possible answers, such as [open, closed]"),
        ({"choice": ["a", "A "]}, ("choice", 1), TWO_OF_THEM),
        ({"choice": ["a", "Unsure"]}, ("choice", 1), TWO_OF_THEM),
        ({"choice": ["a", 1]}, ("choice", 1), NO_CHOICE),
        ({"choice": ["a", " "]}, ("choice", 1), NO_CHOICE),
        ({"choice": ["a", "b\nc"]}, ("choice", 1), NO_CHOICE),
        ({"choice": ["a", True]}, ("choice", 1), 'true or false where text is needed: put it in quotes, as in "yes"'),
        ({"choice": ["a", "b" * 101]}, ("choice", 1), "this text is too long: at most 100 characters fit"),
    ],
)  # fmt: skip
def test_any_other_answer_is_told_what_is_allowed(answer: Any, place: tuple[int | str, ...], text: str) -> None:
    assert problem_of(answer=answer) == {("answer", *place): text}


@pytest.mark.parametrize(
    ("keys", "place", "text"),
    [
        ({"ask": ""}, ("ask",), 'this text is empty: allowed is the question, such as "Is there a parcel?"'),
        ({"ask": "x" * 2001}, ("ask",), "this text is too long: at most 2000 characters fit"),
        ({"name": "a b"}, ("name",), "this text has a character that cannot be used: "
         "use only the letters a-z and A-Z, digits, _ and -"),
        ({"name": "ask"}, ("name",), "ask is the name of questions that are sent over MQTT: choose another"),
        ({"name": "Ask"}, ("name",), "ask is the name of questions that are sent over MQTT: choose another"),
        ({"name": ["a"]}, ("name",), "a list where text is needed: "
         "allowed is its name in topics and in Home Assistant, such as parcel"),
        ({"frames": 5}, ("frames",), f"{OUTSIDE} whole number from 1 to 4"),
        ({"keep": -1}, ("keep",), f"{OUTSIDE} whole number from 0 to 1000"),
        ({"enabled": "no"}, ("enabled",), "text where true or false is needed: allowed is true or false"),
        ({"crop": "box"}, ("crop",), "this is not one of the choices: allowed are object, frame"),
        ({"crop": "object", "when": {"on": "interval"}}, ("crop",),
         "there is no object without entered or left in when.on: leave this key out"),
        ({"when": {"on": "enter"}}, ("when", "on", 0), "this is not one of the choices, did you mean 'entered'?: "
         "allowed are entered, left, scene_changed, interval, command"),
        ({"when": {"on": []}}, ("when", "on"), f"{EMPTY} what it is asked on: entered, left, scene_changed, interval "
         "or command; also a list of them"),
        ({"when": {"labels": []}}, ("when", "labels"), "this list is empty: name at least one label, such as [person]"),
        ({"when": {"zones": []}}, ("when", "zones"), f"{EMPTY} zones; one of them is enough"),
        ({"when": {"on": "command", "labels": ["person"]}}, ("when", "labels"),
         "no object is meant on command: leave this key out"),
        ({"when": {"on": "scene_changed", "min_dwell": 3}}, ("when", "min_dwell"), FOR_OBJECTS),
        ({"when": {"interval": 3}}, ("when", "interval"),
         "nothing is asked at intervals: add interval to on, or leave this key out"),
        ({"when": {"on": "interval", "interval": 0.5}}, ("when", "interval"), f"{OUTSIDE} number from 1 to 86400"),
        ({"when": {"cooldown": -1}}, ("when", "cooldown"), f"{OUTSIDE} number from 0 to 86400"),
        ({"when": ["on"]}, ("when",), "a list where a section of keys is needed: "
         "write its keys on indented lines below it"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_once_and_at_its_key(
    keys: dict[str, Any], place: tuple[int | str, ...], text: str
) -> None:
    assert problem_of(**keys) == {place: text}


@pytest.mark.parametrize("on", [5, [[1]], [{}], {"a": 1}, True])
def test_moments_that_are_no_words_are_told_alone_also_with_a_crop(on: Any) -> None:
    (place,) = problem_of(crop="object", when={"on": on, "labels": ["person"], "min_dwell": 5})
    assert place[:2] == ("when", "on")


def test_one_moment_needs_no_brackets_and_several_may_be_mixed() -> None:
    asked = porch([{**PARCEL, "when": {"on": ["left", "interval"], "min_dwell": 3, "interval": 60}}])["parcel"]
    assert asked.when.on == ("left", "interval")
    assert porch([{**PARCEL, "when": {"on": "command"}}])["parcel"].when.on == ("command",)


def test_a_camera_has_its_own_questions_first_and_then_the_global_ones() -> None:
    asked = porch([PARCEL, "describe"], [{"name": "gate", "ask": "Is it open?"}])
    assert [*asked] == ["gate", "parcel", "describe"]


def test_a_cameras_question_goes_key_by_key_over_the_global_one_of_its_name() -> None:
    over = {"name": "parcel", "frames": 2, "when": {"on": "left", "cooldown": 9}}
    asked = porch([{**PARCEL, "keep": 7, "when": {"min_dwell": 3, "cooldown": 1}}], [over])["parcel"]
    assert (asked.ask, asked.answer, asked.keep, asked.frames) == (PARCEL["ask"], AnswerType("yes_no"), 7, 2)
    assert (asked.when.on, asked.when.min_dwell, asked.when.cooldown) == (("left",), 3, 9)


def test_an_empty_section_of_a_camera_inherits_all_of_the_global_one() -> None:
    asked = porch([{**PARCEL, "when": {"min_dwell": 3}}], [{"name": "parcel", "when": None}])["parcel"]
    assert asked.when.min_dwell == 3


def test_a_camera_can_leave_out_a_global_question() -> None:
    asked = porch([PARCEL, "describe"], [{"name": "parcel", "enabled": False}])
    assert [(name, question.enabled) for name, question in asked.items()] == [("parcel", False), ("describe", True)]


def test_the_word_describe_on_a_camera_is_the_global_question_of_that_name() -> None:
    mine = {"name": "describe", "ask": "What goes on?", "frames": 3}
    assert porch([mine], ["describe"])["describe"].model_dump() == porch([mine])["describe"].model_dump()
    moved = porch(["describe"], [{"name": "describe", "when": {"on": "left"}}])["describe"]
    assert (moved.ask, moved.when.on) == (DESCRIBE["ask"], ("left",))


def two_cameras(*questions: Any, **porch_keys: Any) -> dict[str, list[tuple[str, Any, Any]]]:
    door = {"door": {"coordinates": [0, 0, 1, 0, 1, 1]}}
    yard = {"source": "rtsp://h/y", "zones": door, "objects": {"track": ["person", "dog"]}}
    loaded = Config.model_validate(
        {"questions": questions, "cameras": {"porch": {"source": "rtsp://h/s", **porch_keys}, "yard": yard}}
    )
    return {
        name: [(question.name, question.when.labels, question.when.zones) for question in camera.questions]
        for name, camera in loaded.cameras.items()
    }


def test_labels_and_zones_that_a_camera_does_not_have_are_dropped_from_global_questions() -> None:
    assert two_cameras({**PARCEL, "when": {"labels": ["dog", "person"]}}) == {
        "porch": [("parcel", ("person",), None)], "yard": [("parcel", ("dog", "person"), None)],
    }  # fmt: skip


def test_a_global_question_that_is_left_without_any_is_dropped_as_a_whole() -> None:
    dogs, door = {**PARCEL, "when": {"labels": ["dog"]}}, {"name": "d", "ask": "?", "when": {"zones": ["door"]}}
    assert two_cameras(dogs, door) == {
        "porch": [], "yard": [("parcel", ("dog",), None), ("d", None, ("door",))],
    }  # fmt: skip


def test_a_camera_can_name_its_own_labels_for_a_global_question_or_leave_it_out() -> None:
    dogs = {**PARCEL, "when": {"labels": ["dog"]}}
    mine = {"name": "parcel", "when": {"labels": ["person"]}}
    assert two_cameras(dogs, questions=[mine])["porch"] == [("parcel", ("person",), None)]
    assert two_cameras(dogs, questions=[{"name": "parcel", "enabled": False}])["porch"] == [("parcel", None, None)]
    with pytest.raises(ValidationError, match="this camera has no such label: there are person"):
        two_cameras(dogs, questions=[{"name": "parcel", "frames": 2}])


def test_labels_and_zones_that_no_camera_has_are_told_where_they_are_asked_for() -> None:
    when = {"labels": ["person", "dgo"], "zones": ["dor"]}
    assert problems([{**PARCEL, "when": when}]) == {
        ("questions", 0, "when", "labels", 1): "no camera has such a label: correct it, or leave it out",
        ("questions", 0, "when", "zones", 0): "no camera has such a zone: correct it, or leave it out",
    }
    tracked = {"track": ["person", "dgo"]}
    assert porch([{**PARCEL, "when": {"labels": ["dgo"]}}], objects=tracked)["parcel"].when.labels == ("dgo",)


def test_a_cameras_own_question_for_what_it_does_not_have_is_told() -> None:
    zones = {"door": {"coordinates": [0, 0, 1, 0, 1, 1]}}
    when = {"labels": ["cat"], "zones": ["door", "gate"]}
    place = ("cameras", "porch", "questions", 0, "when")
    assert problems(None, [{**PARCEL, "when": when}], {"zones": zones}) == {
        (*place, "labels", 0): "this camera has no such label: there are person",
        (*place, "zones", 1): "this camera has no such zone: there are door",
    }
    assert problems(None, [{**PARCEL, "when": {"zones": ["gate"]}}]) == {
        (*place, "zones", 0): "this camera has no such zone: there are none"
    }


def test_a_section_that_is_wrong_itself_is_told_alone() -> None:
    when = {"labels": ["cat"], "zones": ["gate"]}
    mine = {"name": "q", "ask": "?", "when": when}
    found = problems([{**PARCEL, "when": when}], [mine], {"zones": 3}, objects={"track": 5})
    assert {place for place in found if "questions" in place} == set()


def test_names_that_home_assistant_and_some_disks_take_for_one_are_told() -> None:
    like = "too like the question {}: Home Assistant and some disks take both names for one; choose another".format
    names = [{**PARCEL, "name": name} for name in ("parcel", "Parcel", "front-door", "front_door", "-", "_")]
    at = ("cameras", "porch", "questions")
    assert problems(None, names) == {(*at, 1, "name"): like("parcel"), (*at, 3, "name"): like("front-door")}
    assert problems([PARCEL], [{**PARCEL, "name": "PARCEL"}]) == {(*at, 1, "name"): like("PARCEL")}


@pytest.mark.parametrize("where", ["global", "camera"])
def test_two_questions_of_one_name_are_told(where: str) -> None:
    twice = [PARCEL, "describe", PARCEL, "describe"]
    if where == "global":
        assert problems(twice) == {("questions", 2, "name"): TWICE, ("questions", 3, "name"): TWICE}
    else:
        at = ("cameras", "porch", "questions")
        assert problems(None, twice) == {(*at, 2, "name"): TWICE, (*at, 3, "name"): TWICE}


def test_a_list_that_is_too_long_is_told_where_it_stands() -> None:
    def many(letter: str, count: int) -> list[dict[str, str]]:
        return [{"name": f"{letter}{number}", "ask": "?"} for number in range(count)]

    text = f"this list is too long: at most {MOST_QUESTIONS} items fit"
    assert problems(many("a", 51)) == {("questions",): text}
    assert problems(None, many("a", 51)) == {("cameras", "porch", "questions"): text}
    assert problems(many("a", 26), many("b", 25)) == {("cameras", "porch", "questions"): text}
    assert len(porch(many("a", 26), many("b", 24))) == 50


def test_every_problem_is_told_with_its_place_in_the_file_and_only_there(tmp_path: Path) -> None:
    text = """\
questions:
  - {name: parcel, ask: "Is there a parcel?", frames: 9}
  - descibe
  - {name: gate, ask: "Open?", answer: {choice: [open]}}
cameras:
  porch:
    source: rtsp://h/s
    questions:
      - {name: parcel, enabled: false}
      - {name: [a], ask: "?"}
      - ask: "What?"
      - {name: dog, ask: "Where?", when: {labels: [dog], minimum: 3}}
"""
    at = "cameras.porch.questions"
    assert lines(tmp_path, text) == [
        f"2:55: questions[0].frames: {OUTSIDE} whole number from 1 to 4",
        f"3:5: questions[1]: {ONE_WORD}",
        "4:49: questions[2].answer.choice: list two to 50 possible answers, such as [open, closed]",
        f"10:16: {at}[1].name: a list where text is needed: "
        "allowed is its name in topics and in Home Assistant, such as parcel",
        f"11:9: {at}[2].name: {NEEDED} its name in topics and in Home Assistant, such as parcel",
        f"12:52: {at}[3].when.labels[0]: this camera has no such label: there are person",
        f"12:58: {at}[3].when.minimum: this key is not known: "
        "allowed here are on, labels, zones, min_dwell, cooldown, interval",
    ]


@pytest.mark.parametrize("value", ["describe", 5, {"name": "a"}])
def test_questions_are_a_list(value: Any) -> None:
    assert [*problems(value)] == [("questions",)]
    assert [*problems([PARCEL], value)] == [("cameras", "porch", "questions")]


def test_a_loaded_configuration_can_be_checked_again_and_stays_the_same(tmp_path: Path) -> None:
    file = tmp_path / "soteira.yaml"
    questions = [{**PARCEL, "answer": {"choice": ["a", "b"]}, "when": {"on": ["left"], "min_dwell": 2}}, "describe"]
    own = [{"name": "parcel", "keep": 9}]
    cameras = {"porch": {"source": "rtsp://h/s", "questions": own}}
    file.write_text(yaml.safe_dump({"questions": questions, "cameras": cameras}))
    loaded = load_config(file, {})
    again = Config.model_validate({"questions": loaded.questions, "cameras": {"porch": cameras["porch"]}})
    assert again.cameras["porch"].questions == loaded.cameras["porch"].questions
    assert Config.model_validate(loaded.model_dump(exclude_unset=True)) == loaded
