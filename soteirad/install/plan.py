"""A plan: steps for the owner to read, each with the actions that do it. Data only; `steps` does them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = "root"
"""Whom files belong to that nobody else may change; the group of number 0 is called so, too, whatever its name is."""


@dataclass(frozen=True)
class WriteFile:
    """Put a whole file in place at once; `keep` is where the one before is kept, `fresh` refuses to replace one."""

    path: Path
    content: bytes
    mode: int
    owner: str | None = ROOT
    group: str | None = ROOT
    keep: Path | None = None
    fresh: bool = False


@dataclass(frozen=True)
class MakeFolder:
    """Make a folder, and those above it (root's, 0755)."""

    path: Path
    mode: int
    owner: str | None = ROOT
    group: str | None = ROOT


@dataclass(frozen=True)
class SetAccess:
    """Say who may read a file or a folder; None leaves the owner as it is."""

    path: Path
    mode: int
    owner: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class HandOver:
    """Give a folder and all that it holds to somebody; links are given, not followed."""

    path: Path
    owner: str
    group: str


@dataclass(frozen=True)
class MakeLink:
    """Put a link in place, of another one if need be."""

    path: Path
    target: str


@dataclass(frozen=True)
class Move:
    """Rename a file of the owner's, out of the way."""

    path: Path
    to: Path


@dataclass(frozen=True)
class Remove:
    """Delete a file or a link; `tree`: a folder with all that it holds; `if_empty`: a folder, if it holds nothing."""

    path: Path
    tree: bool = False
    if_empty: bool = False


@dataclass(frozen=True)
class Run:
    """Run a program of the machine.

    `text` is its input; `makes` what exists afterwards that did not before; `remedy` what to do if it fails, `may_fail`
    goes on then. `tries` more than one: it is run again, a second later, while it fails.
    """

    command: tuple[str, ...]
    text: str = ""
    makes: str | None = None
    may_fail: bool = False
    remedy: str = ""
    timeout: float = 60.0
    tries: int = 1


Change = WriteFile | MakeFolder | SetAccess | HandOver | MakeLink | Move | Remove
Action = Change | Run
Mark = Literal["do", "so", "left"]
_SIGNS: dict[Mark, str] = {"do": "+", "so": "=", "left": "-"}


@dataclass(frozen=True)
class Step:
    """One line for the owner: `what`, and `why`; to be done, already so, or left out."""

    what: str
    why: str
    mark: Mark
    actions: tuple[Action, ...] = ()

    def line(self) -> str:
        """Return it as the owner reads it."""
        return f"  {_SIGNS[self.mark]} {self.what}: {self.why}"


def to_do(what: str, why: str, *actions: Action) -> Step:
    """A step that changes something."""
    return Step(what, why, "do", actions)


def already(what: str, why: str = "already so") -> Step:
    """A step that has nothing to do."""
    return Step(what, why, "so")


def left(what: str, why: str) -> Step:
    """A step that is left out, or something of the owner's that is left alone."""
    return Step(what, why, "left")


@dataclass(frozen=True)
class Plan:
    """All of it. `problems` forbid the whole, `notes` are to be known, `next_steps` are for the owner to do.

    `unfinished` says what could not be done in the end, and why; `settled`: what runs then is this version.
    """

    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()
    unfinished: str | None = None
    settled: bool = True

    @property
    def changes(self) -> bool:
        """Whether anything is to be done."""
        return any(step.actions for step in self.steps)
