"""What a file holds, as a hash: the same for a copy, and another after any change."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def digest_of(files: Iterable[Path]) -> tuple[int, str]:
    """Return size in bytes and sha256 of files, one after the other. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
    return size, digest.hexdigest()
