"""What happens to the picture: the light changes, or the camera is covered, turned or out of focus."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests import clips
from tests.brokers import Mosquitto, Subscriber
from tests.clips import Picture
from tests.daemon import events, kinds, payloads, write_config
from tests.house import StartDaemon
from tests.shared_data import shared

Measured = Callable[[str], None]

STANDS = ((15.0, 31.0),)
"""Somebody stands there all the time."""
LIGHT = (
    "night/day infrared switch, sudden light, exposure hunting, rain/noise",
    "motion above a ceiling (default 80 % of the picture) is a scene change, not an object; the detector may run once",
)
VIEW = (
    "camera covered, moved, turned (PTZ) or defocused for 10 s",
    "a `scene_changed` event with what was seen, once; no `entered` or `left`",
)


def watched(clip: Path, folder: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
            ) -> tuple[list[dict[str, Any]], dict[str, Any]]:  # fmt: skip
    """Play a clip to its end in the real daemon; returns its events and the last diagnostics."""
    config = write_config(folder, broker.port, {"porch": {"source": str(clip), "speed": "max"}})
    daemon = start_daemon(config, "--until-end")
    assert daemon.wait_exit() == 0, daemon.log()
    seen = listener.wait_for(lambda seen: payloads(seen, "soteira/status")[-1:] == ["offline"])
    return events(seen), json.loads(payloads(seen, "soteira/porch/diagnostics")[-1])


def infrared(picture: Picture, time: float) -> Picture:
    """From 8 s on: no colour, and brighter."""
    if time < 8.0:
        return picture
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.cvtColor(cv2.convertScaleAbs(grey, alpha=0.9, beta=70), cv2.COLOR_GRAY2BGR), np.uint8)


def lamp(picture: Picture, time: float) -> Picture:
    """A lamp that goes on at 6 s and off at 12 s."""
    return np.asarray(cv2.convertScaleAbs(picture, alpha=1.0, beta=60 if 6.0 <= time < 12.0 else 0), np.uint8)


def hunting(picture: Picture, time: float) -> Picture:
    """Exposure that swings for 4 s."""
    swing = 55 * np.sin((time - 6.0) * 9.0) if 6.0 <= time < 10.0 else 0.0
    return np.asarray(cv2.convertScaleAbs(picture, alpha=1.0, beta=float(swing)), np.uint8)


def rain(picture: Picture, time: float) -> Picture:
    """Noise of a dark night, and streaks."""
    chance = np.random.default_rng(round(time * 1000))
    noisy = picture.astype(np.int16) + chance.normal(0, 8, picture.shape).astype(np.int16)
    noisy = np.clip(noisy, 0, 255).astype(np.uint8)
    height, width = noisy.shape[:2]
    for x, y in zip(chance.integers(0, width, 60), chance.integers(0, height, 60), strict=True):
        cv2.line(noisy, (int(x), int(y)), (int(x) + 2, int(y) + 18), (200, 200, 200), 1)
    return noisy


@pytest.mark.fault(*LIGHT)
@pytest.mark.parametrize("change", [infrared, lamp, hunting, rain], ids=lambda change: change.__name__)
def test_a_change_of_light_is_no_object_and_keeps_the_detector_no_busier(
    change: Callable[[Picture, float], Picture], tmp_path: Path, broker: Mosquitto, listener: Subscriber,
    start_daemon: StartDaemon, measured: Measured,
) -> None:  # fmt: skip
    clip = clips.altered(tmp_path / "light.mp4", ((20.0, 31.0),), change)
    found, seen = watched(clip, tmp_path, broker, listener, start_daemon)
    assert not [kind for kind in kinds(found) if kind.startswith(("entered", "scene_changed"))], kinds(found)
    assert seen["detector_runs"] <= seen["analysed"] / 4, seen["looks"]
    measured(f"{change.__name__}: {seen['detector_runs']} looks in {seen['analysed']} frames; "
             f"{', '.join(kinds(found))}")  # fmt: skip


@pytest.mark.fault(*LIGHT)
def test_the_published_clip_of_a_jump_of_brightness_gives_no_event(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, measured: Measured
) -> None:
    clip = shared("clips/brightness_change.avi")
    found, seen = watched(clip, tmp_path, broker, listener, start_daemon)
    assert found == []
    measured(f"brightness_change.avi, whose colours drift: {seen['detector_runs']} looks in {seen['analysed']} frames")


def between(time: float, first: float = 3.0, last: float = 13.0) -> bool:
    return first <= time < last


def covered(picture: Picture, time: float) -> Picture:
    return np.full_like(picture, 12) if between(time) else picture


def defocused(picture: Picture, time: float) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 14), np.uint8) if between(time) else picture


def turned(picture: Picture, time: float) -> Picture:
    """To the left within 2 s, and back at once after 10 s."""
    share = min(1.0, (time - 3.0) / 2.0) if between(time) else 0.0
    width = picture.shape[1]
    wide = np.concatenate([cv2.flip(picture, -1), picture], axis=1)
    start = round(width * (1 - share))
    return np.ascontiguousarray(wide[:, start : start + width])


def knocked(picture: Picture, time: float) -> Picture:
    """Displaced by a tenth of the picture."""
    if not between(time):
        return picture
    height, width = picture.shape[:2]
    moves = np.array([[1, 0, width * 0.1], [0, 1, height * 0.1]], np.float64)
    return np.asarray(cv2.warpAffine(picture, moves, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8)


@pytest.mark.fault(*VIEW)
@pytest.mark.parametrize(
    ("change", "what"),
    [(covered, "covered"), (defocused, "defocused"), (turned, "moved"), (knocked, "moved")],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_camera_that_loses_its_view_for_ten_seconds_says_so_once_and_nobody_comes_or_goes_by_it(
    change: Callable[[Picture, float], Picture], what: str, tmp_path: Path, broker: Mosquitto,
    listener: Subscriber, start_daemon: StartDaemon, measured: Measured,
) -> None:  # fmt: skip
    clip = clips.altered(tmp_path / "view.mp4", STANDS, change)
    found, _ = watched(clip, tmp_path, broker, listener, start_daemon)
    told = [event for event in found if event["event_type"] == "scene_changed"]
    assert [event["why"]["seen"] for event in told] == [what], kinds(found)
    assert (tmp_path / "state" / "snapshots" / told[0]["snapshot"]).stat().st_size > 1000
    assert not [kind for kind in kinds(found) if kind == "left person" or kind.startswith("entered")], kinds(found)
    states = [json.loads(text) for text in payloads(listener.messages(), "soteira/porch/state")]
    seen = [state["view"]["seen"] for state in states]
    assert what in seen and seen[-1] is None, "it came back"
    measured(f"{change.__name__}: {', '.join(kinds(found))} ({what} after {told[0]['media_time'] - 3.0:.1f} s)")
