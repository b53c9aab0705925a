"""The page's own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from soteirad.web.answers import Failure
from soteirad.web.static import FOLDER, TYPES, Static

PAGE = b'<link rel="stylesheet" href="/static/app.css"><script src="/static/gone.js"></script><a href="/static/">'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "index.html").write_bytes(PAGE)
    (folder / "app.css").write_bytes(b"body {}")
    (folder / "notes.txt").write_bytes(b"not for the web")
    (folder / "inner").mkdir()
    (folder / "link.js").symlink_to(folder / "app.css")
    return folder


def test_the_page_names_its_files_with_their_versions(folder: Path) -> None:
    body = bytes(Static(folder).index().body).decode()
    version = body.split("app.css?v=")[1].split('"')[0]
    assert len(version) == 16
    assert body == PAGE.decode().replace('app.css"', f'app.css?v={version}"'), "nothing else is changed"
    kept = Static(folder).file("app.css", version)
    assert "immutable" in kept.headers["cache-control"]
    assert kept.headers["content-type"] == "text/css; charset=utf-8"


def test_any_other_copy_is_asked_about_each_time(folder: Path) -> None:
    for version in ("", "0" * 16):
        answer = Static(folder).file("app.css", version)
        assert answer.headers["cache-control"] == "no-cache"
    again = Static(folder).file("app.css", "", answer.headers["etag"])
    assert again.status_code == 304 and not again.body
    (folder / "app.css").write_bytes(b"body { color: red }")
    assert Static(folder).file("app.css", "", answer.headers["etag"]).status_code == 200


def test_a_new_version_of_a_file_makes_a_new_version_of_the_page(folder: Path) -> None:
    before = Static(folder).index().headers["etag"]
    (folder / "app.css").write_bytes(b"body { color: red }")
    assert Static(folder).index(before).status_code == 200


@pytest.mark.parametrize(
    "name", ["gone.js", "notes.txt", "inner", "link.js", "", ".", "..", "../static/app.css", "app.css\0"]
)
def test_only_files_of_known_kinds_in_the_folder_itself_are_given(folder: Path, name: str) -> None:
    with pytest.raises(Failure) as told:
        Static(folder).file(name, "")
    assert told.value.status == 404


def test_a_page_that_was_not_installed_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no such file"):
        Static(tmp_path / "none").index()


def test_every_file_of_the_page_is_of_a_known_kind() -> None:
    files = [path for path in FOLDER.iterdir() if not path.name.startswith(".")]
    assert {path.suffix for path in files} <= set(TYPES) and all(path.is_file() for path in files)
