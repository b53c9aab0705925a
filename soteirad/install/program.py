"""Which command this is, what it needs to run, and whether another user may read that."""

from __future__ import annotations

import os
import stat
import sys
import sysconfig
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import soteirad
from soteirad.install.facts import Program
from soteirad.install.unit import hidden

_NAME = "soteirad"
_EXTRAS = ("openvino",)
"""Optional libraries that a drop-in of their name lets the service use."""


@dataclass(frozen=True)
class Interpreter:
    """Where Python and this package lie; `scripts` is where commands are put, `began` how this one was called."""

    prefix: Path
    base_prefix: Path
    executable: Path
    package: Path
    scripts: Path
    began: Path

    @classmethod
    def this(cls) -> Interpreter:
        """The one that runs."""
        return cls(Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable), Path(soteirad.__file__).parent,
                   Path(sysconfig.get_path("scripts")), Path(sys.argv[0]).absolute())  # fmt: skip


def program(python: Interpreter, hiders: Collection[Path], version: str = soteirad.__version__) -> Program:
    """Return the command that runs, for a service that sees nothing below `hiders` but what it is shown."""
    command = _command(python)
    needed = tuple(sorted(_needed(python, Path(command[0]))))
    shown = hidden(needed, hiders)
    unreadable = [path for path in (*needed, Path(command[0]))
                  if not _readable(path, below_shown=any(path.is_relative_to(folder) for folder in shown))]  # fmt: skip
    extras = tuple(name for name in _EXTRAS if find_spec(name) is not None)
    return Program(version, command, needed, tuple(dict.fromkeys(unreadable)), _brought(python), extras)


def _command(python: Interpreter) -> tuple[str, ...]:
    """The script beside this Python, or wherever it was called; without any, Python itself."""
    own = python.prefix / "bin" / _NAME
    for script in (own, python.scripts / _NAME, python.began):
        if script.name == _NAME and script.is_file() and os.access(script, os.X_OK):
            return (str(script),)
    return (str(python.executable), "-m", _NAME)


def _needed(python: Interpreter, command: Path) -> set[Path]:
    """Folders, and each folder that a link on the way to Python leads through."""
    found = {python.prefix, python.base_prefix, python.base_prefix.resolve()}
    if not python.package.is_relative_to(python.prefix):
        found.add(python.package.parent)
    if not any(command.is_relative_to(folder) for folder in found):
        found.add(command.parent)
    for hop in _hops(python.prefix / "bin" / "python3"):
        if not hop.is_relative_to(python.prefix):
            found.add(hop.parent.parent)
    return found


def _hops(path: Path) -> Iterator[Path]:
    for _ in range(40):
        if not path.is_symlink():
            return
        path = Path(os.path.normpath(path.parent / path.readlink()))
        yield path


def _readable(path: Path, below_shown: bool) -> bool:
    """Tell whether everybody may read it; folders above what is shown to the service do not matter."""
    parents = () if below_shown else path.resolve().parents
    try:
        if any(not parent.stat().st_mode & stat.S_IXOTH for parent in parents):
            return False
        return path.stat().st_mode & (stat.S_IROTH | stat.S_IXOTH) == stat.S_IROTH | stat.S_IXOTH
    except OSError:
        return False


def _brought(python: Interpreter) -> str:
    """Return what brought it here: pipx, uv, checkout or pip."""
    parts = python.prefix.parts
    if not python.package.is_relative_to(python.prefix) and (python.package.parent / "pyproject.toml").exists():
        return "checkout"
    if "pipx" in parts:
        return "pipx"
    return "uv" if "uv" in parts and "tools" in parts else "pip"
