"""Pictures of any size and kind into the model's input tensor, and boxes back."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from soteirad.detect.card import InputSpec, load_card
from soteirad.detect.preprocess import Canvas, InputTensor, Letterbox, TensorSpec, scale_picture
from soteirad.errors import ModelError

SPEC = load_card("nanodet-g-416").input
TOP_LEFT = SPEC
CENTRE = SPEC.model_copy(update={"resize": "letterbox_centre"})
STRETCH = SPEC.model_copy(update={"resize": "stretch"})
frame_sizes = st.tuples(st.integers(16, 8000), st.integers(16, 8000))
fractions = st.floats(0.0, 1.0)


def spec(width: int = 5, height: int = 4, **other: Any) -> InputSpec:
    feed = {"width": width, "height": height, "colour": "BGR", "resize": "stretch", **other}
    return InputSpec.model_validate(feed)


def random_picture(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


# Letterbox


@given(frame_sizes, st.sampled_from([TOP_LEFT, CENTRE]))
def test_the_content_fills_one_side_of_the_input_and_stays_inside_it(size: tuple[int, int], spec: InputSpec) -> None:
    content = Letterbox.fit(*size, spec)
    assert 1 <= content.width <= spec.width
    assert 1 <= content.height <= spec.height
    assert content.width == spec.width or content.height == spec.height
    assert 0 <= content.left <= spec.width - content.width
    assert 0 <= content.top <= spec.height - content.height


@given(frame_sizes, st.sampled_from([TOP_LEFT, CENTRE]))
def test_the_content_has_the_frames_aspect_to_half_a_pixel(size: tuple[int, int], spec: InputSpec) -> None:
    content = Letterbox.fit(*size, spec)
    scale = min(spec.width / size[0], spec.height / size[1])
    assert abs(content.width - size[0] * scale) <= 0.5 or content.width == 1
    assert abs(content.height - size[1] * scale) <= 0.5 or content.height == 1


@given(frame_sizes)
def test_a_centred_content_has_as_much_padding_on_both_sides_to_one_pixel(size: tuple[int, int]) -> None:
    content = Letterbox.fit(*size, CENTRE)
    assert CENTRE.width - content.width - 2 * content.left in (0, 1)
    assert CENTRE.height - content.height - 2 * content.top in (0, 1)


@given(frame_sizes)
def test_a_stretched_content_is_the_whole_input_whatever_the_frame(size: tuple[int, int]) -> None:
    assert Letterbox.fit(*size, STRETCH) == Letterbox(416, 416, 0, 0)


@given(frame_sizes, st.tuples(fractions, fractions, fractions, fractions), st.sampled_from([TOP_LEFT, CENTRE, STRETCH]))
def test_a_box_in_the_frame_survives_the_way_into_the_input_and_back(
    size: tuple[int, int], box: tuple[float, float, float, float], spec: InputSpec
) -> None:
    content = Letterbox.fit(*size, spec)
    assume(min(content.width, content.height) > 4)
    scale, origin = np.array([content.width, content.height] * 2), np.array([content.left, content.top] * 2)
    pixels = (np.array([box]) * scale + origin).astype(np.float32)
    assert content.to_frame(pixels)[0] == pytest.approx(np.array(box), abs=1e-5)


@pytest.mark.parametrize(("spec", "left", "top"), [(TOP_LEFT, 0, 0), (CENTRE, 0, 91)])
def test_a_box_that_reaches_out_of_the_frame_is_clipped_to_it(spec: InputSpec, left: int, top: int) -> None:
    content = Letterbox.fit(640, 360, spec)
    assert content == Letterbox(416, 234, left, top)
    found = content.to_frame(np.array([[-20, -5 + top, 500, 300 + top]], np.float32))
    assert found.tolist() == [[0.0, 0.0, 1.0, 1.0]]
    assert found.dtype == np.float32


def test_no_boxes_stay_no_boxes() -> None:
    found = Letterbox.fit(640, 360, CENTRE).to_frame(np.zeros((0, 4), np.float32))
    assert (found.shape, found.dtype) == ((0, 4), np.float32)


# Canvas


@pytest.mark.parametrize(("resize", "top"), [("letterbox_top_left", 0), ("letterbox_centre", 91)])
def test_the_canvas_holds_the_picture_in_its_place_and_padding_elsewhere(resize: str, top: int) -> None:
    canvas = Canvas(SPEC.model_copy(update={"pad": 114, "resize": resize}))
    picture = random_picture(234, 416, 3)
    assert canvas.fill(picture) == Letterbox(416, 234, 0, top)
    expected = np.full((416, 416, 3), 114, np.uint8)
    expected[top : top + 234] = picture
    assert np.array_equal(canvas.image, expected)


@pytest.mark.parametrize("resize", ["letterbox_top_left", "letterbox_centre"])
def test_a_picture_of_another_size_leaves_nothing_of_the_one_before(resize: str) -> None:
    fresh, used = (Canvas(SPEC.model_copy(update={"pad": 7, "resize": resize})) for _ in range(2))
    used.fill(np.full((234, 416, 3), 200, np.uint8))
    picture = np.full((416, 234, 3), 100, np.uint8)
    assert used.fill(picture) == fresh.fill(picture)
    assert np.array_equal(used.image, fresh.image)


def test_a_picture_larger_than_the_input_is_refused_with_both_sizes() -> None:
    with pytest.raises(ModelError, match="a picture of 417x100 does not fit the model's 416x416"):
        Canvas(SPEC).fill(np.zeros((100, 417, 3), np.uint8))


# scale_picture


def test_a_picture_is_scaled_to_the_content_with_the_interpolation_of_the_card() -> None:
    picture = random_picture(90, 160, 3)
    kinds = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}
    found = {n: scale_picture(picture, spec(64, 64, resize="letterbox_centre", interpolation=n)) for n in kinds}
    for name, kind in kinds.items():
        assert np.array_equal(found[name], cv2.resize(picture, (64, 36), interpolation=kind)), name
    assert len({array.tobytes() for array in found.values()}) == 3


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 1)])
def test_a_grey_picture_becomes_three_equal_channels(shape: tuple[int, ...]) -> None:
    picture = random_picture(*shape)
    found = scale_picture(picture, spec(40, 30))
    assert found.shape == (30, 40, 3)
    assert all(np.array_equal(found[:, :, channel], picture.reshape(30, 40)) for channel in range(3))


def test_the_transparency_of_a_picture_is_ignored() -> None:
    picture = random_picture(30, 40, 4)
    assert np.array_equal(scale_picture(picture, spec(40, 30)), picture[:, :, :3])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 1, 3), (416, 416, 3)),
        ((4320, 7680, 3), (234, 416, 3)),
        ((1, 9000), (1, 416, 3)),
        ((9000, 1, 4), (416, 1, 3)),
    ],
    ids=["1x1", "8K", "a line", "a column"],
)
def test_pictures_of_extreme_sizes_are_scaled_and_fit_the_canvas(
    shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    found = scale_picture(np.full(shape, 77, np.uint8), TOP_LEFT)
    assert found.shape == expected
    assert (found == 77).all()
    canvas = Canvas(TOP_LEFT)
    canvas.fill(found)
    assert (canvas.image[: expected[0], : expected[1]] == 77).all()


def test_a_mirrored_view_of_a_picture_is_scaled_as_its_copy() -> None:
    view = random_picture(50, 60, 3)[::-1, :, ::-1]
    assert np.array_equal(scale_picture(view, SPEC), scale_picture(view.copy(), SPEC))


@pytest.mark.parametrize(
    ("picture", "told"),
    [
        (np.zeros((4, 4, 3), np.float32), r"this one is float32 \(4, 4, 3\)"),
        (np.zeros((4, 4, 3), np.uint16), r"this one is uint16 \(4, 4, 3\)"),
        (np.zeros((4, 4, 3), bool), r"this one is bool \(4, 4, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), r"this one is uint8 \(0, 4, 3\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"this one is uint8 \(1, 4, 4, 3\)"),
        (np.zeros(4, np.uint8), r"this one is uint8 \(4,\)"),
        (np.zeros((4, 4, 2), np.uint8), "must have 1, 3 or 4 channels, this one has 2"),
        (np.zeros((4, 4, 5), np.uint8), "must have 1, 3 or 4 channels, this one has 5"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_it_is(picture: np.ndarray, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        scale_picture(picture, SPEC)


# InputTensor


def slow_tensor(picture: np.ndarray, card: InputSpec, tensor: TensorSpec, nchw: bool) -> np.ndarray:
    """What the tensor should hold, one number at a time, in double precision and before it is rounded."""
    height, width = picture.shape[:2]
    out = np.zeros((1, 3, height, width) if nchw else (1, height, width, 3))
    for y in range(height):
        for x in range(width):
            for channel in range(3):
                pixel = float(picture[y, x, 2 - channel if card.colour == "RGB" else channel])
                value = (pixel - card.mean[channel]) / card.std[channel]
                if tensor.scale:
                    value = value / tensor.scale + tensor.zero_point
                if tensor.dtype.kind != "f":
                    limits = np.iinfo(tensor.dtype)
                    value = min(max(value, limits.min), limits.max)
                out[(0, channel, y, x) if nchw else (0, y, x, channel)] = value
    return out


means = st.tuples(*[st.floats(0, 255, width=32)] * 3)
stds = st.tuples(*[st.floats(0.25, 300, width=32)] * 3)
quantisation = st.sampled_from([(0.0, 0), (1.0, 0), (1.0, -128), (0.0078125, 128), (0.02, -5), (0.017, 101)])


@given(
    st.sampled_from(["BGR", "RGB"]), st.one_of(st.just((0.0,) * 3), means), st.one_of(st.just((1.0,) * 3), stds),
    st.booleans(), st.sampled_from([np.float32, np.float16, np.uint8, np.int8]), quantisation, st.booleans(),
    st.integers(0, 1000),
)  # fmt: skip
def test_the_tensor_holds_what_a_slow_loop_computes(
    colour: str, mean: tuple[float, ...], std: tuple[float, ...], nchw: bool, kind: type, stored: tuple[float, int],
    any_batch: bool, seed: int,
) -> None:  # fmt: skip
    card = spec(colour=colour, mean=mean, std=std)
    scale, zero = stored if np.dtype(kind).kind != "f" else (0.0, 0)
    batch = 0 if any_batch else 1
    tensor = TensorSpec("x", (batch, 3, 4, 5) if nchw else (batch, 4, 5, 3), np.dtype(kind), scale, zero)
    filled = InputTensor(card, tensor, "here")
    filled.fill(random_picture(4, 5, 3, seed=seed + 1))
    picture = random_picture(4, 5, 3, seed=seed)
    before = picture.copy()
    found = filled.fill(picture)
    exact = slow_tensor(picture, card, tensor, nchw)
    assert (found.dtype, found.shape) == (np.dtype(kind), exact.shape)
    assert np.array_equal(picture, before), "the picture itself is not changed"
    difference = np.abs(found.astype(np.float64) - exact)
    if kind in (np.uint8, np.int8):
        assert (difference <= 0.5 + 1e-4 * (1 + np.abs(exact))).all()
    else:
        # Difference, quotient and, in half precision, what is stored: each is rounded once, by half an eps.
        limits = np.finfo(kind)
        assert (difference <= 1.5 * limits.eps * np.abs(exact) + limits.smallest_subnormal).all()


@pytest.mark.parametrize("nchw", [False, True])
@pytest.mark.parametrize("kind", [np.float32, np.float16, np.uint8])
def test_a_card_without_mean_and_std_gives_the_pixels_themselves(nchw: bool, kind: type) -> None:
    picture = random_picture(4, 5, 3)
    shape = (1, 3, 4, 5) if nchw else (1, 4, 5, 3)
    found = InputTensor(spec(), TensorSpec("x", shape, np.dtype(kind)), "here").fill(picture)
    assert np.array_equal(found[0], picture.transpose(2, 0, 1) if nchw else picture)
    assert found.dtype == kind


@pytest.mark.parametrize("colour", ["BGR", "RGB"])
@pytest.mark.parametrize("nchw", [False, True])
def test_a_quantised_input_that_stores_a_pixel_as_it_is_gets_the_pixels(colour: str, nchw: bool) -> None:
    """A network for fractions of 1 whose file stores them in bytes."""
    picture = random_picture(4, 5, 3)
    tensor = TensorSpec("x", (1, 3, 4, 5) if nchw else (1, 4, 5, 3), np.dtype(np.uint8), 1 / 255)
    found = InputTensor(spec(colour=colour, std=(255.0,) * 3), tensor, "here").fill(picture)
    expected = picture[:, :, ::-1] if colour == "RGB" else picture
    assert np.array_equal(found[0], expected.transpose(2, 0, 1) if nchw else expected)


def test_a_quantised_input_saturates_instead_of_wrapping_around() -> None:
    card = spec(mean=(100.0,) * 3, std=(0.5,) * 3)
    picture = np.zeros((4, 5, 3), np.uint8)
    picture[0, 0] = 255
    for kind, low, high in ((np.int8, -128, 127), (np.uint8, 0, 255)):
        found = InputTensor(card, TensorSpec("x", (1, 4, 5, 3), np.dtype(kind), 1.0, 0), "here").fill(picture)
        assert found[0, 0, 0].tolist() == [high] * 3
        assert found[0, 1, 1].tolist() == [low] * 3


@pytest.mark.parametrize(
    "shape",
    [(1, 3, 5, 4), (1, 5, 4, 3), (2, 3, 4, 5), (1, 1, 4, 5), (1, 4, 5, 1), (1, 8, 10, 3)],
)
def test_a_model_of_another_size_than_its_card_says_is_refused_with_both(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError) as caught:
        InputTensor(spec(), TensorSpec("images", shape, np.dtype(np.float32)), "a.onnx")
    assert str(caught.value) == (
        f"a.onnx: the model's input 'images' is {list(shape)}, the card says one picture of 5x4: "
        f"correct input.width and input.height in the card"
    )


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.int64, np.bool_])
def test_an_input_of_an_unknown_number_type_is_refused_by_name(kind: type) -> None:
    with pytest.raises(ModelError, match=rf"a\.onnx: the input 'x' is {np.dtype(kind)}: only float and 8-bit ones"):
        InputTensor(spec(), TensorSpec("x", (1, 3, 4, 5), np.dtype(kind)), "a.onnx")
