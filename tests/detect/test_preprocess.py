"""Letterbox: frames of any size into the fixed input and boxes back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.detect.card import load_card
from soteirad.detect.preprocess import InputBuffer, Letterbox

SPEC = load_card("nanodet-g-416").input
frame_sizes = st.tuples(st.integers(16, 8000), st.integers(16, 8000))
fractions = st.floats(0.0, 1.0)


@given(frame_sizes)
def test_the_content_fills_one_side_of_the_input_and_stays_inside_it(size: tuple[int, int]) -> None:
    content = Letterbox.fit(*size, SPEC)
    assert 1 <= content.width <= SPEC.width
    assert 1 <= content.height <= SPEC.height
    assert content.width == SPEC.width or content.height == SPEC.height


@given(frame_sizes)
def test_the_content_has_the_frames_aspect_to_half_a_pixel(size: tuple[int, int]) -> None:
    content = Letterbox.fit(*size, SPEC)
    scale = min(SPEC.width / size[0], SPEC.height / size[1])
    assert abs(content.width - size[0] * scale) <= 0.5 or content.width == 1
    assert abs(content.height - size[1] * scale) <= 0.5 or content.height == 1


@given(frame_sizes, st.tuples(fractions, fractions, fractions, fractions))
def test_a_box_in_the_frame_survives_the_way_into_the_input_and_back(
    size: tuple[int, int], box: tuple[float, float, float, float]
) -> None:
    content = Letterbox.fit(*size, SPEC)
    scale = np.array([content.width, content.height] * 2)
    pixels = (np.array([box]) * scale).astype(np.float32)
    assert content.to_frame(pixels)[0] == pytest.approx(np.array(box), abs=1e-5)


def test_a_box_that_reaches_out_of_the_frame_is_clipped_to_it() -> None:
    content = Letterbox.fit(640, 360, SPEC)
    assert (content.width, content.height) == (416, 234)
    found = content.to_frame(np.array([[-20, -5, 500, 300]], np.float32))
    assert found.tolist() == [[0.0, 0.0, 1.0, 1.0]]
    assert found.dtype == np.float32


def test_the_input_holds_the_picture_at_the_top_left_and_padding_elsewhere() -> None:
    buffer = InputBuffer(SPEC.model_copy(update={"pad": 114}))
    picture = np.random.default_rng(0).integers(0, 256, (234, 416, 3)).astype(np.uint8)
    buffer.fill(picture)
    assert np.array_equal(buffer.array[0, :234], picture)
    assert (buffer.array[0, 234:] == 114).all()


def test_a_picture_of_another_size_leaves_nothing_of_the_one_before() -> None:
    buffer = InputBuffer(SPEC)
    buffer.fill(np.full((234, 416, 3), 200, np.uint8))
    assert buffer.fill(np.full((416, 234, 3), 100, np.uint8)) == Letterbox(234, 416)
    assert (buffer.array[0, :, :234] == 100).all()
    assert (buffer.array[0, :, 234:] == SPEC.pad).all()
