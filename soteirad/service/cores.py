"""Core dumps: a picture of a process's memory, written to the disk when it crashes, with every secret in it."""

from __future__ import annotations

import contextlib
import resource
import sys

_LIMIT = 1 if sys.platform == "linux" else 0
"""Bytes. With 0 Linux still hands the core to a program that the system has for it (kernel.core_pattern with a pipe);
with 1 it does neither (`coredump_pipe` in the kernel's fs/coredump.c), and a file would be too short to be begun."""


def forbid_core_dumps() -> None:
    """Let neither this process nor those that it starts leave one, whatever the system's settings."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    soft = _LIMIT if hard == resource.RLIM_INFINITY else min(_LIMIT, hard)
    with contextlib.suppress(OSError, ValueError):  # a limit of the system's that may not be touched is as low already
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
