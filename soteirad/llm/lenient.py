"""JSON objects in whatever text a language model writes around, into and instead of them: pure, and linear in time.

Repaired is what cannot mean anything else: single quotes, commas before a closing bracket, bare words, line breaks in
text, Python's `None`. An object that ends too early, or has a quote too many, keeps what was complete before that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

DEEPEST = 5
"""Levels of brackets; it bounds how often one piece of hostile text is read."""
_START = re.compile(r"""\{\s*(?=["']|answer\b)""", re.IGNORECASE)
"""What is meant as an object, and not as a brace in a sentence."""

_SPACE = re.compile(r"\s*")
_TEXTS = {
    '"': re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL),
    "'": re.compile(r"'([^'\\]*(?:\\.[^'\\]*)*)'", re.DOTALL),
}
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![\w.])")
_WORD = re.compile(r"[^\W\d][\w-]*")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_WORDS = {"true": True, "false": False, "null": None, "none": None, "nan": None, "infinity": None}


@dataclass(frozen=True)
class Found:
    """An object that is in no whole other one; `whole` says whether it was read to its closing brace."""

    keys: dict[str, Any]
    whole: bool


class _BrokenError(Exception):
    """What stands here is no JSON, whatever is forgiven."""


def find_objects(text: str) -> Iterator[Found]:
    """Yield what is meant as an object in `text`, in the order of their beginnings."""
    at = 0
    while (start := _START.search(text, at)) is not None:
        reader, keys = _Reader(text, start.start()), dict[str, Any]()
        try:
            reader.object(keys, 1)
            whole, at = True, reader.at
        except _BrokenError:
            whole, at = False, start.start() + 1
        yield Found(keys, whole)


class _Reader:
    """Reads one value after the other; `at` is where it stands."""

    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self.at = at

    def object(self, keys: dict[str, Any], depth: int) -> None:
        """Read an object into `keys`, each value as soon as what follows it proves that it has ended."""
        self._take("{")
        ended: dict[str, Any] = {}
        while not self._took("}"):
            key = self._text_or_word()
            self._take(":")
            keys.update(ended)
            ended = {key.strip().lower(): self._value(depth)}
            if not self._took(","):
                self._take("}")
                break
        keys.update(ended)

    def _list(self, depth: int) -> list[Any]:
        self._take("[")
        items: list[Any] = []
        while not self._took("]"):
            items.append(self._value(depth))
            if not self._took(","):
                self._take("]")
                break
        return items

    def _value(self, depth: int) -> Any:
        char = self._next()
        if char in ("{", "["):
            if depth >= DEEPEST:
                raise _BrokenError
            if char == "[":
                return self._list(depth + 1)
            inner: dict[str, Any] = {}
            self.object(inner, depth + 1)
            return inner
        if (number := _NUMBER.match(self._text, self.at)) is not None:
            self.at = number.end()
            return as_number(number[0])
        quoted = char in _TEXTS
        word = self._text_or_word()
        return word if quoted else _WORDS.get(word.lower(), word)

    def _text_or_word(self) -> str:
        char = self._next()
        match = _TEXTS.get(char, _WORD).match(self._text, self.at)
        if match is None:
            raise _BrokenError
        self.at = match.end()
        return _unescape(match[1]) if char in _TEXTS else match[0]

    def _next(self) -> str:
        self.at = _SPACE.match(self._text, self.at).end()  # type: ignore[union-attr]
        return self._text[self.at : self.at + 1]

    def _took(self, char: str) -> bool:
        if self._next() != char:
            return False
        self.at += 1
        return True

    def _take(self, char: str) -> None:
        if not self._took(char):
            raise _BrokenError


def as_number(text: str) -> float | int:
    """Return a number as a whole one if it is one; infinity for what is too large."""
    number = float(text)
    # From there on neighbouring whole numbers are no longer told apart.
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(_escaped, text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")


def _escaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPES.get(code, code)
