"""The retained state: what there is now, and by which settings."""

from __future__ import annotations

import json

from soteirad.assembly import zones
from soteirad.config.schema import camera_from
from soteirad.gates.structure import Seen
from soteirad.state import camera_state

LEFT, RIGHT = (0.1, 0.2, 0.3, 0.9), (0.7, 0.2, 0.9, 0.9)
CAMERA = camera_from({
    "source": "rtsp://user:secret@h/s", "objects": {"track": ["person", "cat"], "min_score": 0.5},
    "motion": {"threshold": 0.03}, "detect": False,
    "zones": {"west": {"coordinates": [0, 0, 0.5, 0, 0.5, 1, 0, 1]},
              "cats": {"coordinates": [0, 0, 1, 0, 1, 1, 0, 1], "objects": ["cat"]}},
})  # fmt: skip


def test_a_camera_that_nobody_watches_has_nothing_in_it_and_its_settings() -> None:
    nobody = {"present": False, "count": 0}
    assert camera_state(CAMERA, zones(CAMERA)) == {
        "motion": False,
        "view": {"changed": False, "seen": None},
        "objects": {"person": nobody, "cat": nobody},
        "zones": {"west": nobody, "cats": nobody},
        "enabled": True,
        "detect": False,
        "motion_threshold": 0.03,
        "min_score": 0.5,
        "scene_distance": 0.2,
        "scene_ssim": 0.8,
    }


def test_objects_are_counted_by_label_and_by_zone() -> None:
    state = camera_state(CAMERA, zones(CAMERA), [("person", LEFT), ("person", RIGHT), ("cat", RIGHT)], True)
    assert state["objects"] == {"person": {"present": True, "count": 2}, "cat": {"present": True, "count": 1}}
    assert state["zones"] == {"west": {"present": True, "count": 1}, "cats": {"present": True, "count": 1}}
    assert state["motion"] is True


def test_those_who_are_present_may_come_one_by_one() -> None:
    present = (pair for pair in [("person", LEFT), ("cat", RIGHT)])
    state = camera_state(CAMERA, zones(CAMERA), present)
    assert state["objects"]["person"]["count"] == 1
    assert [zone["count"] for zone in state["zones"].values()] == [1, 1]


def test_a_view_that_is_another_one_says_what_became_of_it() -> None:
    for seen in Seen:
        view = camera_state(CAMERA, zones(CAMERA), seen=seen)["view"]
        assert view == {"changed": True, "seen": seen.value} and type(view["seen"]) is str


def test_a_state_holds_no_address_and_is_json() -> None:
    assert "secret" not in json.dumps(camera_state(CAMERA, zones(CAMERA), [("cat", LEFT)], True, Seen.COVERED))
