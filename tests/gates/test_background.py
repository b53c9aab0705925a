"""The background: what it leaves out of a still picture, and that it learns nothing else by that."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from soteirad.gates.background import Background, Mask
from tests.gates.test_motion import room, with_object


class Counted(Background):
    """Counts the tiles that their models are given."""

    taken = 0

    def _ask(self, grey: Mask, due: np.ndarray, new: np.ndarray) -> Mask:
        self.taken += int(due.sum())
        return super()._ask(grey, due, new)


class Diligent(Background):
    """Passes nothing over."""

    STILL_FRAMES = 0


def begun(kind: type[Background], picture: Mask) -> Background:
    background = kind(300, 16.0)
    background.begin(picture)
    return background


def share(background: Background, picture: Mask) -> float:
    return cv2.countNonZero(background.step(picture)) / picture.size


def test_a_still_room_is_learned_from_every_fourth_frame_only() -> None:
    camera = room()
    background = begun(Counted, camera())
    for _ in range(400):
        background.step(camera())
    assert isinstance(background, Counted)
    assert 100 <= background.taken / 16 <= 108


def test_only_the_tiles_where_something_moves_are_asked_about_each_frame() -> None:
    camera = room()
    background = begun(Counted, camera())
    for _ in range(40):
        background.step(camera())
    assert isinstance(background, Counted)
    background.taken = 0
    for step in range(40):  # to and fro inside the first tile, whose size is 80 x 45
        background.step(with_object(camera(), 10 + step % 8 * 4, 10, 20, 20))
    assert 40 * (1 + 15 / 4) - 16 <= background.taken <= 40 * (4 + 12 / 4)


@pytest.mark.parametrize("size", [(320, 180), (240, 180), (321, 179), (33, 18), (5, 3)])
def test_a_change_is_found_wherever_it_is_in_a_picture_of_any_size(size: tuple[int, int]) -> None:
    width, height = size
    still = np.full((height, width), 90, np.uint8)
    for corner in ((0, 0), (height // 2, width // 2), (max(0, height - 30), max(0, width - 30))):
        background = begun(Background, still)
        for _ in range(20):
            assert not background.step(still).any()
        changed = still.copy()
        changed[corner[0] : corner[0] + 30, corner[1] : corner[1] + 30] = 200
        found = background.step(changed) > 0
        assert np.count_nonzero(found & (changed == 200)) >= 0.8 * np.count_nonzero(changed == 200)


def test_one_background_over_tiles_finds_what_one_over_the_whole_picture_does() -> None:
    """OpenCV's own model with its own rate, every frame, and the same clean-up."""
    camera, rng = room(), np.random.default_rng(3)
    whole = cv2.createBackgroundSubtractorMOG2(300, 16.0, detectShadows=False)
    small, large = (cv2.getStructuringElement(cv2.MORPH_CROSS, (n, n)) for n in (3, 5))
    first = camera()
    background = begun(Diligent, first)
    whole.apply(first, learningRate=1.0)
    for _ in range(60):
        picture = with_object(camera(), int(rng.integers(0, 250)), int(rng.integers(0, 120)), 50, 40)
        expected = cv2.dilate(cv2.erode(whole.apply(picture), small), large)
        assert np.array_equal(background.step(picture), expected)


def test_the_background_learns_as_if_it_had_seen_every_frame() -> None:
    """An object that is put down is forgotten, and what it leaves behind, in the same frame give or take a few."""
    camera = room()
    often, seldom = begun(Diligent, camera()), begun(Background, camera())
    found: list[tuple[bool, bool]] = []
    for frame in range(400):
        picture = camera()
        if 100 <= frame < 330:
            picture = with_object(picture, 100, 50, 30, 30)
        found.append((share(often, picture) > 0.005, share(seldom, picture) > 0.005))
    assert any(diligent for diligent, _ in found) and not found[99][0] and not found[329][0]
    assert sum(a != b for a, b in found) <= 4


def test_what_creeps_in_is_seen_a_few_frames_later_at_most() -> None:
    """A shade that grows by one level a frame is the same picture each time, compared with the frame before."""
    camera = room()
    often, seldom = begun(Diligent, camera()), begun(Background, camera())
    first: dict[Background, int] = {}
    for frame in range(120):
        picture = camera()
        picture[40:100, 80:160] -= np.uint8(max(0, frame - 60))
        for background in (often, seldom):
            if share(background, picture) > 0.005:
                first.setdefault(background, frame)
    assert 60 < first[often] <= first[seldom] <= first[often] + Background.STILL_FRAMES
