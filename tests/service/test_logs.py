"""Log lines."""

from __future__ import annotations

import logging
import os
import sys

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


def test_what_goes_to_systemds_journal_says_how_bad_it_is_on_each_line_and_leaves_the_time_to_the_journal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    with open(2, "w", encoding="utf-8", closefd=False) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        setup_logging("debug", "porch")
        logger = logging.getLogger("x")
        logger.error("two\nlines")
        logger.warning("careful")
        logger.info("news")
        logger.debug("detail")
        stream.flush()
    expected = "<3>porch: two\n<3>lines\n<4>porch: careful\n<6>porch: news\n<7>porch: detail\n"
    assert capfd.readouterr().err == expected


def test_a_stream_that_is_not_the_journals_any_more_gets_whole_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:4711")
    setup_logging("info")
    logging.getLogger("x").error("told")
    assert capsys.readouterr().err.endswith("ERROR   hub: told\n")
