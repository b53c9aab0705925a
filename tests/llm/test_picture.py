"""Pictures for a vision model: the right part of the frame, small, masked, and compared so that nobody is missed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from soteirad.capture.frame import Frame
from soteirad.config.llm import DuplicatesConfig
from soteirad.llm.picture import (
    GRID,
    LONGEST_SIDE,
    ROOM,
    SMALLEST_SIDE,
    WHOLE,
    Region,
    Shot,
    estimate_tokens,
    make_shot,
    region_around,
    signature,
    similarity,
)
from tests.capture.made import frame_of

Picture = NDArray[np.uint8]
SIZES = [(1920, 1080), (1280, 720), (640, 360), (704, 576), (360, 640), (1080, 1920), (320, 240), (97, 61), (16, 16)]
BACK = {0: None, 90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
DEFAULT = DuplicatesConfig().similarity


def chart(width: int, height: int) -> Picture:
    """Return a picture whose blue says how far to the right a pixel is, and whose green how far down."""
    picture = np.full((height, width, 3), 128, np.uint8)
    picture[..., 0] = np.linspace(0, 255, width)[None, :]
    picture[..., 1] = np.linspace(0, 255, height)[:, None]
    return picture


def shown(picture: Picture, rotate: int = 0, privacy: tuple[tuple[float, ...], ...] = ()) -> Frame:
    """Return a frame that shows a picture, from a camera that is mounted turned."""
    turn = BACK[rotate]
    return frame_of(picture if turn is None else np.asarray(cv2.rotate(picture, turn), np.uint8), rotate=rotate,
                    privacy=privacy)  # fmt: skip


def decoded(shot: Shot) -> Picture:
    picture = cv2.imdecode(np.frombuffer(shot.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)


# Which part of the frame


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0.4, 0.4, 0.6, 0.6), (0.3, 0.3, 0.7, 0.7)),
        ((0.4, 0.3, 0.6, 0.7), (0.3, 0.1, 0.7, 0.9)),
        ((0.0, 0.4, 0.2, 0.6), (0.0, 0.3, 0.4, 0.7)),
        ((0.8, 0.8, 1.0, 1.0), (0.6, 0.6, 1.0, 1.0)),
        ((0.1, 0.1, 0.9, 0.9), WHOLE),
        ((0.0, 0.0, 1.0, 1.0), WHOLE),
        ((-0.5, -0.5, 1.5, 1.5), WHOLE),
        ((0.3, 0.0, 0.5, 0.9), (0.2, 0.0, 0.6, 1.0)),
    ],
    ids=["inside", "standing", "left edge", "corner", "large", "all of it", "beyond the frame", "tall"],
)
def test_a_region_shows_the_box_with_half_its_size_on_each_side_and_stays_in_the_frame(
    box: Region, expected: Region
) -> None:
    assert region_around(box, 1920, 1920) == pytest.approx(expected)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_tiny_box_is_shown_with_as_many_pixels_as_models_want(width: int, height: int) -> None:
    x1, y1, x2, y2 = region_around((0.5, 0.5, 0.501, 0.501), width, height)
    assert (x2 - x1) * width == pytest.approx(min(SMALLEST_SIDE, width))
    assert (y2 - y1) * height == pytest.approx(min(SMALLEST_SIDE, height))


boxes = st.tuples(*[st.floats(-0.3, 1.3)] * 4).map(
    lambda v: (min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3]))
)


@given(box=boxes, width=st.integers(16, 3840), height=st.integers(16, 3840))
def test_a_region_is_in_the_frame_and_has_all_that_is_to_be_seen_of_the_box(
    box: Region, width: int, height: int
) -> None:
    x1, y1, x2, y2 = region_around(box, width, height)
    for low, high, near, far, pixels in ((x1, x2, box[0], box[2], width), (y1, y2, box[1], box[3], height)):
        assert 0 <= low < high <= 1
        assert (high - low) * pixels >= min(SMALLEST_SIDE, pixels) - 1e-6
        assert high - low >= min(1.0, (far - near) * (1 + 2 * ROOM)) - 1e-9
        if near >= 0 and far <= 1:
            assert low <= near + 1e-9 and far - 1e-9 <= high


@given(box=boxes, size=st.sampled_from(SIZES), rotate=st.sampled_from([0, 90, 180, 270]))
def test_a_picture_is_never_empty_enlarged_or_too_large(box: Region, size: tuple[int, int], rotate: int) -> None:
    frame = frame_of(np.full((size[1], size[0], 3), 90, np.uint8), rotate=rotate)
    region = region_around(box, frame.width, frame.height)
    shot, _ = make_shot(frame, region)
    assert decoded(shot).shape == (shot.height, shot.width, 3)
    assert max(shot.width, shot.height) <= LONGEST_SIDE
    across, down = (region[2] - region[0]) * frame.width, (region[3] - region[1]) * frame.height
    assert shot.width <= across + 2 and shot.height <= down + 2, "at most the edges' pixels more"
    scale = min(1.0, LONGEST_SIDE / max(across, down))
    assert shot.width >= across * scale - 1 and shot.height >= down * scale - 1


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (720, 1280), (640, 480)])
@pytest.mark.parametrize("box", [(0.1, 0.6, 0.2, 0.75), (0.85, 0.0, 0.95, 0.3), (0.4, 0.4, 0.7, 0.7)])
def test_a_picture_shows_the_part_that_was_asked_for(width: int, height: int, rotate: int, box: Region) -> None:
    frame = shown(chart(width, height), rotate)
    assert (frame.width, frame.height) == (width, height)
    region = region_around(box, width, height)
    picture = decoded(make_shot(frame, region)[0])
    corners = {
        (region[0], region[1]): picture[:8, :8],
        (region[2], region[1]): picture[:8, -8:],
        (region[0], region[3]): picture[-8:, :8],
        (region[2], region[3]): picture[-8:, -8:],
    }
    for (x, y), corner in corners.items():
        assert tuple(corner.reshape(-1, 3).mean(0)[:2] / 255) == pytest.approx((x, y), abs=0.04)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_whole_frame_keeps_its_shape(width: int, height: int) -> None:
    shot, _ = make_shot(shown(chart(width, height)))
    assert max(shot.width, shot.height) == min(LONGEST_SIDE, max(width, height))
    assert shot.width / shot.height == pytest.approx(width / height, rel=0.01)
    picture = decoded(shot)
    middle = picture[shot.height // 2, shot.width // 2, :2] / 255
    assert tuple(middle) == pytest.approx((0.5, 0.5), abs=0.06)


def test_no_crop_is_a_pixel_too_large_wherever_it_begins() -> None:
    frame = frame_of(chart(1920, 1080))
    widths = {make_shot(frame, (start, 0.2, start + 0.5, 0.8))[0].width for start in np.linspace(0.0, 0.49, 50)}
    assert max(widths) == LONGEST_SIDE and min(widths) >= LONGEST_SIDE - 1


def test_a_picture_knows_when_it_was_captured() -> None:
    assert make_shot(frame_of(chart(64, 48), captured=1_800_000_000.25))[0].captured == 1_800_000_000.25


# Privacy


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("region", [WHOLE, (0.0, 0.0, 0.6, 0.6), (0.2, 0.3, 0.5, 0.9), (0.1, 0.1, 0.3, 0.3)])
def test_privacy_masks_are_black_in_every_picture_and_nothing_else_is(region: Region, rotate: int) -> None:
    mask = (0.25, 0.25, 0.75, 0.25, 0.75, 0.75, 0.25, 0.75)
    frame = shown(np.full((720, 1280, 3), 200, np.uint8), rotate, (mask,))
    shot, _ = make_shot(frame, region)
    picture = decoded(shot)
    x = region[0] + (np.arange(shot.width) + 0.5) / shot.width * (region[2] - region[0])
    y = region[1] + (np.arange(shot.height) + 0.5) / shot.height * (region[3] - region[1])

    def within(low: float, high: float) -> NDArray[np.bool_]:
        return ((y > low) & (y < high))[:, None] & ((x > low) & (x < high))[None, :]

    assert picture[within(0.27, 0.73)].max() < 12
    assert picture[~within(0.23, 0.77)].min() > 180


def test_what_is_masked_is_not_in_the_signature_either() -> None:
    mask = ((0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0),)
    chance = np.random.default_rng(1)
    one, other = (
        make_shot(shown(chance.integers(0, 255, (360, 640, 3)).astype(np.uint8), 0, mask))[1] for _ in range(2)
    )
    assert one == other == bytes(GRID * GRID)


# Which pictures are alike

signatures = st.binary(min_size=GRID * GRID, max_size=GRID * GRID)


@given(one=signatures, other=signatures)
def test_likeness_is_symmetric_from_nought_to_one_and_one_only_for_the_same(one: bytes, other: bytes) -> None:
    found = similarity(one, other)
    assert 0.0 <= found <= 1.0 and found == similarity(other, one)
    assert (found == 1.0) == (one == other)
    assert similarity(one, one) == 1.0


@given(one=signatures, field=st.integers(0, GRID * GRID - 1), grey=st.integers(0, 255))
def test_likeness_is_that_of_the_field_that_differs_most(one: bytes, field: int, grey: int) -> None:
    other = one[:field] + bytes([grey]) + one[field + 1 :]
    assert similarity(one, other) == pytest.approx(1.0 - abs(grey - one[field]) / 255)


@given(one=signatures, other=signatures)
def test_several_pictures_are_as_alike_as_those_that_differ_most(one: bytes, other: bytes) -> None:
    assume(one != other)
    assert similarity(one + one, one + other) == similarity(one, other)
    assert similarity(one, one + one) == similarity(one + one, one) == 0.0, "one picture is not two"


def test_no_picture_is_like_no_picture() -> None:
    assert similarity(b"", b"") == similarity(b"", bytes(GRID * GRID)) == 0.0


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_signature_has_one_grey_for_each_field_whatever_the_size(width: int, height: int) -> None:
    found = np.frombuffer(make_shot(shown(chart(width, height)))[1], np.uint8).reshape(GRID, GRID)
    assert (np.diff(found.astype(int), axis=1) >= -2).all(), "brighter to the right"
    assert (np.diff(found.astype(int), axis=0) >= -2).all(), "and downwards"


def scene() -> Picture:
    """Return a street of walls and shadows."""
    blocks = np.random.default_rng(3).integers(60, 200, (9, 16)).astype(np.uint8)
    return np.asarray(cv2.merge([cv2.resize(blocks, (640, 360), interpolation=cv2.INTER_CUBIC)] * 3), np.uint8)


@given(x=st.integers(0, 600), y=st.integers(0, 300), difference=st.sampled_from([-40, 40]))
def test_whoever_has_one_percent_of_the_frame_makes_it_another_picture(x: int, y: int, difference: int) -> None:
    before = scene()
    after = before.astype(int)
    after[y : y + 72, x : x + 32] += difference
    assert similarity(signature(before), signature(np.clip(after, 0, 255).astype(np.uint8))) < DEFAULT


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_the_noise_of_a_camera_makes_no_other_picture(seed: int) -> None:
    chance = np.random.default_rng(seed)
    one, other = (
        np.clip(scene() + chance.normal(0, 8, (360, 640, 1)), 0, 255).astype(np.uint8) for _ in range(2)
    )
    assert similarity(signature(one), signature(other)) > DEFAULT


# How many tokens


@pytest.mark.parametrize(
    ("sizes", "text", "expected"),
    [
        ([], "", 0),
        ([(28, 28)], "", 1),
        ([(29, 28)], "", 2),
        ([(84, 56)], "word", 7),
        ([(84, 56), (28, 28)], "words", 9),
        ([(768, 432)], "", 28 * 16),
    ],
)
def test_tokens_are_patches_of_pictures_and_fours_of_letters(
    sizes: list[tuple[int, int]], text: str, expected: int
) -> None:
    assert estimate_tokens([Shot(b"", *size, 0.0) for size in sizes], len(text)) == expected
