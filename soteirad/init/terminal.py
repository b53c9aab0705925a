"""Questions at a terminal, asked until the answer can be used."""

from __future__ import annotations

import getpass
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeVar

from soteirad.errors import SoteiraError

with suppress(ImportError):  # arrow keys in answers
    import readline  # noqa: F401

T = TypeVar("T")
WIDEST = 100
"""Columns; longer lines are hard to read."""


class Terminal:
    """Says and asks. Raises EOFError when there will be no more answers, and KeyboardInterrupt on Ctrl-C."""

    def __init__(self) -> None:
        self._begun = ""

    def say(self, text: str = "") -> None:
        """Print lines, broken between words; whatever comes from the network has gone through `shown`."""
        begun, self._begun = self._begun, ""
        broken = "\n".join(_broken(line) for line in f"{begun}{text}".split("\n"))
        self.print(broken[len(begun):])

    def print(self, text: str) -> None:
        """Print a text as it is."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def begin(self, text: str) -> None:
        """Print the begin of a line that `say` will end."""
        self._begun = f"{text} "
        sys.stdout.write(self._begun)
        sys.stdout.flush()

    def ask(self, question: str, check: Callable[[str], T], default: str = "") -> T:
        """Return what `check` makes of the answer; it raises SoteiraError for what cannot be used."""
        while True:
            answer = input(f"{question}{f' [{default}]' if default else ''}: ").strip() or default
            try:
                if not answer.isprintable():
                    raise SoteiraError("this has a sign that cannot be used: type it again")
                return check(answer)
            except SoteiraError as error:
                self.say(f"  {error}")

    def text(self, question: str, default: str = "") -> str:
        """Return any text, which may be empty."""
        return self.ask(question, str, default)

    def secret(self, question: str) -> str:
        """Return what is typed without being shown; it may be empty."""
        while True:
            answer = getpass.getpass(f"{question}: ")
            if answer.isprintable():
                return answer
            self.say("  this has a sign that cannot be used: type it again")

    def yes(self, question: str, default: bool) -> bool:
        """Return whether the answer is yes."""
        def check(answer: str) -> bool:
            if answer.lower() in ("y", "yes", "n", "no"):
                return answer.lower().startswith("y")
            raise SoteiraError("answer y or n")

        return self.ask(f"{question} (y/n)", check, "y" if default else "n")

    def choose(self, choices: Mapping[str, str], default: str) -> str:
        """Return the letter of one of some choices, each told by its words."""
        def check(answer: str) -> str:
            if answer.lower() in choices:
                return answer.lower()
            raise SoteiraError(f"answer {', '.join(choices)}")

        self.say("  " + "   ".join(f"{letter} = {words}" for letter, words in choices.items()))
        return self.ask("  What now?", check, default)


def _broken(line: str) -> str:
    """Break a line between words where the terminal ends; what follows is indented like it."""
    width = max(40, min(shutil.get_terminal_size().columns, WIDEST))
    indent = " " * (len(line) - len(line.lstrip(" ")))
    if len(line) < width:
        return line
    return "\n".join(textwrap.wrap(line, width - 1, subsequent_indent=indent, break_long_words=False,
                                   break_on_hyphens=False, drop_whitespace=True))  # fmt: skip


def numbers(text: str, count: int) -> list[int]:
    """Return which of `count` things (from 0) an answer such as `1 3`, `1-3`, `all` or `none` means.

    Raises SoteiraError.
    """
    if text.lower() in ("all", "none"):
        return list(range(count)) if text.lower() == "all" else []
    found: list[int] = []
    for word in text.replace(",", " ").split():
        first, dash, last = word.partition("-")
        ends = [first, last] if dash else [first, first]
        if not all(end.isascii() and end.isdigit() and 1 <= int(end[:6]) <= count for end in ends):
            raise SoteiraError(f"answer with numbers from 1 to {count}, such as 1 3, or all, or none")
        found += [index for index in range(int(ends[0]) - 1, int(ends[1])) if index not in found]
    return found
