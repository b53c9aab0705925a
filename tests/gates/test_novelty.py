"""Novelty: what moves where no known object can be, and did not at the last look."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soteirad.gates.geometry import Box
from soteirad.gates.novelty import Novelty

SMALLEST = 0.002


def mask(*regions: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Return a picture of 200x100 pixels in which the regions (x1, y1, x2, y2) change."""
    changed = np.zeros((100, 200), np.uint8)
    for x1, y1, x2, y2 in regions:
        changed[y1:y2, x1:x2] = 255
    return changed


def box(x1: int, y1: int, x2: int, y2: int) -> Box:
    return x1 / 200, y1 / 100, x2 / 200, y2 / 100


WALKER = (100, 40, 112, 70)


def test_what_moves_where_nothing_moved_at_the_last_look_is_new() -> None:
    assert Novelty().step(mask(WALKER), [], SMALLEST)


def test_what_moved_there_at_the_last_look_is_not_new() -> None:
    novelty = Novelty()
    novelty.looked(mask(WALKER))
    assert not novelty.step(mask(WALKER), [], SMALLEST)


def test_who_was_looked_at_is_new_again_when_gone_on_by_half_of_itself() -> None:
    novelty = Novelty()
    novelty.looked(mask(WALKER))
    assert not novelty.step(mask((106, 40, 118, 70)), [], SMALLEST)
    assert novelty.step(mask((109, 40, 121, 70)), [], SMALLEST)


def test_who_comes_in_over_the_edge_is_new_again_when_what_shows_has_doubled() -> None:
    novelty = Novelty()
    novelty.looked(mask((190, 40, 200, 70)))
    assert not novelty.step(mask((184, 40, 200, 70)), [], SMALLEST)
    assert novelty.step(mask((176, 40, 200, 70)), [], SMALLEST)


def test_motion_within_reach_of_a_known_object_is_not_new() -> None:
    assert not Novelty().step(mask((98, 38, 118, 74)), [box(*WALKER)], SMALLEST)


def test_somebody_else_beside_a_known_object_is_new() -> None:
    assert Novelty().step(mask(WALKER, (150, 40, 162, 70)), [box(*WALKER)], SMALLEST)


def test_a_known_object_that_reaches_out_of_the_picture_explains_what_is_inside() -> None:
    assert not Novelty().step(mask((0, 80, 20, 100)), [(-0.2, 0.7, 0.1, 1.3)], SMALLEST)


def test_what_is_smaller_than_the_smallest_object_is_not_new() -> None:
    assert not Novelty().step(mask((100, 40, 106, 46)), [], SMALLEST)  # 36 of 40 pixels
    assert Novelty().step(mask((100, 40, 107, 46)), [], SMALLEST)


def test_a_picture_of_another_size_starts_anew() -> None:
    novelty = Novelty()
    novelty.looked(mask(WALKER))
    assert novelty.step(np.full((50, 80), 255, np.uint8), [], SMALLEST)
