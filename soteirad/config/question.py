"""Questions in the configuration: what an owner wants to know about a camera, when, and what kind of answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeGuard, get_args

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import InitErrorDetails

from soteirad.config.messages import KEY, detail, found, value_problem
from soteirad.config.section import Section
from soteirad.config.values import NONE_IS_NO_ITEM, Float, Int, Labels, Name, Switch, raw_get, slug

Moment = Literal["entered", "left", "scene_changed", "interval", "command"]
MOMENTS: tuple[str, ...] = get_args(Moment)
AD_HOC = "ask"
"""The name under which a question that was sent over MQTT is answered."""
DESCRIBE: Mapping[str, Any] = {
    "name": "describe",
    "ask": "Describe what is happening, for a notification on a phone: one short sentence, the most important first. "
    "Say only what can be seen.",
    "answer": "text",
}
"""The question that needs no writing: `questions: [describe]`."""


def is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    """Say whether a raw value is a list."""
    return isinstance(value, (list, tuple))


AnswerKind = Literal["yes_no", "number", "choice", "text"]
MOST_QUESTIONS = 50
MOST_CHOICES = 50
LONGEST_CHOICE = 100


@dataclass(frozen=True)
class AnswerType:
    """What kind of answer a question wants; `choices` are the possible ones of a `choice`."""

    kind: AnswerKind
    choices: tuple[str, ...] = ()


def _check_answer(value: Any) -> AnswerType:
    if isinstance(value, AnswerType):
        return value
    allowed = "allowed are yes_no, number, text and choice: [open, closed]"
    if isinstance(value, Mapping) and [*value] == ["choice"]:
        return AnswerType("choice", _check_choices(value["choice"]))
    if value == "choice":
        raise value_problem("a choice between what? write answer: {choice: [open, closed]}")
    if not isinstance(value, str):
        raise value_problem(f"{found(value)} where a kind of answer is needed: {allowed}")
    if value not in ("yes_no", "number", "text"):
        raise value_problem(f"this is no kind of answer: {allowed}")
    return AnswerType(value)  # type: ignore[arg-type]


def _check_choices(value: Any) -> tuple[str, ...]:
    if not is_list(value) or not 2 <= len(value) <= MOST_CHOICES:
        text = f"list two to {MOST_CHOICES} possible answers, such as [open, closed]"
        raise ValidationError.from_exception_data("choice", [detail(("choice",), text)], hide_input=True)
    problems: list[InitErrorDetails] = []
    seen: set[str] = set()
    for index, choice in enumerate(value):
        if isinstance(choice, bool):
            text = 'true or false where text is needed: put it in quotes, as in "yes"'
        elif not isinstance(choice, str) or not choice.strip() or not choice.isprintable():
            text = "this is no possible answer: write some words on one line, in quotes if they are a number"
        elif len(choice) > LONGEST_CHOICE:
            text = f"this text is too long: at most {LONGEST_CHOICE} characters fit"
        elif choice.strip().lower() in ("unsure", *seen):
            text = "this answer is there twice, or is unsure, which is always possible: leave it out"
        elif choice.strip().lower() in ("none", "unknown", "unavailable"):
            text = "Home Assistant means something else by this word: take another, such as nobody or nothing"
        else:
            seen.add(choice.strip().lower())
            continue
        problems.append(detail(("choice", index), text))
    if problems:
        raise ValidationError.from_exception_data("choice", problems, hide_input=True)
    return tuple(choice.strip() for choice in value)


def _as_written(answer: AnswerType) -> Any:
    return {"choice": [*answer.choices]} if answer.kind == "choice" else answer.kind


Answer = Annotated[
    AnswerType, PlainValidator(_check_answer), PlainSerializer(_as_written),
    WithJsonSchema({"anyOf": [
        {"enum": ["yes_no", "number", "text"]},
        {"type": "object", "additionalProperties": False, "required": ["choice"],
         "properties": {"choice": {"type": "array", "items": {"type": "string"}, "minItems": 2}}},
    ]}),
]  # fmt: skip
Names = Annotated[tuple[Name, ...], Field(min_length=1)]


def _one_is_a_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _moments(raw: Any) -> set[str]:
    """Return the words among raw moments."""
    items = _one_is_a_list(raw)
    return {item for item in items if isinstance(item, str)} if is_list(items) else set()


class WhenConfig(Section):
    """When a question is asked; what is left out does not matter."""

    on: Annotated[tuple[Moment, ...], BeforeValidator(_one_is_a_list)] = Field(
        default=("entered",), min_length=1,
        description="What it is asked on: entered, left, scene_changed, interval or command; also a list of them.",
    )
    labels: Labels | None = Field(default=None, description="Labels, such as person; one of them is enough.")
    zones: Names | None = Field(default=None, description="Zones; one of them is enough.")
    min_dwell: Float = Field(
        default=0, ge=0, le=86_400, description="Seconds for which the object has to be there, or to have been there."
    )
    cooldown: Float = Field(
        default=0, ge=0, le=86_400, description="Seconds after asking in which it is not asked again."
    )
    interval: Float = Field(default=300, ge=1, le=86_400, description="For on: interval, seconds between two askings.")

    @classmethod
    def contradictions(cls, data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
        """Keys that would silently do nothing."""
        moments = _moments(data.get("on", cls.model_fields["on"].default))
        if not moments or not moments <= {*MOMENTS}:  # told already
            return
        if "min_dwell" in data and not moments & {"entered", "left"}:
            yield detail(("min_dwell",), "only objects dwell: leave this key out, or ask on entered or left", KEY)
        if "interval" in data and "interval" not in moments:
            yield detail(("interval",), "nothing is asked at intervals: add interval to on, or leave this key out", KEY)
        if moments <= {"scene_changed", "command"}:
            for key in ("labels", "zones"):
                if data.get(key) is not None:
                    yield detail((key,), f"no object is meant on {' and '.join(sorted(moments))}: leave this key out",
                                 KEY)  # fmt: skip


class QuestionConfig(Section):
    """A standing question about a camera, answered by a vision model."""

    name: Name = Field(description="Its name in topics and in Home Assistant, such as parcel.")
    ask: str = Field(min_length=1, max_length=2000, description='The question, such as "Is there a parcel?".')
    answer: Answer = Field(
        default=AnswerType("text"), description="The kind of answer: yes_no, number, text or choice: [open, closed]."
    )
    enabled: Switch = Field(default=True, description="Whether it is asked.")
    when: WhenConfig = Field(default=WhenConfig(), description="When it is asked.")
    frames: Int = Field(
        default=1, ge=1, le=4,
        description="Pictures that are sent: that moment; before and then; before, then and after; and later.",
    )
    crop: Literal["object", "frame"] = Field(
        default="frame", description="Whether the whole picture is sent or only the object with some room around it."
    )
    keep: Int = Field(default=5, ge=0, le=1000, description="How many of the last answers keep their pictures.")

    @classmethod
    def prepare(cls, data: Any) -> Any:
        """The word `describe` is a whole question."""
        if isinstance(data, str) and data != DESCRIBE["name"]:
            raise value_problem("describe is the only question of one word: write {name: parcel, ask: \"Is there a "
                                "parcel?\", answer: yes_no}")  # fmt: skip
        return DESCRIBE if data == DESCRIBE["name"] else super().prepare(data)

    @classmethod
    def contradictions(cls, data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
        """The name of questions that are sent, and a crop of an object where there is none."""
        if slug(str(data.get("name"))) == AD_HOC:  # Home Assistant and some disks take Ask and ask for one
            yield detail(("name",), f"{AD_HOC} is the name of questions that are sent over MQTT: choose another")
        moments = _moments(raw_get(data.get("when"), "on") or "entered")
        if data.get("crop") == "object" and moments and not moments & {"entered", "left"}:
            yield detail(("crop",), "there is no object without entered or left in when.on: leave this key out", KEY)


class _OrOneWord:
    """Tells editors that one word is enough for a question."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [handler(core_schema), {"const": "describe"}]}


Questions = Annotated[
    tuple[Annotated[QuestionConfig, _OrOneWord()], ...], Field(max_length=MOST_QUESTIONS), NONE_IS_NO_ITEM
]


def ad_hoc_question(text: str) -> QuestionConfig:
    """Return the question that was sent over MQTT; `text` has 1 to 2000 characters."""
    return QuestionConfig(name="none", ask=text).model_copy(update={"name": AD_HOC})
