"""The live view's figures: what each gate measured, and which boxes count."""

from __future__ import annotations

import json

import numpy as np
import pytest

from soteirad.detect.detection import Detections
from soteirad.gates.cadence import Look
from soteirad.gates.motion import Motion
from soteirad.gates.objects import LabelFilter, Zone
from soteirad.gates.scene import Scene
from soteirad.gates.view import View
from soteirad.live import MOST_BOXES, LastLook, live_values
from soteirad.pipeline import Analysis
from soteirad.track.track import Track
from tests.capture.made import frame_of

NAMES = ["person", "car", "cat"]
FILTERS = {0: LabelFilter(min_score=0.4), 2: LabelFilter(min_score=0.6)}
LEFT, RIGHT = (0.1, 0.1, 0.3, 0.5), (0.6, 0.1, 0.9, 0.6)
ZONES = (Zone("west", (0.0, 0.0, 0.5, 0.0, 0.5, 1.0, 0.0, 1.0)),)


def analysis(time: float = 8.0) -> Analysis:
    frame = frame_of(np.zeros((90, 160, 3), np.uint8), time=time)
    motion = Motion(0.0123456, 0.004, True, np.zeros((90, 160), np.uint8))
    return Analysis(frame, motion, Scene(0.12345, 0.9, False), View.SAME, Look.MOTION, {})


def look(time: float = 8.0, boxes: int = 3) -> LastLook:
    corners = np.array(([LEFT, RIGHT, RIGHT] * 20)[:boxes], np.float32)
    scores = np.linspace(0.9, 0.3, boxes).astype(np.float32)
    return LastLook(time, "motion", Detections(corners, scores, np.array(([1, 0, 2] * 20)[:boxes], np.int64)))


def test_it_tells_what_each_gate_measured() -> None:
    values = live_values(analysis(), None, [], NAMES, FILTERS, ZONES, False)
    assert values["motion"] == {"ratio": 0.01235, "blob": 0.004, "open": True, "flood": False}
    assert values["scene"] == {"distance": 0.1235, "ssim": 0.9, "open": False, "view": "same"}
    assert (values["frame_size"], values["media_time"]) == ([160, 90], None)
    assert (values["look"], values["looked"], values["score"], values["detections"]) == (None, None, None, [])
    json.dumps(values)


def test_it_tells_what_the_last_look_found_of_what_is_looked_for_and_what_counts() -> None:
    values = live_values(analysis(), look(), [], NAMES, FILTERS, ZONES, True)
    assert [(d["label"], d["counts"], d["why"]) for d in values["detections"]] == [
        ("person", True, None), ("cat", False, "score")]  # fmt: skip
    assert values["score"] == pytest.approx(0.6) and values["media_time"] == 8.0
    assert values["detections"][0]["box"] == pytest.approx(RIGHT, abs=1e-3)


def test_a_look_at_an_earlier_frame_is_told_with_its_age() -> None:
    values = live_values(analysis(8.0), look(6.5), [], NAMES, FILTERS, ZONES, False)
    assert (values["look"], values["looked"]) == (None, 1.5)
    assert live_values(analysis(8.0), look(8.0), [], NAMES, FILTERS, ZONES, False)["look"] == "motion"


def test_tracks_are_told_with_where_they_are_and_since_when() -> None:
    track = Track(7, 0, np.array(LEFT, np.float32), 0.8, 2.0, 7.5, False)
    (told,) = live_values(analysis(), None, [track], NAMES, FILTERS, ZONES, False)["tracks"]
    assert told == {"id": 7, "label": "person", "score": 0.8, "box": pytest.approx(LEFT, abs=1e-3), "still": True,
                    "seconds": 5.5, "zones": ["west"], "ago": 0.5}  # fmt: skip


def test_a_crowd_is_cut() -> None:
    values = live_values(analysis(), look(boxes=60), [], NAMES, FILTERS, ZONES, False)
    assert len(values["detections"]) == MOST_BOXES
