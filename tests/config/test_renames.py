"""Keys by their old names."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from soteirad.config import load_config, loader
from soteirad.config.renames import RENAMES, Rename, renamed
from soteirad.config.schema import json_schema
from soteirad.errors import ConfigError

MADE_UP = (
    Rename(("motion", "smallest"), ("motion", "threshold")),
    Rename(("cameras", "*", "motion", "smallest"), ("cameras", "*", "motion", "threshold")),
    Rename(("keep_days",), ("storage", "retain_days")),
    Rename(("mqtt", "secret"), ("mqtt", "password")),
)


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was ever renamed: these names were never in a released schema."""
    monkeypatch.setattr(loader, "renamed", lambda document: renamed(document, MADE_UP))


def load(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> tuple[object, list[str]]:
    path = tmp_path / "soteira.yaml"
    path.write_text(text, encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        config = load_config(path, {})
    return config, [record.getMessage().removeprefix(f"{path}:") for record in caplog.records]


def test_an_old_name_works_and_is_told_with_its_place_and_what_to_write(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "keep_days: 3\ncameras:\n  porch:\n    source: a.mp4\n    motion:\n      smallest: 0.5\n"
    config, told = load(tmp_path, text, caplog)
    assert config.cameras["porch"].motion.threshold == 0.5  # type: ignore[attr-defined]
    assert config.storage.retain_days == 3  # type: ignore[attr-defined]
    assert told == [
        "6:7: cameras.porch.motion.smallest: this key is called cameras.porch.motion.threshold now: "
        "write `threshold: 0.5`",
        "1:1: keep_days: this key is called storage.retain_days now: write `storage: {retain_days: 3}`",
    ]


def test_a_secret_under_an_old_name_is_not_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "mqtt: {user: u, secret: 4711}\ncameras: {porch: {source: a.mp4}}\n"
    with pytest.raises(ConfigError):  # a number is no text, whatever the key is called
        load(tmp_path, text, caplog)
    assert "4711" not in caplog.text and "`password: ...`" in caplog.text


def test_both_names_are_a_problem_of_the_old_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "motion: {smallest: 1, threshold: 0.2}\ncameras: {porch: {source: a.mp4}}\n"
    with pytest.raises(ConfigError, match=re.escape(":1:10: motion.smallest: this key is called motion.threshold now")):
        load(tmp_path, text, caplog)


def test_a_bad_value_under_an_old_name_is_told_at_its_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "motion: {smallest: much}\ncameras: {porch: {source: a.mp4}}\n"
    with pytest.raises(ConfigError, match=re.escape("soteira.yaml:1:20: motion.threshold: ")):
        load(tmp_path, text, caplog)


def test_an_old_name_in_a_place_that_cannot_hold_the_new_one_is_an_unknown_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match="keep_days: this key is not known"):
        load(tmp_path, "keep_days: 3\nstorage: 5\ncameras: {porch: {source: a.mp4}}\n", caplog)


def test_no_key_of_today_is_taken_for_an_old_one() -> None:
    schema = json_schema()
    for rename in RENAMES:
        assert rename.old.count("*") == rename.new.count("*")
        assert rename.old[0] not in schema["properties"] or len(rename.old) > 1
