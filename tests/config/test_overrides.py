"""Overrides: what was set over MQTT stands over the file, as long as it means something."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from soteirad.config import Config, load_config
from soteirad.config.overrides import (
    LOWEST_THRESHOLD,
    SETTINGS,
    THRESHOLDS,
    Value,
    alike,
    as_yaml,
    effective,
    limits,
    usable,
    value_of,
    with_value,
)
from soteirad.config.schema import camera_from

ALL = ["enabled", "detect", "motion_threshold", "min_score", "snapshot", "restart"]


def config(*commands: str, **cameras: dict[str, Any]) -> Config:
    sections = {name: {"source": f"rtsp://h/{name}", **keys} for name, keys in (cameras or {"porch": {}}).items()}
    return Config.model_validate({"mqtt": {"commands": [*(commands or ALL)]}, "cameras": sections})


OTHERS: dict[str, Value] = {
    "enabled": False, "detect": False, "motion_threshold": 0.3, "min_score": 0.7, "scene_distance": 0.4,
    "scene_ssim": 0.6,
}  # fmt: skip


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_value_is_read_where_it_was_put_and_nothing_else_changes(setting: str) -> None:
    camera = camera_from({"source": "rtsp://h/s", "motion": {"history": 50}, "objects": {"stride": 7}})
    changed = with_value(camera, setting, OTHERS[setting])
    assert value_of(changed, setting) == OTHERS[setting] != value_of(camera, setting)
    assert [value_of(changed, s) for s in SETTINGS if s != setting] == [
        value_of(camera, s) for s in SETTINGS if s != setting
    ]
    assert with_value(changed, setting, value_of(camera, setting)) == camera


def test_a_whole_number_in_the_file_is_the_same_setting_as_a_fraction() -> None:
    loaded = config(porch={"objects": {"min_score": 1}})
    assert usable(loaded, {("porch", "min_score"): 1.0}) == {}


@pytest.mark.parametrize("ceiling", [0.8, 1.0, 0.3, 0.2055, 0.1])
def test_the_highest_threshold_is_one_that_the_file_may_have_too(ceiling: float) -> None:
    camera = camera_from({"source": "rtsp://h/s", "motion": {"ceiling": ceiling, "threshold": 0.01}})
    low, high = limits(camera, "motion_threshold")
    assert LOWEST_THRESHOLD == low < high < ceiling
    for value in (low, high):
        camera_from({"source": "rtsp://h/s", "motion": {"ceiling": ceiling, "threshold": value}})


def test_a_score_may_be_anything_from_nothing_to_certainty() -> None:
    assert limits(camera_from({"source": "rtsp://h/s"}), "min_score") == (0.0, 1.0)


UNUSABLE: dict[str, tuple[tuple[str, str], Value]] = {
    "a camera that is gone": (("yard", "detect"), False),
    "a command that is not allowed": (("porch", "enabled"), False),
    "a threshold over the ceiling": (("porch", "motion_threshold"), 0.5),
    "a threshold of nothing": (("porch", "motion_threshold"), 0.0),
    "a score over one": (("porch", "min_score"), 1.5),
    "a score under zero": (("porch", "min_score"), -0.1),
    "no number": (("porch", "min_score"), float("nan")),
    "what the file says": (("porch", "min_score"), 0.4),
    "a setting of another version": (("porch", "colour"), 0.4),
}


@pytest.mark.parametrize(("key", "value"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_means_nothing_is_left_out(key: tuple[str, str], value: Value) -> None:
    loaded = config("detect", "motion_threshold", "min_score", porch={"motion": {"ceiling": 0.5}})
    good = {("porch", "detect"): False}
    assert usable(loaded, {**good, key: value}) == good


def test_thresholds_may_be_changed_without_a_command_where_there_is_a_page_and_only_there() -> None:
    cameras = {"porch": {"source": "rtsp://h/s"}}
    wished: dict[tuple[str, str], Value] = {("porch", s): OTHERS[s] for s in (*THRESHOLDS, "detect")}
    for enabled, found in ((True, set(THRESHOLDS)), (False, set())):
        loaded = Config.model_validate({"mqtt": {"commands": []}, "web": {"enabled": enabled}, "cameras": cameras})
        assert {setting for _, setting in usable(loaded, wished)} == found


@pytest.mark.parametrize("setting", ["scene_distance", "scene_ssim"])
def test_every_threshold_of_gate_2_that_can_be_set_is_one_that_the_file_may_have_too(setting: str) -> None:
    camera = camera_from({"source": "rtsp://h/s"})
    for value in limits(camera, setting):
        key = setting.removeprefix("scene_")
        assert value_of(camera_from({"source": "rtsp://h/s", "scene": {key: value}}), setting) == value


def test_overrides_in_force_touch_their_camera_only_and_not_the_files_configuration() -> None:
    loaded = config(porch={}, yard={})
    in_force = effective(loaded, {("porch", "detect"): False, ("porch", "min_score"): 0.9, ("yard", "enabled"): False})
    assert (in_force.cameras["porch"].detect, in_force.cameras["porch"].objects.min_score) == (False, 0.9)
    assert in_force.cameras["porch"].enabled and list(in_force.watched) == ["porch"]
    assert loaded == config(porch={}, yard={})
    assert in_force.mqtt == loaded.mqtt


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s != "enabled"])
def test_cameras_that_differ_in_what_a_process_can_change_are_alike(setting: str) -> None:
    camera = camera_from({"source": "rtsp://h/s"})
    assert alike(camera, with_value(camera, setting, OTHERS[setting]))


@pytest.mark.parametrize(
    "change", [{"name": "Front door"}, {"preview": 5}, {"clips": {"retain_days": 3, "max_size": "1GB"}}], ids=str
)
def test_what_is_not_for_the_gates_makes_no_difference(change: dict[str, Any]) -> None:
    assert alike(camera_from({"source": "rtsp://h/s"}), camera_from({"source": "rtsp://h/s", **change}))


@pytest.mark.parametrize(
    "change",
    [{"source": "rtsp://h/other"}, {"fps": 3}, {"enabled": False}, {"motion": {"ceiling": 0.7}},
     {"objects": {"stride": 2}}, {"objects": {"filters": {"person": {"min_score": 0.5}}}}, {"scene": {"interval": 5}},
     {"detail": "rtsp://h/big"}, {"privacy_mask": [[0, 0, 1, 0, 1, 1]]}, {"clips": {"enabled": True}}],
    ids=str,
)  # fmt: skip
def test_all_else_makes_another_camera(change: dict[str, Any]) -> None:
    assert not alike(camera_from({"source": "rtsp://h/s"}), camera_from({"source": "rtsp://h/s", **change}))


def test_no_override_needs_no_lines() -> None:
    assert as_yaml({}) == ""


NAMES = ("porch", "on", "12", "null", "1e3", "0x1F", "-", "1_0", "y", "No")
OVERRIDES = st.dictionaries(
    st.sampled_from(NAMES),
    st.fixed_dictionaries({}, optional={
        "enabled": st.booleans(), "detect": st.booleans(),
        "motion_threshold": st.floats(LOWEST_THRESHOLD, 0.799), "min_score": st.floats(0, 1),
    }),
    min_size=1, max_size=4,
)  # fmt: skip


@given(OVERRIDES)
def test_the_lines_mean_in_the_file_what_the_overrides_mean_over_it(
    tmp_path_factory: pytest.TempPathFactory, wanted: dict[str, dict[str, Value]]
) -> None:
    overrides = {(name, setting): value for name, settings in wanted.items() for setting, value in settings.items()}
    names = {name for name, _ in overrides}
    lines = yaml.safe_load(as_yaml(overrides)) or {"cameras": {}}
    assert set(lines["cameras"]) == names, "a name such as on, 12 or null stays text"
    path = tmp_path_factory.getbasetemp() / "diff.yaml"
    head, *rest = as_yaml(overrides).splitlines() or ["cameras:"]
    sources = [line + "\n    source: rtsp://h/s" if line[2] != " " else line for line in rest]
    path.write_text("\n".join([head, "  other: {source: rtsp://h/o}", *sources]), encoding="utf-8")
    loaded = load_config(path)
    assert {(n, s): value_of(loaded.cameras[n], s) for n, s in overrides} == overrides


def test_the_lines_name_each_camera_once_in_order() -> None:
    lines = as_yaml({("yard", "min_score"): 0.6, ("porch", "motion_threshold"): 0.05, ("yard", "detect"): False})
    assert lines == (
        "cameras:\n  porch:\n    motion:\n      threshold: 0.05\n"
        "  yard:\n    detect: false\n    objects:\n      min_score: 0.6\n"
    )
