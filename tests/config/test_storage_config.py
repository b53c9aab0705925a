"""The storage section: what may stand there, and what is told of what may not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from soteirad.config import Config, json_schema
from soteirad.config.loader import load_config
from soteirad.errors import ConfigError


def storage(tmp_path: Path, text: str) -> Any:
    file = tmp_path / "soteira.yaml"
    file.write_text(f"storage: {{{text}}}\ncameras: {{porch: {{source: rtsp://h/s}}}}\n", encoding="utf-8")
    return load_config(file, {}).storage


def problem(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        storage(tmp_path, text)
    (found,) = caught.value.problems
    return found.partition("storage.")[2]


def test_ten_days_and_five_gigabytes_are_kept_and_a_log_is_written_unless_told_otherwise() -> None:
    found = Config.model_validate({"cameras": {"porch": {"source": "rtsp://h/s"}}}).storage
    assert (found.retain_days, found.max_size, found.csv) == (10, 5_000_000_000, True)
    assert (found.journal.name, found.pictures.name, found.log.name) == ("journal.sqlite3", "snapshots", "log")


@pytest.mark.parametrize(
    ("text", "size"),
    [("500MB", 500_000_000), ("5GB", 5_000_000_000), ("1.5 GB", 1_500_000_000), ("2TB", 2_000_000_000_000),
     ("64MiB", 67_108_864), ("1gib", 1_073_741_824), ("2000000B", 2_000_000), ("3000kb", 3_000_000),
     ("250000000", 250_000_000), ("1e9", 1_000_000_000), ("1000000.5", 1_000_000)],
)  # fmt: skip
def test_a_size_is_a_number_with_a_unit_or_of_bytes(tmp_path: Path, text: str, size: int) -> None:
    assert storage(tmp_path, f"max_size: {text}").max_size == size


@pytest.mark.parametrize("text", ["5", "0MB", "-5GB", "999999", "1e30", "5000TB"])
def test_a_size_that_nobody_can_mean_is_out_of_range(tmp_path: Path, text: str) -> None:
    told = problem(tmp_path, f"max_size: {text}")
    assert told.startswith("max_size: this size is out of range: allowed is from 1MB to 1000TB") or "no size" in told


@pytest.mark.parametrize("text", ["much", "5 gigs", "GB", "5GB5", "true", "[5]", "", ".nan", ".inf", "5,5GB"])
def test_what_is_no_size_is_told_with_an_example(tmp_path: Path, text: str) -> None:
    if text == "5,5GB":
        text = '"5,5GB"'
    assert problem(tmp_path, f"max_size: {text}") == (
        "max_size: this is no size: write a number with its unit, such as 500MB or 5GB, or a number of bytes"
    )


@pytest.mark.parametrize("text", ["0", "-1", "4000", "week"])
def test_days_are_a_number_over_nothing(tmp_path: Path, text: str) -> None:
    assert "allowed is a number more than 0 and at most 3650" in problem(tmp_path, f"retain_days: {text}")
    assert storage(tmp_path, "retain_days: 0.5").retain_days == 0.5


def test_an_editor_is_told_of_both_forms_of_a_size() -> None:
    (number, text) = json_schema()["$defs"]["StorageConfig"]["properties"]["max_size"]["anyOf"]
    assert number == {"type": "integer", "minimum": 1_000_000} and text["type"] == "string"
    assert all(re.search(text["pattern"], good) for good in ("500MB", "1.5 GB", "64MiB"))
    assert not any(re.search(text["pattern"], bad) for bad in ("much", "5 gigs", "x5GB"))
