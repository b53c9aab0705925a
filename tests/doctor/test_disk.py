"""The disk: room, kind, and whether it can be written, on real ones."""

from __future__ import annotations

from pathlib import Path

from soteirad.doctor.disk import check
from soteirad.room import MB
from tests.disks import small_disk, small_ext4
from tests.doctor.people import one, patient


def test_a_good_disk_is_told_with_its_kind_and_speed_and_nothing_is_left_on_it(tmp_path: Path) -> None:
    sick = patient(tmp_path)
    state = tmp_path / "state"
    state.mkdir()
    text = "; ".join(finding.text for finding in check(sick))
    assert "free" in text and "until the disk has it" in text
    assert not list(state.iterdir())


def test_a_folder_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    text = "; ".join(finding.text for finding in check(patient(tmp_path)))
    assert "not there yet" in text and not (tmp_path / "state").exists()


def test_a_disk_that_fills_up_is_told_before_and_when_pictures_stop(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 200) as disk:
        sick = patient(tmp_path, storage={"path": str(disk.folder), "max_size": "100MB"})
        assert "gone after a restart" in one(check(sick), "warn").text
        disk.fill(30 * MB)
        assert any("nearly full" in finding.text for finding in check(sick))
        disk.fill(5 * MB)
        assert "no pictures are kept" in one(check(sick), "fail").text
        disk.fill(0)
        assert any("No space left" in finding.text for finding in check(sick))


def test_a_disk_that_became_read_only_is_a_fault(tmp_path: Path) -> None:
    with small_ext4(tmp_path / "disk", 16) as disk:
        sick = patient(tmp_path, storage={"path": str(disk.folder), "max_size": "1MB"})
        disk.break_down()
        found = [finding for finding in check(sick) if finding.verdict == "fail"]
        assert len(found) == 1 and "read-only" in found[0].text.lower()
        assert "dmesg" in found[0].remedy
        assert [path.name for path in disk.folder.iterdir()] == ["lost+found"]


def test_clips_that_may_take_more_than_the_disk_has_are_told(tmp_path: Path) -> None:
    def told(**clips: object) -> list[str]:
        cameras = {name: {"source": "rtsp://h/s", "clips": clips} for name in ("porch", "yard")}
        sick = patient(tmp_path, storage={"path": str(disk.folder), "max_size": "100MB"}, cameras=cameras)
        return [finding.text for finding in check(sick) if "clips" in finding.text]

    with small_disk(tmp_path / "disk", 200) as disk:
        assert told(enabled=False, max_size="60MB") == told(enabled=True, max_size="40MB") == []
        (text,) = told(enabled=True, max_size="60MB")
        assert "pictures and clips may take 220 MB, more than the whole disk" in text
