"""Who goes when memory runs out."""

from __future__ import annotations

import contextlib
from pathlib import Path

EAGERNESS = 300
"""Added to Linux's badness of a process, which is its share of all memory in thousandths."""


def go_first() -> None:
    """Let Linux end this process rather than the hub, which starts it again, if it has to end one."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(EAGERNESS), encoding="ascii")
