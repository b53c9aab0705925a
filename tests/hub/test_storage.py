"""The storage: what gives way when the disk is full, what is told of it, and what becomes of old events' pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from soteirad.config import StorageConfig
from soteirad.event import Event, iso_time, new_id
from soteirad.hub.calendar import DOUBT_S, Calendar
from soteirad.hub.journal import Journal
from soteirad.hub.retention import Retention
from soteirad.hub.storage import LOOK_EVERY_S, PRUNE_EVERY_S, Storage
from soteirad.report import snapshot_path
from soteirad.room import MB, Room
from tests.daemon import until

T0 = 1_800_000_000.0
DAY = 86400.0


class Rig:
    """A real state folder; how full the disk is, and the time, is the test's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refused = ""
        self.now = 0.0
        self.room = Room(1000 * MB, 500 * MB)
        self.config = StorageConfig(path=folder)
        self.journal = Journal(folder / "journal.sqlite3")
        self.journal.open()
        self.storage = Storage(self.config, self.journal, lambda: self.refused, [], lambda _: self.room)

    def step(self, free: float | None = None) -> None:
        """One turn of the hub's loop, a second later."""
        if free is not None:
            self.room = Room(1000 * MB, int(free * MB))
        self.now += LOOK_EVERY_S
        self.storage.step(self.now)

    def record(self) -> Event:
        event_id = new_id(T0)
        event = Event(event_id, "scene_changed", "porch", iso_time(T0), snapshot=snapshot_path("porch", T0, event_id))
        self.journal.append([event])
        return event

    def picture(self) -> Path:
        path = str(self.record().snapshot)
        self.storage.keep(path, b"jpeg")
        return self.folder / "snapshots" / path

    def rows(self) -> int:
        return sum(path.read_bytes().count(b"\n") - 1 for path in (self.folder / "log").glob("*.csv"))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.storage.stop(5.0)
    rig.journal.close()


def test_pictures_and_rows_are_written_while_there_is_room(rig: Rig) -> None:
    path = rig.picture()
    rig.step()
    assert path.read_bytes() == b"jpeg" and rig.rows() == 1
    assert (rig.storage.problem, rig.storage.free_bytes, rig.storage.total_bytes) == ("", 500 * MB, 1000 * MB)


def test_a_clip_that_was_told_of_counts_as_written(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(Retention, "recorded", lambda _, count: told.append(count))
    rig.storage.confirmed(Event(new_id(T0), "recorded", "porch", iso_time(T0), why={"bytes": 123456, "seconds": 4.0}))
    rig.storage.confirmed(Event(new_id(T0), "recorded", "porch", iso_time(T0)))
    rig.storage.confirmed(Event(new_id(T0), "entered", "porch", iso_time(T0), why={"bytes": 5}))
    assert told == [123456]


def test_on_a_nearly_full_disk_neither_is_written_which_is_told_when_it_begins_and_when_it_is_over(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for free in (63, 60, 70):
        rig.step(free)
        assert not rig.picture().exists() and rig.rows() == 0 and not rig.storage.has_room()
    assert "nearly full: 70 MB are free, and the last 64 MB are for events" in rig.storage.problem
    rig.step(500)
    assert rig.picture().exists() and rig.rows() == 3 and rig.storage.problem == ""
    began, over = [record.getMessage() for record in caplog.records]
    assert "nearly full: 63 MB are free" in began and "free some space" in began and "there is room again" in over


def test_a_journal_that_takes_no_events_is_the_worst_problem(rig: Rig) -> None:
    rig.refused = "journal.sqlite3: the disk is full"
    rig.step(1)
    assert rig.storage.problem.startswith(rig.refused) and "events are published" in rig.storage.problem
    rig.refused = ""
    rig.step()
    assert "nearly full" in rig.storage.problem


def test_pictures_that_cannot_be_written_are_told_once(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    (rig.folder / "snapshots").write_text("not a folder", encoding="utf-8")
    for _ in range(3):
        rig.picture()
    rig.step()
    assert "pictures cannot be written" in rig.storage.problem
    assert [record.getMessage() for record in caplog.records] == [rig.storage.problem]


def test_without_csv_there_is_no_log_until_it_is_wanted(rig: Rig) -> None:
    rig.storage.configure(rig.config.model_copy(update={"csv": False}))
    rig.record()
    rig.step()
    assert not (rig.folder / "log").exists()
    rig.storage.configure(rig.config)
    rig.step()
    assert rig.rows() == 1


def test_the_last_rows_are_written_at_the_end(rig: Rig) -> None:
    rig.step()
    rig.record()
    rig.storage.stop(5.0)
    assert rig.rows() == 1


def test_published_events_go_by_their_days_and_take_their_pictures_along(rig: Rig) -> None:
    old, kept = rig.picture(), rig.picture()
    with rig.journal.transaction() as db:
        db.execute("UPDATE events SET recorded_at = recorded_at - ?", (12 * DAY,))
        db.execute("UPDATE events SET published_at = 1 WHERE seq = 1")
        db.execute("UPDATE events SET recorded_at = recorded_at + ? WHERE seq = 2", (6 * DAY,))
    rig.step()
    rig.storage.start()
    assert until(lambda: not old.exists(), 30.0)
    assert kept.exists() and rig.journal.count_pending() == 1


def test_the_journal_is_pruned_every_minute_and_what_was_never_published_is_told(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.storage.configure(rig.config.model_copy(update={"outbox": rig.config.outbox.model_copy(update={"events": 1})}))
    rig.step()
    rig.record(), rig.record()
    rig.step()
    assert rig.journal.count_pending() == 2
    rig.now += PRUNE_EVERY_S
    rig.step()
    assert rig.journal.count_pending() == 1 and "1 of the oldest events were dropped unpublished" in caplog.text


def test_a_start_with_a_clock_years_ahead_deletes_nothing_before_it_is_set_right(rig: Rig) -> None:
    wall = [T0]
    rig.journal = Journal(rig.folder / "journal.sqlite3", clock=lambda: wall[0])
    rig.journal.open()
    rig.picture(), rig.picture()
    rig.journal.mark_published({rig.journal.last_events(1)[0].id: "t"})
    wall[0] += 3650 * DAY
    rig.storage = Storage(rig.config, rig.journal, lambda: "", [], lambda _: rig.room,
                          Calendar(lambda: wall[0], lambda: rig.now))  # fmt: skip
    rig.storage.load()
    rig.record()
    rig.step()
    assert len(rig.journal.last_events(9)) == 3 and rig.journal.count_dropped() == 0
    rig.now += DOUBT_S
    wall[0] += DOUBT_S
    rig.step()
    assert len(rig.journal.last_events(9)) == 1, "it is believed in the end"


def test_a_log_that_cannot_be_written_is_tried_once_a_second_only(rig: Rig) -> None:
    rig.step()
    (rig.folder / "log").write_text("not a folder", encoding="utf-8")
    rig.record()
    rig.step()
    assert "the event log cannot be written" in rig.storage.problem
    (rig.folder / "log").unlink()
    rig.storage.step(rig.now + LOOK_EVERY_S / 2)
    assert not (rig.folder / "log").exists()
    rig.step()
    assert rig.rows() == 1 and rig.storage.problem == ""
