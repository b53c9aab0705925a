"""Areas that were drawn become lines for the file, and only those that the file may have."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from soteirad.config import CameraConfig
from soteirad.config.schema import camera_from
from soteirad.hub.areas import areas_as_yaml
from soteirad.web.box import WishError

STEP, ROAD = [0.2, 0.5, 0.8, 0.5, 0.8, 1.0], [0.0, 0.0, 1.0, 0.0, 1.0, 0.1]


def camera(**keys: Any) -> CameraConfig:
    return camera_from({"source": "rtsp://u:geheim@h/s", **keys})


def test_zones_and_masks_become_lines_under_their_camera() -> None:
    areas = {"zones": {"step": {"coordinates": STEP, "objects": ["person"]}, "path": {"coordinates": ROAD}},
             "motion_mask": [ROAD], "privacy_mask": [STEP]}  # fmt: skip
    lines = areas_as_yaml("porch", camera(), areas)
    assert yaml.safe_load(lines) == {"cameras": {"porch": {
        "zones": {"step": {"coordinates": STEP, "objects": ["person"]}, "path": {"coordinates": ROAD}},
        "motion": {"mask": [ROAD]}, "privacy_mask": [STEP],
    }}}  # fmt: skip
    assert "geheim" not in lines


def test_a_polygon_stays_on_one_line_and_is_rounded_to_what_can_be_seen() -> None:
    lines = areas_as_yaml("porch", camera(), {"motion_mask": [[0.123456, 0, 1, 0, 1, 1 / 3]]})
    assert "mask:\n      - [0.123, 0.0, 1.0, 0.0, 1.0, 0.333]" in lines


def test_what_is_as_it_was_gives_no_lines() -> None:
    there = camera(zones={"step": {"coordinates": STEP}}, motion={"mask": [ROAD]})
    same = {"zones": {"step": {"coordinates": STEP, "objects": None}}, "motion_mask": [ROAD], "privacy_mask": []}
    assert areas_as_yaml("porch", there, same) == ""
    assert yaml.safe_load(areas_as_yaml("porch", there, {**same, "motion_mask": []})) == {
        "cameras": {"porch": {"motion": {"mask": []}}}
    }


def test_a_zone_that_was_taken_away_is_told_in_a_comment_since_lines_can_only_add() -> None:
    there = camera(zones={"step": {"coordinates": STEP}, "road": {"coordinates": ROAD}})
    lines = areas_as_yaml("porch", there, {"zones": {"step": {"coordinates": STEP}}})
    assert lines == "# The zone road is not drawn any more: take it out of the file yourself.\n"


@pytest.mark.parametrize(
    ("areas", "problem"),
    [({"zones": {"step": {"coordinates": [0, 0, 1, 1]}}}, "fewer than three corners"),
     ({"zones": {"step": {"coordinates": [0, 0, 2, 1, 0, 1]}}}, "out of range"),
     ({"zones": {"my step": {"coordinates": STEP}}}, "zones"),
     ({"zones": {"step": {"coordinates": STEP, "objects": ["cat"]}}}, "not tracked")],
)  # fmt: skip
def test_what_the_file_could_not_have_is_refused_with_the_reason(areas: dict[str, Any], problem: str) -> None:
    with pytest.raises(WishError, match=problem):
        areas_as_yaml("porch", camera(), areas)


def test_a_zone_that_a_question_is_about_cannot_be_taken_away_unnoticed() -> None:
    about = {"name": "parcel", "ask": "Is there?", "when": {"on": "left", "zones": ["step"]}}
    there = camera(zones={"step": {"coordinates": STEP}}, questions=[about])
    with pytest.raises(WishError, match="no such zone"):
        areas_as_yaml("porch", there, {"zones": {}})
