"""An upgrade of the journal: there is a copy of before, and it is done whole or not at all."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from soteirad.errors import StorageError
from soteirad.hub import tables
from soteirad.hub.backup import back_up, backup_of, backups
from soteirad.hub.journal import Journal
from soteirad.hub.tables import SCHEMA_VERSION
from soteirad.room import Room
from tests.hub.damaged import event, rows

FOURTH = tables._UPGRADES[3]


def fourth(path: Path, count: int = 50) -> None:
    """Make a journal as the fourth version left it."""
    journal = Journal(path)
    journal.open()
    journal.append([event(n) for n in range(count)])
    with journal.transaction() as db:
        for index in ("askings", "ages", "closed_visits"):
            db.execute(f"DROP INDEX {index}")
        db.execute("PRAGMA user_version = 4")
    journal.close()


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def test_before_an_upgrade_a_copy_is_made_and_told_with_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.sqlite3"
    fourth(path)
    with caplog.at_level(logging.INFO), closing(Journal(path)) as journal:
        journal.open()
    copy = tmp_path / "journal.sqlite3.v4.bak"
    assert (version(path), version(copy)) == (SCHEMA_VERSION, 4)
    assert len(rows(copy)) == len(rows(path)) == 50
    assert f"from schema 4 to {SCHEMA_VERSION}" in caplog.text and copy.name in caplog.text
    assert [p.name for p in tmp_path.iterdir() if "half" in p.name] == []


def test_a_new_journal_and_one_of_today_need_no_copy(tmp_path: Path) -> None:
    for _ in range(2):
        with closing(Journal(tmp_path / "journal.sqlite3")) as journal:
            journal.open()
    assert backups(tmp_path / "journal.sqlite3") == []


def test_without_room_for_the_copy_nothing_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    fourth(path)
    before = path.read_bytes()
    with pytest.raises(StorageError, match=r"10 MB must be free .* 1 MB are: nothing was changed") as caught:
        back_up(path, 4, lambda _: Room(10**9, 10**6))
    assert caught.value.passes and path.read_bytes() == before and backups(path) == []


def test_a_copy_that_cannot_be_written_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    fourth(path)
    backup_of(path, 4).mkdir()
    with closing(Journal(path)) as journal, pytest.raises(StorageError, match="nothing was changed"):
        journal.open()
    assert version(path) == 4 and not (tmp_path / "journal.sqlite3.v4.bak.half").exists()


def test_only_the_newest_copies_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    fourth(path)
    for number in (1, 2, 3):
        backup_of(path, number).write_bytes(b"old")
    with closing(Journal(path)) as journal:
        journal.open()
    assert [number for number, _ in backups(path)] == [4, 3]


def test_a_journal_of_a_newer_version_names_the_copy_to_go_back_to(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    fourth(path)
    with closing(Journal(path)) as journal:
        journal.open()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    way_back = r"newer Soteira.*`sudo rm -f .* && sudo cp \S+journal.sqlite3.v4.bak \S+journal.sqlite3"
    with pytest.raises(StorageError, match=way_back) as caught:
        Journal(path).open()
    assert not caught.value.passes
    path.write_bytes(backup_of(path, 4).read_bytes())
    with closing(Journal(path)) as journal:
        journal.open()
    assert len(rows(path)) == 50


def test_the_command_that_goes_back_works_also_beside_the_log_of_a_killed_newer_daemon(tmp_path: Path) -> None:
    path = tmp_path / "my disk" / "journal.sqlite3"
    path.parent.mkdir()
    fourth(path)
    with closing(Journal(path)) as journal:
        journal.open()
        journal._opened().execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        journal._opened().execute("CREATE TABLE newer AS SELECT * FROM events")
        with pytest.raises(StorageError, match="newer Soteira") as caught:
            Journal(path).open()
        log = path.with_name(f"{path.name}-wal")
        left = log.read_bytes()
    log.write_bytes(left)
    command = str(caught.value).split("`")[1].replace("sudo ", "")  # which is not on each machine
    subprocess.run(["sh", "-c", command], check=True)
    with closing(Journal(path)) as journal:
        journal.open()
        assert journal.rows("SELECT name FROM sqlite_master WHERE name = 'newer'") == []
    assert len(rows(path)) == 50


@pytest.mark.parametrize("step", range(len(FOURTH) + 2))
def test_an_upgrade_that_is_killed_at_any_step_is_made_by_the_next_start(tmp_path: Path, step: int) -> None:
    path = tmp_path / "journal.sqlite3"
    fourth(path)
    child = os.fork()
    if child == 0:  # pragma: no cover - it is killed
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                seen = 0

                def trace(statement: str) -> None:
                    nonlocal seen
                    seen += statement.startswith(("CREATE INDEX", "PRAGMA user_version = ", "COMMIT"))
                    if seen > step:
                        os.kill(os.getpid(), 9)

                db.set_trace_callback(trace)
                tables.prepare(db, path)
        finally:
            os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert version(path) == 4
    with closing(Journal(path)) as journal:
        journal.open()
    assert version(path) == SCHEMA_VERSION and len(rows(path)) == 50


def test_a_command_beside_a_daemon_does_not_upgrade_its_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    fourth(path)
    with closing(Journal(path)) as journal, pytest.raises(StorageError, match="start the daemon, which upgrades it"):
        journal.open(make=False)
    assert version(path) == 4
