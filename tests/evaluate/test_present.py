"""The terminal: tables for people, a progress bar only where somebody sees it."""

from __future__ import annotations

import pytest

from soteirad.detect.card import load_card
from soteirad.detect.engine import Engine
from soteirad.evaluate.present import print_evaluation, progress
from soteirad.evaluate.run import Run
from tests.evaluate.made import CARD, made_evaluation


def test_the_tables_hold_the_figures_the_notes_and_the_largest_differences(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    evaluation = made_evaluation("beware of [the] note")
    print_evaluation(evaluation)
    told = capsys.readouterr().out
    largest = evaluation.differences(evaluation.measured[1])["f1"].largest
    for text in ("26.9", "26.8", "61.5", "beware of [the] note", f"{largest:+.4f}", "openvino fp16 against"):
        assert text in told, text


def shown(capsys: pytest.CaptureFixture[str], quiet: bool) -> str:
    data, runs = made_evaluation().data, [Run(load_card(CARD), Engine("onnx", "fp32"))]
    with progress(runs, data, quiet) as step:
        step(runs[0].name)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_the_progress_bar_shows_on_a_terminal_only_and_never_when_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert shown(capsys, quiet=False).strip() == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert f"{CARD} onnx fp32" in shown(capsys, quiet=False)
    assert shown(capsys, quiet=True).strip() == ""
