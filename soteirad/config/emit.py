"""Plain data to YAML text that `config.document` reads back as the same data. Pure.

PyYAML's own writer follows other rules about what is a number (1e5 is text to it), so it cannot be used.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from soteirad.config.document import Loader

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./]*(?:[ -]+[A-Za-z0-9_./]+)*")
_UNPRINTABLE = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]")
_TEXT = "tag:yaml.org,2002:str"


def is_block(value: Any) -> bool:
    """Say whether a value is written on lines of its own, below its key."""
    if isinstance(value, Mapping):
        return bool(value)
    return is_list(value) and any(isinstance(item, Mapping) and item for item in value)


def is_list(value: Any) -> bool:
    """Say whether a value is a list (and no text)."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def lines(section: Mapping[str, Any], indent: int, step: int) -> list[str]:
    """Return a section's lines, `indent` spaces from the left, each level `step` further. Raises ValueError."""
    found = []
    for key, value in section.items():
        start = f"{' ' * indent}{name(key)}:"
        if not is_block(value):
            found.append(f"{start} {flow(value)}")
        elif isinstance(value, Mapping):
            found += [start, *lines(value, indent + step, step)]
        else:
            found += [start, *items(value, indent + step, step)]
    return found


def items(values: Sequence[Any], indent: int, step: int) -> list[str]:
    """Return a list's lines, one or more for each item. Raises ValueError."""
    found = []
    for value in values:
        if isinstance(value, Mapping) and value:
            first, *rest = lines(value, indent + 2, step)
            found += [f"{' ' * indent}- {first.lstrip(' ')}", *rest]
        else:
            found.append(f"{' ' * indent}- {flow(value)}")
    return found


def flow(value: Any, style: str | None = None) -> str:
    """Return a value on one line; `style` is the quote for a text. Raises ValueError for what YAML has not."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name(key)}: {flow(below)}" for key, below in value.items()) + "}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        if not math.isfinite(value):
            raise ValueError("a number that is not finite")
        return repr(value)
    if isinstance(value, str):
        return text(value, style)
    if is_list(value):
        return "[" + ", ".join(map(flow, value)) + "]"
    raise ValueError(f"a value of the kind {type(value).__name__}")


def name(key: Any) -> str:
    """Return a key; `on` needs no quotes there. Raises ValueError for what is no text."""
    if not isinstance(key, str):
        raise ValueError("a key that is no text")
    return key if _PLAIN.fullmatch(key) else text(key)


def text(value: str, style: str | None = None) -> str:
    """Return text as it is if that is safe anywhere, else in quotes. Raises ValueError for half a character."""
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise ValueError("a text with half a character")
    if style is None and _PLAIN.fullmatch(value) and _is_text(value):
        return value
    if style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    quoted = json.dumps(value, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


def _is_text(value: str) -> bool:
    resolvers = Loader.yaml_implicit_resolvers.get(value[0], [])
    return all(tag == _TEXT or not pattern.match(value) for tag, pattern in resolvers)
