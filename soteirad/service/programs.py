"""Other programs of the machine that are asked, or told: systemctl, journalctl, useradd, launchctl, sysctl ..."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ASKED_S = 10.0
"""For a program that only tells something."""
NOT_FOUND = 127
"""What a shell says of a program that is not there."""
TIMED_OUT = 124


@dataclass(frozen=True)
class Ran:
    """How a program ended, and what it wrote."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def said(self) -> str:
        """All that it wrote."""
        return (self.out + self.err).strip()


Run = Callable[[Sequence[str]], Ran]
"""Asks a program. Never raises: one that is not there ends with NOT_FOUND, one that hangs with TIMED_OUT."""


def find(program: str) -> str | None:
    """Return where a program is, also where only root's are."""
    return shutil.which(program, path=PATH)


def run(command: Sequence[str], text: str = "", timeout: float = ASKED_S) -> Ran:
    """Run a program to its end with `text` as its input, in English and without this command's environment.

    It never raises, as `Run` says.
    """
    program = find(command[0]) or command[0]
    environment = {"PATH": PATH, "LC_ALL": "C", "HOME": "/root" if os.geteuid() == 0 else str(Path.home())}
    try:
        done = subprocess.run([program, *command[1:]], input=text, env=environment, capture_output=True, text=True,
                              timeout=timeout, check=False, cwd="/", errors="replace")  # fmt: skip
    except subprocess.TimeoutExpired:
        return Ran(TIMED_OUT, err=f"it did not end within {timeout:.0f} s")
    except OSError as error:
        return Ran(NOT_FOUND, err=error.strerror or str(error))
    return Ran(done.returncode, done.stdout, done.stderr)
