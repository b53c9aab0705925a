"""The clips of a camera: written by a thread, told of once they are complete, finished after whatever came between."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from soteirad.capture import disk as capture_disk
from soteirad.event import Event, clip_id
from soteirad.room import MB, Disk, Room
from soteirad.video import clips as clips_module
from soteirad.video.clip_file import finish, whole_of
from soteirad.video.clip_plan import ClipEnd, ClipOrder
from soteirad.video.clips import MOST_OPEN, Clips, Place
from soteirad.video.feed import Feed
from tests.disks import small_disk
from tests.played import boxes, pictures
from tests.video.fed import Fed
from tests.waiting import wait_until


class House:
    """A camera's clips in a folder, and all that they tell."""

    def __init__(self, folder: Path, seconds: float = 17.0) -> None:
        self.folder = folder / "clips"
        self.fed = Fed(seconds)
        self.told: list[Event] = []
        self.kept: set[str] = set()
        self.faults: list[Exception] = []
        self.free = 10_000 * MB

    def clips(self, feed: Callable[[], Feed] | None = None) -> Clips:
        """Return the clips of another process."""
        return Clips(Place(self.folder, "porch"), feed or (lambda: self.fed.feed), self.told.append,
                     self.kept.__contains__, lambda: self.fed.now, self.faults.append,
                     disk=Disk(self.folder.parent, lambda _: Room(10_000 * MB, self.free)))  # fmt: skip

    def play(self, clips: Clips, until: float) -> None:
        """Let a feed go on to that time."""
        while self.fed.now < until:
            self.fed.come(self.fed.now + 1.0)
            clips.step()

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.rglob("*") if path.is_file())

    def seconds_of(self, path: str) -> float:
        times = [at for at, _ in pictures(self.folder / path)]
        return round(times[-1] - times[0], 1)

    def cut_off(self, track: int = 1) -> ClipOrder:
        """Leave a clip as a process does that is killed; return its order."""
        clips = self.clips()
        self.fed.come(max(self.fed.now, 6.0))
        order = self.fed.order(5.0, 9.0, track=track)
        clips.take(order)
        clips.step()
        return order


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips_module, "AGAIN_S", 0.0)


def parts_of(house: House) -> list[Path]:
    return [*house.folder.rglob("*.part")]


def test_a_complete_clip_is_told_of_by_its_event_and_its_part_stays_until_that_is_safe(house: House) -> None:
    clips, order = house.clips(), house.fed.order(7.0, 12.0)
    house.kept.add(clip_id(order.note["id"]))
    house.fed.come(7.5)
    clips.take(order)
    house.play(clips, 14.5)
    (event,) = house.told
    assert (event.id, event.event_type, event.about) == (clip_id(order.note["id"]), "recorded", order.note["id"])
    assert (event.camera, event.clip, event.label, event.track_id) == ("porch", order.path, "person", 1)
    assert event.time == order.note["time"] and event.confirmed
    path = house.folder / order.path
    assert event.why == {"seconds": 10.1, "bytes": path.stat().st_size, "begins": "2023-11-14T22:13:22.000Z",
                         "codec": "h264", "audio": False, "parts": 1}  # fmt: skip
    assert boxes(path)[:2] == ["ftyp", "moov"] and house.seconds_of(order.path) == 10.0
    assert len(house.files()) == 2
    house.kept.clear()
    clips.step()
    assert house.files() == [path.name]


def test_a_process_that_was_killed_before_the_event_was_safe_tells_again_by_the_same_id(house: House) -> None:
    order = house.cut_off()
    house.kept.add(clip_id(order.note["id"]))
    for _ in range(2):  # the second finds the whole clip beside its part
        clips = house.clips()
        clips.find_left()
        clips.step()
    assert [event.id for event in house.told] == [clip_id(order.note["id"])] * 2
    assert [replace(event, confirmed=None) for event in house.told[:1]] == [replace(house.told[1], confirmed=None)]
    house.kept.clear()
    clips.step()
    assert house.files() == [Path(order.path).name]


def test_what_was_left_is_finished_one_clip_at_a_time_beside_what_is_written_now(house: House) -> None:
    left = [house.cut_off(track) for track in (1, 2, 3)]
    clips = house.clips()
    now = house.fed.order(6.0, 8.0, track=4)
    clips.take(now)
    clips.find_left()
    clips.step()
    assert len(house.told) == 1
    house.play(clips, 12.0)
    assert {event.about for event in house.told} == {order.note["id"] for order in (*left, now)}
    assert len(house.told) == 4 and not parts_of(house)


def test_all_files_of_a_clip_that_was_cut_off_are_told_of_as_one(house: House) -> None:
    clips, order = house.clips(), house.fed.order(5.0, 20.0)
    house.fed.come(5.0)
    clips.take(order)
    clips.step()
    house.fed.come(8.0, size=(128, 96))
    clips.step()
    successor = house.clips()
    successor.find_left()
    successor.step()
    (event,) = house.told
    assert (event.clip, event.why["parts"]) == (order.path, 2)
    assert event.why["bytes"] == sum(path.stat().st_size for path in house.folder.rglob("*.mp4"))


def test_a_clip_whose_first_file_has_nothing_in_it_has_the_name_that_was_promised(house: House) -> None:
    clips, order = house.clips(), house.fed.order(5.0, 20.0)
    house.fed.come(5.0)
    clips.take(order)
    clips.step()
    house.fed.come(8.0, size=(128, 96))
    clips.step()
    next(part for part in parts_of(house) if "-2" not in part.name).write_bytes(b"")
    successor = house.clips()
    successor.find_left()
    successor.step()
    (event,) = house.told
    assert (event.clip, event.why["parts"]) == (order.path, 1) and (house.folder / order.path).exists()


NAME = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def test_files_with_names_like_ours_are_left_alone_and_keep_nobody_from_his_clip(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another's video, one with a strange note, a folder, a link, other names; and a part that is damaged."""
    order = house.cut_off()
    (part,) = parts_of(house)
    day, ours = part.parent, part.read_bytes()
    other = tmp_path / "other.mp4"
    other.write_bytes(ours)
    names = [f".{NAME[:-1]}{letter}.mp4.part" for letter in "0123456789"]
    day.joinpath(names[0]).write_bytes(ours.replace(b'"id"', b'"xd"'))
    day.joinpath(names[1]).write_bytes(ours)  # the note names another event
    day.joinpath(names[2]).write_bytes(ours.replace(b'"time":"2023', b'"time":"abcd'))
    day.joinpath(names[3]).mkdir()
    day.joinpath(names[4]).symlink_to(other)
    day.joinpath(names[5]).write_bytes(ours[:40] + random.Random(1).randbytes(len(ours) - 40))
    day.joinpath(names[6]).write_bytes(b"")
    day.joinpath(".x.mp4.part").write_bytes(ours)
    clips = house.clips()
    clips.find_left()
    for _ in range(20):
        clips.step()
    assert [event.about for event in house.told] == [order.note["id"]] and not house.faults
    assert other.read_bytes() == ours and day.joinpath(names[4]).is_symlink()
    assert day.joinpath(names[3]).is_dir() and day.joinpath(".x.mp4.part").read_bytes() == ours
    assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) <= 4
    assert not clips._left, "what is damaged is tried again and again"


def test_a_visit_that_is_over_before_its_clip_is_begun_has_a_short_one(house: House) -> None:
    clips, order = house.clips(), house.fed.order(6.0, 60.0)
    house.fed.come(7.0)
    clips.take(order)
    clips.take(ClipEnd(order.path, 8.0))
    clips.take(ClipEnd("porch/2023-11-14/none.mp4", 1.0))
    house.play(clips, 12.0)
    assert house.seconds_of(house.told[0].clip or "") == 7.0


def test_visits_at_the_same_time_have_clips_of_their_own_but_not_more_than_so_many(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    clips = house.clips()
    house.fed.come(7.0)
    orders = [house.fed.order(6.0 + track / 20, 8.0 + track / 20, track=track) for track in range(MOST_OPEN + 2)]
    for order in orders:
        clips.take(order)
    house.play(clips, 12.0)
    assert [event.about for event in house.told] == [order.note["id"] for order in orders[:MOST_OPEN]]
    assert all(house.seconds_of(event.clip or "") == 7.0 for event in house.told[:1])
    assert caplog.text.count("no clip of") == 2
    later = house.fed.order(11.0, 12.0)
    clips.take(later)
    house.play(clips, 16.0)
    assert house.told[-1].about == later.note["id"]


def test_on_a_tight_disk_there_are_no_clips_in_one_line_and_what_was_cut_off_is_told_of_when_there_is_room(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    clips, order = house.clips(), house.fed.order(5.0, 20.0)
    house.fed.come(6.0)
    clips.take(order)
    house.play(clips, 8.0)
    for free in (50, 49, 48):
        house.free = free * MB
        house.play(clips, house.fed.now + 1.0)
        clips.take(house.fed.order(8.0, 12.0))
    (part,) = parts_of(house)
    assert len(pictures(part)) >= 75 and not house.told
    assert caplog.text.count("no clips are written") == 1
    house.free = 10_000 * MB
    clips.step()
    assert [event.about for event in house.told] == [order.note["id"]]
    house.free = 50 * MB
    clips.take(house.fed.order(8.0, 12.0))
    assert caplog.text.count("no clips are written") == 2, "it is news again"


def test_a_disk_that_is_full_in_mid_clip_leaves_what_was_written_which_is_told_of_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        house = House(disk.folder)
        clips, order = house.clips(), house.fed.order(5.0, 40.0)
        house.fed.come(6.0)
        clips.take(order)
        house.play(clips, 8.0)
        disk.fill(leave=0)
        house.play(clips, 30.0)
        (part,) = parts_of(house)
        assert len(pictures(part)) >= 40 and not house.told and not house.faults
        assert caplog.text.count("No space left on device") == 2, "of writing, and of finishing"
        disk.relieve()
        clips.step()
        assert [event.about for event in house.told] == [order.note["id"]]
        clips.step()
        assert not parts_of(house)


@pytest.mark.parametrize("place", [".", "porch", "porch/2023-11-14"])
def test_a_link_in_place_of_a_folder_is_not_followed(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    order = house.cut_off()
    elsewhere = tmp_path / "elsewhere"
    (house.folder / place).rename(elsewhere)
    (house.folder / place).symlink_to(elsewhere)
    before = {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")}
    clips = house.clips()
    clips.find_left()
    clips.take(house.fed.order(6.0, 7.0))
    house.play(clips, 12.0)
    assert not house.told and caplog.text.count("this is a link") == 1 and order.path
    assert {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")} == before


def test_files_are_for_their_owner_and_folders_for_nobody_to_write_in(house: House) -> None:
    house.cut_off()
    assert [part.stat().st_mode & 0o777 for part in parts_of(house)] == [0o600]
    assert all(not path.stat().st_mode & 0o022 for path in house.folder.rglob("*"))


def test_an_end_completes_what_is_open_and_one_before_the_beginning_is_none(house: House) -> None:
    house.clips().stop(1.0)
    clips, order = house.clips(), house.fed.order(5.0, 60.0)
    clips.start()
    house.fed.come(8.0)
    clips.order(order)
    clips.stop(20.0)
    assert [event.about for event in house.told] == [order.note["id"]] and not parts_of(house)
    assert house.seconds_of(order.path) == 7.9


def test_a_disk_that_hangs_holds_up_neither_orders_nor_the_end_and_the_next_start_tells_of_the_clip(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on, write = threading.Event(), threading.Event(), capture_disk.Disk.write

    def stuck(self: capture_disk.Disk, content: bytes) -> int:
        hangs.set()
        goes_on.wait()
        return write(self, content)

    monkeypatch.setattr(capture_disk.Disk, "write", stuck)
    clips, order = house.clips(), house.fed.order(5.0, 60.0)
    clips.start()
    house.fed.come(8.0)
    clips.order(order)
    assert hangs.wait(20.0)
    clips.order(ClipEnd(order.path, 7.0))
    clips.order(house.fed.order(6.0, 7.0, track=2))
    clips.follow(0.01)
    clips.stop(0.01)
    assert not house.told
    goes_on.set()
    wait_until(lambda: not clips._thread.is_alive())
    assert {event.about for event in house.told} >= {order.note["id"]} and not house.faults


def test_a_file_is_held_up_until_what_has_come_is_written(house: House) -> None:
    house.fed = Fed(seconds=2.0)
    clips, order = house.clips(), house.fed.order(2.0, 30.0, begins=0.0)
    clips.start()
    house.fed.come(2.0)
    clips.order(order)
    for second in range(2, 40):
        house.fed.come(second + 1.0)
        clips.follow(20.0)
    wait_until(lambda: house.told)
    clips.stop(20.0)
    assert len(pictures(house.folder / order.path)) == 301


def test_a_fault_is_handed_on_and_lets_those_go_who_wait(house: House) -> None:
    def fail() -> Feed:
        raise RuntimeError("nobody foresaw this")

    clips = house.clips(fail)
    clips.start()
    clips.order(house.fed.order(5.0, 6.0))
    clips.follow(20.0)
    wait_until(lambda: house.faults)
    assert str(house.faults[0]) == "nobody foresaw this"
    clips.stop(20.0)


def test_a_clip_that_was_finished_twice_is_the_same(house: House) -> None:
    house.cut_off()
    (part,) = parts_of(house)
    first, written = finish(part), whole_of(part).read_bytes()
    assert finish(part) == first and whole_of(part).read_bytes() == written
