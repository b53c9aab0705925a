"""The state folder at the start."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from soteirad.errors import StorageError, StorageRefused
from soteirad.hub.state_folder import prepare_folder
from tests.disks import small_disk


@pytest.fixture
def root_folder() -> Iterator[Path]:
    """A folder of root's that everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="soteira-state-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def refused_to_nobody(folder: Path) -> str:
    """Try it as somebody else than root, which the daemon is."""
    if os.geteuid() != 0:
        pytest.skip("nothing was learned about a folder of somebody else: run this as root")
    os.seteuid(65534)
    try:
        with pytest.raises(StorageRefused) as caught:
            prepare_folder(folder)
    finally:
        os.seteuid(0)
    return str(caught.value)


def test_a_new_folder_is_for_its_owner_and_the_group(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        prepare_folder(tmp_path / "state")
    finally:
        os.umask(before)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o750


def test_a_folder_of_somebody_else_is_refused_with_the_command_that_gives_it(root_folder: Path) -> None:
    said = refused_to_nobody(root_folder)
    assert "belongs to root and may not be written by nobody" in said
    assert f"`sudo chown -R nobody: {root_folder}`" in said


def test_a_journal_of_somebody_else_in_ones_own_folder_is_refused_by_its_name(root_folder: Path) -> None:
    os.chown(root_folder, 65534, -1)
    (root_folder / "journal.sqlite3").write_bytes(b"")
    said = refused_to_nobody(root_folder)
    assert said.startswith(f"{root_folder}/journal.sqlite3: belongs to root")


def test_a_folder_in_one_of_somebody_else_cannot_be_made_and_says_what_to_do(root_folder: Path) -> None:
    assert "create it and give it to the daemon's user with `sudo chown" in refused_to_nobody(root_folder / "state")


@pytest.mark.parametrize("below", ["file", "file/state"])
def test_what_is_no_folder_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StorageRefused, match="cannot be made"):
        prepare_folder(tmp_path / below)


def test_a_link_is_followed_and_one_that_leads_nowhere_may_pass(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "good").symlink_to(tmp_path / "disk")
    (tmp_path / "bad").symlink_to(tmp_path / "not mounted")
    prepare_folder(tmp_path / "good")
    with pytest.raises(StorageError, match="is its disk mounted") as caught:
        prepare_folder(tmp_path / "bad")
    assert caught.value.passes


def test_a_folder_that_everybody_may_change_is_warned_of_with_the_command(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        prepare_folder(tmp_path)
    assert [r.getMessage() for r in caplog.records] == [
        f"{tmp_path}: everybody on this machine may change what is in it: `sudo chmod 750 {tmp_path}`"
    ]


def test_a_disk_that_is_read_only_may_pass(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        os.system(f"mount -o remount,ro {disk.folder}")  # noqa: S605
        for folder in (disk.folder, disk.folder / "state"):
            with pytest.raises(StorageError, match=r"read-only|Read-only") as caught:
                prepare_folder(folder)
            assert caught.value.passes
