"""The journal, looked at while nobody or a daemon has it open."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from soteirad.doctor.journal import Examined, check
from soteirad.doctor.patient import Patient
from soteirad.event import Event, iso_time, new_id
from soteirad.hub.journal import Journal
from tests.doctor.people import one, patient, verdicts


def event(at: float) -> Event:
    return Event(id=new_id(at), event_type="source_lost", camera="porch", time=iso_time(at))


def written(folder: Path, clock: Callable[[], float] = time.time, published: int = 0, events: int = 3) -> Patient:
    """Return a patient whose journal holds so many events, the first of them published."""
    sick = patient(folder)
    (folder / "state").mkdir()
    with closing(Journal(journal_of(sick), clock)) as journal:
        journal.open()
        journal.append([event(clock()) for _ in range(events)])
    with closing(sqlite3.connect(journal_of(sick))) as db:
        db.execute("UPDATE events SET published_at = ? WHERE seq <= ?", (clock(), published))
        db.commit()
    return sick


def journal_of(sick: Patient) -> Path:
    assert sick.config is not None
    return sick.config.storage.journal


def test_a_journal_of_which_all_was_published_is_well(tmp_path: Path) -> None:
    found = list(check(written(tmp_path, published=3)))
    assert verdicts(found) == ["ok", "ok"] and "none wait" in found[1].text


def test_a_journal_that_is_not_there_yet_is_no_fault_and_is_not_made(tmp_path: Path) -> None:
    sick = patient(tmp_path)
    (found,) = check(sick)
    assert found.verdict == "ok" and not journal_of(sick).exists()


def test_events_that_wait_for_long_are_told_with_their_age(tmp_path: Path) -> None:
    sick = written(tmp_path, lambda: time.time() - 7200, published=1)
    assert "2 wait for the broker, the oldest for 2 h" in one(check(sick), "warn").text
    assert "start the daemon" in one(check(sick), "warn").remedy
    assert "MQTT broker above" in one(check(replace(sick, daemon=True)), "warn").remedy


def test_events_of_the_future_say_that_the_clock_is_or_was_wrong(tmp_path: Path) -> None:
    assert "in the future" in one(check(written(tmp_path, lambda: time.time() + 86400, published=3)), "warn").text


def test_events_that_were_dropped_are_told(tmp_path: Path) -> None:
    sick = written(tmp_path, published=3)
    with closing(sqlite3.connect(journal_of(sick))) as db:
        db.execute("UPDATE meta SET value = 12 WHERE key = 'dropped'")
        db.commit()
    assert "12 were never published" in one(check(sick), "warn").text


def test_a_damaged_journal_is_a_fault(tmp_path: Path) -> None:
    sick = written(tmp_path, events=400)
    path = journal_of(sick)
    content = bytearray(path.read_bytes())
    for page in range(5, len(content) // 4096, 3):
        content[page * 4096 : page * 4096 + 200] = b"\xa5" * 200
    path.write_bytes(content)
    (found,) = check(sick)
    assert found.verdict == "fail"
    assert "it is damaged (" in found.text and "in database main" not in found.text
    assert "a start saves what can be read" in found.remedy


def test_what_is_no_journal_is_a_fault_and_stays_as_it_is(tmp_path: Path) -> None:
    sick = patient(tmp_path)
    (tmp_path / "state").mkdir()
    journal_of(sick).write_bytes(b"not a database" * 1000)
    assert "fail" in verdicts(check(sick))
    assert journal_of(sick).read_bytes() == b"not a database" * 1000


def test_a_journal_of_a_newer_version_is_a_fault(tmp_path: Path) -> None:
    sick = written(tmp_path)
    with closing(sqlite3.connect(journal_of(sick))) as db:
        db.execute("PRAGMA user_version = 99")
        db.commit()
    assert "a newer Soteira wrote this journal" in one(check(sick), "fail").text


def test_a_journal_can_be_looked_at_while_the_daemon_writes_to_it(tmp_path: Path) -> None:
    sick = written(tmp_path, published=3)
    with closing(Journal(journal_of(sick))) as journal:
        journal.open()
        with journal.transaction() as db:
            db.execute("UPDATE meta SET value = 1 WHERE key = 'dropped'")
            assert verdicts(check(sick)) == ["ok", "ok"]


def test_a_journal_that_is_too_large_is_looked_through_in_part(tmp_path: Path) -> None:
    sick = written(tmp_path, events=5000)
    with Examined(journal_of(sick)) as journal:
        assert journal.damage(lambda: True) is None
        assert journal.damage(lambda: False) == ""
