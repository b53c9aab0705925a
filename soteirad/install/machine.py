"""The edges: the programs of the machine, and who has an account on it."""

from __future__ import annotations

import contextlib
import grp
import pwd
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from soteirad.service import programs
from soteirad.service.programs import Ran

LONGEST_S = 60.0


class Runner(Protocol):
    """What runs programs; tests for machines that can't be had bring a strict one."""

    def find(self, program: str) -> str | None:
        """Return where a program is, or None."""
        ...

    def run(self, command: Sequence[str], text: str = "", timeout: float = LONGEST_S) -> Ran:
        """Run one to its end, with `text` as its input; at most so many seconds."""
        ...

    def wait(self, seconds: float) -> None:
        """Let some time pass before something is tried again."""
        ...


class Programs:
    """The programs that are really there."""

    def find(self, program: str) -> str | None:
        """Return where a program is, also where only root's are."""
        return programs.find(program)

    def run(self, command: Sequence[str], text: str = "", timeout: float = LONGEST_S) -> Ran:
        """Run one to its end; it never raises."""
        return programs.run(command, text, timeout)

    def wait(self, seconds: float) -> None:
        """Let some time pass."""
        threading.Event().wait(seconds)


@dataclass(frozen=True)
class Account:
    """A user: numbers and what they may log in with."""

    name: str
    uid: int
    gid: int
    home: str = ""
    shell: str = ""


class Accounts(Protocol):
    """Who there is."""

    def user(self, name: str) -> Account | None:
        """Return a user by name."""
        ...

    def gid(self, name: str) -> int | None:
        """Return a group's number."""
        ...

    def user_name(self, uid: int) -> str | None:
        """Return the name of a number, or None: nobody has it."""
        ...


class SystemAccounts:
    """Those of the machine that runs."""

    def user(self, name: str) -> Account | None:
        """Return a user by name."""
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            return None
        return Account(found.pw_name, found.pw_uid, found.pw_gid, found.pw_dir, found.pw_shell)

    def gid(self, name: str) -> int | None:
        """Return a group's number."""
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            return None

    def user_name(self, uid: int) -> str | None:
        """Return the name of a number."""
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return None


class FileAccounts:
    """Those of an image, as its files say."""

    def __init__(self, root: Path) -> None:
        self._etc = root / "etc"

    def user(self, name: str) -> Account | None:
        """Return a user by name."""
        for row in self._rows("passwd"):
            if row[0] == name and len(row) > 6:
                with contextlib.suppress(ValueError):
                    return Account(name, int(row[2]), int(row[3]), row[5], row[6])
        return None

    def gid(self, name: str) -> int | None:
        """Return a group's number."""
        for row in self._rows("group"):
            if row[0] == name and len(row) > 2:
                with contextlib.suppress(ValueError):
                    return int(row[2])
        return None

    def user_name(self, uid: int) -> str | None:
        """Return the name of a number."""
        return next((row[0] for row in self._rows("passwd") if len(row) > 2 and row[2] == str(uid)), None)

    def _rows(self, name: str) -> Iterable[list[str]]:
        try:
            text = (self._etc / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        return [line.split(":") for line in text.splitlines()]
