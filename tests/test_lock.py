"""What the appliance installs is written down to the version and the hash, and is what pyproject.toml asks for."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "etc" / "requirements.lock"
MACHINES = {"linux-x86_64": ("linux", "x86_64"), "linux-aarch64": ("linux", "aarch64"), "mac": ("darwin", "arm64")}
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
_PINNED = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[0-9a-z.]+)(?: ; (?P<marker>.+?))? \\")
_HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


@dataclass(frozen=True)
class Pinned:
    """One package of the lock, and on which machines it is wanted."""

    name: str
    version: str
    marker: Marker | None

    def wanted(self, machine: dict[str, str]) -> bool:
        return self.marker is None or self.marker.evaluate(machine)


def locked() -> list[Pinned]:
    found = (_PINNED.fullmatch(line) for line in LOCK.read_text(encoding="utf-8").splitlines())
    return [Pinned(m["name"], m["version"], Marker(m["marker"]) if m["marker"] else None) for m in found if m]


def asked() -> list[Requirement]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return [Requirement(text) for text in tomllib.load(file)["project"]["dependencies"]]


def environment(machine: str, python: str) -> dict[str, str]:
    platform, processor = MACHINES[machine]
    return {"sys_platform": platform, "platform_machine": processor, "python_version": python,
            "python_full_version": f"{python}.9", "platform_system": {"linux": "Linux", "darwin": "Darwin"}[platform],
            "implementation_name": "cpython", "platform_python_implementation": "CPython", "os_name": "posix",
            "extra": ""}  # fmt: skip


@pytest.mark.parametrize(("machine", "python"), [*product(MACHINES, PYTHONS)])
def test_each_dependency_is_locked_once_at_a_version_that_is_allowed(machine: str, python: str) -> None:
    where = environment(machine, python)
    here = [each for each in locked() if each.wanted(where)]
    names = [each.name for each in here]
    assert len(names) == len(set(names))
    versions = {each.name: each.version for each in here}
    for wanted in asked():
        if wanted.marker is None or wanted.marker.evaluate(where):
            found = versions.get(canonicalize_name(wanted.name))
            assert found is not None, f"{wanted} is not in the lock: run scripts/lock"
            assert wanted.specifier.contains(found), f"{wanted} is locked at {found}: run scripts/lock"


def test_what_the_dependencies_need_themselves_is_locked_too() -> None:
    where = {"extra": ""}
    names = {each.name for each in locked()}
    todo, seen = [canonicalize_name(each.name) for each in asked() if each.marker is None], set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        assert name in names, f"{name} is needed and not in the lock: run scripts/lock"
        for text in importlib.metadata.requires(name) or ():
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate(where):
                todo.append(canonicalize_name(need.name))
    assert len(seen) > 25


def test_everything_has_hashes_and_comes_from_nowhere_in_particular() -> None:
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    odd = [line for line in lines if not (_PINNED.fullmatch(line) or _HASH.fullmatch(line))]
    assert odd == [], "packages and hashes only: no address of an index, no option"
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        assert not _PINNED.fullmatch(line) or _HASH.fullmatch(following), f"no hash: {line}"
