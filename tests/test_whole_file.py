"""A file is put in place whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from soteirad.whole_file import put
from tests.disks import small_disk


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_file_is_put_in_place_with_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        put(tmp_path / "a", b"text", 0o640)
    finally:
        os.umask(before)
    assert (tmp_path / "a").read_bytes() == b"text" and mode(tmp_path / "a") == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"victim")
    (tmp_path / "a").symlink_to("victim")
    put(tmp_path / "a", b"text", 0o600)
    assert (tmp_path / "victim").read_bytes() == b"victim" and not (tmp_path / "a").is_symlink()


def test_a_file_that_must_be_new_never_replaces_one_that_came_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"the owner's")
    with pytest.raises(FileExistsError):
        put(tmp_path / "a", b"example", 0o640, fresh=True)
    assert (tmp_path / "a").read_bytes() == b"the owner's" and len(list(tmp_path.iterdir())) == 1


def test_on_a_full_disk_the_old_file_stays_whole_and_nothing_is_left_over(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        (disk.folder / "a").write_bytes(b"old")
        disk.fill(leave=0)
        with pytest.raises(OSError) as caught:
            put(disk.folder / "a", b"new" * 5000, 0o600)
        assert caught.value.errno == errno.ENOSPC
        assert (disk.folder / "a").read_bytes() == b"old" and {p.name for p in disk.folder.iterdir()} == {
            "a",
            "ballast",
        }
