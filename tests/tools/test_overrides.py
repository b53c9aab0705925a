"""`config diff`: what an owner has to write to keep in the file what was set over MQTT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from soteirad.config import load_config
from soteirad.config.overrides import Value, effective
from soteirad.errors import ConfigError, StorageError
from soteirad.hub.journal import Journal
from soteirad.tools.overrides import overrides_as_yaml
from tests.command import typed
from tests.daemon import soteirad


def write(folder: Path, commands: tuple[str, ...] = ("enabled", "detect", "min_score", "motion_threshold"),
          **porch: Any) -> Path:  # fmt: skip
    document = {
        "mqtt": {"commands": list(commands)},
        "web": {"enabled": False},  # with a page thresholds may be changed without a command
        "storage": {"path": str(folder / "state")},
        "cameras": {"porch": {"source": "rtsp://h/s", **porch}, "yard": {"source": "rtsp://h/y"}},
    }
    path = folder / "soteira.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def override(folder: Path, overrides: Mapping[tuple[str, str], Value]) -> None:
    (folder / "state").mkdir(exist_ok=True)
    journal = Journal(folder / "state" / "journal.sqlite3")
    journal.open()
    journal.replace_overrides(overrides)
    journal.close()


SET = {("porch", "detect"): False, ("porch", "min_score"): 0.7, ("yard", "enabled"): False}
LINES = """\
cameras:
  porch:
    detect: false
    objects:
      min_score: 0.7
  yard:
    enabled: false
"""


def test_the_lines_put_into_the_file_make_the_overrides_superfluous(tmp_path: Path) -> None:
    path = write(tmp_path)
    override(tmp_path, SET)
    assert overrides_as_yaml(path) == LINES
    in_force = effective(load_config(path), SET)
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, keys in yaml.safe_load(LINES)["cameras"].items():
        document["cameras"][name].update(keys)
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert load_config(path) == in_force
    assert overrides_as_yaml(path) == ""


def test_what_means_nothing_under_the_file_is_not_printed_and_stays_as_it_is(tmp_path: Path) -> None:
    override(tmp_path, {**SET, ("gone", "detect"): False, ("porch", "motion_threshold"): 0.5})
    path = write(tmp_path, ("detect", "motion_threshold"), motion={"ceiling": 0.3})
    assert overrides_as_yaml(path) == "cameras:\n  porch:\n    detect: false\n"
    assert overrides_as_yaml(write(tmp_path, motion={"ceiling": 0.9})).count("\n") == 9, "it only looks"


def test_where_no_daemon_ever_ran_there_is_nothing_and_nothing_is_made(tmp_path: Path) -> None:
    assert overrides_as_yaml(write(tmp_path)) == ""
    assert not (tmp_path / "state").exists()
    (tmp_path / "state").mkdir()
    assert overrides_as_yaml(write(tmp_path)) == ""
    assert list((tmp_path / "state").iterdir()) == []


def test_it_can_be_asked_while_the_daemon_holds_the_journal(tmp_path: Path) -> None:
    path = write(tmp_path)
    override(tmp_path, SET)
    daemon = Journal(tmp_path / "state" / "journal.sqlite3")
    daemon.open()
    assert overrides_as_yaml(path) == LINES
    daemon.replace_overrides({})
    assert overrides_as_yaml(path) == ""
    daemon.close()


def test_a_file_that_is_no_journal_and_a_wrong_configuration_are_told(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "journal.sqlite3").write_text("cameras: {}\n" * 500, encoding="utf-8")
    with pytest.raises(StorageError, match="not a journal"):
        overrides_as_yaml(write(tmp_path))
    with pytest.raises(ConfigError):
        overrides_as_yaml(write(tmp_path, colour="red"))


def test_the_command_prints_the_lines_or_says_that_there_are_none(tmp_path: Path) -> None:
    path = write(tmp_path)
    nothing = typed("config", "diff", "-c", path)
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "nothing was set over MQTT or on the page" in nothing.stderr
    override(tmp_path, SET)
    result = soteirad("config", "diff", "-c", path)
    assert (result.returncode, result.stdout, result.stderr) == (0, LINES, "")
