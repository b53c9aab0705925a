"""A fuzzer's bytes, taken apart: numbers from the front, text from what is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Given:
    """Bytes that are used up; beyond their end all numbers are zero and all texts empty."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        """Return the next byte."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def one_of(self, choices: Sequence[T]) -> T:
        """Return one of them, as the next byte says."""
        return choices[self.byte() % len(choices)]

    def rest(self) -> bytes:
        """Return all that is left."""
        left, self._at = self._data[self._at :], len(self._data)
        return left

    def text(self) -> str:
        """Return what is left as text, halves of characters included."""
        return self.rest().decode("utf-8", "surrogateescape")

    def parts(self, most: int) -> list[bytes]:
        """Return what is left, cut at zero bytes into `most` parts at most."""
        return self.rest().split(b"\0", most - 1)
