"""Saved pictures: only those that are ours by name, and only inside their folder."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from soteirad.config.messages import NAME_PATTERN
from soteirad.config.values import LONGEST_NAME

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
FILE = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}\.jpg")
"""A ULID, which events have as their id."""
CAMERA = re.compile(NAME_PATTERN)
LARGEST = 8 * 1024 * 1024


def saved_picture(folder: Path, camera: str, day: str, file: str) -> bytes | None:
    """Return a saved picture; None when there is none of that name, or something else than a file stands there."""
    if len(camera) > LONGEST_NAME or not (CAMERA.fullmatch(camera) and DAY.fullmatch(day) and FILE.fullmatch(file)):
        return None
    try:
        return _read_below(folder, (camera, day), file)
    except OSError:
        return None


def _read_below(folder: Path, way: tuple[str, ...], file: str) -> bytes | None:
    """Read a file step by step from a folder, following no link on the way."""
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in way:
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = inner
        # Without O_NONBLOCK a named pipe would hold the thread.
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
        with os.fdopen(handle, "rb") as opened:
            facts = os.fstat(handle)
            return opened.read() if stat.S_ISREG(facts.st_mode) and facts.st_size <= LARGEST else None
    finally:
        os.close(place)
