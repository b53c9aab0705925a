"""Other programs that are asked: systemctl, journalctl, chronyc, launchctl, sysctl."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

TIMEOUT_S = 10.0
NOT_FOUND = 127
"""What a shell says of a program that is not there."""


@dataclass(frozen=True)
class Ran:
    """How a program ended, and what it wrote."""

    code: int
    out: str = ""
    err: str = ""


Run = Callable[[Sequence[str]], Ran]
"""Runs a program to its end. Never raises: one that is not there ends with NOT_FOUND, one that hangs with 124."""


def run(command: Sequence[str]) -> Ran:
    """Run a program without input, in English, for at most 10 s."""
    environment = {**os.environ, "LC_ALL": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
    try:
        done = subprocess.run(
            list(command), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=TIMEOUT_S, check=False, env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Ran(124, err=f"no answer within {TIMEOUT_S:.0f} s")
    except OSError as error:
        return Ran(NOT_FOUND, err=error.strerror or str(error))
    return Ran(done.returncode, done.stdout, done.stderr)
