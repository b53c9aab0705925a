"""The text of the systemd unit and of the drop-ins that are made for a machine: pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

MADE = "# Written by `soteirad install`, which writes it again: put settings of your own into another file in"
_EXEC_START = re.compile(r"^ExecStart=.*?(?=\s+run(?:\s|$))", re.MULTILINE)
_GROUPS = re.compile(r"^(SupplementaryGroups=)(.*)$", re.MULTILINE)


def render_unit(shipped: str, command: tuple[str, ...], drop_ins: Path) -> str:
    """Return the unit as it is installed: with this machine's command, and what to edit instead."""
    start = "ExecStart=" + " ".join(quoted(word) for word in command)
    return f"{MADE}\n# {drop_ins}/.\n{_EXEC_START.sub(lambda _: start, shipped, count=1)}"


def quoted(word: str) -> str:
    """Return a path as a unit file takes it; not one that is `refused`."""
    plain = word.replace("%", "%%")
    if re.fullmatch(r"[\w./+:@%-]+", plain):
        return plain
    return f'"{plain}"'


def refused(path: str) -> bool:
    """Tell whether systemd takes no such path, however it is written."""
    return re.search(r"[\"'\\:\x00-\x1f\x7f]", path) is not None


def secrets_drop_in(names: Iterable[str], drop_ins: Path, folder: Path) -> str:
    """Return the drop-in that hands each secret to the service as a credential."""
    lines = [f"LoadCredential={name}:{folder / name}" for name in sorted(names)]
    return "\n".join([f"{MADE}", f"# {drop_ins}/.", "[Service]", *lines]) + "\n"


def home_drop_in(needed: Iterable[Path], drop_ins: Path) -> str:
    """Return the drop-in that shows the service the program in a home directory, and nothing else there."""
    lines = [f"BindReadOnlyPaths={quoted(str(path))}" for path in sorted(needed)]
    return "\n".join([MADE, f"# {drop_ins}/.", "[Service]", "ProtectHome=tmpfs", *lines]) + "\n"


def with_groups(text: str, groups: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """Return a drop-in with those groups that there are, and the others: one that is missing forbids the start."""
    missing: list[str] = []

    def line(match: re.Match[str]) -> str:
        wanted = match[2].split()
        missing.extend(group for group in wanted if group not in groups)
        kept = [group for group in wanted if group in groups]
        return f"{match[1]}{' '.join(kept)}" if kept else f"# {match[0]}"

    return _GROUPS.sub(line, text), tuple(missing)


def groups_in(text: str) -> set[str]:
    """Return the groups that a drop-in wants."""
    return {group for match in _GROUPS.finditer(text) for group in match[2].split()}


def hidden(needed: Iterable[Path], hiders: Collection[Path]) -> tuple[Path, ...]:
    """Return those folders that lie where the unit lets the service see nothing, each only once."""
    found = sorted({path for path in needed if any(path.is_relative_to(hider) for hider in hiders)})
    return tuple(path for path in found if not any(path != other and path.is_relative_to(other) for other in found))
