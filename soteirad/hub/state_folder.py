"""The state folder at the start: it is there, it is ours to write, and nobody else's."""

from __future__ import annotations

import errno
import logging
import os
import pwd
import stat
from pathlib import Path

from soteirad.errors import StorageError, StorageRefused
from soteirad.service.layout import USER

logger = logging.getLogger(__name__)

FOLDER_MODE = 0o750
UMASK = 0o027
"""What the daemon makes its group may read (pictures, clips and logs, for whoever its owner lets in), others may
not."""
_PASSING = (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT, errno.ENODEV, errno.ENXIO, errno.ESTALE)
_OURS = ("journal.sqlite3", "journal.sqlite3-wal", "journal.sqlite3-shm", "spool", "snapshots", "clips", "answers",
         "log")  # fmt: skip


def prepare_folder(folder: Path) -> None:
    """Make the state folder, or see that it can be used, and warn of one that is open to others.

    Raises StorageRefused if its owner has to do something, with the command; StorageError for what may pass.
    """
    if folder.is_symlink() and not folder.exists():
        raise StorageError(f"{folder}: this is a link to {folder.readlink()}, which is not there: is its disk mounted?")
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        kind = StorageError if error.errno in _PASSING else StorageRefused
        raise kind(f"{folder}: the state folder cannot be made: {error.strerror}: create it and give it to the "
                   f"daemon's user with `{_gift(folder)}`, or set storage.path") from error  # fmt: skip
    try:
        read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
        found = folder.stat()
    except OSError as error:
        raise StorageError(f"{folder}: the state folder cannot be used: {error.strerror}: check the disk "
                           "(`dmesg`)") from error  # fmt: skip
    if read_only:
        raise StorageError(f"{folder}: its disk is mounted read-only (`mount`); it may be failing (`dmesg`)")
    for place in (folder, *(folder / name for name in _OURS)):
        _see_writable(folder, place)
    _warn(folder, found)


def _see_writable(folder: Path, place: Path) -> None:
    try:
        found = place.stat()
    except FileNotFoundError:
        return
    except OSError:
        found = None
    needed = os.W_OK | os.R_OK | (os.X_OK if found is None or stat.S_ISDIR(found.st_mode) else 0)
    if found is None or not os.access(place, needed, effective_ids=os.access in os.supports_effective_ids):
        owner = "" if found is None else f" belongs to {_name(found.st_uid)} and"
        raise StorageRefused(f"{place}:{owner} may not be written by {_name(os.geteuid())}, as whom soteirad runs: "
                             f"`{_gift(folder)}`, or set storage.path")  # fmt: skip


def _warn(folder: Path, found: os.stat_result) -> None:
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        logger.warning("%s: everybody on this machine may change what is in it: `sudo chmod %o %s`", folder,
                       FOLDER_MODE, folder)  # fmt: skip
    if os.geteuid() == 0 and _name(found.st_uid) == USER:
        logger.warning("%s belongs to %s, and this daemon runs as root: what it makes, the service may not change; "
                       "afterwards `sudo chown -R %s: %s`", folder, USER, USER, folder)  # fmt: skip


def _gift(folder: Path) -> str:
    return f"sudo chown -R {_name(os.geteuid())}: {folder}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
