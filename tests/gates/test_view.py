"""The view watch: what changes the view, what only changes the picture, and how long it takes to be sure."""

from __future__ import annotations

from collections.abc import Callable

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from soteirad.gates.view import View, ViewWatch
from tests.shared_data import DEMO, shared, vtest

Grey = NDArray[np.uint8]
STEP_S = 0.1
SIZE = (640, 360)


def first_frame_of_demo() -> Grey:
    with av.open(str(DEMO)) as container:
        return next(container.decode(video=0)).to_ndarray(format="gray")


def photograph(name: str) -> Callable[[], Grey]:
    return lambda: cv2.cvtColor(getattr(data, name)(), cv2.COLOR_RGB2GRAY)


PICTURES = {"coffee": photograph("coffee"), "astronaut": photograph("astronaut"), "cat": photograph("chelsea"),
            "photographer": data.camera, "hallway": first_frame_of_demo}  # fmt: skip


@pytest.fixture(params=list(PICTURES))
def view(request: pytest.FixtureRequest) -> Grey:
    return cv2.resize(PICTURES[request.param](), SIZE, interpolation=cv2.INTER_AREA)


def watch(before: Grey) -> ViewWatch:
    """Return a watch that has seen `before` for a second, up to time 0."""
    watching = ViewWatch()
    for i in range(-10, 1):
        assert watching.step(before, i * STEP_S) is View.SAME
    return watching


def judge(watching: ViewWatch, pictures: Callable[[int], Grey], seconds: float, start: float = 0.0) -> list[View]:
    """Show `pictures(i)` at `start` + i * 0.1 s from i = 1 on; returns the verdicts."""
    return [watching.step(pictures(i), start + i * STEP_S) for i in range(1, round(seconds / STEP_S) + 1)]


def shifted(view: Grey) -> Grey:
    return np.roll(view, (40, 90), (0, 1))


def turned_and_zoomed(view: Grey) -> Grey:
    return cv2.resize(view[60:300, 150:577], SIZE)


def covered(view: Grey) -> Grey:
    return np.full_like(view, 25)


def covered_with_noise(view: Grey) -> Grey:
    return np.clip(np.random.default_rng(1).normal(25, 4, view.shape), 0, 255).astype(np.uint8)


def defocused(view: Grey) -> Grey:
    return cv2.GaussianBlur(view, (0, 0), 15)


def strongly_defocused(view: Grey) -> Grey:
    return cv2.GaussianBlur(view, (0, 0), 30)


CHANGES = [shifted, turned_and_zoomed, covered, covered_with_noise, defocused, strongly_defocused]


@pytest.mark.parametrize("change", CHANGES)
def test_another_view_is_doubtful_for_two_seconds_and_then_changed(view: Grey, change: Callable[[Grey], Grey]) -> None:
    after = change(view)
    verdicts = judge(watch(view), lambda _: after, 2.1)
    assert verdicts[:20] == [View.DOUBTFUL] * 20
    assert verdicts[20] is View.CHANGED


def test_a_changed_view_is_the_new_reference(view: Grey) -> None:
    after, watching = shifted(view), watch(view)
    judge(watching, lambda _: after, 2.1)
    assert set(judge(watching, lambda _: after, 10.0, start=2.1)) == {View.SAME}


def test_a_cover_taken_away_within_two_seconds_was_nothing(view: Grey) -> None:
    dark, watching = covered(view), watch(view)
    assert judge(watching, lambda _: dark, 1.9) == [View.DOUBTFUL] * 19
    assert set(judge(watching, lambda _: view, 5.0, start=1.9)) == {View.SAME}


def test_doubt_that_was_lifted_starts_from_the_beginning(view: Grey) -> None:
    dark, watching = covered(view), watch(view)
    judge(watching, lambda _: dark, 1.5)
    judge(watching, lambda _: view, 0.1, start=1.5)
    assert judge(watching, lambda _: dark, 2.0, start=1.6) == [View.DOUBTFUL] * 20


def test_a_lamp_does_not_change_the_view(view: Grey) -> None:
    lit = np.clip(view * 1.25 + 20, 0, 255).astype(np.uint8)
    assert set(judge(watch(view), lambda _: lit, 10.0)) == {View.SAME}


def test_a_lamp_going_out_does_not_change_the_view(view: Grey) -> None:
    """Dim pictures lose contrast as blurred ones do; their detail stays."""
    dim = (view * 0.5).astype(np.uint8)
    assert set(judge(watch(view), lambda _: dim, 10.0)) == {View.SAME}


def test_sensor_noise_does_not_change_the_view(view: Grey) -> None:
    rng = np.random.default_rng(2)

    def noisy(_: int) -> Grey:
        return np.clip(view + rng.normal(0, 12, view.shape), 0, 255).astype(np.uint8)

    assert set(judge(watch(view), noisy, 5.0)) == {View.SAME}


@pytest.mark.parametrize("texture", ["a photograph", "plain"])
def test_an_object_over_45_per_cent_of_the_picture_does_not_change_the_view(view: Grey, texture: str) -> None:
    width = round(0.45 * SIZE[0])
    with_object = view.copy()
    other = photograph("astronaut")()[60:420, 100 : 100 + width]
    with_object[:, 180 : 180 + width] = np.roll(other[::-1], 31, 1) if texture == "a photograph" else 90
    assert set(judge(watch(view), lambda _: with_object, 10.0)) == {View.SAME}


def test_a_morning_that_grows_bright_slowly_does_not_change_the_view(view: Grey) -> None:
    def morning(i: int) -> Grey:
        return np.clip(view * (0.5 + i / 1000) + 40 * i / 1000, 0, 255).astype(np.uint8)

    assert set(judge(watch(morning(0)), morning, 100.0)) == {View.SAME}


def test_a_view_without_texture_cannot_say_that_it_changed() -> None:
    night = np.full((360, 640), 12, np.uint8)
    coffee = cv2.resize(photograph("coffee")(), SIZE)
    assert set(judge(watch(night), lambda _: coffee, 10.0)) == {View.SAME}


def test_a_night_without_texture_does_not_keep_the_watch_blind_for_good() -> None:
    night = np.full((360, 640), 12, np.uint8)
    coffee = cv2.resize(photograph("coffee")(), SIZE)
    watching = watch(night)
    judge(watching, lambda _: coffee, 40.0)
    dark = covered(coffee)
    assert View.CHANGED in judge(watching, lambda _: dark, 3.0, start=40.0)


def verdicts_on(clip: str) -> set[View]:
    watching, verdicts, last = ViewWatch(), set(), -1.0
    with av.open(clip) as container:
        for frame in container.decode(video=0):
            if frame.time - last >= 0.25:
                last = frame.time
                verdicts.add(watching.step(frame.to_ndarray(format="gray"), last))
    return verdicts


@pytest.mark.slow
@pytest.mark.parametrize("clip", ["brightness_change.avi", "person-bicycle-car-detection.mp4", "TUD-Stadtmitte.mp4"])
def test_a_fixed_camera_with_real_people_cars_and_lamps_keeps_its_view(clip: str) -> None:
    assert verdicts_on(str(shared(f"clips/{clip}"))) == {View.SAME}


@pytest.mark.slow
def test_a_fixed_camera_over_a_busy_walkway_keeps_its_view() -> None:
    assert verdicts_on(str(vtest())) == {View.SAME}
