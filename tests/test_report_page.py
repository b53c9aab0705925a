"""What reports share: where one cannot be written is told before the long work."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import pytest

from soteirad.errors import SoteiraError
from soteirad.report_page import check_report_place


def test_a_place_that_may_not_be_written_is_told_beforehand(tmp_path: Path) -> None:
    there = tmp_path / "there.html"
    there.write_text("", encoding="utf-8")
    for path, asked in ((there, there), (tmp_path / "new.html", tmp_path)):
        check_report_place(path)
        with (
            mock.patch.object(os, "access", lambda p, _, asked=asked: p != asked),
            pytest.raises(SoteiraError, match="you may not write to it"),
        ):
            check_report_place(path)


def test_a_folder_and_a_file_in_none_are_no_place(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "report.html"):
        with pytest.raises(SoteiraError, match="a file in a folder that exists"):
            check_report_place(path)
