"""Polygons in fractions of the frame."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from soteirad.gates.geometry import inside, polygon_mask

LEFT_HALF = (0.0, 0.0, 0.5, 0.0, 0.5, 1.0, 0.0, 1.0)
fractions = st.floats(0.0, 1.0)


def test_a_mask_is_white_inside_its_polygon_and_black_elsewhere() -> None:
    mask = polygon_mask([LEFT_HALF], 100, 60)
    assert mask.shape == (60, 100)
    assert (mask[:, :50] == 255).all()
    assert (mask[:, 51:] == 0).all()


def test_a_mask_of_several_polygons_is_their_union_even_where_they_overlap() -> None:
    other = (0.25, 0.0, 1.0, 0.0, 1.0, 0.5, 0.25, 0.5)
    mask = polygon_mask([LEFT_HALF, other], 80, 80)
    assert np.array_equal(mask, polygon_mask([LEFT_HALF], 80, 80) | polygon_mask([other], 80, 80))
    assert mask[10, 30] == 255


def test_a_polygon_over_the_whole_frame_covers_every_pixel() -> None:
    assert (polygon_mask([(0, 0, 1, 0, 1, 1, 0, 1)], 33, 17) == 255).all()


@given(fractions, fractions)
def test_a_point_is_inside_a_rectangle_when_both_coordinates_are_within_it_edges_included(x: float, y: float) -> None:
    rectangle = (0.25, 0.5, 0.75, 0.5, 0.75, 0.875, 0.25, 0.875)
    x, y = float(np.float32(x)), float(np.float32(y))
    assert inside(rectangle, x, y) == (0.25 <= x <= 0.75 and 0.5 <= y <= 0.875)


def test_the_hollow_of_a_concave_polygon_is_outside() -> None:
    letter_u = (0.1, 0.1, 0.3, 0.1, 0.3, 0.7, 0.7, 0.7, 0.7, 0.1, 0.9, 0.1, 0.9, 0.9, 0.1, 0.9)
    assert inside(letter_u, 0.2, 0.3)
    assert not inside(letter_u, 0.5, 0.3)
