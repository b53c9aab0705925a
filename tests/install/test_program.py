"""Which command it is that installs, and whether the service could run it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from soteirad.install.program import Interpreter, program


def a_command(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A folder that others may look into, as pytest's own may not."""
    path = tmp_path
    while path != path.parent and path.stat().st_uid == os.geteuid():
        path.chmod(path.stat().st_mode | 0o055)
        path = path.parent
    return tmp_path


def venv(top: Path, name: str = "venv") -> Interpreter:
    """A virtual environment whose Python is a link to a link to one that a tool brought."""
    prefix, real = top / name, top / "pythons/cpython-3.12.8"
    a_command(real / "bin/python3.12")
    short = top / "pythons/cpython-3.12"
    if not short.exists():
        short.symlink_to("cpython-3.12.8")
    a_command(prefix / "bin/soteirad")
    (prefix / "bin/python3").symlink_to(short / "bin/python3.12")
    package = prefix / "lib/soteirad"
    package.mkdir(parents=True)
    return Interpreter(prefix, real, prefix / "bin/python3", package, prefix / "bin", top / "elsewhere/soteirad")


def test_the_command_of_its_own_environment_is_taken_however_it_was_called(top: Path) -> None:
    assert program(venv(top), ()).command == (str(top / "venv/bin/soteirad"),)


def test_without_a_command_python_itself_is_run(top: Path) -> None:
    (top / "venv/bin/soteirad").parent.mkdir(parents=True)
    python = venv(top)
    (top / "venv/bin/soteirad").unlink()
    assert program(python, ()).command == (str(top / "venv/bin/python3"), "-m", "soteirad")


def test_every_folder_on_the_way_to_python_is_needed(top: Path) -> None:
    needed = program(venv(top), ()).needed
    assert set(needed) == {top / "venv", top / "pythons/cpython-3.12", top / "pythons/cpython-3.12.8"}


def test_a_checkout_is_needed_too_and_known_as_one(top: Path) -> None:
    package = top / "checkout/soteirad"
    package.mkdir(parents=True)
    (top / "checkout/pyproject.toml").touch()
    python = venv(top)
    found = program(
        Interpreter(python.prefix, python.base_prefix, python.executable, package, python.scripts, python.began), ()
    )
    assert top / "checkout" in found.needed and found.how == "checkout"


@pytest.mark.parametrize(
    ("name", "how"), [("pipx/venvs/soteirad", "pipx"), ("uv/tools/soteirad", "uv"), ("venv", "pip")]
)
def test_who_brought_it_is_known(top: Path, name: str, how: str) -> None:
    assert program(venv(top, name), ()).how == how


def test_what_others_may_not_read_is_told_and_folders_above_count_unless_it_is_shown(top: Path) -> None:
    python = venv(top / "home/bob")
    assert program(python, ()).unreadable == ()
    (top / "home/bob").chmod(0o700)
    assert top / "home/bob/venv" in program(python, ()).unreadable
    assert program(python, (top / "home",)).unreadable == ()
    (top / "home/bob/venv").chmod(0o700)
    assert top / "home/bob/venv" in program(python, (top / "home",)).unreadable


def test_the_interpreter_that_runs_is_found() -> None:
    assert Interpreter.this().package.name == "soteirad"
