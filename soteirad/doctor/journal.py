"""The journal: can it be read, is it whole, and how many events wait for the broker?"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from soteirad.archive import Archive, NoJournalError
from soteirad.doctor.finding import Finding, doubt, fault, told, well
from soteirad.doctor.patient import Patient
from soteirad.errors import StorageError
from soteirad.hub.tables import SCHEMA_VERSION

INTEGRITY_S = 6.0
LONG_S = 300.0
"""An event that has waited longer than this for the broker is worth a word."""
STEPS = 10_000
"""Of SQLite's machine, between two looks at the time."""
FUTURE_S = 120.0


def check(patient: Patient) -> Iterator[Finding]:
    """Yield how the journal is. It is only read."""
    path = patient.configured.storage.journal
    try:
        with Examined(path) as journal:
            yield from _inside(patient, path, journal)
    except NoJournalError:
        yield well(str(path), "not there yet: the first start makes it")
    except StorageError as error:
        if "may not be read" in str(error) and not patient.root:
            yield doubt(str(path), "this user may not read it", patient.as_root)
        else:
            yield told(str(path), error, "see the storage page of the manual")


class Examined(Archive):
    """A look at a journal that asks more than the page does."""

    def __enter__(self) -> Examined:
        self.open()
        return self

    @property
    def version(self) -> int:
        """Which version its tables have."""
        return self._version

    def times(self) -> tuple[float | None, float | None]:
        """Return when the newest event was recorded, and the oldest one that waits (epoch seconds)."""
        row = self._rows("SELECT (SELECT max(recorded_at) FROM events),"
                         " (SELECT min(recorded_at) FROM events WHERE published_at IS NULL)", ())[0]  # fmt: skip
        return row[0], row[1]

    def damage(self, given_up: Callable[[], bool]) -> str | None:
        """Return the first thing that SQLite finds wrong, empty if all is well; None if it was `given_up` before."""
        if self._db is None:
            raise RuntimeError("the journal is not open")
        self._db.set_progress_handler(given_up, STEPS)
        try:
            row = self._db.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            if "interrupt" in str(error):
                return None
            return str(error)
        finally:
            self._db.set_progress_handler(None, STEPS)
        return "" if row[0] == "ok" else str(row[0]).splitlines()[-1]  # before it stands in which database


def _inside(patient: Patient, path: Path, journal: Examined) -> Iterator[Finding]:
    if journal.version < SCHEMA_VERSION:
        yield well(str(path), f"of an older version ({journal.version}): the next start brings it to {SCHEMA_VERSION}")
    whole = _whole(patient, path, journal)
    yield whole
    if whole.verdict == "fail":  # what is in it cannot be trusted
        return
    now = time.time()
    newest, oldest = journal.times()
    if newest is None:
        yield well("events", "none yet")
        return
    if newest > now + FUTURE_S:
        yield doubt("events", f"the newest is of {_ago(newest - now)} in the future: this clock is wrong, or was",
                    "see Clock below")  # fmt: skip
    waiting, dropped = journal.waiting(), journal.dropped()
    last = f"the newest {_ago(max(0.0, now - newest))} ago"
    if waiting and oldest is not None and now - oldest > LONG_S:
        yield doubt("events", f"{waiting} wait for the broker, the oldest for {_ago(now - oldest)}; {last}",
                    "see MQTT broker above; they are published when it takes them" if patient.daemon is not False
                    else "start the daemon: sudo systemctl start soteirad")  # fmt: skip
    else:
        yield well("events", f"{waiting or 'none'} wait for the broker; {last}")
    if dropped:
        yield doubt("events", f"{dropped} were never published, ever: the broker was away for too long",
                    "nothing to do if you know of it; storage.outbox sets the limits")  # fmt: skip


def _whole(patient: Patient, path: Path, journal: Examined) -> Finding:
    end = time.monotonic() + INTEGRITY_S
    damage = journal.damage(lambda: time.monotonic() > end or patient.stop.is_set())
    if damage is None:
        return well(str(path), f"can be read; too large to be looked through within {INTEGRITY_S:.0f} s")
    if damage:
        return fault(str(path), f"it is damaged ({damage})", "sudo systemctl restart soteirad: a start saves what can "
                     "be read, and begins a new one; then see whether the disk is well (dmesg)")  # fmt: skip
    return well(str(path), "whole")


def _ago(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
