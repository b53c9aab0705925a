"""Saved pictures: those of events, and no other file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from soteirad.web.pictures import LARGEST, saved_picture
from tests.web.running import Running

DAY, FILE = "2026-11-22", "01M80GR3W7ZFDTXZJGYFTM8T6X.jpg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "snapshots" / "porch" / DAY).mkdir(parents=True)
    (tmp_path / "snapshots" / "porch" / DAY / FILE).write_bytes(b"picture")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    return tmp_path / "snapshots"


def test_a_picture_is_found_by_camera_day_and_event(folder: Path) -> None:
    assert saved_picture(folder, "porch", DAY, FILE) == b"picture"


@pytest.mark.parametrize(
    ("camera", "day", "file"),
    [("..", DAY, FILE), ("porch", "..", FILE), ("porch", DAY, "../../../secret.jpg"), ("porch", DAY, "secret.jpg"),
     ("porch/..", DAY, FILE), ("", DAY, FILE), ("porch", DAY, FILE.lower()), ("porch", DAY, FILE + "\0"),
     ("porch\n", DAY, FILE), ("porch", DAY + "\n", FILE), ("p" * 65, DAY, FILE), ("garden", DAY, FILE),
     ("porch", DAY, "01M80GR3W7ZFDTXZJGYFTM8T6Y.jpg"), ("porch", DAY, f".{FILE}.tmp"), ("porch", DAY, "..\\" + FILE)],
)  # fmt: skip
def test_nothing_else_is(folder: Path, camera: str, day: str, file: str) -> None:
    assert saved_picture(folder, camera, day, file) is None


def test_links_are_not_followed_wherever_they_are(folder: Path) -> None:
    other = "01M80GR3W7ZFDTXZJGYFTM8T60.jpg"
    (folder / "porch" / DAY / other).symlink_to(folder.parent / "secret.jpg")
    (folder / "garden").symlink_to(folder / "porch")
    (folder / "porch" / "2026-11-23").symlink_to(folder / "porch" / DAY)
    assert saved_picture(folder, "porch", DAY, other) is None
    assert saved_picture(folder, "garden", DAY, FILE) is None
    assert saved_picture(folder, "porch", "2026-11-23", FILE) is None


def test_what_is_no_file_is_no_picture_and_holds_nobody_up(folder: Path) -> None:
    for index, make in enumerate((Path.mkdir, os.mkfifo)):
        file = f"01M80GR3W7ZFDTXZJGYFTM8T6{index}.jpg"
        make(folder / "porch" / DAY / file)
        assert saved_picture(folder, "porch", DAY, file) is None


def test_a_file_that_is_far_too_large_is_not_read(folder: Path) -> None:
    os.truncate(folder / "porch" / DAY / FILE, LARGEST + 1)
    assert saved_picture(folder, "porch", DAY, FILE) is None


def test_handles_are_given_back(folder: Path) -> None:
    saved_picture(folder, "porch", DAY, FILE)
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("only Linux tells which handles are open")
    before = len([*handles.iterdir()])
    for camera in ("porch", "garden", ".."):
        saved_picture(folder, camera, DAY, FILE)
    assert len([*handles.iterdir()]) == before


@pytest.mark.parametrize(
    "target",
    ["/api/snapshots/../../etc/passwd", "/api/snapshots/%2e%2e/%2e%2e/journal.db",
     "/api/snapshots/porch/%2e%2e/journal.db",
     "/api/snapshots/porch/..%2f..%2fjournal.db", "/api/snapshots/porch/2026-11-22/..%5c..%5cjournal.db",
     "/api/snapshots//etc/passwd", "/api/snapshots/porch/2026-11-22/%00.jpg",
     "/api/snapshots/porch/2026-11-22/x%00.jpg",
     "/api/snapshots/..;/..;/web-token", "/api/snapshots/porch/2026-11-22/../../../web-token",
     "/api/snapshots/%252e%252e/%252e%252e/web-token", "/static/../token.py", "/static/%2e%2e/token.py",
     "/static/..%2ftoken.py", "/static/%2fetc%2fpasswd", "/static//etc/passwd", "/static/..%5ctoken.py", "/static/%00",
     "/static/.gitkeep", "/static/index.html%00.js", "/static/\\..\\token.py"],
)  # fmt: skip
def test_no_address_leads_out_of_the_folder(shared: Running, target: str) -> None:
    status, _, body = shared.ask_raw(target)
    assert status in (400, 404), target
    assert b"root:" not in body and shared.token.encode() not in body and b"import" not in body
