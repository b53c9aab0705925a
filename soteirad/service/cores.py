"""Core dumps: a picture of a process's memory, written to the disk when it crashes, with every secret in it."""

from __future__ import annotations

import contextlib
import resource


def forbid_core_dumps() -> None:
    """Let neither this process nor those that it starts leave one, whatever the system's settings."""
    with contextlib.suppress(OSError, ValueError):  # a limit of the system's that may not be touched is as low already
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
