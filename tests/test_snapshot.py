"""Snapshots: small enough whatever is in the picture, with the box drawn, and written whole or not at all."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from soteirad.errors import StorageError
from soteirad.event import Event
from soteirad.snapshot import MAX_BYTES, make_snapshot, write_atomically
from tests.capture.made import frame_of

BOX = (200, 100, 500, 300)
LEFT_THIRD = (0.0, 0.0, 0.3, 0.0, 0.3, 1.0, 0.0, 1.0)


def event(box: tuple[int, int, int, int] | None = BOX, label: str | None = "person") -> Event:
    return Event("1", "entered", "porch", "t", label=label, confidence=0.87, box=box)


def decode(jpeg: bytes) -> NDArray[np.uint8]:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("size", [(3840, 2160), (1920, 1080), (1280, 720)], ids=["4K", "1080p", "720p"])
def test_a_snapshot_has_at_most_200_kb_even_of_noise(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    jpeg = make_snapshot(frame_of(noise), event())
    assert len(jpeg) <= MAX_BYTES == 200_000
    assert decode(jpeg).shape[1] >= 640


def test_a_large_frame_is_made_1280_pixels_wide_and_a_small_one_stays() -> None:
    photograph = cv2.cvtColor(data.coffee(), cv2.COLOR_RGB2BGR)
    large = cv2.resize(photograph, (2560, 1440))
    assert decode(make_snapshot(frame_of(large), event())).shape == (720, 1280, 3)
    assert decode(make_snapshot(frame_of(photograph), event())).shape == (400, 600, 3)


@pytest.mark.parametrize("scale", [1, 4])
def test_the_box_is_drawn_where_the_object_is_at_every_size(scale: int) -> None:
    grey = np.full((360 * scale, 640 * scale, 3), 90, np.uint8)
    box = (200 * scale, 100 * scale, 500 * scale, 300 * scale)
    picture = decode(make_snapshot(frame_of(grey), event(box)))
    factor = picture.shape[1] / 640
    left, right, middle = round(200 * factor), round(500 * factor), round(200 * factor)
    for x in (left, right):
        b, g, r = picture[middle, x].astype(int)
        assert g > 160 > max(b, r)
    assert np.abs(picture[middle, round(350 * factor)].astype(int) - 90).max() < 12


def test_an_event_without_a_box_gets_the_bare_picture() -> None:
    grey = np.full((360, 640, 3), 90, np.uint8)
    assert np.abs(decode(make_snapshot(frame_of(grey), event(None, None))).astype(int) - 90).max() < 8


def test_privacy_masks_are_black_in_snapshots() -> None:
    white = np.full((360, 640, 3), 255, np.uint8)
    picture = decode(make_snapshot(frame_of(white, privacy=(LEFT_THIRD,)), event(None, None)))
    assert picture[:, :180].max() < 12
    assert picture[:, 210:].min() > 240


# Files


@contextmanager
def full_disk(free: int) -> Iterator[None]:
    """Let no file of this process grow over `free` bytes: the kernel refuses the rest of the write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_is_written_with_its_folders_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "porch" / "2027-01-15" / "1.jpg"
    write_atomically(path, b"first")
    write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_keeps_the_old_file_whole_and_leaves_no_half_one(tmp_path: Path) -> None:
    path = tmp_path / "1.jpg"
    write_atomically(path, b"old")
    with full_disk(1000), pytest.raises(StorageError, match=r"1\.jpg: cannot be written: "):
        write_atomically(path, bytes(5000))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_files_place_is_a_storage_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").mkdir()
    with pytest.raises(StorageError, match=r"1\.jpg: cannot be written: "):
        write_atomically(tmp_path / "1.jpg", b"data")
    assert [p.name for p in tmp_path.iterdir()] == ["1.jpg"]


def test_a_file_in_the_folders_place_is_a_storage_error_with_the_path(tmp_path: Path) -> None:
    (tmp_path / "porch").write_bytes(b"")
    with pytest.raises(StorageError) as caught:
        write_atomically(tmp_path / "porch" / "1.jpg", b"data")
    assert str(caught.value) == f"{tmp_path / 'porch' / '1.jpg'}: cannot be written: File exists"
