"""Log lines."""

from __future__ import annotations

import logging

import pytest

from soteirad.service.logs import setup_logging


def test_each_line_names_the_camera_and_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("info", "100%porch")
    logging.getLogger("x").warning("offline: %s", "no answer")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("WARNING 100%porch: offline: no answer\n")


def test_without_a_camera_the_hub_speaks(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("warning")
    logging.getLogger("x").info("not told")
    logging.getLogger("x").error("told")
    assert capsys.readouterr().err.endswith("ERROR   hub: told\n")
