"""The owner's label file: what it may look like, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from soteirad.errors import ConfigError, SoteiraError
from soteirad.tune.labels import read_labels

TRACKED = ("person", "car", "fire hydrant")


def labels(folder: Path, text: str) -> Path:
    path = folder / "labels.txt"
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, text: str) -> list[tuple[float, str]]:
    return [(e.time, e.label) for e in read_labels(labels(folder, text), TRACKED, 120.0)]


@pytest.mark.parametrize("line", ["12.5 person", "12.5,person", " 12.5 ;  person  # the postman", "\ufeff12.5\tperson",
                                  "0:12.5 person"])  # fmt: skip
def test_a_line_is_the_seconds_and_the_label(tmp_path: Path, line: str) -> None:
    assert read(tmp_path, line) == [(12.5, "person")]


def test_remarks_empty_lines_and_a_heading_are_left_out_and_lines_are_sorted(tmp_path: Path) -> None:
    text = "seconds,label\n\n# the garden\n1:10,car\n5 fire hydrant\n"
    assert read(tmp_path, text) == [(5.0, "fire hydrant"), (70.0, "car")]


def test_every_line_that_is_wrong_is_told_with_its_number(tmp_path: Path) -> None:
    text = "1 person\nsoon person\n2\n3 cat\n-4 person\n121 person\nnan person\n"
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    path = tmp_path / "labels.txt"
    starts = [f"{path}:{line}:1: " for line in (2, 3, 4, 5, 6, 7)]
    assert [p.startswith(s) for p, s in zip(caught.value.problems, starts, strict=True)] == [True] * 6
    whole = "\n".join(caught.value.problems)
    assert "soon is no time" in whole and "there is no label" in whole and "'cat' is not looked for" in whole
    assert "after the end of the clip" in whole and "such as 12.5 person" in whole


def test_a_file_without_labels_or_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SoteiraError, match=r"labels\.txt: there is no label"):
        read(tmp_path, "# nothing\n")
    with pytest.raises(SoteiraError, match=r"none\.txt: the labels cannot be read"):
        read_labels(tmp_path / "none.txt", TRACKED, 1.0)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SoteiraError, match="binary: the labels cannot be read"):
        read_labels(tmp_path / "binary", TRACKED, 1.0)
