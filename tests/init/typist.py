"""Somebody at a terminal: a program on a pseudo terminal of its own, what it says and what is typed."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Sequence

from tests.daemon import ROOT

PATIENCE_S = 60.0


class Typist:
    """Runs a program and talks with it. What it said so far is in `said`."""

    def __init__(self, command: Sequence[str]) -> None:
        self._master, slave = pty.openpty()
        self.said = ""
        self._read_to = 0
        self._process = subprocess.Popen(
            [sys.executable, *command], stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        )  # fmt: skip
        os.close(slave)

    def __enter__(self) -> Typist:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._master)

    def expect(self, text: str) -> None:
        """Wait until it says `text`, after what was expected before."""
        deadline = time.monotonic() + PATIENCE_S
        while (at := self.said.find(text, self._read_to)) < 0:
            if not self._read(deadline):
                raise AssertionError(f"it never said {text!r}, but:\n{self.said[self._read_to :]}")
        self._read_to = at + len(text)

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._master, f"{text}\n".encode())

    def answer(self, *pairs: tuple[str, str]) -> None:
        """Type each answer when its question comes."""
        for question, line in pairs:
            self.expect(question)
            self.type(line)

    def press(self, key: bytes) -> int:
        """Press a control key (b"\\x03" is Ctrl-C, b"\\x04" the end of the input) and return the exit code.

        It is pressed again as an owner does to whom nothing happens: Python misses it at the very moment in which it
        begins to wait.
        """
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                os.write(self._master, key)
            try:
                while self._read(time.monotonic() + 1.0):
                    pass
                return self._process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        raise AssertionError(f"it did not end:\n{self.said[self._read_to :]}")

    def end(self) -> int:
        """Return its exit code once it has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(deadline):
            pass
        return self._process.wait(10)

    def _read(self, deadline: float) -> bool:
        """Take in what it says; returns whether there may be more."""
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        try:
            data = os.read(self._master, 65536) if ready else b""
        except OSError:  # how Linux says that the other side is closed
            data = b""
        self.said += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)
