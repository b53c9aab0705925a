"""A file that is there whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def put(path: Path, content: bytes, mode: int, uid: int = -1, gid: int = -1, *, fresh: bool = False,
        dress: Callable[[Path], None] = lambda _: None) -> None:  # fmt: skip
    """Put a file in place, safe from a power cut; -1 keeps this user or group. Raises OSError.

    A link that lies there is replaced. Until it has its owner and `mode` nobody else may read it; what else belongs to
    a file `dress` does before it is in place. `fresh`: FileExistsError, if one lies there, even if it came this moment.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if (uid, gid) != (-1, -1):  # not every file system has owners
                os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, mode)
            dress(temporary)
            os.fsync(descriptor)
        if fresh:
            path.hardlink_to(temporary)
        else:
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    with suppress(OSError):  # not every file system can
        keep_names(path.parent)


def rename(temporary: Path, path: Path) -> None:
    """Give a file that is on the disk its name, safe from a power cut. Raises OSError."""
    temporary.replace(path)
    keep_names(path.parent)


def keep_names(folder: Path) -> None:
    """Let the disk have which files lie in a folder. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
