"""What a browser showed is judged rightly: with made up frames, and in a real Chromium with what is known."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest

from benchmarks.glass_page import Shown, watch
from benchmarks.person_scene import PersonScene
from benchmarks.shown import (
    Times,
    ages,
    box_ages,
    longest_ms,
    overlay_errors,
    overlay_lags,
    overlay_waits,
    sent_share,
    shown_share,
)
from benchmarks.time_pattern import MS_MODULUS
from tests.benchmarks.live_studio import HOLD_S, SIZE, live_studio
from tests.web.browser import chromium

EPOCH = 1795416822000.0


@pytest.fixture(scope="module")
def scene() -> PersonScene:
    pytest.importorskip("skimage", reason="the person's photograph is in scikit-image: pip install scikit-image")
    return PersonScene(SIZE)


def frame(number: int, age: float = 200.0, boxes: list[Any] | None = None) -> dict[str, Any]:
    """A frame of 25 a second that was drawn at its time and shown `age` ms later."""
    drawn = EPOCH + number * 40
    return {"ms": drawn % MS_MODULUS, "number": number, "expected": drawn + age, "media": number / 25, "boxes": boxes}


def shown(frames: list[Any], pieces: Any = (), overlays: Any = ()) -> Shown:
    return Shown(frames, list(pieces), list(overlays), 0.0, 1, ["Live"])


def piece(number: int, after: float) -> dict[str, Any]:
    return {"at": number / 25, "arrived": EPOCH + number * 40 + after}


def test_an_age_is_split_where_the_piece_came() -> None:
    found = ages(shown([frame(5), frame(6, 230.0)], [piece(5, 90.0), piece(7, 90.0)]))
    assert found.whole == pytest.approx([200, 230])
    assert found.arrival == pytest.approx([90]) and found.player == pytest.approx([110])


def test_a_frame_without_a_stamp_is_left_out() -> None:
    unread = {**frame(7), "ms": None}
    assert ages(shown([unread])).whole == []


def test_of_two_with_one_time_the_later_counts() -> None:
    times = Times([{"at": 1.0, "arrived": 1}, {"at": 1.0, "arrived": 2}])
    assert times.at(1.0004) == {"at": 1.0, "arrived": 2}
    assert times.at(1.04) is None


def test_pictures_that_were_left_out_and_those_that_stood_are_told() -> None:
    frames = [frame(n) for n in (10, 11, 12, 14, 19)]
    assert shown_share(frames) == pytest.approx(0.5)
    assert longest_ms(frames) == pytest.approx(200)


@pytest.mark.parametrize("number", [30, 100])
def test_an_old_box_is_behind_whichever_way_the_person_goes(scene: PersonScene, number: int) -> None:
    late = [frame(number, boxes=[scene.box(number - 5)])]
    assert overlay_errors(late, scene) == pytest.approx([2.0])
    assert overlay_lags(late, scene) == pytest.approx([2.0])
    early = [frame(number, boxes=[[0, 0, 0, 0], scene.box(number + 5)])]
    assert overlay_lags(early, scene) == pytest.approx([-2.0])


def test_no_box_at_all_is_an_error_and_no_lag(scene: PersonScene) -> None:
    assert overlay_errors([frame(30, boxes=[])], scene) == [math.inf]
    assert overlay_lags([frame(30, boxes=[]), frame(75, boxes=[scene.box(75)])], scene) == []


def test_the_pictures_after_a_turn_can_be_left_out(scene: PersonScene) -> None:
    turn = next(n for n in range(30, 200) if scene.turned(n) == 0)
    frames = [frame(turn + 2, boxes=[scene.box(turn + 7)]), frame(turn + 20, boxes=[scene.box(turn + 20)])]
    assert overlay_errors(frames, scene) == pytest.approx([2.0, 0.0])
    assert overlay_errors(frames, scene, since_turn=15) == pytest.approx([0.0])


def test_overlays_are_as_late_as_they_came_after_their_piece() -> None:
    overlay = {"at": 0.2, "arrived": EPOCH + 5 * 40 + 150.0, "looked": 0.3}
    overlays = [overlay, {**overlay, "at": 9.0, "looked": None}]
    found = shown([], [piece(n, 90.0) for n in (5, 6, 7)], overlays)
    assert overlay_waits(found) == pytest.approx([60])
    assert box_ages(found) == pytest.approx([3.0])
    assert sent_share(found) == pytest.approx(1.0)


def seen(late: int) -> Shown:
    """Watch the scene in a browser; one that has hardly a picture to show, beside other tests, is given longer."""
    with chromium() as browser:
        for seconds in (3.0, 6.0, 12.0, 24.0):
            with live_studio(late) as text:
                found = watch(browser, lambda page, text=text: page.set_content(text), "article[data-camera=cam1]",
                              2.0, seconds)  # fmt: skip
            if len(ages(found).whole) > 20 and len(ages(found).player) > 20:
                break
    return found


@pytest.mark.parametrize("late", [0, 5])
def test_a_browser_is_measured_as_what_it_shows(scene: PersonScene, late: int) -> None:
    found = seen(late)
    parts = ages(found)
    assert len(parts.whole) > 20 and len(parts.player) > 20
    assert min(parts.arrival) > HOLD_S * 1000
    assert all(whole > HOLD_S * 1000 for whole in parts.whole)
    assert statistics.median(overlay_lags(found.frames, scene)) == pytest.approx(late / 2.5, abs=0.05)
    assert found.states == ["Live"] and found.starts == 1
