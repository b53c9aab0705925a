"""The view watch: what changes the view, what only changes the picture, and how long it takes to be sure."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from soteirad.gates import structure
from soteirad.gates.structure import Seen, Structure, shift_between
from soteirad.gates.view import View, ViewWatch
from tests.shared_data import DEMO, shared, vtest

Grey = NDArray[np.uint8]
STEP_S = 0.1
SLOW_S = 0.5
"""The step where only the passing of time matters; without motion a camera looks less often still."""
SIZE = (640, 360)


def first_frame_of_demo() -> Grey:
    with av.open(str(DEMO)) as container:
        return next(container.decode(video=0)).to_ndarray(format="gray")


def photograph(name: str) -> Callable[[], Grey]:
    return cache(lambda: cv2.cvtColor(getattr(data, name)(), cv2.COLOR_RGB2GRAY))


PICTURES = {"coffee": photograph("coffee"), "astronaut": photograph("astronaut"), "cat": photograph("chelsea"),
            "photographer": data.camera, "hallway": first_frame_of_demo}  # fmt: skip


@cache
def picture_of(name: str) -> Grey:
    picture = cv2.resize(PICTURES[name](), SIZE, interpolation=cv2.INTER_AREA)
    picture.flags.writeable = False
    return picture


@pytest.fixture(params=list(PICTURES))
def view(request: pytest.FixtureRequest) -> Grey:
    return picture_of(request.param)


MOST_REMEMBERED = 50


def once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Remember what a pure function gave for the very same arguments, which are kept so that they stay the same."""
    known: dict[tuple[Any, ...], tuple[Any, ...]] = {}

    def remembered(*arguments: Any, **named: Any) -> Any:
        key = *map(id, arguments), *named.items()
        if key not in known:
            if len(known) == MOST_REMEMBERED:
                known.clear()
            known[key] = function(*arguments, **named), arguments
        return known[key][0]

    return remembered


@pytest.fixture(autouse=True)
def each_picture_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most tests show one picture for many seconds: its structure, and how two differ, stay what they are."""
    monkeypatch.setattr(Structure, "of", once(Structure.of))
    for name in ("compare", "shift_between"):
        monkeypatch.setattr(structure, name, once(getattr(structure, name)))


def watch(before: Grey) -> ViewWatch:
    """Return a watch that has seen `before` for a second, up to time 0."""
    watching = ViewWatch()
    for i in range(-10, 1):
        assert watching.step(Structure.of(before), i * STEP_S) is View.SAME
    return watching


def judge(watching: ViewWatch, pictures: Callable[[int], Grey], seconds: float, start: float = 0.0,
          step: float = STEP_S) -> list[View]:  # fmt: skip
    """Show `pictures(i)` at `start` + i * `step` s from i = 1 on; returns the verdicts."""
    return [watching.step(Structure.of(pictures(i)), start + i * step) for i in range(1, round(seconds / step) + 1)]


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


def test_a_changed_view_is_reported_once(view: Grey) -> None:
    after, watching = shifted(view), watch(view)
    judge(watching, lambda _: after, 2.1)
    assert set(judge(watching, lambda _: after, 10.0, start=2.1)) == {View.OTHER}


KINDS = [(shifted, Seen.MOVED), (turned_and_zoomed, Seen.MOVED), (covered, Seen.COVERED),
         (covered_with_noise, Seen.COVERED), (defocused, Seen.DEFOCUSED),
         (strongly_defocused, Seen.DEFOCUSED)]  # fmt: skip


@pytest.mark.parametrize(("change", "seen"), KINDS)
def test_a_change_says_what_was_seen(view: Grey, change: Callable[[Grey], Grey], seen: Seen) -> None:
    after, watching = change(view), watch(view)
    judge(watching, lambda _: after, 2.1)
    assert watching.change is not None
    assert watching.change.seen is seen


def wide(view: Grey) -> Grey:
    return cv2.resize(view, (960, 540), interpolation=cv2.INTER_AREA)


def turned(scene: Grey, x: float, y: float = 90.0) -> Grey:
    """Return what a camera sees that is turned `x` pixels to the right and `y` down in a wide view."""
    return cv2.warpAffine(scene, np.array([[1, 0, -x], [0, 1, -y]]), SIZE)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_a_camera_that_was_knocked_aside_says_how_far_the_picture_moved(view: Grey, share: float) -> None:
    scene = wide(view)
    after, watching = turned(scene, share * SIZE[0]), watch(turned(scene, 0))
    assert View.CHANGED in judge(watching, lambda _: after, 2.5)
    assert watching.change is not None and watching.change.shift is not None
    assert watching.change.shift == pytest.approx((-share, 0.0), abs=0.01)


def test_two_unrelated_views_are_no_displacement_of_each_other() -> None:
    structures = [Structure.of(cv2.resize(picture(), SIZE)) for picture in PICTURES.values()]
    assert {shift_between(a, b) for a in structures for b in structures if a is not b} == {None}


def test_a_picture_says_the_same_however_often_it_was_compared(view: Grey) -> None:
    before, after = Structure.of(view), Structure.of(shifted(view))
    answers = [shift_between(before, after) for _ in range(3)]
    assert len(set(answers)) == 1 and answers[0] is not None


@pytest.mark.parametrize("seconds", [1.0, 9.0])
def test_a_turn_is_reported_once_when_it_has_come_to_rest(view: Grey, seconds: float) -> None:
    scene = wide(view)
    after = cache(lambda share: turned(scene, 300 * share))
    verdicts = judge(watch(turned(scene, 0)), lambda i: after(min(1.0, i * STEP_S / seconds)), 20.0)
    assert verdicts.count(View.CHANGED) == 1
    assert max(2.0, seconds) <= verdicts.index(View.CHANGED) * STEP_S <= max(2.0, seconds) + 1.5


@pytest.mark.parametrize("view", ["hallway", "coffee"], indirect=True)
def test_a_turn_that_lasts_longer_than_ten_seconds_is_reported_once_and_used_again_when_it_rests(view: Grey) -> None:
    scene = wide(view)
    watching = watch(turned(scene, 0))
    after = cache(lambda i: turned(scene, 150 + 150 * np.sin(i * 0.25), 130))
    verdicts = judge(watching, lambda i: after(min(i, 250)), 40.0)
    reported, rested = verdicts.index(View.CHANGED), verdicts.index(View.SETTLED)
    assert verdicts.count(View.CHANGED) == verdicts.count(View.SETTLED) == 1
    assert reported < 110
    assert 255 <= rested <= 265
    assert set(verdicts[reported + 1 : rested]) == {View.DOUBTFUL}
    assert set(verdicts[rested + 1 :]) == {View.OTHER}


@pytest.mark.parametrize("change", CHANGES)
def test_the_old_view_that_comes_back_is_no_second_change(view: Grey, change: Callable[[Grey], Grey]) -> None:
    after, watching = change(view), watch(view)
    judge(watching, lambda _: after, 30.0, step=SLOW_S)
    verdicts = judge(watching, lambda _: view, 10.0, start=30.0)
    assert verdicts[:10] == [View.DOUBTFUL] * 10
    assert verdicts[10:] == [View.SETTLED, *[View.SAME] * (len(verdicts) - 11)]
    assert watching.change is None


@pytest.mark.parametrize("change", [covered, covered_with_noise, defocused])
def test_a_cover_or_blur_that_lasts_never_becomes_the_normal_view(view: Grey, change: Callable[[Grey], Grey]) -> None:
    after, watching = change(view), watch(view)
    assert judge(watching, lambda _: after, 200.0, step=SLOW_S).count(View.CHANGED) == 1
    assert watching.change is not None
    assert View.SETTLED in judge(watching, lambda _: view, 3.0, start=200.0)


def test_a_view_that_lasts_a_minute_is_the_normal_one_and_the_way_back_another_change(view: Grey) -> None:
    after, watching = shifted(view), watch(view)
    verdicts = judge(watching, lambda _: after, 70.0, step=SLOW_S)
    assert verdicts[-1] is View.SAME
    assert watching.change is None
    assert judge(watching, lambda _: view, 5.0, start=70.0).count(View.CHANGED) == 1


def test_a_third_view_is_a_second_change_and_both_earlier_ones_come_back_silently(view: Grey) -> None:
    second, third, watching = shifted(view), turned_and_zoomed(view), watch(view)
    judge(watching, lambda _: second, 10.0, step=SLOW_S)
    assert judge(watching, lambda _: third, 10.0, start=10.0, step=SLOW_S).count(View.CHANGED) == 1
    for start, known in ((20.0, second), (30.0, view), (40.0, third)):
        verdicts = judge(watching, lambda _, known=known: known, 10.0, start, SLOW_S)  # type: ignore[misc]
        assert View.CHANGED not in verdicts
        assert verdicts.count(View.SETTLED) == 1


def test_a_camera_turned_under_its_cover_is_a_second_change(view: Grey) -> None:
    dark, after, watching = covered(view), shifted(view), watch(view)
    judge(watching, lambda _: dark, 10.0, step=SLOW_S)
    assert judge(watching, lambda _: after, 10.0, start=10.0).count(View.CHANGED) == 1
    assert watching.change is not None
    assert watching.change.seen is Seen.MOVED


def test_a_cover_in_another_light_is_the_same_cover(view: Grey) -> None:
    watching = watch(view)
    levels = (25, 200, 90)
    verdicts = judge(watching, lambda i: np.full_like(view, levels[i // 20 % 3]), 60.0, step=SLOW_S)
    assert verdicts.count(View.CHANGED) == 1


def noise(seed: int, strength: float, size: tuple[int, int]) -> Callable[[], NDArray[np.float32]]:
    """Return what gives other noise for each picture: another part of one large field."""
    height, width = size
    rng = np.random.default_rng(seed)
    field = rng.normal(0, strength, (height + 100, width + 100)).astype(np.float32)

    def part() -> NDArray[np.float32]:
        y, x = rng.integers(0, 100, 2)
        return field[y : y + height, x : x + width]

    return part


def test_infrared_light_does_not_change_the_view(view: Grey) -> None:
    """The lamp in the camera is bright in the middle, the exposure comes down from white, and there is more noise."""
    height, width = view.shape
    lamp = cv2.getGaussianKernel(height, height / 2) @ cv2.getGaussianKernel(width, width / 2.5).T
    lit = ((view * 0.6 + 10) * (0.4 + 1.2 * lamp / lamp.max())).astype(np.float32)
    grain = noise(3, 5, (height, width))

    def night(i: int) -> Grey:
        exposure = max(1.0, 1.8 - i * 0.1)
        return np.clip(lit * np.float32(exposure) + grain(), 0, 255).astype(np.uint8)

    assert View.CHANGED not in judge(watch(view), night, 10.0)


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
    grain = noise(2, 12, view.shape)

    def noisy(_: int) -> Grey:
        return np.clip(view + grain(), 0, 255).astype(np.uint8)

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
        levels = np.arange(256) * (0.5 + i / 200) + 40 * i / 200
        return cv2.LUT(view, np.clip(levels, 0, 255).astype(np.uint8))

    assert set(judge(watch(morning(0)), morning, 100.0, step=SLOW_S)) == {View.SAME}


def test_a_view_without_texture_cannot_say_that_it_changed() -> None:
    night = np.full((360, 640), 12, np.uint8)
    coffee = cv2.resize(photograph("coffee")(), SIZE)
    assert set(judge(watch(night), lambda _: coffee, 10.0)) == {View.SAME}


def test_a_night_without_texture_does_not_keep_the_watch_blind_for_good() -> None:
    night = np.full((360, 640), 12, np.uint8)
    coffee = cv2.resize(photograph("coffee")(), SIZE)
    watching = watch(night)
    judge(watching, lambda _: coffee, 40.0, step=SLOW_S)
    dark = covered(coffee)
    assert View.CHANGED in judge(watching, lambda _: dark, 3.0, start=40.0)


def verdicts_on(clip: str) -> set[View]:
    watching, verdicts, last = ViewWatch(), set(), -1.0
    with av.open(clip) as container:
        for frame in container.decode(video=0):
            if frame.time - last >= 0.25:
                last = frame.time
                verdicts.add(watching.step(Structure.of(frame.to_ndarray(format="gray")), last))
    return verdicts


@pytest.mark.slow
@pytest.mark.parametrize("clip", ["brightness_change.avi", "person-bicycle-car-detection.mp4", "TUD-Stadtmitte.mp4"])
def test_a_fixed_camera_with_real_people_cars_and_lamps_keeps_its_view(clip: str) -> None:
    assert verdicts_on(str(shared(f"clips/{clip}"))) == {View.SAME}


@pytest.mark.slow
def test_a_fixed_camera_over_a_busy_walkway_keeps_its_view() -> None:
    assert verdicts_on(str(vtest())) == {View.SAME}
