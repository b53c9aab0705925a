"""Validation errors in the owner's words: "what is wrong: what is allowed".

No message repeats a value, because a value may be a password; it says what kind of thing was found.
The kind of a problem tells where to point: `KEY` at the key's own place, `VALUE` at what follows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, get_args

import annotated_types as at
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from soteirad.config.secrets import VARIABLE, looks_secret

KEY: Final = "key_problem"
VALUE: Final = "value_problem"

NAME_PATTERN: Final = r"^[a-zA-Z0-9_-]+$"
TOPIC_PATTERN: Final = r"^[a-zA-Z0-9_-]+(/[a-zA-Z0-9_-]+)*$"
_NAME_RULE = "use only the letters a-z and A-Z, digits, _ and -"
_PATTERNS = {
    NAME_PATTERN: f"this text has a character that cannot be used: {_NAME_RULE}",
    TOPIC_PATTERN: f"this is no start of a topic: {_NAME_RULE}, and single slashes between them",
}
_RANGES = {"greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"}
_NUMBERS = {"float_type", "int_type", "int_from_float"}
_TEXTS = {"string_type", "path_type"}
_SECTIONS = {"model_type", "model_attributes_type", "dict_type"}
_SPACED = re.compile(r"[\w. -]{1,64}")
_PLAIN = re.compile(r"[\w.-]{1,64}")


def value_problem(text: str) -> PydanticCustomError:
    """Return the exception that a validator raises for a value that cannot be used."""
    return PydanticCustomError(VALUE, text)


def detail(loc: tuple[str | int, ...], text: str, kind: str = VALUE) -> InitErrorDetails:
    """Return one line of a `ValidationError` at `loc`; it never carries the value itself."""
    return InitErrorDetails(type=PydanticCustomError(kind, text), loc=loc, input=None)


def show_key(key: str) -> str:
    """Return a mapping key as it may be shown.

    A forgotten space turns `password: x` into the single key `password:x`, so that a key which does not
    look like a name is shown as `(hidden)`.
    """
    if _PLAIN.fullmatch(key) or (_SPACED.fullmatch(key) and not looks_secret(key)):
        return key
    return "(hidden)"


def found(value: object) -> str:
    """Name the kind of a value from a YAML file."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, Mapping):
        return "a section of keys"
    return "a list" if isinstance(value, Sequence) else "something else"


def allowed_range(annotation: Any, metadata: Sequence[Any]) -> str:
    """Return a number field's kind and limits in words, such as "a number from 0 to 120"."""
    limits: dict[type, Any] = {}
    whole = _collect(annotation, metadata, limits)
    number = "a whole number" if whole else "a number"
    top = limits.get(at.Le)
    if at.Ge in limits:
        return f"{number} from {limits[at.Ge]} " + ("up" if top is None else f"to {top}")
    if at.Gt in limits:
        return f"{number} more than {limits[at.Gt]}" + ("" if top is None else f" and at most {top}")
    return number


def reword(model: type[BaseModel], error: ErrorDetails) -> InitErrorDetails:
    """Turn one of pydantic's errors, seen from `model`, into an error with a message for the owner."""
    loc, kind = error["loc"], error["type"]
    if kind in (KEY, VALUE):
        return detail(loc, error["msg"], kind)
    if loc and loc[-1] == "[key]":
        long = kind == "string_too_long"
        rule = f"at most {error['ctx']['max_length']} characters fit" if long else _NAME_RULE
        return detail(loc[:-1], f"this name cannot be used: {rule}", KEY)
    field = model.model_fields.get(str(loc[0])) if len(loc) == 1 else None
    if kind == "extra_forbidden":
        return detail(loc, _unknown_key(model, str(loc[-1])), KEY)
    if kind == "missing":
        return detail(loc, f"is missing: add it; {_first(field)}", KEY)
    return detail(loc, _value_text(kind, error, field))


def _value_text(kind: str, error: ErrorDetails, field: FieldInfo | None) -> str:
    value = error["input"]
    number = "a number" if field is None else allowed_range(field.annotation, field.metadata)
    if kind == "literal_error":
        return _not_a_choice(value, [c.strip("'") for c in re.split(", | or ", str(error["ctx"]["expected"]))])
    if kind in _NUMBERS:
        return f"{_not_the_number(kind, value)}: allowed is {number}"
    if kind in _TEXTS:
        return f"{_instead(value, 'text')}: {_text_remedy(value, field)}"
    simple = {
        **dict.fromkeys(_RANGES, f"this number is out of range: allowed is {number}"),
        **dict.fromkeys(
            _SECTIONS,
            f"{_instead(value, 'a section of keys')}: write its keys on indented lines below it",
        ),
        "bool_type": f"{_instead(value, 'true or false')}: allowed is true or false",
        "string_too_short": f"this text is empty: {_first(field)}",
        "string_too_long": f"this text is too long: at most {error.get('ctx', {}).get('max_length')} characters fit",
        "too_short": f"this list is empty: {_first(field)}",
        "too_long": f"this list is too long: at most {error.get('ctx', {}).get('max_length')} items fit",
        "string_pattern_mismatch": _PATTERNS.get(
            error.get("ctx", {}).get("pattern", ""), f"this text cannot be used: {_first(field)}"
        ),
        "tuple_type": f"{_instead(value, 'a list')}: write it in brackets, such as [first, second]",
    }
    return simple.get(kind, f"this value cannot be used: {_first(field)}")


def _not_the_number(kind: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return "this number is out of range"
    if kind.startswith("int"):
        what = "a fraction" if isinstance(value, float) else found(value)
        return f"{what} where a whole number is needed"
    return _instead(value, "a number")


def _instead(value: object, needed: str) -> str:
    return f"{found(value)} where {needed} is needed"


def _text_remedy(value: object, field: FieldInfo | None) -> str:
    if isinstance(value, Mapping) and any(VARIABLE.fullmatch(f"{{{key}}}") for key in value):
        return 'put quotes around the braces, as in "{SOTEIRA_NAME}"'
    if isinstance(value, (bool, int, float)):
        return 'put it in quotes, as in "1234"'
    return _first(field)


def _unknown_key(model: type[BaseModel], key: str) -> str:
    names = list(model.model_fields)
    hint = _did_you_mean(key, names)
    return f"this key is not known{hint}: allowed here are {', '.join(names)}"


def _not_a_choice(value: object, choices: list[str]) -> str:
    hint = _did_you_mean(value, choices) if isinstance(value, str) else ""
    return f"this is not one of the choices{hint}: allowed are {', '.join(choices)}"


def _did_you_mean(text: str, names: list[str]) -> str:
    close = get_close_matches(text.lower(), names, n=1) if len(text) <= 40 else []
    return f", did you mean '{close[0]}'?" if close else ""


def _first(field: FieldInfo | None) -> str:
    """Return the first sentence of a field's description, ready to follow a colon."""
    text = (field.description or "") if field is not None else ""
    sentence = text.split(". ")[0].rstrip(".")
    return f"allowed is {sentence[0].lower()}{sentence[1:]}" if sentence else "see the example configuration"


def _collect(annotation: Any, metadata: Sequence[Any], limits: dict[type, Any]) -> bool:
    """Gather the limits hidden in `Annotated` and unions; True when the number must be whole."""
    for item in metadata:
        if isinstance(item, FieldInfo):
            _collect(None, item.metadata, limits)
        for limit, name in ((at.Ge, "ge"), (at.Gt, "gt"), (at.Le, "le")):
            if isinstance(item, limit):
                limits[limit] = getattr(item, name)
    inner = [_collect(part, getattr(part, "__metadata__", ()), limits) for part in get_args(annotation)]
    return annotation is int or any(inner)
