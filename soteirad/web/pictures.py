"""Saved pictures and clips: only those that are ours by name, and only inside their folder."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path
from typing import IO

from soteirad.config.messages import NAME_PATTERN
from soteirad.config.values import LONGEST_NAME

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
PICTURE = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}\.jpg")
"""A ULID, which events have as their id."""
CLIP = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}(-[0-9]{1,3})?\.mp4")
"""The same; a clip may have further parts."""
CAMERA = re.compile(NAME_PATTERN)
LARGEST = 8 * 1024 * 1024


def saved_picture(folder: Path, camera: str, day: str, file: str) -> bytes | None:
    """Return a saved picture; None when there is none of that name, or something else than a file stands there."""
    found = _opened(folder, camera, day, file if PICTURE.fullmatch(file) else "")
    if found is None:
        return None
    with found:
        try:
            return found.read() if os.fstat(found.fileno()).st_size <= LARGEST else None
        except OSError:
            return None


def saved_clip(folder: Path, camera: str, day: str, file: str) -> IO[bytes] | None:
    """Return a complete clip, open; None when there is none of that name, or it is no file."""
    return _opened(folder, camera, day, file if CLIP.fullmatch(file) else "")


def _opened(folder: Path, camera: str, day: str, file: str) -> IO[bytes] | None:
    if not file or len(camera) > LONGEST_NAME or not (CAMERA.fullmatch(camera) and DAY.fullmatch(day)):
        return None
    try:
        return _open_below(folder, (camera, day), file)
    except OSError:
        return None


def _open_below(folder: Path, way: tuple[str, ...], file: str) -> IO[bytes]:
    """Open a file step by step from a folder, following no link on the way."""
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in way:
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = inner
        # Without O_NONBLOCK a named pipe would hold the thread.
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    finally:
        os.close(place)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "this is no file")
    return os.fdopen(handle, "rb", buffering=0)
