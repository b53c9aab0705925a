"""Knobs: from a camera's settings to those that are tried, and to the lines for its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml

from soteirad.config import load_config
from soteirad.config.schema import camera_from
from soteirad.tune.bounds import within
from soteirad.tune.knobs import Knobs, first_round, groups, second_round
from tests.tune.made import PRESENT

CAMERA = camera_from({"source": "a.mp4"})


def test_a_camera_with_knobs_applied_has_them_and_keeps_the_rest() -> None:
    camera = camera_from({"source": "a.mp4", "fps": 5, "objects": {"min_area": 0.2}})
    knobs = replace(PRESENT, motion_threshold=0.07, stride=9, scene_ssim=0.5)
    changed = knobs.apply(camera)
    assert Knobs.of(changed) == knobs and Knobs.of(camera) == PRESENT
    assert (changed.fps, changed.objects.min_area) == (5, 0.2)


def test_the_lines_hold_what_differs_and_nothing_else() -> None:
    knobs = replace(PRESENT, motion_threshold=0.04, stride=6)
    assert knobs.as_yaml(PRESENT, "porch") == (
        "cameras:\n  porch:\n    motion:\n      threshold: 0.04\n    objects:\n      stride: 6\n"
    )
    assert knobs.as_yaml(PRESENT, None) == "motion:\n  threshold: 0.04\nobjects:\n  stride: 6\n"
    assert PRESENT.as_yaml(PRESENT, "porch") == ""


def test_a_configuration_with_the_lines_has_the_settings(tmp_path: Path) -> None:
    knobs = Knobs(0.04, 0.35, 0.65, 5.0, 6, 30.0, 0.5)
    document = yaml.safe_load(knobs.as_yaml(PRESENT, "porch"))
    document["cameras"]["porch"]["source"] = "a.mp4"
    path = tmp_path / "soteira.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert Knobs.of(load_config(path).cameras["porch"]) == knobs


def test_all_that_is_tried_is_possible_and_different_and_the_present_comes_first() -> None:
    for camera in (CAMERA, camera_from({"source": "a.mp4", "motion": {"ceiling": 0.1, "threshold": 0.03}})):
        present = Knobs.of(camera)
        tried = first_round(present, present, camera, scores=False)
        assert tried[0] == present and len(set(tried)) == len(tried) >= 100
        for knobs in [*tried, *second_round(tried[:5], present, scores=True)]:
            assert Knobs.of(camera_from(knobs.apply(camera).model_dump())) == knobs


def test_of_a_careless_owner_the_settings_that_miss_nothing_are_tried_too() -> None:
    careless = replace(PRESENT, stride=12, still_interval=60.0)
    tried = first_round(careless, PRESENT, CAMERA, scores=False)
    assert PRESENT in tried and sum(within(k, PRESENT) for k in tried) >= 6


def test_the_distance_of_settings_counts_doublings() -> None:
    assert PRESENT.distance(PRESENT) == 0
    assert replace(PRESENT, stride=16, motion_threshold=0.01).distance(PRESENT) == 3


def test_a_score_is_tried_only_where_labels_can_judge_it() -> None:
    assert {k.min_score for k in first_round(PRESENT, PRESENT, CAMERA, scores=False)} == {0.4}
    assert {k.min_score for k in second_round([PRESENT], PRESENT, scores=False)} == {0.4}
    assert len({k.min_score for k in first_round(PRESENT, PRESENT, CAMERA, scores=True)}) > 2


def test_groups_share_out_all_and_keep_like_scenes_together() -> None:
    tried = first_round(PRESENT, PRESENT, CAMERA, scores=False)
    for count in (1, 2, 3):
        shares = list(groups(tried, count))
        assert len(shares) == count and sorted(i for share in shares for i in share) == list(range(len(tried)))
    one, other = ({(tried[i].scene_distance, tried[i].scene_ssim) for i in share} for share in groups(tried, 2))
    assert len(one & other) <= 1
