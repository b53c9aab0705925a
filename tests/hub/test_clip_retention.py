"""The retention of clips, on a real disk: each camera by its own limits, the oldest first, and what is needed stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from soteirad import kept_files
from soteirad.config import Config
from soteirad.errors import StorageError
from soteirad.event import Event, clip_id, iso_time, new_id
from soteirad.hub import retention
from soteirad.hub.clip_retention import COUNT_EVERY_S, ClipLimits, clip_limits
from soteirad.hub.journal import Journal
from soteirad.hub.retention import Limits, Retention
from soteirad.kept_files import STALE_S, entries
from soteirad.room import Room
from tests.daemon import until

DAY = 86400.0
T0 = 1_800_000_000.0 - 1_800_000_000.0 % DAY
GB = 1_000_000_000
MB = 1_000_000


class Rig:
    """A state folder with a real journal; the clock and the free space are the test's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = T0 + 30 * DAY
        self.sure = True
        self.room = Room(100 * GB, 50 * GB)
        self.rooms: dict[Path, Room] = {}
        self.up = 0.0
        self.journal = Journal(folder / "journal.sqlite3", clock=lambda: self.now)
        self.journal.open()
        self.retention = Retention(folder, folder / "journal.sqlite3", None, lambda: self.now,
                                   lambda place: self.rooms.get(place, self.room),
                                   lambda: self.now if self.sure else None, lambda: self.up)  # fmt: skip

    def clip(self, days: float, camera: str = "porch", part: str = "", size: int = 100) -> Path:
        """Make a clip of some days after T0 of which the journal knows nothing any more."""
        return self.of_event(self.event(days, camera), part, size)

    def event(self, days: float, camera: str = "porch", kind: str = "entered", **more: Any) -> Event:
        at = T0 + days * DAY
        return Event(new_id(at), kind, camera, iso_time(at), **more)  # type: ignore[arg-type]

    def of_event(self, event: Event, part: str = "", size: int = 100) -> Path:
        return self.put(self.folder / "clips" / event.camera / event.time[:10] / f"{event.id}{part}.mp4", size)

    def put(self, path: Path, size: int = 100) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(size)  # which takes no room here
        return path

    def publish(self) -> None:
        self.journal.mark_published({entry.event.id: "t" for entry in self.journal.pending(100)})

    def check(self, everywhere: dict[str, Any] | None = None, **cameras: dict[str, Any]) -> None:
        self.retention.order(Limits(365, 100 * GB), limits(everywhere, **cameras))
        self.retention.check_clips()


def limits(everywhere: dict[str, Any] | None = None, **cameras: dict[str, Any]) -> ClipLimits:
    known = {name: {"source": "rtsp://h/s", "clips": clips} for name, clips in (cameras or {"porch": {}}).items()}
    return clip_limits(Config.model_validate({"clips": everywhere or {}, "cameras": known}))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.retention.stop(5.0)
    rig.journal.close()


def there(*paths: Path) -> list[bool]:
    return [path.exists() for path in paths]


def test_each_camera_keeps_its_clips_as_long_as_it_says_and_those_of_before_as_long_as_all(rig: Rig) -> None:
    ages = (15, 22, 28)
    porch, yard, gone = ([rig.clip(day, name) for day in ages] for name in ("porch", "yard", "gone"))
    rig.check({"retain_days": 5}, porch={"retain_days": 10}, yard={"retain_days": 20})
    assert there(*porch) == [False, True, True]
    assert there(*yard) == [True, True, True]
    assert there(*gone) == [False, False, True]
    assert there(porch[0].parent, porch[0].parent.parent) == [False, True], "with its empty folder of a day"


def test_each_camera_has_room_of_its_own_and_the_oldest_of_it_go_first(rig: Rig) -> None:
    porch = [rig.clip(25 + n / 10, size=MB) for n in range(10)]
    yard = [rig.clip(25 + n / 10, "yard", size=MB) for n in range(10)]
    rig.check(porch={"max_size": "3MB"}, yard={"max_size": "8MB"})
    assert there(*porch) == [False] * 7 + [True] * 3
    assert there(*yard) == [False] * 2 + [True] * 8
    rig.check(porch={"max_size": "3MB"}, yard={"max_size": "8MB"})
    assert sum(there(*porch, *yard)) == 11


def test_what_came_since_the_last_count_counts(rig: Rig) -> None:
    old, first = rig.clip(25, size=MB), rig.clip(29.5, size=MB)
    rig.check(porch={"max_size": "2MB"})
    second = rig.clip(29.9, size=MB)
    rig.now += COUNT_EVERY_S / 2
    rig.check(porch={"max_size": "2MB"})
    assert there(old, first, second) == [False, True, True]


def test_all_parts_of_a_clip_go_by_the_event_that_named_it(rig: Rig) -> None:
    event = rig.event(15)
    parts = [rig.of_event(event, part) for part in ("", "-2", "-13")]
    rig.check(porch={"retain_days": 20})
    assert there(*parts) == [True] * 3
    rig.check(porch={"retain_days": 10})
    assert there(*parts) == [False] * 3


def test_a_clip_stays_as_long_as_its_visit_is_open_or_the_broker_has_not_heard_of_it(rig: Rig) -> None:
    entered = rig.event(20, track_id=1)
    clip = rig.of_event(entered)
    rig.journal.append([entered])
    rig.publish()
    rig.check(porch={"retain_days": 1})
    assert clip.exists(), "the visit is open"
    rig.journal.append([rig.event(20.01, kind="left", track_id=1)])
    rig.publish()
    told = Event(clip_id(entered.id), "recorded", "porch", entered.time, about=entered.id, clip=str(clip))
    rig.journal.append([told])
    rig.check(porch={"retain_days": 1})
    assert clip.exists(), "nobody was told of it"
    rig.publish()
    rig.check(porch={"retain_days": 1})
    assert not clip.exists() and rig.journal.knows(entered.id), "the event has its own days"


def test_a_clip_of_the_last_day_that_the_journal_was_not_told_of_may_be_on_its_way(rig: Rig) -> None:
    fresh, older = rig.clip(29.5, size=2 * MB), rig.clip(28.9, size=2 * MB)
    rig.check(porch={"max_size": "1MB", "retain_days": 0.1})
    assert there(fresh, older) == [True, False]


def test_a_clip_stays_when_its_event_goes(rig: Rig) -> None:
    entered = rig.event(25, track_id=1)
    clip = rig.of_event(entered)
    rig.journal.append([entered])
    with rig.journal.transaction() as db:
        db.execute("DELETE FROM events")
    rig.check(porch={"retain_days": 10})
    assert clip.exists()


def test_nothing_goes_for_its_age_while_the_time_is_in_doubt_but_there_is_never_too_much(rig: Rig) -> None:
    clips = [rig.clip(day, size=MB) for day in (1, 2, 3)]
    rig.sure = False
    rig.check(porch={"retain_days": 1})
    assert there(*clips) == [True] * 3
    rig.check(porch={"retain_days": 1, "max_size": "2MB"})
    assert there(*clips) == [False, True, True]


def test_on_a_nearly_full_disk_the_oldest_clips_of_all_go_and_pictures_stay(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [rig.clip(25 + n / 4, "porch" if n % 2 else "yard") for n in range(8)]
    picture = rig.put(rig.folder / "snapshots" / "porch" / iso_time(T0)[:10] / f"{new_id(T0)}.jpg")
    rig.room = full = Room(100 * GB, GB)
    monkeypatch.setattr(rig.retention._clips, "_look",
                        lambda _: full if sum(there(*clips)) > 3 else Room(full.total, full.comfortable))  # fmt: skip
    rig.check(porch={}, yard={})
    assert there(*clips) == [False] * 5 + [True] * 3
    rig.room = Room(full.total, full.comfortable)
    rig.retention.check()
    assert picture.exists()


def test_on_a_nearly_full_disk_clips_of_today_go_too_if_everybody_was_told(rig: Rig) -> None:
    entered = rig.event(29.9)
    rig.journal.append([entered, Event(clip_id(entered.id), "recorded", "porch", entered.time, about=entered.id)])
    clip, unknown = rig.of_event(entered), rig.clip(29.95)
    rig.room = Room(100 * GB, GB)
    rig.check()
    assert there(clip, unknown) == [True, True]
    with rig.journal.transaction() as db:
        db.execute("DELETE FROM visits")
    rig.publish()
    rig.check()
    assert there(clip, unknown) == [False, True]


def test_what_is_half_written_counts_and_goes_when_nobody_has_touched_it_for_longer_than_a_clip_may_be(
    rig: Rig
) -> None:
    def part(camera: str, age: float) -> Path:
        day = iso_time(rig.now)[:10]
        path = rig.put(rig.folder / "clips" / camera / day / f".{new_id(rig.now)}-2.mp4.part", 2 * MB)
        os.utime(path, (rig.now - age, rig.now - age))
        return path

    stale, fresh = part("porch", STALE_S + 1), part("porch", STALE_S - 60)
    long, gone = part("yard", STALE_S - 1), part("gone", STALE_S + 1)
    clip = rig.clip(25)
    rig.up = STALE_S + 1
    rig.check(porch={"max_size": "1MB"}, yard={"max": 3600})
    assert there(stale, fresh, long, gone, clip) == [False, True, True, False, False]


def test_after_a_long_power_cut_a_half_written_clip_waits_for_its_camera_to_start_and_finish_it(rig: Rig) -> None:
    part = rig.clip(28)
    part = part.rename(part.with_name(f".{part.name}.part"))
    os.utime(part, (rig.now - DAY, rig.now - DAY))
    rig.check()
    rig.up = STALE_S - 1
    rig.check()
    assert part.exists()
    rig.up, rig.now = STALE_S + 1, rig.now + COUNT_EVERY_S
    rig.check()
    assert not part.exists(), "no camera came for it"


def test_a_half_written_clip_of_a_camera_that_still_makes_clips_waits_for_room_as_long_as_a_clip_is_kept(
    rig: Rig
) -> None:
    part = rig.clip(28)
    part = part.rename(part.with_name(f".{part.name}.part"))
    os.utime(part, (rig.now - DAY, rig.now - DAY))
    rig.up = 3 * DAY
    rig.check(porch={"enabled": True, "retain_days": 2})
    assert part.exists(), "its disk was full for a day"
    os.utime(part, (rig.now - 2.1 * DAY, rig.now - 2.1 * DAY))
    rig.check(porch={"enabled": True, "retain_days": 2})
    assert not part.exists()


def test_what_a_camera_was_completing_when_it_was_killed_for_good_goes_too(rig: Rig) -> None:
    clip = rig.clip(28)
    half = clip.rename(clip.with_name(f".{clip.name}.tmp"))
    os.utime(half, (rig.now - DAY, rig.now - DAY))
    rig.up = STALE_S + 1
    rig.check()
    assert not half.exists()


def test_it_is_the_disk_that_clips_are_on_that_they_give_way_on(rig: Rig) -> None:
    clip, full = rig.clip(25), Room(100 * GB, MB)
    rig.rooms[rig.folder] = full
    rig.check()
    assert clip.exists(), "another disk is mounted at clips"
    rig.rooms = {rig.folder / "clips": full}
    rig.check()
    assert not clip.exists()


def test_a_folder_that_is_no_cameras_is_not_looked_into(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    old, found = rig.clip(1), rig.folder / "clips" / "lost+found"
    found.mkdir()

    def refusing(place: Path) -> Iterator[os.DirEntry[str]]:
        if place == found:
            raise PermissionError(13, "Permission denied")
        return entries(place)

    monkeypatch.setattr(kept_files, "entries", refusing)
    rig.check()
    assert not old.exists()


def test_what_is_not_ours_by_its_name_and_what_a_link_leads_to_stays(rig: Rig, tmp_path: Path) -> None:
    clip = rig.clip(1)
    day, camera = clip.parent, clip.parent.parent
    strangers = [
        rig.put(day / "holiday.mp4"), rig.put(day / f"{clip.stem}.mkv"), rig.put(day / f"{clip.stem}-x.mp4"),
        rig.put(day / f"{clip.stem}.mp4.part"), rig.put(day / f"{'Z' * 26}.mp4"), rig.put(camera / clip.name),
        rig.put(camera / "notes" / clip.name), rig.put(rig.folder / clip.name),
        rig.put(rig.folder / "clips" / clip.name),
        rig.put(rig.folder / "snapshots" / "porch" / day.name / clip.name),
        rig.put(day / f"{new_id(T0)}.mp4" / "inside"), rig.put(day / ".notes.mp4.part"),
    ]  # fmt: skip
    outside = rig.put(tmp_path / "outside" / day.name / f"{new_id(T0)}.mp4")
    (rig.folder / "clips" / "linked").symlink_to(tmp_path / "outside")
    (rig.folder / "clips" / "yard").mkdir()
    (rig.folder / "clips" / "yard" / day.name).symlink_to(outside.parent)
    link = day / f"{new_id(T0)}.mp4"
    link.symlink_to(outside)
    for path in (*strangers, outside):
        os.utime(path, (T0, T0))
    rig.room = Room(100 * GB, GB)
    rig.check({"retain_days": 1}, porch={"retain_days": 1, "max_size": "1MB"})
    assert not clip.exists() and all(there(*strangers)) and outside.exists() and link.is_symlink()


def test_a_folder_of_clips_that_is_a_link_is_left_alone(rig: Rig, tmp_path: Path) -> None:
    elsewhere = rig.put(tmp_path / "usb" / "porch" / "2027-01-15" / f"{new_id(T0)}.mp4")
    (rig.folder / "clips").symlink_to(tmp_path / "usb")
    rig.check(porch={"retain_days": 1})
    assert elsewhere.exists()


def test_without_limits_or_a_journal_nothing_goes_and_one_that_cannot_be_read_is_told(rig: Rig) -> None:
    clip = rig.clip(1)
    rig.retention.check_clips()
    rig.journal.close()
    (rig.folder / "journal.sqlite3").rename(rig.folder / "away")
    rig.check(porch={"retain_days": 1})
    (rig.folder / "journal.sqlite3").write_text("nonsense" * 500, encoding="utf-8")
    with pytest.raises(StorageError, match="not a journal"):
        rig.check(porch={"retain_days": 1})
    assert clip.exists()


def test_a_disk_that_refuses_is_told_with_what_to_do_and_pictures_go_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.clip(1)
    picture = rig.put(rig.folder / "snapshots" / "porch" / iso_time(T0)[:10] / f"{new_id(T0)}.jpg")
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".mp4":
            raise OSError(30, "Read-only file system")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    rig.retention.order(Limits(10, GB), limits())
    rig.retention.start()
    assert until(lambda: not picture.exists(), 30.0)
    assert until(lambda: "old clips cannot be deleted: Read-only file system: see that" in rig.retention.problem, 30.0)


def test_the_thread_looks_again_soon_after_much_was_recorded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "CHECK_EVERY_S", 3600.0)
    first = rig.clip(1)
    rig.retention.order(Limits(365, GB), limits())
    rig.retention.start()
    assert until(lambda: not first.exists(), 30.0)
    rig.now += COUNT_EVERY_S
    second = rig.clip(1)
    rig.retention.recorded(retention.SOON_BYTES)
    assert until(lambda: not second.exists(), 30.0)
