"""The pictures that are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from soteirad.errors import StorageError
from soteirad.event import new_id
from soteirad.hub.album import drop_oldest, drop_others, keep_pictures

START = 1_795_000_000.0


def test_pictures_are_numbered_and_the_oldest_answers_go_with_all_of_theirs(tmp_path: Path) -> None:
    folder, ids = tmp_path / "new" / "folder", [new_id(START + n) for n in range(3)]
    for number, answer_id in enumerate(ids):
        keep_pictures(folder, answer_id, [b"one", b"two"][: number or 2], 2)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        f"{ids[1]}-1.jpg": b"one", f"{ids[2]}-1.jpg": b"one", f"{ids[2]}-2.jpg": b"two"
    }  # fmt: skip


def test_who_keeps_none_has_no_folder(tmp_path: Path) -> None:
    keep_pictures(tmp_path / "folder", new_id(START), [b"one"], 0)
    assert [*tmp_path.iterdir()] == []


def test_a_disk_that_fails_says_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("in the way")
    said = set()
    for n in range(2):
        with pytest.raises(StorageError) as caught:
            keep_pictures(tmp_path / "folder", new_id(START + n), [b"one"], 2)
        said.add(str(caught.value))
    assert len(said) == 1 and "pictures cannot be kept: " in said.pop()


def test_only_pictures_of_ours_are_deleted(tmp_path: Path) -> None:
    ids = [new_id(START + n) for n in range(3)]
    foreign = ["holiday.jpg", "2-1.jpg", "notes.txt", f"{ids[0]}-1.png", f".{ids[0]}-1.jpg.tmp"]
    names = [f"{i}-1.jpg" for i in ids] + foreign
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder-1.jpg").mkdir()
    drop_oldest(tmp_path, 1, ids[2])
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*names[2:], "folder-1.jpg"}
    drop_oldest(tmp_path, 0, ids[2])
    assert {path.name for path in tmp_path.iterdir()} == left - {names[2]}
    drop_oldest(tmp_path / "nowhere", 1, ids[2])


def test_pictures_that_cannot_be_deleted_are_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / f"{new_id(START)}-1.jpg").mkdir()
    with pytest.raises(StorageError, match="old pictures cannot be deleted"):
        drop_oldest(tmp_path, 0, new_id(START))


def test_pictures_of_a_time_when_the_clock_was_ahead_are_the_oldest(tmp_path: Path) -> None:
    ahead = [new_id(START + 1e8 + n) for n in range(2)]
    now = [new_id(START + n) for n in range(2)]
    for answer_id in (*ahead, *now):
        keep_pictures(tmp_path, answer_id, [b"one"], 2)
    assert {path.name for path in tmp_path.iterdir()} == {f"{i}-1.jpg" for i in now}


def test_pictures_of_questions_that_are_gone_are_deleted_and_nothing_else(tmp_path: Path) -> None:
    places = [tmp_path / "porch" / "parcel", tmp_path / "porch" / "gone", tmp_path / "yard" / "parcel"]
    for place in places:
        keep_pictures(place, new_id(START), [b"one"], 2)
    (tmp_path / "yard" / "parcel" / "mine.jpg").write_bytes(b"x")
    (tmp_path / "note.txt").write_text("mine")
    drop_others(tmp_path, {("porch", "parcel")})
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == [
        "note.txt", f"porch/parcel/{next(places[0].iterdir()).name}", "yard/parcel/mine.jpg"]
    assert not places[1].exists()
    drop_others(tmp_path / "nowhere", set())
