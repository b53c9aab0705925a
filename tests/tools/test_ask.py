"""`soteirad ask`: the owner's labels, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from soteirad.config import AnswerType, LlmConfig
from soteirad.errors import ConfigError
from soteirad.event import Event
from soteirad.tools.ask import Evaluation, Label, Row, evaluate_question, question_of, read_labels
from soteirad.tools.check import replay_camera
from soteirad.tools.present import answer_line, evaluation_lines, event_line
from tests.clips import DEMO
from tests.command import typed
from tests.llm_request import Asked
from tests.llm_server import LlmServer, status


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


def by_the_picture(asked: Asked) -> dict[str, object]:
    """Say yes if there is orange in the picture: the astronaut of the demonstration's first visit."""
    blue, green, red = (asked.pictures[-1][..., channel].astype(int) for channel in range(3))
    orange = ((red - blue > 90) & (red - green > 40)).mean()
    return {"answer": "yes" if orange > 0.01 else "no", "confidence": 0.8, "because": "colours"}


def test_a_question_is_tried_on_a_clip_and_compared_with_what_the_owner_knows(tmp_path: Path) -> None:
    labels = written(tmp_path, "7 yes\n42 yes\n54 no\n200 no\n")
    with LlmServer(reply_with=by_the_picture) as server:
        llm = LlmConfig.model_validate({"providers": [
            {"base_url": server.url, "model": "eyes", "price": {"input": 10_000, "output": 0}}]})  # fmt: skip
        question = question_of("Is somebody in orange there?", "yes_no", None, crop="object")
        name, camera = replay_camera(DEMO, None, None, "max", {"track": ["person", "cat"]})
        rows: list[Row] = []
        found = evaluate_question(name, camera, question, llm, read_labels(labels, question.answer), 50, rows.append)
        assert len(server.asked()) == len(rows) == 3
    assert [(row.on, row.label, row.answer, row.agrees) for row in found.rows] == [
        ("entered", "person", True, True), ("entered", "person", False, False), ("entered", "cat", False, True)]
    assert found.agreement == (2, 3)
    assert [label.time for label in found.unused] == [200.0]
    assert found.calls == 3 and found.cost == pytest.approx(found.sent_tokens / 100)
    lines = "\n".join([*map(answer_line, found.rows), *evaluation_lines(found)])
    assert "WRONG, it is yes" in lines and "agrees with your labels 2 of 3 times (67%)" in lines


def test_no_more_is_asked_than_the_limit_and_failures_are_rows_too(visit_clip: Path) -> None:
    with LlmServer(always=status(401)) as server:
        llm = LlmConfig.model_validate({"providers": [{"base_url": server.url, "model": "eyes"}]})
        name, camera = replay_camera(visit_clip, None, None, "max", {"track": ["person"]})
        question = question_of("Open?", "choice", "open, closed", when={"on": ["entered", "left"]})
        found = evaluate_question(name, camera, question, llm, [], 1)
        assert len(server.asked()) == 1
    (row,) = found.rows
    assert (row.on, row.state) == ("entered", "failed") and "api_key" in str(row.reason)


@pytest.mark.parametrize(("arguments", "told"), [
    ([], "who shall answer?"),
    (["--base-url", "http://127.0.0.1:1/v1"], "say which of its models with --model"),
    (["--base-url", "ftp://x", "--model", "m"], "this is no address"),
    (["--base-url", "http://127.0.0.1:1/v1", "--model", "m", "--answer", "choice"], "list two to 50"),
    (["--base-url", "http://127.0.0.1:1/v1", "--model", "m", "--on", "sometimes"], "when.on"),
])  # fmt: skip
def test_what_is_missing_on_the_command_line_is_told_in_a_line(arguments: list[str], told: str) -> None:
    done = typed("ask", DEMO, "--question", "Who?", *arguments)
    assert done.returncode == 1 and told in done.stderr and "Traceback" not in done.stderr
