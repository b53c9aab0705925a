"""The edges: the programs of the machine, and who has an account on it."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import subprocess
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Ran:
    """How a program ended, and the last that it said."""

    code: int
    said: str = ""


class Runner(Protocol):
    """What runs programs; tests for machines that can't be had bring a strict one."""

    def find(self, program: str) -> str | None:
        """Return where a program is, or None."""
        ...

    def run(self, command: Sequence[str], text: str = "", timeout: float = 60.0) -> Ran:
        """Run one to its end, with `text` as its input; at most so many seconds."""
        ...

    def wait(self, seconds: float) -> None:
        """Let some time pass before something is tried again."""
        ...


class Programs:
    """The programs that are really there."""

    def find(self, program: str) -> str | None:
        """Return where a program is, also where only root's are."""
        return shutil.which(program, path=_PATH)

    def run(self, command: Sequence[str], text: str = "", timeout: float = 60.0) -> Ran:
        """Run one in English and without this command's environment; it never raises."""
        program = self.find(command[0]) or command[0]
        environment = {"PATH": _PATH, "LC_ALL": "C", "HOME": "/root" if os.geteuid() == 0 else str(Path.home())}
        try:
            done = subprocess.run([program, *command[1:]], input=text, env=environment, capture_output=True, text=True,
                                  timeout=timeout, check=False, cwd="/", errors="replace")  # fmt: skip
        except subprocess.TimeoutExpired:
            return Ran(124, f"it did not end within {timeout:.0f} s")
        except OSError as error:
            return Ran(127, error.strerror or str(error))
        return Ran(done.returncode, (done.stdout + done.stderr).strip())

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
