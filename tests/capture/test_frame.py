"""Frames: small luma pictures and colour pictures on demand, whatever the pixel format."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from skimage import data

from soteirad.capture.frame import Frame, Picture
from tests.capture.made import frame_of
from tests.shared_data import DEMO

COFFEE = cv2.cvtColor(data.coffee(), cv2.COLOR_RGB2BGR)
GREY = cv2.cvtColor(COFFEE, cv2.COLOR_BGR2GRAY)
PLANAR = ["yuv420p", "yuv422p", "yuv444p", "nv12", "gray"]
OTHERS = ["yuyv422", "bgr24", "rgb24", "yuv420p10le", "p010le"]


@pytest.mark.parametrize("pixel_format", PLANAR)
def test_grey_is_the_luma_plane_scaled_down(pixel_format: str) -> None:
    frame = frame_of(COFFEE, pixel_format)
    luma = frame.video.to_ndarray().reshape(-1)[: 400 * 600].reshape(400, 600)
    if pixel_format == "yuv444p":
        luma = frame.video.to_ndarray()[0]
    expected = cv2.resize(luma, (270, 180), interpolation=cv2.INTER_AREA)
    assert cv2.norm(frame.grey(180), expected, cv2.NORM_INF) <= 1


@pytest.mark.parametrize("pixel_format", PLANAR + OTHERS)
def test_grey_is_the_brightness_of_the_picture_in_every_pixel_format(pixel_format: str) -> None:
    """Video levels (16-235) and full range differ by up to 20; the structure is the same."""
    grey = frame_of(COFFEE, pixel_format).grey(200).astype(float)
    expected = cv2.resize(GREY, (300, 200), interpolation=cv2.INTER_AREA).astype(float)
    assert grey.shape == (200, 300)
    assert np.corrcoef(grey.ravel(), expected.ravel())[0, 1] > 0.999
    assert np.quantile(np.abs(grey - expected), 0.999) <= 32  # FFmpeg makes ten bits a little differently each time


def test_grey_of_a_real_decoded_frame_is_its_luma() -> None:
    """The decoder pads its lines, which must not show."""
    with av.open(str(DEMO)) as container:
        video = next(container.decode(video=0))
    frame = frame_of(COFFEE)
    frame.video = video
    luma = video.to_ndarray()[: video.height, : video.width]
    assert np.array_equal(frame.grey(video.height), luma)
    assert frame.grey(180).shape == (180, 320)


@pytest.mark.parametrize("width", [638, 631, 33])
def test_lines_that_are_padded_in_memory_are_cut_to_the_width(width: int) -> None:
    bgr = np.random.default_rng(0).integers(0, 256, (48, width, 3)).astype(np.uint8)
    frame = frame_of(bgr, "gray")
    assert np.array_equal(frame.grey(48), frame.video.to_ndarray())


def test_grey_never_enlarges() -> None:
    assert frame_of(COFFEE).grey(1080).shape == (400, 600)


def test_grey_is_made_once_for_each_size() -> None:
    frame = frame_of(COFFEE)
    assert frame.grey(180) is frame.grey(180)
    assert frame.grey(100).shape == (100, 150)


@pytest.mark.parametrize("size", [(416, 277), (320, 180), (600, 400), (900, 600)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "bgr24"])
def test_colour_pictures_have_the_size_that_was_asked_for_and_the_frames_colours(
    pixel_format: str, size: tuple[int, int]
) -> None:
    picture = frame_of(COFFEE, pixel_format).bgr(*size)
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.uint8
    expected = cv2.resize(COFFEE, size, interpolation=cv2.INTER_AREA if size[0] < 600 else cv2.INTER_LINEAR)
    assert np.abs(picture.astype(int) - expected).mean() < 6


@pytest.mark.parametrize("size", [(600, 400), (320, 180)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "bgr24"])
def test_what_lies_under_a_privacy_mask_is_black_in_colour_pictures(pixel_format: str, size: tuple[int, int]) -> None:
    left_half = (0.0, 0.0, 0.5, 0.0, 0.5, 1.0, 0.0, 1.0)
    bare = frame_of(COFFEE, pixel_format).bgr(*size)
    masked = frame_of(COFFEE, pixel_format, privacy=(left_half,)).bgr(*size)
    half = size[0] // 2
    assert not masked[:, :half].any()
    assert bare[:, :half].any()
    assert np.array_equal(masked[:, half + 1 :], bare[:, half + 1 :])


@pytest.mark.parametrize("pixel_format", ["yuv420p", "bgr24", "gray"])
def test_drawing_into_a_colour_picture_does_not_change_the_frame(pixel_format: str) -> None:
    frame = frame_of(COFFEE, pixel_format)
    before = frame.bgr(600, 400).copy()
    frame.bgr(600, 400)[:] = 0
    assert np.array_equal(frame.bgr(600, 400), before)


def test_width_and_height_are_the_videos() -> None:
    frame = frame_of(COFFEE)
    assert (frame.width, frame.height) == (600, 400)


# Rotation

TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
UPPER_LEFT = (0.0, 0.0, 0.3, 0.0, 0.3, 0.3, 0.0, 0.3)


def turned(picture: Picture, rotate: int) -> Picture:
    return picture if not rotate else np.asarray(cv2.rotate(picture, TURNS[rotate]), np.uint8)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_width_and_height_are_those_of_the_turned_picture(rotate: int) -> None:
    frame = frame_of(COFFEE, rotate=rotate)
    assert (frame.width, frame.height) == ((400, 600) if rotate in (90, 270) else (600, 400))


@pytest.mark.parametrize("rotate", [90, 180, 270])
@pytest.mark.parametrize("pixel_format", [*PLANAR, *OTHERS])
def test_turned_grey_is_the_grey_picture_turned_clockwise(pixel_format: str, rotate: int) -> None:
    straight = frame_of(COFFEE, pixel_format)
    frame = Frame(0, 0.0, 0.0, 0.0, 0.0, straight.video, rotate=rotate)
    whole = turned(straight.grey(400), rotate)
    assert np.array_equal(frame.grey(600), whole)
    small = cv2.resize(whole, {90: (120, 180), 180: (270, 180), 270: (120, 180)}[rotate], interpolation=cv2.INTER_AREA)
    assert frame.grey(180).shape == small.shape
    rounding = 2 if "10" in pixel_format else 1  # ten bits are dithered to eight, each time a little differently
    assert np.abs(frame.grey(180).astype(int) - small).max() <= rounding


@pytest.mark.parametrize("rotate", [90, 180, 270])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "bgr24", "gray"])
def test_turned_colour_pictures_are_the_straight_ones_turned_clockwise(pixel_format: str, rotate: int) -> None:
    straight = frame_of(COFFEE, pixel_format)
    frame = Frame(0, 0.0, 0.0, 0.0, 0.0, straight.video, rotate=rotate)
    for width, height in ((600, 400), (320, 180), (900, 600)):
        size = (height, width) if rotate in (90, 270) else (width, height)
        picture = frame.bgr(*size)
        assert picture.shape == (size[1], size[0], 3)
        assert np.array_equal(picture, turned(straight.bgr(width, height), rotate))


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_a_turned_frame_may_be_squeezed_into_any_size(rotate: int) -> None:
    picture = frame_of(COFFEE, rotate=rotate).bgr(320, 180)
    expected = cv2.resize(turned(COFFEE, rotate), (320, 180), interpolation=cv2.INTER_AREA)
    assert picture.shape == (180, 320, 3)
    assert np.abs(picture.astype(int) - expected).mean() < 6


@pytest.mark.parametrize("rotate", [90, 180, 270])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "bgr24"])
def test_privacy_masks_lie_on_the_turned_picture(pixel_format: str, rotate: int) -> None:
    bare = frame_of(COFFEE, pixel_format, rotate=rotate)
    masked = frame_of(COFFEE, pixel_format, rotate=rotate, privacy=(UPPER_LEFT,))
    width, height = bare.width, bare.height
    picture, whole = masked.bgr(width, height), bare.bgr(width, height)
    across, down = round(0.3 * width), round(0.3 * height)
    assert not picture[: down - 1, : across - 1].any() and whole[: down - 1, : across - 1].any()
    assert np.array_equal(picture[down + 2 :], whole[down + 2 :])
    assert np.array_equal(picture[:, across + 2 :], whole[:, across + 2 :])


@pytest.mark.parametrize("rotate", [90, 180, 270])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "bgr24", "gray"])
def test_drawing_into_a_turned_picture_does_not_change_the_frame(pixel_format: str, rotate: int) -> None:
    frame = frame_of(COFFEE, pixel_format, rotate=rotate)
    before = frame.bgr(frame.width, frame.height).copy()
    frame.bgr(frame.width, frame.height)[:] = 0
    assert np.array_equal(frame.bgr(frame.width, frame.height), before)
    assert before.flags.c_contiguous and frame.grey(100).flags.c_contiguous
