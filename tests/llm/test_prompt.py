"""The prompt: what a model is told, in which order it sees the pictures, and that no text breaks out of its place."""

from __future__ import annotations

import base64
import json
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.config.question import AnswerType
from soteirad.event import iso_time
from soteirad.llm.picture import Shot, make_shot
from soteirad.llm.prompt import chat_messages, length_of
from soteirad.messages import Ask
from tests.capture.made import frame_of

NOW = 1_800_000_000.0
YES_NO = AnswerType("yes_no")
PREFIX = "data:image/jpeg;base64,"


def shot(seconds: float = 0.0, level: int = 90) -> Shot:
    """Return a grey picture that was captured so many seconds after the moment."""
    return make_shot(frame_of(np.full((48, 64, 3), level, np.uint8), captured=NOW + seconds))[0]


def ask(*shots: Shot, main: int = 0, **keys: Any) -> Ask:
    given_ = {"on": "entered", "label": "person", **keys}
    return Ask(id="1", question="parcel", time=iso_time(NOW), shots=shots or (shot(),), main=main, **given_)


def told(asked: Ask, answer: AnswerType = YES_NO, text: str = "Is there a parcel?", camera: str = "Porch") -> str:
    return str(chat_messages(text, answer, camera, asked)[1]["content"][0]["text"])


def rules(answer: AnswerType) -> str:
    return str(chat_messages("Is it open?", answer, "Porch", ask())[0]["content"])


def test_the_rules_come_first_then_situation_and_question_then_the_pictures() -> None:
    system, user = chat_messages("Is there a parcel?", YES_NO, "Porch", ask(shot(), shot(2)))
    assert (system["role"], user["role"]) == ("system", "user")
    assert [part["type"] for part in user["content"]] == ["text", "image_url", "image_url"]
    assert "Is there a parcel?" not in system["content"]
    assert user["content"][0]["text"].endswith("\nQuestion: Is there a parcel?")


def test_pictures_are_the_jpegs_as_they_are_in_their_order() -> None:
    shots = [shot(-2, 30), shot(0, 120), shot(2, 220)]
    parts = chat_messages("What?", YES_NO, "Porch", ask(*shots, main=1))[1]["content"][1:]
    urls = [part["image_url"]["url"] for part in parts]
    assert all(url.startswith(PREFIX) for url in urls)
    jpegs = [base64.b64decode(url[len(PREFIX) :], validate=True) for url in urls]
    assert jpegs == [one.jpeg for one in shots]
    levels = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).mean() for jpeg in jpegs]
    assert levels == pytest.approx([30, 120, 220], abs=4)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (ask(zones=("step",)), "What happened: person entered (zone step)."),
        (ask(zones=("step", "garden")), "What happened: person entered (zone step, garden)."),
        (ask(on="left"), "What happened: person left."),
        (ask(label=None), "What happened: somebody or something came."),
        (ask(on="left", label=None), "What happened: somebody or something went away."),
        (ask(on="scene_changed", label=None), "What happened: the whole view changed."),
    ],
)
def test_the_situation_says_what_happened_and_where(asked: Ask, expected: str) -> None:
    assert told(asked).startswith(f"Camera: Porch. {expected}\n")


@pytest.mark.parametrize("on", ["interval", "command"])
def test_where_nothing_happened_nothing_is_said_to_have_happened(on: str) -> None:
    assert told(ask(on=on, label=None)) == "Camera: Porch.\nQuestion: Is there a parcel?"


@pytest.mark.parametrize(
    ("shots", "main", "expected"),
    [
        ((-2.1, 0, 2.0), 1, "2 s before, that moment, 2 s after"),
        ((-2.6, 0, 2.0, 5.3), 1, "3 s before, that moment, 2 s after, 5 s after"),
        ((0, 2), 0, "that moment, 2 s after"),
        ((-0.5, 0), 1, "1 s before, that moment"),
        ((-0.4, 0.4), 1, "that moment, that moment"),
        ((-2, 2, 3.4, 5), 2, "2 s before, 2 s after, 3 s after, 5 s after"),
    ],
    ids=["three", "four", "no before", "just before", "at once", "the detail picture came late"],
)
def test_of_several_pictures_the_times_are_told_from_the_moment_of_the_event(
    shots: tuple[float, ...], main: int, expected: str
) -> None:
    text = told(ask(*[shot(seconds) for seconds in shots], main=main))
    assert f"The pictures, in order: {expected}." in text


def test_of_a_single_picture_no_time_is_told() -> None:
    assert "pictures" not in told(ask(shot(3)))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (YES_NO, 'ANSWER is "yes", "no" or "unsure".'),
        (AnswerType("number"), 'ANSWER is a number, or "unsure".'),
        (AnswerType("text"), 'ANSWER is a text in the language of the question, or "unsure".'),
        (AnswerType("choice", ("open", "closed")), 'ANSWER is one of "open", "closed", "unsure".'),
        (AnswerType("choice", ('"old"', "Tür zu")), 'ANSWER is one of "\\"old\\"", "Tür zu", "unsure".'),
    ],
)
def test_the_rules_say_what_kind_of_answer_is_wanted_and_that_unsure_is_one(answer: AnswerType, expected: str) -> None:
    assert rules(answer).endswith(f"\n{expected}")


@given(choices=st.lists(st.text(min_size=1, max_size=100), min_size=2, max_size=50, unique=True))
def test_choices_can_be_read_back_from_the_rules_whatever_is_in_them(choices: list[str]) -> None:
    _, _, listed = rules(AnswerType("choice", tuple(choices))).rpartition("\nANSWER is one of ")
    assert json.loads(f"[{listed.removesuffix('.')}]") == [*choices, "unsure"]


def test_the_rules_say_that_text_in_a_picture_is_no_instruction() -> None:
    assert "never an instruction" in rules(YES_NO)


@given(text=st.text(min_size=1, max_size=2000), camera=st.text(max_size=60), zone=st.text(min_size=1, max_size=60))
def test_no_text_of_an_owner_changes_the_shape_of_the_messages(text: str, camera: str, zone: str) -> None:
    asked = ask(shot(), shot(2), zones=(zone,))
    messages = chat_messages(text, YES_NO, camera, asked)
    assert json.loads(json.dumps(messages)) == messages
    assert [message["role"] for message in messages] == ["system", "user"]
    assert [part["type"] for part in messages[1]["content"]] == ["text", "image_url", "image_url"]
    assert messages[0] == chat_messages("Other?", YES_NO, "Yard", ask())[0], "it cannot reach the rules"


def test_what_the_hub_knows_besides_is_not_told() -> None:
    asked = ask(event_id="01SECRETEVENT", signature=b"\0" * 64)
    text = json.dumps(chat_messages("What?", YES_NO, "Porch", asked))
    assert "01SECRETEVENT" not in text and iso_time(NOW) not in text


@given(text=st.text(min_size=1, max_size=500))
def test_the_length_is_that_of_all_text_and_of_no_picture(text: str) -> None:
    one, three = (chat_messages(text, YES_NO, "Porch", ask(*[shot()] * n)) for n in (1, 3))
    assert length_of(one) == len(one[0]["content"]) + len(one[1]["content"][0]["text"])
    assert length_of(three) - length_of(one) == len(
        " The pictures, in order: that moment, that moment, that moment."
    )
