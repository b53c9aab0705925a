"""Files and folders as root handles them: whole or not at all, and through nobody's links."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from soteirad.install.places import (
    distrusted,
    hand_over,
    look_at,
    make_folder,
    make_link,
    mounts_in,
    remove,
    set_access,
)

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away: run this as root")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_folders_are_made_with_those_above_them(tmp_path: Path) -> None:
    make_folder(tmp_path / "a/b", 0o700, -1, -1)
    assert (mode(tmp_path / "a"), mode(tmp_path / "a/b")) == (0o755, 0o700)


def test_access_is_never_set_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").touch(0o600)
    (tmp_path / "a").symlink_to("victim")
    with pytest.raises(OSError) as caught:
        set_access(tmp_path / "a", 0o666, -1, -1)
    assert caught.value.errno == errno.ELOOP and mode(tmp_path / "victim") == 0o600


def test_a_link_takes_the_place_of_another_one(tmp_path: Path) -> None:
    for target in ("one", "two"):
        make_link(tmp_path / "a", target)
        assert str((tmp_path / "a").readlink()) == target
    assert len(list(tmp_path.iterdir())) == 1


@root_only
def test_a_folder_is_handed_over_but_not_what_its_links_lead_to_nor_what_has_another_name(tmp_path: Path) -> None:
    victim, state = tmp_path / "victim", tmp_path / "state"
    victim.touch()
    (state / "log").mkdir(parents=True)
    (state / "log/a").touch()
    (state / "link").symlink_to(victim)
    os.link(victim, state / "hard")
    hand_over(state, 4711, 4712)
    owners = {
        path.name: path.lstat().st_uid for path in (state, state / "log", state / "log/a", state / "link", victim)
    }
    assert owners == {"state": 4711, "log": 4711, "a": 4711, "link": 4711, "victim": 0}


def test_removing_a_linked_folder_removes_the_link_only(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far/file").touch()
    (tmp_path / "a").symlink_to("far")
    remove(tmp_path / "a", tree=True)
    assert not (tmp_path / "a").exists() and (tmp_path / "far/file").exists()


def test_a_folder_with_something_in_it_is_not_removed_as_empty(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").touch()
    remove(tmp_path / "a", if_empty=True)
    assert (tmp_path / "a").exists()
    (tmp_path / "a/file").unlink()
    for _ in range(2):
        remove(tmp_path / "a", if_empty=True)
    assert not (tmp_path / "a").exists()


def test_a_folder_that_everybody_may_write_in_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    assert distrusted(tmp_path / "etc/a/b", tmp_path) is None
    (tmp_path / "etc").chmod(0o1777)
    assert "everybody may write" in (distrusted(tmp_path / "etc/a/b", tmp_path) or "")


@root_only
def test_a_folder_or_link_of_somebody_else_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "var").symlink_to("real")
    assert distrusted(tmp_path / "var/a", tmp_path) is None
    os.chown(tmp_path / "var", 4711, 4711, follow_symlinks=False)
    assert "somebody else" in (distrusted(tmp_path / "var/a", tmp_path) or "")


def test_an_image_whose_links_lead_out_of_it_is_not_trusted(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.mkdir()
    (tmp_path / "outside").mkdir()
    (image / "etc").symlink_to(tmp_path / "outside")
    assert "leads out of" in (distrusted(image / "etc/soteira.yaml", image) or "")


def test_what_lies_somewhere_is_told_without_following_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    kinds = {name: look_at(tmp_path / name).kind for name in ("file", "link", "fifo", "none", "file/below", ".")}
    assert kinds == {
        "file": "file",
        "link": "link",
        "fifo": "other",
        "none": "missing",
        "file/below": "missing",
        ".": "folder",
    }


def test_a_file_that_was_written_before_and_moved_here_now_has_changed_and_so_has_a_link_to_it(tmp_path: Path) -> None:
    written, link = tmp_path / "written", tmp_path / "link"
    link.symlink_to("secret")
    written.write_bytes(b"geheim")
    began = written.stat().st_ctime
    os.utime(written, (1000.0, 1000.0))
    written.rename(tmp_path / "secret")
    assert look_at(tmp_path / "secret").changed >= began and look_at(link).changed >= began


def test_what_is_mounted_in_a_folder_is_found_whatever_its_name(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    real = tmp_path.resolve()
    table.write_text(f"29 1 8:2 / / rw - ext4 /dev/sda2 rw\n"
                     f"30 29 8:3 / {real}/state/a\\040disk rw - ext4 /dev/sda3 rw\n"
                     f"31 29 8:4 / {real}/state2 rw - ext4 /dev/sda4 rw\n", encoding="utf-8")  # fmt: skip
    assert mounts_in(tmp_path / "state", table) == [real / "state/a disk"]
    assert mounts_in(tmp_path / "state", tmp_path / "none") == []
