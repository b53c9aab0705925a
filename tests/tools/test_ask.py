"""`soteirad ask`: the owner's labels, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from soteirad.config import AnswerType
from soteirad.errors import ConfigError
from soteirad.event import Event
from soteirad.tools.ask import Evaluation, Label, read_labels
from soteirad.tools.present import evaluation_lines, event_line


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_are_read_with_a_byte_order_mark_comments_and_empty_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeff31.5 yes\n\n# nobody\n40 NO  # the cat\n")
    assert read_labels(path, AnswerType("yes_no")) == [Label(31.5, True), Label(40.0, False)]


def test_what_is_no_time_and_no_number_is_told_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "nan 1\n2 inf\nlater 3\n4\n5 6\n")
    with pytest.raises(ConfigError) as told:
        read_labels(path, AnswerType("number"))
    ends = ("nan is no number", "inf is no number", "later is no number", "nothing is no number")
    remedy = "write the seconds and the answer, such as 12.5 yes"
    assert told.value.problems == [f"{path}:{line}:1: {end}: {remedy}" for line, end in enumerate(ends, 1)]


def test_labels_that_no_question_was_asked_near_are_told() -> None:
    found = Evaluation([], 0, 0, 0, 0.0, [Label(float(second), True) for second in range(12)])
    line = "nothing was asked within 3 s of 12 of your labels: at 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 ... s"
    assert line in evaluation_lines(found)
    assert found.document()["unused_labels"] == [*range(12)]


def test_the_line_of_an_answer_says_what_was_asked_and_answered() -> None:
    event = Event(id="1", event_type="answered", camera="porch", time="2026-11-22T14:02:11.100Z", label="person",
                  confidence=0.9, question="parcel", answer=True)  # fmt: skip
    assert event_line(event) == "2026-11-22T14:02:11.100Z  answered      person   0.90  parcel: yes"
