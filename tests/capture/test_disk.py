"""The file of a recording: new, private, and one that can be played whatever happens to the disk."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from soteirad.capture.disk import Disk


def box(kind: bytes, size: int) -> bytes:
    return (8 + size).to_bytes(4, "big") + kind + b"x" * size


HEAD = box(b"ftyp", 12) + box(b"free", 0) + box(b"moov", 40)
LARGE = (1).to_bytes(4, "big") + b"mdat" + (66).to_bytes(8, "big") + b"x" * 50
WHOLE = HEAD + box(b"mdat", 100) + box(b"moof", 20) + LARGE


def full(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk be full, as the system would say it."""
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.write", fail)
        assert disk.write(b"more") == 4
    assert disk.error is not None and disk.error.errno == errno.ENOSPC


@pytest.mark.parametrize("cut", [b"", box(b"moof", 20), box(b"moof", 20) + box(b"mdat", 90)[:50], b"\0\0"])
def test_after_a_fault_only_whole_pieces_stay_and_nothing_is_written_over_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: bytes
) -> None:
    disk = Disk(tmp_path / "r.mp4")
    disk.open()
    disk.write(WHOLE + cut)
    full(disk, monkeypatch)
    disk.seek(0)
    disk.write(b"the whole table")
    disk.close()
    assert (tmp_path / "r.mp4").read_bytes() == WHOLE


def test_a_file_of_which_nothing_can_be_played_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, content in enumerate((b"", HEAD + box(b"mdat", 100)[:50])):
        disk = Disk(tmp_path / f"{number}.mp4")
        disk.open()
        disk.write(content)
        full(disk, monkeypatch)
        disk.close()
    assert list(tmp_path.iterdir()) == []


def test_other_kinds_of_files_stay_as_far_as_they_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(tmp_path / "r.mkv")
    disk.open()
    disk.write(b"\x1aE\xdf\xa3" + b"x" * 100)
    full(disk, monkeypatch)
    disk.close()
    disk.close()
    assert (tmp_path / "r.mkv").stat().st_size == 104


def test_a_file_is_new_and_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        disk = Disk(tmp_path / "r.mp4")
        disk.open()
    finally:
        os.umask(before)
    disk.write(b"x")
    assert disk.tell() == 1 and disk.seek(0) == 0
    disk.close()
    assert stat.S_IMODE((tmp_path / "r.mp4").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        Disk(tmp_path / "r.mp4").open()
