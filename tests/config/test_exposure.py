"""Secrets that everybody may read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from soteirad.config.exposure import exposed, literal_secrets
from soteirad.service.layout import Layout

CAMERA = "cameras: {porch: {source: clip.mp4}}\n"


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder that everybody may enter, with the machine's places below it."""
    with tempfile.TemporaryDirectory(prefix="soteira-exposed-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        Layout(path).secrets.mkdir(parents=True)
        yield path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mqtt: {user: u, password: geheim}", ["1:27: mqtt.password"]),
        ("mqtt: {user: u, password: '{SOTEIRA_PW}'}", []),
        ("mqtt: {user: u, password: '{SOTEIRA_PW}x'}", ["1:27: mqtt.password"]),
        ("web: {password: 4711}", ["1:17: web.password"]),
        ("llm: {providers: [{base_url: 'http://h/', api_key: sk-1}]}", ["1:52: llm.providers[0].api_key"]),
        ("cameras: {a: {source: 'rtsp://u:p@h/s'}}", ["1:23: cameras.a.source"]),
        ("cameras: {a: {source: 'rtsp://u:{SOTEIRA_P}@h/s'}}", []),
        ("cameras: {a: {source: 'rtsp://{SOTEIRA_UP}@h/s'}}", []),
        ("cameras: {a: {source: 'rtsp://h/s?channel=1'}}", []),
        ("cameras: {a: {source: 'http://h/s?user=a&password=b'}}", ["1:23: cameras.a.source"]),
        ("cameras: {a: {source: 'http://h/s?password={SOTEIRA_P}'}}", []),
        ("webhooks: [{url: 'http://h/', headers: {Authorization: Bearer x, Accept: y}}]",
         ["1:56: webhooks[0].headers.Authorization"]),
        ("a: [", []),
    ],
)  # fmt: skip
def test_what_is_written_out_is_found_and_what_stands_in_braces_is_not(text: str, found: list[str]) -> None:
    assert literal_secrets(text) == found


def test_a_file_with_a_secret_that_everybody_may_read_is_told_with_the_remedy_and_without_it(root: Path) -> None:
    path = root / "mine.yaml"
    path.write_text(f"mqtt: {{user: u, password: geheim}}\n{CAMERA}", encoding="utf-8")
    path.chmod(0o644)
    (line,) = exposed(path, Layout(root))
    assert line.startswith(f"{path}:1:27: mqtt.password: this is a secret") and f"`sudo chmod o= {path}`" in line
    assert "geheim" not in line
    path.chmod(0o640)
    assert exposed(path, Layout(root)) == []


def test_the_machines_own_file_is_given_to_root_and_the_service(root: Path) -> None:
    path = Layout(root).config
    path.write_text("mqtt: {user: u, password: geheim}\nweb: {password: geheim}\n", encoding="utf-8")
    path.chmod(0o644)
    (line,) = exposed(path, Layout(root))
    assert f"`sudo chown root:soteira {path} && sudo chmod 640 {path}`" in line and "and 1 more" in line


def test_a_file_without_secrets_or_in_a_closed_folder_is_nobodys_business(root: Path) -> None:
    path = root / "open.yaml"
    path.write_text(CAMERA, encoding="utf-8")
    closed = root / "closed"
    closed.mkdir(mode=0o700)
    (closed / "soteira.yaml").write_text("mqtt: {user: u, password: geheim}\n", encoding="utf-8")
    (closed / "soteira.yaml").chmod(0o644)
    assert [*exposed(path, Layout(root)), *exposed(closed / "soteira.yaml", Layout(root))] == []


def test_a_file_of_secrets_that_everybody_may_read_is_told(root: Path) -> None:
    secret = Layout(root).secrets / "SOTEIRA_PW"
    secret.write_text("geheim", encoding="utf-8")
    secret.chmod(0o644)
    (line,) = exposed(root / "none.yaml", Layout(root))
    assert line == f"{secret}: everybody on this machine may read this secret: `sudo chmod 600 {secret}`"
    Layout(root).secrets.chmod(0o700)
    assert exposed(root / "none.yaml", Layout(root)) == []
