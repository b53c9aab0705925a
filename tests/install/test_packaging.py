"""The wheel: all that it needs lies in it, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from soteirad import __version__
from tests.daemon import ROOT

MAX_WHEEL = 20_000_000
MAX_SDIST = 25_000_000


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, and the wheel that is built from it, not from the checkout."""
    pytest.importorskip("hatchling", reason="hatchling is missing: install the extra `dev`")
    pytest.importorskip("build", reason="build is missing: install the extra `dev`")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


def in_checkout(folder: str) -> set[str]:
    paths = (ROOT / folder).rglob("*")
    return {str(path.relative_to(ROOT)) for path in paths if path.is_file() and "__pycache__" not in path.parts}


def test_the_wheel_holds_the_package_and_all_files_that_ship(built: Path) -> None:
    with zipfile.ZipFile(wheel(built)) as archive:
        names = set(archive.namelist())
    shipped = set().union(*(in_checkout(folder) for folder in ("models", "etc", "systemd", "launchd")))
    for name in ("models/nanodet-g-416-fp16.onnx", "models/golden/golden-1.png", "etc/soteira.yaml",
                 "systemd/soteirad.service", "systemd/sysusers.d/soteira.conf"):  # fmt: skip
        assert name in shipped
    info = f"soteirad-{__version__}.dist-info"
    expected = {name for name in in_checkout("soteirad") if not name.endswith(".pyc")}
    expected |= {f"soteirad/data/{name}" for name in shipped}
    assert {name for name in names if not name.startswith(info)} == expected
    assert {f"{info}/licenses/{name}" for name in ("LICENSE", "models/NOTICE", "models/golden/NOTICE")} <= names


def test_the_wheel_is_small_enough_for_slow_lines_and_the_sources_are_too(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    assert wheel(built).stat().st_size < MAX_WHEEL and sdist.stat().st_size < MAX_SDIST


def test_the_wheel_names_its_command_its_licence_and_the_pythons_that_it_is_for(built: Path) -> None:
    info = f"soteirad-{__version__}.dist-info"
    with zipfile.ZipFile(wheel(built)) as archive:
        commands = archive.read(f"{info}/entry_points.txt").decode()
        said = message_from_string(archive.read(f"{info}/METADATA").decode())
    assert "soteirad = soteirad.cli:main" in commands
    assert (said["Version"], said["License-Expression"]) == (__version__, "Apache-2.0")
    assert set(said["Requires-Python"].split(",")) == {">=3.10", "<3.14"}


def test_the_sources_hold_what_builds_and_tests_them_and_nothing_that_was_only_made(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "launchd/io.github.soteira.soteirad.daemon.plist"} <= names
    assert {"tests/install/test_packaging.py", "scripts/test", "docs/first-camera.md"} <= names
    assert not [
        name for name in names if name.startswith((".cache", ".venv", "dist", "build")) or name.endswith(".pyc")
    ]
