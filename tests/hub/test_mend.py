"""Damaged journals: whatever happened to the file, the start succeeds and what can be read is there."""

from __future__ import annotations

import errno
import io
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soteirad.errors import DamagedError, StorageError, StorageRefused
from soteirad.hub.answer_book import AnswerBook
from soteirad.hub.journal import Journal
from soteirad.hub.mend import damaged_files, finish, mend
from soteirad.hub.mender import Mender
from soteirad.room import Room
from tests.hub.damaged import PAGE, SETTINGS, TOPICS, event, fill, noise, overwrite, pages_of_events, rows, with_log


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "journal.sqlite3"
    fill(path)
    return path


@pytest.fixture(scope="module")
def killed(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose last events are only in the log."""
    path = tmp_path_factory.mktemp("killed") / "journal.sqlite3"
    with_log(good, path)
    return path


@pytest.fixture(scope="module")
def places(killed: Path) -> dict[str, set[int]]:
    return pages_of_events(killed)


def started(path: Path) -> Journal:
    """Open it as the daemon does."""
    journal = Journal(path)
    Mender(journal, lambda: None, lambda: None).open()
    return journal


def copied(source: Path, folder: Path) -> Path:
    for end in ("", "-wal"):
        beside = source.with_name(source.name + end)
        if beside.exists() and beside.stat().st_size:
            shutil.copy(beside, folder / (source.name + end))
    return folder / source.name


def test_a_good_journal_is_not_touched(good: Path, tmp_path: Path) -> None:
    path = copied(good, tmp_path)
    started(path).close()
    assert rows(path) == rows(good) and damaged_files(path) == []


def test_the_log_of_a_killed_daemon_is_no_damage(killed: Path, tmp_path: Path) -> None:
    path = copied(killed, tmp_path)
    started(path).close()
    assert damaged_files(path) == [] and len(rows(path)) == 402 + 60


def test_all_of_a_journal_whose_beginning_is_lost_is_saved(good: Path, tmp_path: Path) -> None:
    path = copied(good, tmp_path)
    overwrite(path, 0, noise(PAGE))
    with closing(started(path)) as journal:
        assert journal.overrides() == SETTINGS and journal.retained() == TOPICS
        assert [e.track_id for e in journal.open_visits()] == [9001, 9002]
        assert len(AnswerBook(journal).calls()) == 40
        assert AnswerBook(journal).latest("c1", "gate")[0] is not None
    before = rows(good)
    assert {i: (r.seq, r.event, r.published_at) for i, r in rows(path).items()} == {
        i: (r.seq, r.event, r.published_at) for i, r in before.items()}  # fmt: skip
    assert damaged_files(path)[0].read_bytes()[PAGE:] == good.read_bytes()[PAGE:]


@pytest.mark.parametrize("seed", range(6))
def test_what_is_not_on_a_damaged_page_is_saved_and_is_not_published_twice(good: Path, tmp_path: Path,
                                                                         seed: int) -> None:  # fmt: skip
    path, places = copied(good, tmp_path), pages_of_events(good)
    before, pages = rows(good), path.stat().st_size // PAGE
    lost = {1 + (seed * 31 + n * 7) % (pages - 1) for n in range(5)}
    for page in lost:
        overwrite(path, page * PAGE, noise(PAGE, seed) if seed % 2 else bytes(PAGE))
    started(path).close()
    after = rows(path)
    whole = {i for i, on in places.items() if not on & lost}
    assert whole <= after.keys() and len(whole) > 50
    assert all(after[i].published_at == before[i].published_at and after[i].seq == before[i].seq for i in whole)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_bytes_are_damaged_the_start_succeeds_and_readable_events_are_there(
    killed: Path, places: dict[str, set[int]], tmp_path: Path, data: st.DataObject
) -> None:
    for old in tmp_path.iterdir():
        old.unlink()
    path = copied(killed, tmp_path)
    which = data.draw(st.sampled_from(["", "-wal"]))
    file = path.with_name(path.name + which)
    size, untouched = file.stat().st_size, {e for e, on in places.items() if on}
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, size - 1))
        length = data.draw(st.sampled_from([1, 4, 100, 512, 5000]))
        kind = data.draw(st.sampled_from(["zeros", "noise", "cut"]))
        if kind == "cut":
            with file.open("r+b") as opened:
                opened.truncate(start)
        else:
            end = min(length, size - start)
            overwrite(file, start, bytes(end) if kind == "zeros" else noise(end, start))
        if which == "":
            first, last = start // PAGE, (size if kind == "cut" else start + length) // PAGE
            untouched = {e for e in untouched if not any(first <= page <= last for page in places[e])}
    with closing(started(path)) as journal:
        waiting = {entry.event.id for entry in journal.pending(10_000)}
        assert journal.append([event(9999)])
        assert not journal.suspect
    before = rows(killed)
    if which == "":
        assert {e for e in untouched if before[e].published_at is None} <= waiting
        assert not {e for e in untouched if before[e].published_at is not None} & waiting


def test_what_is_behind_a_gap_in_the_log_is_saved(killed: Path, tmp_path: Path) -> None:
    path = copied(killed, tmp_path)
    log = path.with_name(f"{path.name}-wal")
    overwrite(log, 32 + 24 + 100, noise(200))
    started(path).close()
    assert len([e for e in rows(path).values() if e.event.camera == "late"]) == 60
    assert len(damaged_files(path)) == 1


def test_a_log_whose_file_is_empty_is_not_thrown_away(killed: Path, tmp_path: Path) -> None:
    path = copied(killed, tmp_path)
    path.write_bytes(b"")
    started(path).close()
    assert len([e for e in rows(path).values() if e.event.camera == "late"]) == 60


@pytest.mark.parametrize("data", [noise(50_000), bytes(50_000), b"SQLite format 3\0" + noise(9000), b"\0"])
def test_of_a_file_without_anything_readable_a_new_one_is_begun(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "journal.sqlite3"
    path.write_bytes(data)
    with closing(started(path)) as journal:
        assert journal.count_pending() == 0
    assert damaged_files(path)[0].read_bytes() == data


def test_a_text_and_the_database_of_another_program_are_left_alone(tmp_path: Path) -> None:
    text, other = tmp_path / "text", tmp_path / "other"
    text.write_text("a letter to grandmother", encoding="utf-8")
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE photos (a)")
    for path in (text, other):
        before = path.read_bytes()
        with pytest.raises(StorageRefused, match=r"not a journal|another program"):
            started(path)
        assert path.read_bytes() == before and damaged_files(path) == []


def test_a_damaged_journal_of_a_newer_version_is_left_to_that_version(good: Path, tmp_path: Path) -> None:
    path = copied(good, tmp_path)
    overwrite(path, 60, (99).to_bytes(4, "big"))
    overwrite(path, 100, noise(3000))
    with pytest.raises(StorageRefused, match="newer Soteira"):
        started(path)
    assert damaged_files(path) == []


def test_new_events_go_behind_all_that_there_were(good: Path, tmp_path: Path) -> None:
    path = copied(good, tmp_path)
    overwrite(path, path.stat().st_size // 2, noise(PAGE))
    highest = max(row.seq for row in rows(good).values())
    with closing(started(path)) as journal:
        new = event(9000)
        journal.append([new])
    assert rows(path)[new.id].seq > highest


def test_a_salvage_goes_behind_what_was_given_out_although_the_file_does_not_say(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    path.write_bytes(noise(5000))
    mend(path, at_least=4711)
    with closing(started(path)) as journal:
        journal.append([event(1)])
        assert journal.highest == 4712


def test_without_room_nothing_is_moved_and_it_is_said_how_much_is_needed(good: Path, tmp_path: Path) -> None:
    path = copied(good, tmp_path)
    overwrite(path, 0, noise(PAGE))
    before = path.read_bytes()
    with pytest.raises(StorageError, match="must be free") as caught:
        mend(path, look=lambda _: Room(10**9, 1000))
    assert caught.value.passes and path.read_bytes() == before and [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("calls", range(1, 8))
def test_a_mending_that_is_killed_at_any_step_is_finished_by_the_next_start(killed: Path, tmp_path: Path,
                                                                          calls: int) -> None:  # fmt: skip
    path = copied(killed, tmp_path)
    overwrite(path, 0, noise(PAGE))
    child = os.fork()
    if child == 0:  # pragma: no cover - it is killed
        left = calls

        def dying(act: Callable[..., object]) -> Callable[..., object]:
            def acts(*arguments: object) -> object:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), 9)
                return act(*arguments)

            return acts

        Path.rename, Path.replace = dying(Path.rename), dying(Path.replace)  # type: ignore[assignment,method-assign]
        os.fsync, Path.unlink = dying(os.fsync), dying(Path.unlink)  # type: ignore[assignment,method-assign]
        try:
            mend(path)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    started(path).close()
    found = rows(path)
    assert len([e for e in found.values() if e.event.camera == "late"]) == 60
    assert len([e for e in found.values() if e.published_at is not None]) == 300
    assert not (tmp_path / "journal.sqlite3.mending").exists()


def test_a_half_new_journal_is_thrown_away(good: Path, tmp_path: Path) -> None:
    path = copied(good, tmp_path)
    path.with_name(f"{path.name}.mending").write_bytes(good.read_bytes()[:PAGE])
    overwrite(path.with_name(f"{path.name}.mending"), 60, bytes(4))
    assert finish(path) is None
    assert [*tmp_path.iterdir()] == [path]


def test_only_the_newest_damaged_files_are_kept(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    for n in range(5):
        path.write_bytes(noise(5000, n))
        mend(path, clock=lambda n=n: 1_800_000_000.0 + n)  # type: ignore[misc]
    assert [file.read_bytes() for file in damaged_files(path)] == [noise(5000, n) for n in (4, 3, 2)]


def test_a_row_that_says_nothing_that_can_be_is_damage_met_at_the_start(good: Path, tmp_path: Path) -> None:
    path = copied(good, tmp_path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE events SET payload = '{half' WHERE seq = 390")
    with pytest.raises(DamagedError):
        Journal(path).open()
    with closing(started(path)) as journal:
        assert journal.count_pending() == 101


def test_an_open_visit_whose_row_is_lost_is_known_from_its_event(good: Path, tmp_path: Path) -> None:
    path = copied(good, tmp_path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM visits WHERE track_id = 9001")
        db.execute("UPDATE visits SET closed_at = NULL, closed_by = NULL WHERE opened_by ="
                   " (SELECT id FROM events WHERE seq = 1)")  # fmt: skip
    mend(path)
    with closing(started(path)) as journal:
        assert sorted(e.track_id or 0 for e in journal.open_visits()) == [9001, 9002]


@pytest.mark.parametrize(("table", "column", "value", "where"), [
    ("events", "recorded_at", "'abc'", "seq = 402"),
    ("events", "recorded_at", "1e300", "seq = 5"),
    ("meta", "value", "'abc'", "1"),
    ("meta", "key", "'abc'", "1"),
    ("sqlite_sequence", "seq", "'abc'", "1"),
    ("sqlite_sequence", "seq", "1e300", "1"),
    ("calls", "at", "'abc'", "1"),
    ("calls", "tokens", "x'00'", "1"),
    ("retained", "note", "'[1]'", "1"),
    ("retained", "topic", "CAST(x'ff80' AS TEXT)", "topic = 'soteira/c1/state'"),
    ("visits", "closed_at", "'abc'", "closed_at IS NOT NULL"),
])  # fmt: skip
def test_a_value_that_cannot_be_in_its_column_is_damage_met_at_the_start(
    good: Path, tmp_path: Path, table: str, column: str, value: str, where: str
) -> None:
    path = copied(good, tmp_path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE {table} SET {column} = {value} WHERE {where}")  # noqa: S608
    with closing(started(path)) as journal:
        assert len(damaged_files(path)) == 1
        assert journal.recorded_last() is not None and journal.count_dropped() == 0
        assert len(journal.after(0, 1000)) == 402, "an event is worth more than when it was written"
    started(path).close()
    assert len(damaged_files(path)) == 1, "the new one is good"


def test_an_event_whose_place_cannot_be_takes_no_other_events_place(good: Path, tmp_path: Path) -> None:
    path = copied(good, tmp_path)
    before = rows(good)
    highest = max(row.seq for row in before.values())
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE events SET seq = -5 WHERE seq = 7")  # read first, on the first leaf
    overwrite(path, 0, noise(PAGE))
    started(path).close()
    after = rows(path)
    assert after.keys() == before.keys()
    moved = [i for i in before if after[i].seq != before[i].seq]
    assert [before[i].seq for i in moved] == [7] and after[moved[0]].seq > highest


def test_a_log_whose_file_is_missing_is_not_thrown_away(killed: Path, tmp_path: Path) -> None:
    path = copied(killed, tmp_path)
    log = path.with_name(f"{path.name}-wal").read_bytes()
    path.unlink()
    started(path).close()
    assert len([e for e in rows(path).values() if e.event.camera == "late"]) == 60
    (kept,) = damaged_files(path)
    assert kept.with_name(f"{kept.name}-wal").read_bytes() == log


def test_what_the_damaged_one_had_not_undone_yet_does_not_come_into_the_new_one(good: Path, tmp_path: Path) -> None:
    path = copied(good, tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN")
        db.execute("UPDATE events SET topic = 'x'")
        undo = path.with_name(f"{path.name}-journal").read_bytes()
        db.execute("ROLLBACK")
    assert len(undo) > PAGE
    path.with_name(f"{path.name}-journal").write_bytes(undo)
    mend(path)
    assert not path.with_name(f"{path.name}-journal").exists()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_the_file_that_was_just_moved_is_kept_although_the_clock_was_set_back(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    for n, at in enumerate((3000.0, 4000.0, 5000.0, 1000.0, 900.0)):
        path.write_bytes(noise(5000, n))
        mend(path, clock=lambda at=at: at)  # type: ignore[misc]
        kept = [file.read_bytes() for file in damaged_files(path)]
        assert noise(5000, n) in kept and len(kept) <= 3


def test_a_log_that_was_moved_without_its_file_does_not_stay_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    orphan = tmp_path / "journal.sqlite3.corrupt-19700101T000001Z-wal"
    orphan.write_bytes(b"1")
    for n in range(3):
        path.write_bytes(noise(5000, n))
        mend(path)
    assert not orphan.exists()


def test_a_mending_that_fails_leaves_no_half_one_on_a_full_disk(good: Path, tmp_path: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    path = copied(good, tmp_path)
    overwrite(path, 0, noise(PAGE))

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("soteirad.hub.salvage._continue", full)
    with pytest.raises(StorageError, match="the disk is full"):
        mend(path)
    assert [*tmp_path.iterdir()] == [path]


def test_a_whole_new_one_that_cannot_be_read_now_is_not_thrown_away(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    half = tmp_path / "journal.sqlite3.mending"
    half.write_bytes(good.read_bytes())
    with closing(sqlite3.connect(half, isolation_level=None)) as db, pytest.MonkeyPatch.context() as patched:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("BEGIN EXCLUSIVE")
        patched.setattr("soteirad.hub.mend.BUSY_S", 0.0)
        with pytest.raises(StorageError, match="another process holds it"):
            started(path)
    started(path).close()
    assert len(rows(path)) == 402


@pytest.mark.parametrize(("bad", "mended"), [(1, True), (40, False)])
def test_a_bad_place_on_the_disk_costs_its_page_and_a_disk_that_is_gone_moves_nothing(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: int, mended: bool
) -> None:
    path, places = copied(good, tmp_path), pages_of_events(good)
    overwrite(path, 0, noise(PAGE))
    plain = Path.open

    class Failing(io.FileIO):
        def readinto(self, buffer: Any) -> int | None:
            if 20 <= self.tell() // PAGE < 20 + bad:
                raise OSError(errno.EIO, "Input/output error")
            return super().readinto(buffer)

    def opened(file: Path, mode: str = "r") -> Any:
        return io.BufferedReader(Failing(file), PAGE) if file == path else plain(file, mode)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", opened)
        if not mended:
            with pytest.raises(StorageError, match="Input/output error"):
                mend(path)
            assert [*tmp_path.iterdir()] == [path]
            return
        mend(path)
    assert {i for i, on in places.items() if 20 not in on} <= rows(path).keys()
