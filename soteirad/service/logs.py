"""Logging: to stderr, one line per transition, with the camera's name bound."""

from __future__ import annotations

import logging
import os
import sys

_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""syslog's numbers, by which `journalctl -p warning` chooses; what is below all of them is 7."""


class _ForJournal(logging.Formatter):
    """Says how bad it is in the way that systemd's journal reads, on each line; when and how bad is its own column."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as lines for the journal."""
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def setup_logging(level: str, camera: str | None = None) -> None:
    """Send records to stderr; each line carries the camera's name, or `hub`."""
    who = (camera or "hub").replace("%", "%%")
    handler = logging.StreamHandler(sys.stderr)
    if _goes_to_journal():
        handler.setFormatter(_ForJournal(f"{who}: %(message)s"))
    else:
        handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)-7s {who}: %(message)s", "%Y-%m-%d %H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _goes_to_journal() -> bool:
    """Say whether stderr is the very stream that systemd has connected to its journal, and not a file since."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
