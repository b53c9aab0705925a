"""`events`: what the journal holds, in a terminal, as JSON or as CSV; whether or not the daemon runs."""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from soteirad.archive import Archive, Row, Wanted
from soteirad.columns import LOG_FIELDS, log_row
from soteirad.config import load_config
from soteirad.errors import SoteiraError
from soteirad.event import EVENT_TYPES

_AGO = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True)
class Listed:
    """The events that were asked for, the newest last, and how many cameras write into this journal."""

    rows: list[Row]
    cameras: int

    def document(self) -> dict[str, Any]:
        """Return what `events --json` prints."""
        return {"events": [{"seq": row.seq, "event": row.event.payload(), "published": row.published_at is not None,
                            "topic": row.topic} for row in self.rows]}  # fmt: skip


def list_events(path: Path, wanted: Wanted) -> Listed:
    """Return the last events of the journal that the configuration file at `path` names.

    Raises ConfigError, StorageError, and SoteiraError for names that mean nothing.
    """
    config = load_config(path)
    for camera in wanted.cameras:
        if camera not in config.cameras:
            known = ", ".join(config.cameras)
            raise SoteiraError(f"--camera {camera}: {path} has no such camera: use one of {known}")
    for kind in wanted.types:
        if kind not in EVENT_TYPES:
            raise SoteiraError(f"--type {kind}: there is no such event: use one of {', '.join(EVENT_TYPES)}")
    with Archive(config.storage.journal) as archive:
        rows = archive.find(wanted)
    return Listed(rows[::-1], len(config.cameras))


def moment(option: str, text: str | None, now: float | None = None) -> float | None:
    """Return the time (seconds since the epoch) that an option names: so long ago (2h, 30m, 7d), a day, or an ISO time.

    A time without a zone is one of this machine's. Raises SoteiraError.
    """
    if text is None:
        return None
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return max(0.0, (time.time() if now is None else now) - float(ago[1]) * _SECONDS[ago[2]])  # years have an end
    try:
        at = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
        return (at if at.tzinfo is not None else at.astimezone()).astimezone(timezone.utc).timestamp()
    except (ValueError, OverflowError, OSError):
        raise SoteiraError(
            f"{option}: this is no time: write how long ago (30m, 2h, 7d), a day (2026-11-22), "
            "or a time (2026-11-22T18:30)"
        ) from None


def split(text: str | None) -> tuple[str, ...]:
    """Return the words of an option that takes several, with commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip()) if text is not None else ()


def write_csv(rows: Sequence[Row], file: IO[str]) -> None:
    """Write events with the columns of the event log."""
    writer = csv.writer(file)
    writer.writerow(LOG_FIELDS)
    writer.writerows(log_row(row.seq, row.recorded_at, row.event) for row in rows)
