"""Who goes when memory runs out, and how much of it a process keeps for its threads."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from pathlib import Path

EAGERNESS = 300
"""Added to Linux's badness of a process, which is its share of all memory in thousandths."""


def go_first() -> None:
    """Let Linux end this process rather than the hub, which starts it again, if it has to end one."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(EAGERNESS), encoding="ascii")


ARENAS = 2
_M_ARENA_MAX = -8
"""From glibc's malloc.h."""


def few_arenas() -> None:
    """Let the threads of this process, and of those that it forks, share two of the C library's heaps.

    glibc gives each thread a heap of its own, up to eight for each core, and what is free in one helps no other.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # other C libraries have no mallopt
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)
