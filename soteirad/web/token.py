"""The token: made at the first start, kept in a file that only the daemon's user may read."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import stat
from pathlib import Path

from soteirad.errors import StorageError
from soteirad.whole_file import put

logger = logging.getLogger(__name__)

FILE_NAME = "web-token"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
"""256 bits."""


def token_file(storage: Path) -> Path:
    """Return where the token is kept, below `storage.path`."""
    return storage / FILE_NAME


def read_token(storage: Path) -> str | None:
    """Return the token; None when there is no (usable) one. Raises OSError when the file may not be read."""
    try:
        handle = os.open(token_file(storage), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        text = file.read(200).decode("ascii", "replace").strip()
    return text if _TOKEN.fullmatch(text) else None


def ensure_token(storage: Path) -> str:
    """Return the token, made anew where it is missing, damaged or was readable for others. Raises StorageError."""
    file = token_file(storage)
    with contextlib.suppress(OSError):
        mode = file.lstat().st_mode
        if stat.S_ISREG(mode) and not mode & 0o077:
            token = read_token(storage)
            if token is not None:
                return token
            logger.warning("%s held no token: a new one was made; `soteirad config` prints it", file)
        else:
            logger.warning("%s was readable for others: a new token was made; `soteirad config` prints it", file)
    token = secrets.token_urlsafe(32)
    _write(file, token)
    return token


def _write(file: Path, token: str) -> None:
    """Write the file so that nobody else can read it at any time, and that it is there whole or not at all."""
    try:
        put(file, f"{token}\n".encode(), 0o600)
    except OSError as error:
        raise StorageError(f"{file}: the token of the page cannot be written: {error.strerror}; give the folder to the "
                           "user soteirad runs as, or set web.password") from None  # fmt: skip
