"""Retention, on a real disk: the oldest go first, what is needed stays, and what is not ours is never touched."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from soteirad import kept_files
from soteirad.errors import StorageError
from soteirad.event import Event, iso_time, new_id
from soteirad.hub.journal import Journal
from soteirad.hub.retention import Limits, Retention
from soteirad.kept_files import STALE_S
from soteirad.report import snapshot_path
from soteirad.room import Room
from tests.daemon import until

DAY = 86400.0
T0 = 1_800_000_000.0 - 1_800_000_000.0 % DAY
GB = 1_000_000_000


class Rig:
    """A state folder with a real journal; the clock and the free space are the test's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = T0 + 30 * DAY
        self.recorded = T0
        self.room = Room(100 * GB, 50 * GB)
        self.journal = Journal(folder / "journal.sqlite3", clock=lambda: self.recorded)
        self.journal.open()
        self.retention = Retention(folder, folder / "journal.sqlite3", None, lambda: self.now, lambda _: self.room)

    def picture(self, days: float, camera: str = "porch", size: int = 100, journaled: bool = True,
                published: bool = True) -> Path:  # fmt: skip
        """Make an event of some days after T0, and its picture."""
        at = T0 + days * DAY
        event_id = new_id(at)
        path = snapshot_path(camera, at, event_id)
        self.recorded = at
        if journaled:
            self.journal.append([Event(event_id, "scene_changed", camera, iso_time(at), snapshot=path)])
        if published:
            self.journal.mark_published({event_id: "t"})
        return self.put(self.folder / "snapshots" / path, size)

    def put(self, path: Path, size: int = 100) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
        return path

    def log(self, days: float, size: int = 100) -> Path:
        return self.put(self.folder / "log" / f"events-{iso_time(T0 + days * DAY)[:10]}.csv", size)

    def answer(self, days: float, number: int = 1, size: int = 100) -> Path:
        name = f"{new_id(T0 + days * DAY)}-{number}.jpg"
        return self.put(self.folder / "answers" / "porch" / "parcel" / name, size)

    def check(self, days: float = 365, size: int = 100 * GB) -> None:
        self.retention.order(Limits(days, size))
        self.retention.check()

    def forget(self, before: float) -> None:
        """What the hub does first: events that were published and are older go from the journal."""
        with self.journal.transaction() as db:
            db.execute("DELETE FROM events WHERE published_at IS NOT NULL AND recorded_at < ?", (before,))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.retention.stop(5.0)
    rig.journal.close()


def there(*paths: Path) -> list[bool]:
    return [path.exists() for path in paths]


def test_what_is_older_than_the_days_goes_with_its_empty_folder(rig: Rig) -> None:
    old, older, fresh = rig.picture(19.9), rig.picture(2, "yard"), rig.picture(20.1)
    logs, answers = [rig.log(18), rig.log(20), rig.log(30)], [rig.answer(19, 2), rig.answer(21)]
    rig.forget(T0 + 20 * DAY)
    rig.check(days=10)
    assert there(old, older, fresh) == [False, False, True]
    assert there(*logs) == [False, True, True] and there(*answers) == [False, True]
    assert there(old.parent, older.parent, older.parent.parent) == [False, False, True]


def test_a_picture_stays_as_long_as_the_journal_has_its_event(rig: Rig) -> None:
    unpublished, orphan = rig.picture(1, published=False), rig.picture(1, journaled=False)
    rig.check(days=10)
    assert there(unpublished, orphan) == [True, False]
    with rig.journal.transaction() as db:
        db.execute("DELETE FROM events")
    rig.check(days=10)
    assert there(unpublished, unpublished.parent) == [False, False]


def test_the_oldest_go_first_until_there_is_little_enough(rig: Rig) -> None:
    pictures = [rig.picture(day, camera) for day in (1, 2.1, 2.2, 3) for camera in ("porch", "yard")]
    rig.check(size=500)
    assert there(*pictures) == [False] * 3 + [True] * 5
    rig.check(size=500)
    assert there(*pictures) == [False] * 3 + [True] * 5
    rig.check(size=499)
    assert there(*pictures) == [False] * 4 + [True] * 4


def test_pictures_answers_and_logs_count_together(rig: Rig) -> None:
    files = [rig.picture(1), rig.answer(1.5), rig.log(1), rig.answer(2.5), rig.picture(2.7), rig.log(3), rig.log(4)]
    rig.check(size=300)  # the newest log does not count: it stays
    assert there(*files) == [False] * 3 + [True] * 4
    rig.check(size=1)
    assert there(*files) == [False] * 6 + [True]


def test_what_was_written_since_the_last_count_counts(rig: Rig) -> None:
    first = rig.picture(1, size=1000)
    rig.check(size=1500)
    second = rig.picture(30, size=1000)
    rig.check(size=1500)
    assert there(first, second) == [True, True], "nobody told"
    rig.retention.wrote(1000)
    rig.check(size=1500)
    assert there(first, second) == [False, True]


def test_the_picture_of_an_event_that_is_unpublished_or_opened_a_visit_or_is_on_its_way_stays(rig: Rig) -> None:
    done, waiting = rig.picture(1), rig.picture(1, published=False)
    under_way, orphan = rig.picture(29.5, journaled=False), rig.picture(2, journaled=False)
    at = T0 + DAY
    opening = Event(new_id(at), "entered", "porch", iso_time(at), track_id=1)
    rig.journal.append([opening])
    rig.journal.mark_published({opening.id: "t"})
    visit = rig.put(rig.folder / "snapshots" / snapshot_path("porch", at, opening.id))
    rig.check(size=1)
    assert there(done, waiting, under_way, orphan, visit) == [False, True, True, False, True]
    rig.journal.close_open_visits("gone", at)
    rig.journal.mark_published({entry.event.id: "t" for entry in rig.journal.pending(9)})
    rig.check(size=1)
    assert there(waiting, visit) == [False, False]


def test_a_nearly_full_disk_is_relieved_of_what_is_older_than_a_day_and_of_no_more(rig: Rig) -> None:
    old, yesterday, fresh = rig.picture(3), rig.picture(28.9), rig.picture(29.1)
    rig.room = Room(100 * GB, GB)  # the reserve is there, and little more
    rig.check()
    assert there(old, yesterday, fresh) == [False, False, True]


def test_pictures_go_when_the_journal_lets_go_of_their_events(rig: Rig) -> None:
    gone, other = rig.picture(29), rig.picture(29)
    rig.forget(T0 + 29.5 * DAY)
    rig.retention.drop((str(gone.relative_to(rig.folder / "snapshots")),))
    rig.check()
    assert there(gone, other) == [False, True]


def test_paths_that_lead_elsewhere_are_not_dropped(rig: Rig) -> None:
    name = f"{new_id(T0)}.jpg"
    victims = [rig.put(rig.folder / "journal.jpg"), rig.put(rig.folder / "x" / "2027-01-15" / name),
               rig.put(rig.folder / "snapshots" / "porch" / "other" / name)]  # fmt: skip
    link = rig.folder / "snapshots" / "link"
    link.symlink_to(rig.folder / "x")
    rig.retention.drop(("../journal.jpg", f"../x/2027-01-15/{name}", f"link/2027-01-15/{name}", f"porch/other/{name}",
                        "", "/", f"/{rig.folder}/x/2027-01-15/{name}"))  # fmt: skip
    rig.check()
    assert all(there(*victims))


def test_what_is_not_ours_by_its_name_and_what_a_link_leads_to_stays(rig: Rig, tmp_path: Path) -> None:
    picture = rig.picture(1)
    day, camera = picture.parent, picture.parent.parent
    strangers = [
        rig.put(day / "holiday.jpg"), rig.put(day / f"{picture.stem}.png"), rig.put(day / f"{picture.stem}.jpg.bak"),
        rig.put(camera / "notes" / picture.name), rig.put(camera / picture.name), rig.put(rig.folder / picture.name),
        rig.put(rig.folder / "log" / "events-2027-01-15.csv.bak"), rig.put(rig.folder / "log" / "events.csv"),
        rig.put(rig.folder / "answers" / "porch" / picture.name), rig.put(rig.folder / "spool" / picture.name),
        rig.put(day / f"{new_id(T0)}.jpg" / "inside"),
    ]  # fmt: skip
    outside = rig.put(tmp_path / "outside" / day.name / f"{new_id(T0)}.jpg")
    (rig.folder / "snapshots" / "linked").symlink_to(tmp_path / "outside")
    (rig.folder / "snapshots" / "yard").mkdir()
    (rig.folder / "snapshots" / "yard" / day.name).symlink_to(outside.parent)
    link = day / f"{new_id(T0)}.jpg"
    link.symlink_to(outside)
    rig.forget(T0 + 20 * DAY)
    rig.check(days=1, size=1)
    assert not picture.exists() and all(there(*strangers)) and outside.exists() and link.is_symlink()


def test_a_folder_of_pictures_that_is_a_link_is_left_alone(rig: Rig, tmp_path: Path) -> None:
    elsewhere = rig.put(tmp_path / "usb" / "porch" / "2027-01-15" / f"{new_id(T0)}.jpg")
    (rig.folder / "snapshots").symlink_to(tmp_path / "usb")
    rig.check(days=1, size=1)
    assert elsewhere.exists()


def test_what_somebody_who_was_killed_left_half_written_goes(rig: Rig) -> None:
    place = rig.picture(29).parent
    half, fresh = rig.put(place / f".{new_id(T0)}.jpg.tmp"), rig.put(place / f".{new_id(T0)}.jpg.tmp")
    stranger = rig.put(place / ".profile.tmp")
    for path, age in ((half, STALE_S + 1), (fresh, STALE_S - 60), (stranger, 2 * STALE_S)):
        os.utime(path, (rig.now - age, rig.now - age))
    rig.check()
    assert there(half, fresh, stranger) == [False, True, True]


def test_without_a_journal_nothing_is_deleted_and_one_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    picture = rig.picture(1)
    rig.journal.close()
    (tmp_path / "journal.sqlite3").rename(tmp_path / "away")
    rig.check(days=1, size=1)
    (tmp_path / "journal.sqlite3").write_text("nonsense" * 500, encoding="utf-8")
    with pytest.raises(StorageError, match="not a journal"):
        rig.check(days=1, size=1)
    assert picture.exists()


def test_a_disk_that_refuses_is_told_with_what_to_do(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.picture(1)

    def refuse(_: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StorageError, match="cannot be deleted: Read-only file system: see that"):
        rig.check(size=1)


def test_the_thread_checks_at_its_start_and_again_when_much_was_written(rig: Rig) -> None:
    first = rig.picture(1)
    rig.retention.order(Limits(365, 1))
    rig.retention.start()
    assert until(lambda: not first.exists(), 30.0)
    second = rig.picture(30)
    rig.retention.wrote(100)
    assert until(lambda: not second.exists(), 30.0)
    rig.retention.order(Limits(365, GB))
    third = rig.picture(30)
    rig.retention.wrote(100)
    rig.retention.order(Limits(365, 2))
    assert until(lambda: not third.exists(), 30.0)
    assert rig.retention.problem == ""


def test_many_pictures_are_counted_and_deleted_down_to_the_limit(rig: Rig) -> None:
    paths = [rig.put(rig.folder / "snapshots" / snapshot_path("porch", T0 + n, new_id(T0 + n)), 10)
             for n in range(500)]  # fmt: skip
    rig.check(size=4_000)
    assert there(*paths) == [False] * 100 + [True] * 400


def test_nothing_goes_for_its_age_while_the_time_is_in_doubt(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    sure: list[float | None] = [None]
    rig.retention = Retention(rig.folder, rig.folder / "journal.sqlite3", None, lambda: rig.now, lambda _: rig.room,
                              lambda: sure[0])  # fmt: skip
    old = rig.picture(0, journaled=False)
    rig.check(days=10)
    assert old.exists()
    sure[0] = rig.now
    rig.check(days=10)
    assert not old.exists()
    rig.journal.close()


def test_a_folder_of_many_files_is_never_known_as_a_whole(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_files, "MOST_SORTED", 100)
    pictures = [rig.picture(5 + n / 100_000, journaled=False, published=False) for n in range(3000)]
    rig.check(size=GB)  # counted
    tracemalloc.start()
    rig.check(size=100 * 2750)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert there(*pictures) == [False] * 250 + [True] * 2750, "the oldest went"
    assert peak < 500_000
