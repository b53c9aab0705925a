"""Answers of vision models: what is asked for, what is read, and what is refused because it could mean two things."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.config.question import AnswerType
from soteirad.llm.answer import Answer, AnswerError, answer_schema, read_answer

YES_NO, NUMBER, TEXT = AnswerType("yes_no"), AnswerType("number"), AnswerType("text")
GATE = AnswerType("choice", ("open", "closed", "half open"))
KINDS = [YES_NO, NUMBER, TEXT, GATE]
THINKING = "<think>Is it {\"answer\": \"no\"}? No, there is one.</think>"


def value(text: str, kind: AnswerType) -> Any:
    return read_answer(text, kind).value


def refusal(text: str, kind: AnswerType) -> str:
    with pytest.raises(AnswerError) as caught:
        read_answer(text, kind)
    assert str(caught.value) == caught.value.reason
    return caught.value.reason


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_strict_and_uses_only_words_that_all_servers_know(kind: AnswerType) -> None:
    schema = answer_schema(kind)
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert schema["required"] == [*schema["properties"]] == ["answer", "confidence", "because"]
    words = {word for part in (schema, *schema["properties"].values()) for word in part}
    assert words <= {"type", "properties", "required", "additionalProperties", "enum", "anyOf"}


def test_a_schema_says_which_answers_there_can_be() -> None:
    def wanted(kind: AnswerType) -> Any:
        return answer_schema(kind)["properties"]["answer"]

    assert wanted(YES_NO)["enum"] == ["yes", "no", "unsure"]
    assert wanted(GATE)["enum"] == ["open", "closed", "half open", "unsure"]
    assert wanted(NUMBER) == {"anyOf": [{"type": "number"}, {"type": "string", "enum": ["unsure"]}]}
    assert wanted(TEXT) == {"type": "string"}


WHOLE = '{"answer": "yes", "confidence": 0.9, "because": "A box stands there."}'


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        f"\ufeff\n  {WHOLE}\n",
        f"```json\n{WHOLE}\n```",
        f"Here is my answer:\n{WHOLE}\nI hope that this helps!",
        f"{THINKING}\n{WHOLE}",
        f"Let me think {{about}} it, it's a {{'a': 1}}.</think>{WHOLE}",
        "{'answer': 'yes', 'confidence': 0.9, 'because': 'A box stands there.',}",
        '{answer: yes, confidence: .9, because: "A box stands there."}',
        '{"Answer": "Yes.", "CONFIDENCE": "90%", " because ": "A box\\nstands\\tthere."}',
        '{"answer": {"answer": "yes", "confidence": 90, "because": "A box stands there."}}',
        f'{{"result": {WHOLE}}}',
        f"[{WHOLE}]",
        f'{{"answer": "no"}} Wait! {WHOLE}',
        f'{WHOLE} {{"note": 1}}',
        f'{{"answer": "yes|no|unsure"}} {WHOLE}',
        f'{WHOLE} {{"answer": ["maybe", "not"]}}',
        f'The form is {{x: and "so on": {WHOLE}',
        WHOLE.replace("A box stands there.", "A box\nstands\x00 there.\u202e"),
        WHOLE[:-1] + ', "more": [1, {"a": [null, true, False, None, -1.5e3]}, ], }',
    ],
)  # fmt: skip
def test_an_object_is_found_wherever_and_however_it_is_written(text: str) -> None:
    assert read_answer(text, YES_NO) == Answer(True, 0.9, "A box stands there.")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"answer": "yes", "confidence": 0.9, "because": "A box sta', Answer(True, 0.9, "")),
        ('{"answer": "yes", "confidence": 0.9', Answer(True, None, "")),
        ('{"answer": "yes", "because": "The sign says "Stop" twice", "confidence": 1}', Answer(True, None, "")),
        ('{"result": {"answer": "yes", "confidence": 0.9, "because": "A', Answer(True, 0.9, "")),
    ],
)
def test_of_a_broken_object_what_was_complete_counts(text: str, answer: Answer) -> None:
    assert read_answer(text, YES_NO) == answer


@pytest.mark.parametrize(
    "text",
    [
        '{"answer": 1,234, "confidence": 1}', '{"answer": 12', '{"answer": 12,', '{"answer": "12',
        '{"answer": 12 }, {"ans',
        '{"answer": 1} No: {"answer": 2', '{"because": "there are 3"}', '{"confidence": 0.9}',
        '{"answer": {"value": 3}}',
        '{"answer": true}', '{"answer": [1, 2]}', '{"answer": 1e999}', '{"answer": -Infinity}',
        '{"answer": {"answer": {"answer": 3}}}',
    ],
)  # fmt: skip
def test_a_number_that_may_have_had_more_digits_or_another_meaning_is_refused(text: str) -> None:
    assert refusal(text, NUMBER)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (True, True), (False, False), (1, True), (0, False), ("1", True), ("0", False), ("true", True),
        ("False", False),
        ("Yes.", True), ("JA", True), ("oui", True), ("Sí!", True), ("si", True), ("**No**", False), ("Nein", False),
        ("non", False), ("'no'", False), ("y", True), ("N", False), (["yes"], True),
        ("Yes, a box.", True), ("No, nobody.", False), ("Yes there is", True), ("no - nothing", False),
        ("Unsure", None), (None, None), ("unknown", None), ("I can't tell", None), ("I can\u2019t tell.", None),
        ("I cannot tell from this picture", None), ("It is unclear whether it is one", None), ("No idea", None),
        ("maybe", None), ("not sure, yes or no", None), ("n/a", None), ("null", None), ("Ich weiß nicht", None),
    ],
)  # fmt: skip
def test_yes_and_no_have_many_forms(said: Any, meant: bool | None) -> None:
    assert value(json.dumps({"answer": said}), YES_NO) is meant
    assert value(json.dumps({"answer": said}, ensure_ascii=False), YES_NO) is meant


@pytest.mark.parametrize(
    "said",
    ["yes and no", "Yes/No", "no, yes", "yes|no|unsure", "No person is there", "no-one", "Yes-man", "nothing", "notes",
     "I think yes", "Yes, but I am not sure", "2", 2, 0.5, "", "?", {"a": 1}, [], ["yes", "no"], "non-existent",
     "True or false", "The answer", "Si c'est un chat"],
)  # fmt: skip
def test_what_could_be_yes_and_no_is_refused(said: Any) -> None:
    assert refusal(json.dumps({"answer": said}), YES_NO)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (3, 3), (3.0, 3), (-2.5, -2.5), (0, 0), ("3", 3), ("about 3", 3), ("3 cars", 3), ("three", 3),
        ("Three cars.", 3),
        ("about twelve", 12), ("There are two dogs", 2), ("zero", 0), ("-3", -3), ("\u22123", -3), ("+3", 3),
        (".5", 0.5),
        ("20%", 20), ("20°C", 20), ("$5", 5), ("**7**", 7), ("(4)", 4), ("~4", 4), ("1,234.5", 1234.5), ("4.", 4),
        ("1,234,567", 1234567), ("1e3", 1000), ("I see 3 of them", 3), ("unsure", None), (None, None), (["2"], 2),
        ("I can't tell", None), ("It is hard to say how many", None), ("007", 7),
    ],
)  # fmt: skip
def test_numbers_have_many_forms(said: Any, meant: float | None) -> None:
    found = value(json.dumps({"answer": said}), NUMBER)
    assert found == meant
    assert type(found) is type(meant)


@pytest.mark.parametrize(
    "said",
    ["2 or 3", "2-3", "2 - 3", "between 2 and 3", "2 of 3", "1/2", "12:30", "2024-05-01", "1,234", "1,5", "1.234,5",
     "1.2.3", "3rd", "3D", "12V", "A4", "more than 3", "at least 3", "up to 3", "minus 3", "- 3", "not 3", "3 million",
     "2 dozen", "2 and a half", "2½", "half", "three quarters", "one or two", "one of them", "no one", "none",
     "two dozen",
     "twenty one", "twenty-one", "one couple", "many", "", "3, but I am not sure", "isn't 3", True, "9" * 400,
     "3 cars and one van", "٣"],
)  # fmt: skip
def test_what_could_be_two_numbers_or_another_one_is_refused(said: Any) -> None:
    assert refusal(json.dumps({"answer": said}), NUMBER)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("open", "open"), ("OPEN", "open"), (' "Closed". ', "closed"), ("half  open", "half open"),
        ("**open**", "open"),
        ("The gate is open.", "open"), ("The gate is half open", "half open"), ("Answer: closed", "closed"),
        ("unsure", None), ("Unknown", None), (None, None), ("I can't tell", None), ("It's unclear", None),
        (["open"], "open"),
    ],
)  # fmt: skip
def test_choices_have_many_forms(said: Any, meant: str | None) -> None:
    assert value(json.dumps({"answer": said}), GATE) == meant


@pytest.mark.parametrize(
    "said",
    ["open or closed", "half open, or open", "not open", "It isn't closed", "no longer open", "opened", "half-open",
     "re-open", "ajar", "", True, 1, "perhaps it is not open", "open, but I am not sure", {"open": 1}],
)  # fmt: skip
def test_what_names_no_choice_or_two_or_denies_one_is_refused(said: Any) -> None:
    assert refusal(json.dumps({"answer": said}), GATE)


def test_an_owners_own_choices_win_over_what_such_words_mean_elsewhere() -> None:
    known = AnswerType("choice", ("known", "unknown", "no"))
    assert value('{"answer": "Unknown."}', known) == "unknown"
    assert value("The man is unknown", known) == "unknown"
    assert value('{"answer": false}', known) == "no"
    assert value('{"answer": "no"}', known) == "no"


@pytest.mark.parametrize(
    ("said", "meant"), [("1", "1"), ("10", "10"), (10, "10"), ("It is 1", "1"), ("+", "+"), ("5+", None),
    ("It is 1.5", None)]
)
def test_choices_of_digits_and_signs_are_told_apart(said: Any, meant: str | None) -> None:
    kind, text = AnswerType("choice", ("1", "10", "+", "-")), json.dumps({"answer": said})
    if meant is None:
        assert refusal(text, kind)
    else:
        assert value(text, kind) == meant


def test_choices_that_differ_only_in_spelling_are_told_apart_or_refused() -> None:
    streets = AnswerType("choice", ("straße", "strasse"))
    assert value('{"answer": "strasse"}', streets) == "strasse"
    assert value('{"answer": "straße"}', streets) == "straße"
    assert "more than one" in refusal('{"answer": "on the STRASSE"}', streets)


@pytest.mark.parametrize(
    ("text", "kind", "answer"),
    [
        ("Yes, there is a box.", YES_NO, Answer(True, None, "Yes, there is a box.")),
        ("```\nno\n```", YES_NO, Answer(False, None, "no")),
        ("**Answer:** Yes", YES_NO, Answer(True, None, "**Answer:** Yes")),
        ("true", YES_NO, Answer(True, None, "true")),
        ('"yes"', YES_NO, Answer(True, None, '"yes"')),
        ("I can't tell.", YES_NO, Answer(None, None, "I can't tell.")),
        ("The gate is\nclosed.", GATE, Answer("closed", None, "The gate is closed.")),
        ("There are 3 cars.", NUMBER, Answer(3, None, "There are 3 cars.")),
        ("A dog {brown}\nruns.", TEXT, Answer("A dog {brown} runs.", None, "")),
        (f"{THINKING}\n\nA dog runs.", TEXT, Answer("A dog runs.", None, "")),
        ("unsure", TEXT, Answer(None, None, "")),
        ("I can't tell who it is: a man.", TEXT, Answer("I can't tell who it is: a man.", None, "")),
    ],
)
def test_without_an_object_the_words_are_read(text: str, kind: AnswerType, answer: Answer) -> None:
    assert read_answer(text, kind) == answer


def test_the_reason_is_told_without_a_word_of_the_answer() -> None:
    assert refusal("I think so", YES_NO) == "the model's answer begins with neither yes nor no"
    for empty in ("", " \n", "<think>x</think> "):
        assert refusal(empty, TEXT) == refusal(empty, NUMBER) == "the model's answer is empty"
    assert refusal("<think>It is open", GATE).startswith("the model was cut off while it was thinking aloud: raise")
    assert refusal('{"answer": ""}', TEXT) == "the model's answer is empty"
    assert refusal('{"text": "A dog."}', TEXT) == "the model's answer has no JSON object with the key answer"
    assert refusal('{"answer": {"a": "A dog."}}', TEXT).startswith("the model answered with a list or an object")
    assert refusal("open or closed", GATE) == "the model's answer names more than one choice"
    assert refusal("ajar", GATE) == "the model's answer names none of the choices"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (0, 0.0), (1, 1.0), (0.85, 0.85), (85, 0.85), ("85%", 0.85), ("85 %", 0.85), ("0.85", 0.85), (100, 1.0),
        (250, 1.0),
        (1.2, 1.0), (-3, 0.0), (True, None), (None, None), ("high", None), ([1], None), (float("nan"), None),
        (float("inf"), None), ("nan", None), ("1e999", None), ("0.5%", 0.005),
    ],
)  # fmt: skip
def test_confidence_is_a_number_from_0_to_1_or_nothing(said: Any, meant: float | None) -> None:
    assert read_answer(json.dumps({"answer": "yes", "confidence": said}), YES_NO).confidence == meant


def test_a_reason_that_is_no_text_is_none() -> None:
    assert read_answer('{"answer": "yes", "because": ["a"]}', YES_NO).because == ""
    assert read_answer('{"answer": "yes", "because": null}', YES_NO).because == ""


def test_text_is_cut_with_an_ellipsis_and_is_one_line_of_whole_characters() -> None:
    long = json.dumps({"answer": "word " * 1000, "because": "x" * 301})
    answer = read_answer(long, TEXT)
    assert isinstance(answer.value, str)
    assert (len(answer.value), answer.value[-6:]) == (1000, " word…")
    assert answer.because == "x" * 299 + "…"
    assert value(json.dumps({"answer": "y" * 1000}), TEXT) == "y" * 1000
    assert value('{"answer": "a\\u0000b\\ud83d\\ude00 \\ud83d c\\u2028d\\u001b[31m"}', TEXT) == "a b😀 c d [31m"
    assert value("a\ud83db\u2067c", TEXT) == "abc"


def test_numbers_and_switches_can_be_the_text_of_an_answer() -> None:
    assert value('{"answer": 12.5}', TEXT) == "12.5"
    assert value('{"answer": true}', TEXT) == "yes"


def test_of_a_very_long_text_the_start_and_the_end_are_read() -> None:
    filler = "word " * 200_000
    assert value(f'{{"answer": "yes"}} {filler}', YES_NO) is True
    assert value(f'{filler}{{"answer": "yes"}}', YES_NO) is True
    assert value(f'<think>{filler} {{"answer": "no"}}</think> Yes.', YES_NO) is True
    assert "too long" in refusal(f"yes {filler}", YES_NO)
    assert "too long" in refusal(f"{filler} closed", GATE)
    assert len(value(filler, TEXT)) == 1000


NASTY = ["{", "[", "<think>", "</think>", '{"', "{'", '{"a":', '{"a":[', "{'a':{\"b", '{"answer":', '{"answer":"',
         "\\", '"\\',
         '{"answer":1' + "1", "[{", "{}", '{"a":1},', "{answer ", "answer is ", "the ", "```", "1", "1,", "-", " ",
         "\t{\n ",
         "no ", "not ", "about ", "can't ", "open ", "half ", "half open", "\u200b", "\ud83d", "😀", "}", "…",
         '{"a":"{"', "one "]  # fmt: skip


@pytest.mark.timeout(30)  # a quadratic reader takes minutes
@pytest.mark.parametrize("piece", NASTY)
def test_hostile_text_is_read_or_refused_in_linear_time(piece: str) -> None:
    for size in (99_000, 1_000_000):
        text = piece * (size // len(piece))
        whole = json.dumps({"answer": text + "x"})
        for one in (text, whole, '{"answer": "' + text, '{"answer":' + text + "x", text + '{"answer": "yes"}'):
            for kind in KINDS:
                with suppress(AnswerError):
                    read_answer(one, kind)


def test_far_more_objects_than_one_are_refused() -> None:
    assert "far more" in refusal('{"answer": "yes"} ' * 300, YES_NO)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("answer"), inner, max_size=3),
    max_leaves=8,
)
WORDS = ["yes", "no", "3", ",", ":", '"', "'", "null", '"answer"', "closed"]
FRAGMENTS = st.lists(st.sampled_from([*NASTY, *WORDS]) | st.text(max_size=3))


@given(FRAGMENTS.map("".join) | JSON.map(lambda data: json.dumps({"answer": data})) | st.text(), st.sampled_from(KINDS))
def test_whatever_is_said_the_answer_is_of_its_kind_or_refused(text: str, kind: AnswerType) -> None:
    try:
        answer = read_answer(text, kind)
    except AnswerError:
        return
    allowed = {"yes_no": (bool,), "number": (int, float), "text": (str,), "choice": (str,)}[kind.kind]
    assert answer.value is None or type(answer.value) in allowed
    assert kind.kind != "choice" or answer.value in (None, *kind.choices)
    assert answer.confidence is None or 0 <= answer.confidence <= 1
    assert len(answer.because) <= 300
    for line in (answer.because, answer.value if isinstance(answer.value, str) else ""):
        line.encode()  # no half characters
        assert line == " ".join(line.split())
        assert len(line) <= 1000
    if isinstance(answer.value, float):
        assert abs(answer.value) < float("inf")


@given(st.text(min_size=1), st.floats(0, 1), st.text(max_size=50), st.booleans())
def test_any_object_of_an_honest_model_is_read(said: str, confidence: float, because: str, ascii_only: bool) -> None:
    keys = {"answer": f"I see {said}", "confidence": confidence, "because": because}
    text = json.dumps(keys, ensure_ascii=ascii_only)
    answer = read_answer(f"Sure:\n```json\n{text}\n```", TEXT)
    assert isinstance(answer.value, str)
    assert answer.value.startswith("I see")
    assert answer.confidence == confidence


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53))
def test_any_number_is_read_as_it_is_as_a_number_and_as_text(number: float) -> None:
    assert value(json.dumps({"answer": number}), NUMBER) == number
    assert value(json.dumps({"answer": json.dumps(number)}), NUMBER) == number
