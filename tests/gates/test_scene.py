"""Gate 2: SSIM against scikit-image's, the colour histogram, and when the reference is replaced."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from skimage import data
from skimage.metrics import structural_similarity

from soteirad.gates.scene import SceneGate, Sight, cosine_distance, histogram, ssim

Picture = NDArray[np.uint8]


def grey(name: str) -> Picture:
    picture = getattr(data, name)()
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.ndim == 3 else picture


def colour(name: str, width: int = 320, height: int = 180) -> Picture:
    return cv2.cvtColor(cv2.resize(getattr(data, name)(), (width, height)), cv2.COLOR_RGB2BGR)


def reference_ssim(a: Picture, b: Picture) -> float:
    """Return scikit-image's SSIM, averaged where the whole window lies inside the picture."""
    _, full = structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, full=True
    )
    return float(full[5:-5, 5:-5].mean())


shapes = st.tuples(st.integers(11, 40), st.integers(11, 40))


@st.composite
def pictures(draw: st.DrawFn, shape: tuple[int, int]) -> Picture:
    """Draw random, flat, half black and half white, faint, and sparsely set pictures."""
    kind = draw(st.sampled_from(["random", "flat", "halves", "faint", "sparse"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    level = draw(st.integers(0, 255))
    if kind == "random":
        return rng.integers(0, 256, shape).astype(np.uint8)
    if kind == "flat":
        return np.full(shape, level, np.uint8)
    if kind == "halves":
        picture = np.zeros(shape, np.uint8)
        picture[:, draw(st.integers(0, shape[1])) :] = 255
        return picture
    if kind == "faint":
        return np.clip(level + rng.integers(-2, 3, shape), 0, 255).astype(np.uint8)
    return draw(arrays(np.uint8, shape, fill=st.just(np.uint8(level))))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Picture, Picture]:
    shape = draw(shapes)
    return draw(pictures(shape)), draw(pictures(shape))


@given(pairs())
def test_ssim_is_the_number_that_scikit_image_computes(pair: tuple[Picture, Picture]) -> None:
    assert ssim(*pair) == pytest.approx(reference_ssim(*pair), abs=1e-4)


@given(pairs())
def test_ssim_is_symmetric_at_most_one_and_one_for_a_picture_and_itself(pair: tuple[Picture, Picture]) -> None:
    a, b = pair
    assert ssim(a, b) == pytest.approx(ssim(b, a), abs=1e-6)
    assert -1 - 1e-6 <= ssim(a, b) <= 1 + 1e-6
    assert ssim(a, a) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: cv2.GaussianBlur(p, (0, 0), 2),
        lambda p: np.roll(p, 3, 1),
        lambda p: 255 - p,
        lambda p: np.clip(p * 1.3 + 10, 0, 255).astype(np.uint8),
    ],
    ids=["blurred", "shifted", "inverted", "brighter"],
)
@pytest.mark.parametrize("name", ["astronaut", "coffee", "rocket", "camera"])
def test_ssim_of_photographs_is_the_number_that_scikit_image_computes(
    name: str, change: Callable[[Picture], Picture]
) -> None:
    picture = cv2.resize(grey(name), (320, 180), interpolation=cv2.INTER_AREA)
    assert ssim(picture, change(picture)) == pytest.approx(reference_ssim(picture, change(picture)), abs=1e-4)


@pytest.mark.parametrize("levels", [(255, 0), (255, 255), (255, 254), (0, 0), (129, 129)])
def test_ssim_of_flat_pictures_does_not_suffer_from_rounding(levels: tuple[int, int]) -> None:
    a, b = (np.full((40, 50), level, np.uint8) for level in levels)
    assert ssim(a, b) == pytest.approx(reference_ssim(a, b), abs=1e-5)


# Histograms

single_colours = st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
sizes = st.tuples(st.integers(1, 64), st.integers(1, 64))


def of_one_colour(bgr: tuple[int, int, int], size: tuple[int, int]) -> Picture:
    return np.full((*size, 3), bgr, np.uint8)


@given(st.lists(st.tuples(single_colours, sizes), min_size=2, max_size=2))
def test_the_distance_of_single_colours_at_any_sizes_is_either_nothing_or_everything(
    frames: list[tuple[tuple[int, int, int], tuple[int, int]]],
) -> None:
    a, b = (histogram(of_one_colour(*frame)) for frame in frames)
    distance = cosine_distance(a, b)
    assert distance in (pytest.approx(0.0, abs=1e-6), pytest.approx(1.0, abs=1e-6))
    assert distance == cosine_distance(b, a)


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3))),
    arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3))),
)
def test_the_distance_of_any_two_pictures_is_symmetric_and_from_0_to_1(a: Picture, b: Picture) -> None:
    left, right = histogram(a), histogram(b)
    assert left.shape == (1024,)
    assert left.sum() == pytest.approx(1.0, abs=1e-5)
    assert 0.0 <= cosine_distance(left, right) <= 1.0
    assert cosine_distance(left, right) == pytest.approx(cosine_distance(right, left), abs=1e-6)
    assert cosine_distance(left, left) == pytest.approx(0.0, abs=1e-6)


def test_black_frames_equal_each_other_and_differ_from_a_red_one() -> None:
    black = histogram(of_one_colour((0, 0, 0), (180, 320)))
    assert cosine_distance(black, black) == pytest.approx(0.0, abs=1e-6)
    assert cosine_distance(black, histogram(of_one_colour((0, 0, 255), (180, 320)))) == pytest.approx(1.0)


def test_empty_histograms_equal_each_other_and_differ_from_filled_ones() -> None:
    empty, filled = np.zeros(1024, np.float32), histogram(of_one_colour((1, 2, 3), (4, 4)))
    assert cosine_distance(empty, empty) == 0.0
    assert cosine_distance(empty, filled) == 1.0


def test_the_size_of_the_picture_does_not_move_its_histogram() -> None:
    small = histogram(colour("coffee", 160, 90))
    assert cosine_distance(small, histogram(colour("coffee", 320, 180))) < 0.02


@pytest.mark.parametrize("name", ["astronaut", "coffee", "rocket", "cat"])
def test_the_columns_that_are_counted_have_the_colours_of_all_pixels(name: str) -> None:
    picture = colour(name)
    counts = cv2.calcHist([cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)], [0, 1], None, [32, 32], [0, 180, 0, 256])
    assert cosine_distance(histogram(picture), counts.reshape(-1)) < 3e-4


# The gate


def flat(level: int) -> Picture:
    return np.full((90, 160), level, np.uint8)


COFFEE = cv2.resize(grey("coffee"), (160, 90))
ROCKET = cv2.resize(grey("rocket"), (160, 90))
BROWN, BLUE = of_one_colour((20, 60, 120), (90, 160)), of_one_colour((200, 40, 10), (90, 160))
NEVER = float("-inf")


def sight(grey: Picture, bgr: Picture) -> Sight:
    return Sight(histogram(bgr), grey)


def test_the_first_picture_becomes_the_reference_and_does_not_open_the_gate() -> None:
    gate = SceneGate()
    assert not gate.step(sight(COFFEE, BROWN), 0.0, NEVER).open
    result = gate.step(sight(COFFEE, BROWN), 1.0, NEVER)
    assert (result.distance, result.ssim) == (pytest.approx(0.0, abs=1e-6), pytest.approx(1.0))
    assert not result.open


def test_another_colour_alone_opens_the_gate() -> None:
    gate = SceneGate()
    gate.step(sight(COFFEE, BROWN), 0.0, NEVER)
    result = gate.step(sight(COFFEE, BLUE), 1.0, NEVER)
    assert result.open
    assert result.distance >= 0.2
    assert result.ssim == pytest.approx(1.0)


def test_another_structure_alone_opens_the_gate() -> None:
    gate = SceneGate()
    gate.step(sight(COFFEE, BROWN), 0.0, NEVER)
    result = gate.step(sight(ROCKET, BROWN), 1.0, NEVER)
    assert result.open
    assert result.distance == pytest.approx(0.0, abs=1e-6)
    assert result.ssim < 0.8


def test_the_thresholds_are_the_ones_that_were_given() -> None:
    tolerant = SceneGate(distance=1.1, ssim=-1.1)
    tolerant.step(sight(COFFEE, BROWN), 0.0, NEVER)
    assert not tolerant.step(sight(ROCKET, BLUE), 1.0, NEVER).open


def test_what_opened_the_gate_is_the_new_reference() -> None:
    gate = SceneGate()
    gate.step(sight(COFFEE, BROWN), 0.0, NEVER)
    assert gate.step(sight(ROCKET, BLUE), 1.0, NEVER).open
    assert not gate.step(sight(ROCKET, BLUE), 2.0, NEVER).open
    assert gate.step(sight(COFFEE, BROWN), 3.0, NEVER).open


def faded(steps: int) -> Picture:
    """Return one picture fading into another: 0 is like 2, 2 is like 5, but 0 is not like 5."""
    return cv2.addWeighted(COFFEE, 1 - steps / 10, ROCKET, steps / 10, 0)


def drifted(last_motion: float) -> bool:
    """Drift slowly, with a pause of 30 s in the middle, and say whether the end opened the gate."""
    gate = SceneGate(ssim=0.8)
    gate.step(sight(faded(0), BROWN), 0.0, NEVER)
    assert not gate.step(sight(faded(2), BROWN), 30.0, last_motion).open
    return gate.step(sight(faded(5), BROWN), 31.0, last_motion).open


def test_after_30_seconds_without_motion_the_reference_is_replaced() -> None:
    assert not drifted(last_motion=NEVER)


def test_while_there_was_motion_in_the_last_30_seconds_the_reference_stays() -> None:
    assert drifted(last_motion=25.0)


def test_a_reference_younger_than_30_seconds_stays() -> None:
    gate = SceneGate()
    gate.step(sight(faded(0), BROWN), 0.0, NEVER)
    gate.step(sight(faded(2), BROWN), 29.0, NEVER)
    assert gate.step(sight(faded(5), BROWN), 29.5, NEVER).open


def test_a_picture_of_another_size_opens_the_gate_and_is_the_new_reference() -> None:
    gate = SceneGate()
    gate.step(sight(COFFEE, BROWN), 0.0, NEVER)
    larger = cv2.resize(COFFEE, (320, 180))
    assert gate.step(sight(larger, BROWN), 1.0, NEVER).open
    assert not gate.step(sight(larger, BROWN), 2.0, NEVER).open


def test_black_frames_are_alike_and_the_light_going_on_opens_the_gate() -> None:
    gate = SceneGate()
    black = of_one_colour((0, 0, 0), (90, 160))
    gate.step(sight(flat(0), black), 0.0, NEVER)
    assert not gate.step(sight(flat(0), black), 2.0, NEVER).open
    assert gate.step(sight(COFFEE, BROWN), 4.0, NEVER).open
