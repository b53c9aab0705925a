"""The token's file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from soteirad.errors import StorageError
from soteirad.web.token import ensure_token, read_token, token_file


def test_it_is_made_once_and_only_its_user_may_read_it(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        token = ensure_token(tmp_path)
    finally:
        os.umask(old)
    assert token_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert len(token) == 43 and read_token(tmp_path) == token == ensure_token(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["web-token"], "nothing is left beside it"


def test_two_boxes_have_two(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert ensure_token(tmp_path / "a") != ensure_token(tmp_path / "b")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666, 0o620])
def test_one_that_others_could_read_is_made_anew_and_told(
    tmp_path: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    token = ensure_token(tmp_path)
    token_file(tmp_path).chmod(mode)
    assert ensure_token(tmp_path) != token
    assert token_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert "was readable for others" in caplog.text and token not in caplog.text


@pytest.mark.parametrize("text", ["", "\n", "short", "x" * 44, "ä" * 43, "../../etc/passwd"])
def test_one_that_is_damaged_is_made_anew(tmp_path: Path, text: str) -> None:
    token_file(tmp_path).write_text(text)
    token_file(tmp_path).chmod(0o600)
    assert read_token(tmp_path) is None
    assert len(ensure_token(tmp_path)) == 43 and read_token(tmp_path) is not None


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("t" * 43)
    target.chmod(0o600)
    token_file(tmp_path).symlink_to(target)
    assert ensure_token(tmp_path) != "t" * 43
    assert not token_file(tmp_path).is_symlink() and target.read_text() == "t" * 43


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    token_file(tmp_path).mkdir()
    with pytest.raises(StorageError, match="web-token: the token of the page cannot be written"):
        ensure_token(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["web-token"]


def test_without_a_file_there_is_none(tmp_path: Path) -> None:
    assert read_token(tmp_path) is None
