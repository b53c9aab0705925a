"""Small disks of their own, which fill up or become read-only as real ones do. They need root; without, tests skip."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """One that is mounted on `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    @property
    def free(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int) -> None:
        """Let somebody else's file take all but `leave` bytes."""
        with self._ballast.open("ab") as file:
            while (more := self.free - leave) > 0:
                os.write(file.fileno(), b"x" * min(more, 1 << 20))

    def relieve(self) -> None:
        """Remove that file."""
        self._ballast.unlink()

    def lock(self) -> None:
        """Become one that may only be read."""
        _run("mount", "-o", "remount,ro", self.folder)

    def break_down(self) -> None:
        """Become read-only at once, as the kernel does when it finds an error: files that are open included (ext4)."""
        _run("mount", "-o", "remount,abort", self.folder)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A disk in memory."""
    with _mounted(folder, "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs") as disk:
        yield disk


@contextmanager
def small_ext4(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A disk in a file."""
    if shutil.which("mkfs.ext4") is None:
        _skip("mkfs.ext4 is missing (install e2fsprogs)")
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    _run("mkfs.ext4", "-q", "-F", image)
    with _mounted(folder, "-o", "loop", image) as disk:
        yield disk


@contextmanager
def _mounted(folder: Path, *what: str | Path) -> Iterator[SmallDisk]:
    folder.mkdir()
    try:
        _run("mount", *what, folder)
    except (OSError, subprocess.CalledProcessError) as error:
        told = getattr(error, "stderr", "") or str(error)
        _skip(f"nothing can be mounted here ({told.strip()}): run this as root, on Linux")
    try:
        yield SmallDisk(folder)
    finally:
        _run("umount", "--lazy", folder)


def _run(*command: str | Path) -> None:
    subprocess.run([*map(str, command)], check=True, capture_output=True, text=True, timeout=60)


def _skip(reason: str) -> None:
    print(f"SKIPPED: {reason}")
    pytest.skip(reason)
