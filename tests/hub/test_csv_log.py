"""The event log follows the journal: each event once, whatever happened to the file."""

from __future__ import annotations

import csv
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from soteirad.columns import LOG_FIELDS
from soteirad.event import Event, iso_time, new_id
from soteirad.hub import csv_log
from soteirad.hub.csv_log import CsvLog
from soteirad.hub.guard import Guard
from soteirad.hub.journal import Journal

T0 = 1_800_000_000.0 - 1_800_000_000.0 % 86400
DAY = 86400.0


class Rig:
    """A real journal, whose clock the test moves, and the log of it."""

    def __init__(self, folder: Path) -> None:
        self.now = T0
        self.folder = folder / "log"
        self.journal = Journal(folder / "journal.sqlite3", clock=lambda: self.now)
        self.journal.open()
        self.log = self.again()

    def again(self) -> CsvLog:
        self.log = CsvLog(self.folder, self.journal, Guard())
        return self.log

    def record(self, count: int = 1, **more: object) -> list[str]:
        return self.journal.append([Event(new_id(T0), "entered", "porch", iso_time(T0), label="person", **more)  # type: ignore[arg-type]
                                    for _ in range(count)])  # fmt: skip

    def file(self, day: int = 0) -> Path:
        return self.folder / f"events-{iso_time(T0 + day * DAY)[:10]}.csv"

    def rows(self, day: int = 0) -> list[dict[str, str]]:
        with self.file(day).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def logged(self) -> list[str]:
        """The ids of all files, in order."""
        rows = [row for path in sorted(self.folder.glob("*.csv"))
                for row in csv.DictReader(path.open(encoding="utf-8", newline=""))]  # fmt: skip
        return [row["id"] for row in rows]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.journal.close()


def test_each_event_is_a_row_under_the_documented_header_in_journal_order(rig: Rig) -> None:
    ids = rig.record(3)
    assert rig.log.step() == rig.file().stat().st_size
    assert rig.log.step() == 0
    ids += rig.record(2)
    rig.log.step()
    assert rig.file().read_bytes().startswith(",".join(LOG_FIELDS).encode() + b"\r\n")
    assert [row["id"] for row in rig.rows()] == ids and [row["seq"] for row in rig.rows()] == ["1", "2", "3", "4", "5"]


def test_each_day_of_recording_has_its_own_file(rig: Rig) -> None:
    ids = rig.record(1)
    rig.now += DAY - 0.001
    ids += rig.record(1)
    rig.now += 0.001
    ids += rig.record(1)
    rig.log.step()
    assert [row["id"] for row in rig.rows(0)] == ids[:2] and [row["id"] for row in rig.rows(1)] == ids[2:]


def test_a_restart_adds_what_is_missing_and_nothing_twice(rig: Rig) -> None:
    ids = rig.record(3)
    rig.log.step()
    ids += rig.record(2)  # committed, and the daemon was killed before they were logged
    rig.again().step()
    assert rig.logged() == ids
    rig.again().step()
    assert rig.logged() == ids


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_row_that_was_cut_off_is_written_again_whole(rig: Rig, cut: int) -> None:
    ids = rig.record(2)
    rig.log.step()
    data = rig.file().read_bytes()
    rig.file().write_bytes(data[:-cut])
    rig.again().step()
    assert rig.file().read_bytes() == data and rig.logged() == ids


def test_what_a_power_cut_left_behind_the_last_row_goes(rig: Rig) -> None:
    ids = rig.record(2)
    rig.log.step()
    data = rig.file().read_bytes()
    for rest in (b"\0" * 5000, b"3,2027", b"\0\0\n\0", b"3," + b"\0" * 30 + b"\n"):
        rig.file().write_bytes(data + rest)
        rig.again().step()
        assert rig.file().read_bytes() == data
    rig.file().write_bytes(b"\0" * len(data))
    rig.again().step()
    assert rig.file().read_bytes() == data and rig.logged() == ids


def test_a_header_that_was_cut_off_is_written_again(rig: Rig) -> None:
    ids = rig.record(1)
    rig.folder.mkdir()
    rig.file().write_bytes(csv_log.HEADER[:10])
    rig.log.step()
    assert rig.logged() == ids and rig.rows()[0]["camera"] == "porch"


def test_what_somebody_wrote_below_the_last_row_stays(rig: Rig) -> None:
    ids = rig.record(1)
    rig.log.step()
    with rig.file().open("ab") as file:
        file.write(b"my note\r\n")
    ids += rig.record(1)
    rig.again().step()
    lines = rig.file().read_bytes().splitlines()
    assert lines[2] == b"my note" and len(lines) == 4 and lines[3].decode().endswith(ids[1])


def test_a_log_that_cannot_be_written_is_told_once_and_made_up_for(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.folder.write_text("not a folder", encoding="utf-8")
    ids = rig.record(2)
    for _ in range(3):
        assert rig.log.step() == 0
    assert "the event log cannot be written" in rig.log.problem
    assert [record.getMessage() for record in caplog.records] == [rig.log.problem]
    rig.folder.unlink()
    ids += rig.record(1)
    rig.log.step()
    assert rig.logged() == ids and rig.log.problem == ""


def test_a_disk_that_takes_half_of_the_rows_has_each_once_in_the_end(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = rig.record(5)
    write = csv_log.os.write
    with monkeypatch.context() as full:
        full.setattr(csv_log.os, "write", lambda file, data: write(file, data[: len(data) // 2]))
        assert rig.log.step() == 0 and "the disk is full" in rig.log.problem
    rig.log.step()
    assert rig.logged() == ids


def test_after_a_pause_it_makes_up_for_what_was_recorded_meanwhile(rig: Rig) -> None:
    ids = rig.record(1)
    rig.log.step()
    rig.log.pause()
    ids += rig.record(1)
    rig.log.step()
    assert rig.logged() == ids


def test_many_are_written_in_several_steps(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_log, "MOST_AT_ONCE", 4)
    ids = rig.record(10)
    rig.log.step()
    assert len(rig.logged()) == 4
    rig.log.step(), rig.log.step()
    assert rig.logged() == ids


def test_logs_that_were_deleted_do_not_come_back_but_the_newest_is_made_up_for(rig: Rig) -> None:
    rig.record(2)
    rig.now += DAY
    ids = rig.record(2)
    rig.log.step()
    rig.file(0).unlink()
    rig.again().step()
    assert rig.logged() == ids and not rig.file(0).exists()
    ids += rig.record(1)
    rig.log.step()
    assert rig.logged() == ids


def test_rows_whose_events_were_pruned_still_say_how_far_the_log_is(rig: Rig) -> None:
    rig.record(3)
    rig.log.step()
    rig.now += DAY
    with rig.journal.transaction() as db:
        db.execute("DELETE FROM events")
    ids = rig.record(1)
    rig.again().step()
    assert [row["id"] for row in rig.rows(1)] == ids and len(rig.rows(0)) == 3


def test_a_new_journal_is_logged_from_its_beginning_behind_the_rows_of_the_old_one(rig: Rig, tmp_path: Path) -> None:
    ids = rig.record(5)
    rig.log.step()
    rig.journal.close()
    (tmp_path / "journal.sqlite3").unlink()
    other = Rig(tmp_path)
    ids += other.record(2)
    other.log.step()
    assert other.logged() == ids
    ids += other.record(1)
    other.again().step()
    assert other.logged() == ids
    other.journal.close()


def test_a_link_in_place_of_a_file_is_not_followed(rig: Rig, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine", encoding="utf-8")
    rig.folder.mkdir()
    rig.file().symlink_to(victim)
    rig.record(1)
    assert rig.log.step() == 0 and rig.log.problem
    assert victim.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("tail", [1, 40, 200, 1000])
def test_however_little_is_looked_at_first_the_last_row_is_found(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, tail: int
) -> None:
    monkeypatch.setattr(csv_log, "TAIL_BYTES", tail)
    ids = rig.record(9)
    rig.log.step()
    data = rig.file().read_bytes()
    for damaged in (data, data[:-9], data + b"10,2027", data + b"\0" * 700, data[:40], b"\0" * 300, b""):
        rig.file().write_bytes(damaged)
        rig.again().step()
        assert rig.file().read_bytes() == data and rig.logged() == ids


def test_of_a_long_log_only_the_end_is_read(rig: Rig) -> None:
    rig.record(1)
    rig.log.step()
    data = rig.file().read_bytes()
    rig.file().write_bytes(b"x" * 20_000_000 + b"\r\n" + data)
    tracemalloc.start()
    assert rig.again().step() == 0
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rig.log.problem == "" and peak < 1_000_000


def test_on_the_day_of_an_upgrade_rows_have_the_columns_that_their_file_has(rig: Rig) -> None:
    before = [field for field in LOG_FIELDS if field != "clip"]
    rig.folder.mkdir()
    rig.file().write_bytes(",".join(before).encode() + b"\r\n")
    ids = rig.record(2, clip="porch/2027-01-15/01M80GR3W7ZFDTXZJGYFTM8T6X.mp4")
    rig.log.step()
    assert [row["id"] for row in rig.rows()] == ids
    assert all(list(row) == before for row in rig.rows()), "no cell stands outside of the table"
    rig.now += DAY
    rig.record(1)
    rig.log.step()
    assert list(rig.rows(1)[0]) == list(LOG_FIELDS)


def test_a_file_that_somebody_gave_another_header_gets_whole_rows(rig: Rig) -> None:
    rig.folder.mkdir()
    for day, head in enumerate((b"my,own,header\r\n", b"\xff\x00\n", b"seq,password,id\r\n")):
        rig.file(day).write_bytes(head)
        rig.record(1)
        rig.log.step()
        assert rig.file(day).read_bytes().splitlines()[-1].count(b",") == len(LOG_FIELDS) - 1
        rig.now += DAY
