"""Answers are understood or asked for again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import soteirad
from soteirad.errors import SoteiraError
from soteirad.init.camera_talk import host_and_port
from soteirad.init.plan import check_labels, check_name
from soteirad.init.soap import CameraError
from soteirad.init.terminal import Terminal, numbers


@pytest.mark.parametrize("text,meant", [
    ("all", [0, 1, 2]), ("NONE", []), ("1", [0]), ("3, 1", [2, 0]), ("1-3", [0, 1, 2]), ("2 2", [1]),
])  # fmt: skip
def test_numbers_mean_things_of_a_list(text: str, meant: list[int]) -> None:
    assert numbers(text, 3) == meant


@pytest.mark.parametrize("text", ["0", "4", "x", "1-", "-1", "99999999999999", "\u0663", "1.0"])
def test_what_is_in_no_list_is_refused(text: str) -> None:
    with pytest.raises(SoteiraError, match="numbers from 1 to 3"):
        numbers(text, 3)


@pytest.mark.parametrize("text,found", [
    ("10.0.0.7", ("10.0.0.7", None)), ("10.0.0.7:8000", ("10.0.0.7", 8000)), ("cam.lan", ("cam.lan", None)),
    ("[fd00::7]:80", ("fd00::7", 80)),
])  # fmt: skip
def test_a_host_may_have_a_port(text: str, found: tuple[str, int | None]) -> None:
    assert host_and_port(text) == found


@pytest.mark.parametrize("text", ["", "a b", "a/b", "u:p@h", "h:x", "h:99999", "[::1", "?", "<a>"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(CameraError):
        host_and_port(text)


def test_names_and_labels_are_those_that_the_configuration_takes() -> None:
    assert check_name("porch", ["garden"]) == "porch"
    for name in ("hub", "a b", "", "Garden", "x" * 65, "ö"):
        with pytest.raises(SoteiraError):
            check_name(name, ["garden"])
    assert check_labels(["person", "car", "person"]) == ("person", "car")
    for labels in ([], ["persn"]):
        with pytest.raises(SoteiraError):
            check_labels(labels)


def test_long_lines_end_between_words(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    terminal = Terminal()
    terminal.begin("  Trying it ...")
    terminal.say("no: " + "word " * 20)
    said = capsys.readouterr().out
    assert all(len(line) < 50 and line.startswith("  ") for line in said.splitlines()) and said.count("word") == 20


def test_only_the_command_imports_this() -> None:
    root = Path(soteirad.__file__).parent
    guests = [path for path in root.rglob("*.py") if re.search(r"import soteirad\.init|from soteirad\.init",
              path.read_text(encoding="utf-8")) and path.parent.name != "init"]  # fmt: skip
    assert [path.name for path in guests] == ["setup_commands.py"]
