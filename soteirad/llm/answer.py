"""A vision model's answer: the form that is asked for, and what came back as a typed value. Pure, linear in time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from typing import Any

from soteirad.config.question import AnswerType
from soteirad.llm.lenient import find_objects
from soteirad.llm.words import AnswerError, is_unsure, read_choice, read_number, read_yes_no

__all__ = ["Answer", "AnswerError", "answer_schema", "read_answer"]

UNSURE = "unsure"
LONGEST_TEXT = 1000
LONGEST_REASON = 300
MOST_OBJECTS = 200
LOOKED_AT = 50_000
"""Characters that are read from the start and from the end of a longer text."""

_THOUGHT = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_THINKING = re.compile(r"\s*<(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_FENCE = re.compile(r"```\w*")
_TO_SPACE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_TO_NOTHING = re.compile(r"[\ud800-\udfff\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufffe\uffff]")
"""Halves of characters, and marks that nobody sees or that turn around what follows."""

Value = bool | float | int | str


@dataclass(frozen=True)
class Answer:
    """What a model said: `value` is None when it is unsure, `confidence` 0 to 1 or None, `because` may be empty."""

    value: Value | None
    confidence: float | None
    because: str


def answer_schema(answer: AnswerType) -> dict[str, Any]:
    """Return the JSON schema of an answer, for `response_format` with `strict`.

    It keeps to what all of them take: OpenAI wants every key required, no other keys, an object and no anyOf at the
    root (platform.openai.com/docs/guides/structured-outputs, Supported schemas), and knew no limits of lengths and
    numbers at first, nor knows them with tuned models now; llama.cpp, and Ollama with its grammars, knows limits of
    whole numbers only (grammars/README.md, JSON Schemas). So the limits are kept by `read_answer`.
    """
    kinds: dict[str, dict[str, Any]] = {
        "yes_no": {"type": "string", "enum": ["yes", "no", UNSURE]},
        "number": {"anyOf": [{"type": "number"}, {"type": "string", "enum": [UNSURE]}]},
        "choice": {"type": "string", "enum": [*answer.choices, UNSURE]},
        "text": {"type": "string"},
    }
    # Answers that are cut off end in the last key: the least needed one.
    keys = {"answer": kinds[answer.kind], "confidence": {"type": "number"}, "because": {"type": "string"}}
    return {"type": "object", "properties": keys, "required": [*keys], "additionalProperties": False}


def read_answer(text: str, answer: AnswerType) -> Answer:
    """Return what a model's `text` answers: the last JSON object in it that fits, or without any its few words.

    Raises `AnswerError` for what cannot be read with certainty.
    """
    pieces = _without_thoughts(text)
    found = [one for piece in pieces for one in islice(find_objects(piece), MOST_OBJECTS + 1)]
    if len(found) > MOST_OBJECTS:
        raise AnswerError("the model's answer has far more JSON objects than one")
    problem = AnswerError("the model's answer has no JSON object with the key answer")
    for one in reversed(found):
        keys = _with_answer(one.keys)
        if keys is None:
            if not one.whole:  # it may have been going to say something else than those before it
                break
            continue
        try:
            return Answer(_value(keys["answer"], answer), _confidence(keys.get("confidence")),
                          _line(keys.get("because"), LONGEST_REASON))  # fmt: skip
        except AnswerError as error:
            problem = error
    if found:
        raise problem
    return _from_words(pieces, answer)


def _without_thoughts(text: str) -> list[str]:
    """Return the start and the end of `text` (or all of it in one), without what the model thought aloud before."""
    long = len(text) > 2 * LOOKED_AT
    pieces = [text[:LOOKED_AT], text[-LOOKED_AT:]] if long else [text]
    for index in reversed(range(len(pieces))):
        ends = [match.end() for match in _THOUGHT.finditer(pieces[index])]
        if ends:
            pieces = [pieces[index][ends[-1] :], *pieces[index + 1 :]]
            break
    else:
        if _THINKING.match(pieces[0]):
            raise AnswerError("the model was cut off while it was thinking aloud: raise the provider's max_tokens")
    if not any(map(str.strip, pieces)):
        raise AnswerError("the model's answer is empty")
    return pieces


def _with_answer(keys: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the keys around the answer, which may be one level further down; None without an answer."""
    if "answer" not in keys:
        inner = [value for value in keys.values() if isinstance(value, dict) and "answer" in value]
        return inner[0] if len(inner) == 1 else None
    inner_answer = keys["answer"]
    if isinstance(inner_answer, dict) and "answer" in inner_answer:
        return {**keys, **inner_answer}
    return keys


def _value(raw: Any, answer: AnswerType) -> Value | None:
    """Return the typed value of a raw one from JSON. Raises `AnswerError`."""
    if isinstance(raw, list) and len(raw) == 1:
        raw = raw[0]
    if raw is None:
        return None
    if isinstance(raw, bool):
        if answer.kind == "number":
            raise AnswerError("the model answered true or false where a number is needed")
        raw = "yes" if raw else "no"
    if isinstance(raw, (int, float)):
        if not isfinite(raw):
            raise AnswerError("the number in the model's answer is too large")
        if answer.kind == "number":
            return raw
        raw = str(raw)
    if not isinstance(raw, str):
        raise AnswerError("the model answered with a list or an object where one value is needed")
    return _value_of_text(raw, answer)


def _value_of_text(text: str, answer: AnswerType) -> Value | None:
    if answer.kind == "yes_no":
        return read_yes_no(text)
    if answer.kind == "number":
        return read_number(text)
    if answer.kind == "choice":
        return read_choice(text, answer.choices)
    if is_unsure(text):
        return None
    line = _line(text, LONGEST_TEXT)
    if not line:
        raise AnswerError("the model's answer is empty")
    return line


def _from_words(pieces: list[str], answer: AnswerType) -> Answer:
    """Read an answer that has no JSON in it."""
    if len(pieces) > 1 and answer.kind != "text":
        raise AnswerError("the model's answer is too long, and has no JSON object with the key answer")
    words = _FENCE.sub(" ", pieces[0]).strip()
    value = _value_of_text(words, answer)
    return Answer(value, None, "" if answer.kind == "text" else _line(words, LONGEST_REASON))


def _confidence(raw: Any) -> float | None:
    """Return how sure a model says it is, 0 to 1; what is more than a little over 1 was meant in percent."""
    percent = isinstance(raw, str) and raw.strip().endswith("%")
    if isinstance(raw, str):
        try:
            raw = float(raw.strip()[:30].removesuffix("%"))
        except ValueError:
            return None
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not isfinite(raw):
        return None
    if percent or 2 <= raw <= 100:
        raw = raw / 100
    return min(1.0, max(0.0, float(raw)))


def _line(raw: Any, longest: int) -> str:
    """Return text on one line that can be shown anywhere, with … where it was cut to `longest` characters."""
    if not isinstance(raw, str):
        return ""
    words = _TO_NOTHING.sub("", _TO_SPACE.sub(" ", raw[: 20 * longest])).split()
    line = " ".join(words)
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
