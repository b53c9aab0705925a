"""How findings look: 80 columns, also without colour."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from soteirad.doctor.examination import CHECKS
from soteirad.doctor.finding import Finding, doubt, fault, merged, told, well, worst
from soteirad.doctor.present import Screen, document, finding_lines, summary_line
from tests.doctor.people import patient


def test_a_finding_fits_80_columns_and_what_to_do_stands_below_it() -> None:
    lines = finding_lines(fault("porch", "word " * 40, "do " * 40))
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("  FAIL  porch: word") and lines[1].startswith("        word")
    remedy = next(index for index, line in enumerate(lines) if "->" in line)
    assert lines[remedy].startswith("        -> do") and lines[remedy + 1].startswith("           do")


def test_only_what_took_long_is_said_to_have_taken_time() -> None:
    assert finding_lines(well("a", "b", ms=4.0)) == ["  OK    a: b"]
    assert finding_lines(well("a", "b", ms=2400.0)) == ["  OK    a: b (2.4 s)"]


def test_what_a_server_says_cannot_command_the_terminal() -> None:
    assert "\x1b" not in finding_lines(doubt("a", "\x1b[2Jb", "c"))[0]


@pytest.mark.parametrize(("findings", "summary"), [
    ([well("a", "b")], "All is well."),
    ([well("a", "b"), doubt("a", "b", "c")], "Nothing is broken. 1 to look at (WARN), 1 good."),
    ([fault("a", "b", "c"), doubt("a", "b", "c")], "1 to put right (FAIL), 1 to look at (WARN), 0 good."),
])  # fmt: skip
def test_the_last_line_says_what_it_comes_to(findings: list[Finding], summary: str) -> None:
    assert summary_line(findings) == summary


def test_the_screen_shows_each_title_once_and_returns_what_it_showed(capsys: pytest.CaptureFixture[str]) -> None:
    screen, findings = Screen(), [well("a", "b"), fault("c", "d", "e")]
    screen.begin(CHECKS[0])
    assert screen.show_all(findings) == findings
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == ["Configuration", "  OK    a: b", "  FAIL  c: d", "        -> e"]


def test_a_quiet_screen_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(quiet=True).show_all([well("a", "b")])
    assert capsys.readouterr() == ("", "")


def test_the_document_counts_and_leaves_out_what_says_nothing(tmp_path: Path) -> None:
    found = document(patient(tmp_path), [well("a", "b"), fault("c", "d", "e")])
    assert found["summary"] == {"ok": 1, "warn": 0, "fail": 1}
    assert found["findings"][0] == {"verdict": "ok", "what": "a", "text": "b"}


def test_a_message_of_ours_is_split_into_what_is_wrong_and_what_to_do() -> None:
    found = told("porch", "porch: connection refused: is the camera on?", "otherwise")
    assert (found.text, found.remedy) == ("connection refused", "is the camera on?")
    assert told("porch", "it failed", "otherwise").remedy == "otherwise"


def test_only_good_findings_about_one_thing_are_merged() -> None:
    findings = [well("a", "1"), well("a", "2"), doubt("a", "3", "x"), well("b", "4"), well("a", "5")]
    assert [(f.what, f.text) for f in merged(findings)] == [("a", "1; 2"), ("a", "3"), ("b", "4"), ("a", "5")]
    assert worst(findings) == "warn" and worst([]) == "ok"


def test_progress_goes_to_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = io.StringIO()
    monkeypatch.setattr("sys.stderr", errors)
    screen = Screen()
    screen.begin(CHECKS[1])
    screen.show_all([well("a", "b")])
    assert errors.getvalue() == ""
