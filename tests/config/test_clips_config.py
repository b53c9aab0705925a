"""The clips section: what may stand there, what cameras have of it, and what is told of what may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from soteirad.config import Config, json_schema
from soteirad.config.loader import load_config
from soteirad.errors import ConfigError


def load(tmp_path: Path, everywhere: str, porch: str = "") -> Config:
    file = tmp_path / "soteira.yaml"
    own = f", clips: {{{porch}}}" if porch else ""
    file.write_text(f"clips: {{{everywhere}}}\ncameras:\n  porch: {{source: rtsp://h/s{own}}}\n", encoding="utf-8")
    return load_config(file, {})


def problems(tmp_path: Path, everywhere: str, porch: str = "") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, everywhere, porch)
    return [problem.rpartition("soteira.yaml:")[2] for problem in caught.value.problems]


def test_no_video_is_kept_unless_the_owner_says_so() -> None:
    config = Config.model_validate({"cameras": {"porch": {"source": "rtsp://h/s"}}})
    for clips in (config.clips, config.cameras["porch"].clips):
        assert clips.enabled is False
        assert (clips.stream, clips.before, clips.after, clips.max, clips.audio) == ("source", 5, 5, 60, True)
        assert (clips.retain_days, clips.max_size) == (10, 5_000_000_000)
    assert config.storage.clips == config.storage.path / "clips"


def test_a_camera_has_what_is_said_for_all_under_its_own(tmp_path: Path) -> None:
    config = load(tmp_path, "enabled: true, max: 90, max_size: 1GB", "max: 30, audio: false")
    clips = config.cameras["porch"].clips
    assert (clips.enabled, clips.max, clips.audio, clips.max_size) == (True, 30, False, 1_000_000_000)
    assert (config.clips.max, config.clips.audio) == (90, True)


@pytest.mark.parametrize(("text", "key"), [
    ("max: 5", "max"), ("before: 40, after: 40", "before"), ("after: 58", "after"), ("before: 3, max: 4", "max"),
])  # fmt: skip
def test_a_clip_has_room_for_what_comes_before_and_after(tmp_path: Path, text: str, key: str) -> None:
    (told,) = problems(tmp_path, text)
    assert f" clips.{key}: clips.max must be at least clips.before and clips.after together: " in told


def test_a_camera_whose_own_limit_is_below_what_it_has_from_all_is_told_so_at_its_place(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, "before: 20", "max: 10")
    assert told.startswith("3:") and "cameras.porch.clips.max: clips.max must be at least" in told
    assert told.endswith("10 is less than 20 and 5"), "of which this camera says only one"


@pytest.mark.parametrize(("everywhere", "porch", "told"), [
    ("enabled: true", "stream: detail", "3:47: cameras.porch.clips.stream: this camera has no large stream: add"),
    ("before: 3", "enabled: true, stream: detail", "cameras.porch.clips.stream: this camera has no large stream"),
    ("enabled: true, stream: detail", "", "1:32: clips.stream: no camera has a large stream: add the address of one"),
])  # fmt: skip
def test_who_wants_clips_of_a_large_stream_that_there_is_not_is_told(
    tmp_path: Path, everywhere: str, porch: str, told: str
) -> None:
    (found,) = problems(tmp_path, everywhere, porch)
    assert told in found


@pytest.mark.parametrize(("everywhere", "porch"), [
    ("stream: detail", ""), ("enabled: true", "enabled: false, stream: detail"), ("before: 3", "stream: detail"),
])  # fmt: skip
def test_where_no_clips_are_kept_it_does_not_matter_of_which_stream(
    tmp_path: Path, everywhere: str, porch: str
) -> None:
    assert not load(tmp_path, everywhere, porch).cameras["porch"].clips.enabled


def test_a_stream_that_is_said_for_all_is_for_those_that_have_it() -> None:
    cameras = {"porch": {"source": "rtsp://h/s", "detail": "rtsp://h/d"}, "yard": {"source": "rtsp://h/y"}}
    Config.model_validate({"clips": {"enabled": True, "stream": "detail"}, "cameras": cameras})


@pytest.mark.parametrize(("text", "told"), [
    ("enabled: maybe", "enabled"), ("stream: large", "allowed are source, detail"), ("before: 61", "from 0 to 60"),
    ("after: -1", "from 0 to 60"), ("max: 1", "from 2 to 3600"), ("max: .nan", "from 2 to 3600"),
    ("retain_days: 0", "more than 0 and at most 3650"), ("max_size: 5", "from 1MB to 1000TB"),
    ("max_size: much", "such as 500MB or 5GB"), ("audio: 3", "audio"),
    ("befor: 3", "clips.befor: this key is not known, did you mean 'before'?"),
])  # fmt: skip
def test_what_cannot_be_is_told_with_what_may(tmp_path: Path, text: str, told: str) -> None:
    assert any(told in problem for problem in problems(tmp_path, text))


def test_an_editor_knows_the_section_for_all_and_for_one_camera() -> None:
    schema: dict[str, Any] = json_schema()
    assert "clips" in schema["properties"] and "clips" in schema["$defs"]["CameraConfig"]["properties"]
    assert all(field.get("description") for field in schema["$defs"]["ClipsConfig"]["properties"].values())
