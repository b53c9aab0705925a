"""A command in this process: the same words, exit code and output as of a process of its own, without its start."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import IO
from unittest import mock

from soteirad.cli import main
from tests.daemon import ROOT


def typed(*arguments: str | Path) -> CompletedProcess[str]:
    """Run one command to its end, as `tests.daemon.soteirad` does; not `run`, which changes its process for good.

    What libraries write past Python counts as output too, and so does what is logged.
    """
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with _sent_to(out, "stdout", 1), _sent_to(err, "stderr", 2), _in_folder(ROOT), \
                mock.patch.object(sys, "argv", ["soteirad", *words]), \
                mock.patch.object(logging.root, "handlers", []):  # fmt: skip
            code = _exit_code()
        return CompletedProcess(words, code, _read(out), _read(err))


def _exit_code() -> int:
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


@contextlib.contextmanager
def _sent_to(file: IO[bytes], stream: str, descriptor: int) -> Iterator[None]:
    """Let a stream of Python and the descriptor below it write to a file."""
    getattr(sys, stream).flush()
    kept = os.dup(descriptor)
    os.dup2(file.fileno(), descriptor)
    try:
        with open(descriptor, "w", encoding="utf-8", closefd=False) as text, mock.patch.object(sys, stream, text):
            yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)


@contextlib.contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
