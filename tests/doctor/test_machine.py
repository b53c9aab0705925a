"""The machine: what there is, and whether it is enough for the cameras."""

from __future__ import annotations

from pathlib import Path

from soteirad.doctor.machine import check, memory_mb
from tests.doctor.people import one, patient


def test_this_machine_is_told_with_its_libraries_and_is_enough_for_one_camera(tmp_path: Path) -> None:
    found = {finding.what: finding for finding in check(patient(tmp_path))}
    assert list(found) == ["Soteira", "libraries", "processor", "memory"]
    assert "onnxruntime" in found["libraries"].text
    assert all(finding.verdict == "ok" for finding in found.values())


def test_more_cameras_than_memory_are_told(tmp_path: Path) -> None:
    total, _ = memory_mb(patient(tmp_path))
    assert total is not None
    many = {f"c{number}": {"source": "/a.mp4"} for number in range(int(total / 100))}
    assert f"{len(many)} cameras" in one(check(patient(tmp_path, cameras=many)), "warn").text
