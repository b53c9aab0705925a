"""Whether there is room for more than events."""

from __future__ import annotations

from pathlib import Path

import pytest

from soteirad.room import MB, Disk, Room, room_of

GB = 1000 * MB


@pytest.mark.parametrize(("total", "reserve"), [
    (32 * MB, 3_200_000), (500 * MB, 50 * MB), (2 * GB, 64 * MB), (32 * GB, 640 * MB), (4000 * GB, GB), (0, 0),
])  # fmt: skip
def test_the_reserve_is_a_fiftieth_within_bounds_and_a_tenth_of_a_small_disk(total: int, reserve: int) -> None:
    room = Room(total, 0)
    assert room.reserve == reserve <= room.wanted <= room.comfortable


def test_it_is_tight_below_the_reserve_until_a_quarter_more_is_free(tmp_path: Path) -> None:
    free = [64, 63, 70, 79, 80, 64, 63]
    disk = Disk(tmp_path, lambda _: Room(2 * GB, free[0] * MB))
    found = []
    while free:
        disk.look()
        found.append(disk.tight)
        free.pop(0)
    assert found == [False, True, True, True, False, False, True]


def test_a_disk_that_does_not_say_is_taken_to_have_room(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "gone")
    disk.look()
    assert disk.room is None and not disk.tight
    there = Disk(tmp_path)
    there.look()
    assert there.room is not None and 0 < there.room.free <= there.room.total == room_of(tmp_path).total
