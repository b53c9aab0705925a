"""Files and folders as root has to handle them: whole or not at all, and through nobody else's links."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["missing", "file", "folder", "link", "other", "unseen"]
_LARGEST = 1 << 20


@dataclass(frozen=True)
class Entry:
    """What lies in a place. `content` is None if it is no file, larger than a megabyte, or may not be read.

    `changed` is when it was written, put there or given to others (Unix time), also of what a link leads to.
    """

    kind: Kind = "missing"
    uid: int = 0
    gid: int = 0
    mode: int = 0
    changed: float = 0.0
    content: bytes | None = None
    target: str | None = None
    empty: bool = False

    @property
    def exists(self) -> bool:
        """Whether there is anything."""
        return self.kind != "missing"


def look_at(path: Path) -> Entry:
    """Return what lies there, links not followed; `unseen` is what this user may not look at."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return Entry()
    except OSError:
        return Entry("unseen")
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        changed = found.st_ctime
        with contextlib.suppress(OSError):
            changed = max(changed, path.stat().st_ctime)
        return Entry("link", found.st_uid, found.st_gid, mode, changed, target=str(path.readlink()))
    if stat.S_ISDIR(found.st_mode):
        try:
            empty = next(os.scandir(path), None) is None
        except OSError:
            empty = False
        return Entry("folder", found.st_uid, found.st_gid, mode, found.st_ctime, empty=empty)
    if not stat.S_ISREG(found.st_mode):
        return Entry("other", found.st_uid, found.st_gid, mode, found.st_ctime)
    content = None
    if found.st_size <= _LARGEST:
        with contextlib.suppress(OSError):
            content = path.read_bytes()
    return Entry("file", found.st_uid, found.st_gid, mode, found.st_ctime, content)


def distrusted(path: Path, root: Path) -> str | None:
    """Say why root had better not write at `path`, or None: others may change what is above, or it leads out of `root`.

    Links in folders that only root (or this user) may change are theirs, and followed.
    """
    real_root, real = _real(root), _real(path.parent)
    if not real.is_relative_to(real_root):
        return f"{path.parent} leads out of {root}, to {real}"
    for way in (path.parent, real):
        for folder in _folders(way, root if way is path.parent else real_root):
            reason = _shared(folder)
            if reason is not None:
                return reason
    return None


def mounts_in(folder: Path, table: Path = Path("/proc/self/mountinfo")) -> list[Path]:
    """Return what is mounted at a folder or below it; nothing where the system does not say (macOS)."""
    try:
        rows = [line.split(" ") for line in table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()]
    except OSError:
        return []
    escaped = re.compile(r"\\([0-7]{3})")
    points = {Path(escaped.sub(lambda match: chr(int(match[1], 8)), row[4])) for row in rows if len(row) > 4}
    real = _real(folder)
    return sorted(point for point in points if point.is_relative_to(real))


def _real(path: Path) -> Path:
    """Return a path without links; where they lead in a circle, as it is: whoever writes there is told."""
    return Path(os.path.realpath(path))


def _folders(path: Path, root: Path) -> Iterator[Path]:
    yield from (folder for folder in (root, *reversed(path.parents), path) if folder.is_relative_to(root))


def _shared(folder: Path) -> str | None:
    try:
        found = folder.lstat()
    except OSError:
        return None  # it is made, or told about, when it is needed
    if found.st_uid not in {0, os.geteuid()}:
        return f"{folder} belongs to somebody else (user number {found.st_uid})"
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_IWOTH:
        return f"everybody may write in {folder}"
    return None


def make_folder(path: Path, mode: int, uid: int, gid: int) -> None:
    """Make a folder, those above it with 0755. Raises OSError."""
    for folder in reversed(path.parents):
        if not folder.exists():
            folder.mkdir(0o755)
            folder.chmod(0o755)
    if not path.exists():
        path.mkdir(0o700)
    set_access(path, mode, uid, gid)


def set_access(path: Path, mode: int, uid: int, gid: int) -> None:
    """Set owner (-1 keeps it) and mode of a file or folder that is no link. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def make_link(path: Path, target: str) -> None:
    """Put a link in place; what lay there is replaced. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.symlink_to(target)
    try:
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def hand_over(path: Path, uid: int, gid: int) -> None:
    """Give a folder and all below it to somebody. Raises OSError.

    No link is followed, and a file that has another name elsewhere is left: it may be somebody else's.
    """
    for _, folders, files, descriptor in os.fwalk(path, follow_symlinks=False):
        for name in (*folders, *files):
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode) or found.st_nlink == 1:
                os.chown(name, uid, gid, dir_fd=descriptor, follow_symlinks=False)
    os.chown(path, uid, gid, follow_symlinks=False)


def remove(path: Path, *, tree: bool = False, if_empty: bool = False) -> None:
    """Delete what lies there, if anything does. Raises OSError."""
    if if_empty:
        with contextlib.suppress(FileNotFoundError):
            if next(os.scandir(path), None) is None:
                path.rmdir()
    elif tree and path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
