"""Which file system a folder lies on, and on what kind of device."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """`kind` is the file system (ext4), `device` what it lies on (/dev/sda1), `read_only` whether it is."""

    folder: Path
    kind: str
    device: str
    read_only: bool


def mount_of(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> Mount | None:
    """Return where a folder lies; None where the system does not say (macOS)."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    real = folder.resolve()
    # Of two mounts on one folder the later hides the earlier.
    found = [mount for mount in map(_mount, lines) if mount is not None and real.is_relative_to(mount.folder)]
    return max(enumerate(found), key=lambda each: (len(each[1].folder.parts), each[0]))[1] if found else None


def is_sd_card(device: str, block: Path = Path("/sys/class/block")) -> bool:
    """Say whether a device is an SD card; soldered flash (eMMC) has the same name and is none."""
    disk = re.fullmatch(r"/dev/(mmcblk\d+)(p\d+)?", os.path.realpath(device) if device.startswith("/dev/") else device)
    if disk is None:
        return False
    try:
        return (block / disk[1] / "device/type").read_text(encoding="ascii").strip() == "SD"
    except OSError:
        return False


def _mount(line: str) -> Mount | None:
    """Read a line of mountinfo (proc(5)): ... mount point, options, tags, -, type, source, options of the disk."""
    before, dash, after = line.partition(" - ")
    words, rest = before.split(" "), after.split(" ")
    if not dash or len(words) < 6 or len(rest) < 3:
        return None
    read_only = "ro" in words[5].split(",") or "ro" in rest[2].split(",")
    return Mount(Path(_plain(words[4])), rest[0], _plain(rest[1]), read_only)


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)
