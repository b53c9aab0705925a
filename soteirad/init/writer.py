"""The configuration and its secrets onto the disk: all of it or nothing, and never over what an owner wrote."""

from __future__ import annotations

import errno
import os
import platform
import signal
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from soteirad.errors import SoteiraError
from soteirad.resources import resource
from soteirad.service.layout import Layout, service_user
from soteirad.whole_file import put

MOST_BACKUPS = 99
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Target:
    """The file that is to be written."""

    path: Path
    layout: Layout

    @property
    def installed(self) -> bool:
        """Whether it is the one of the service: then passwords are kept apart from it."""
        return self.path.absolute() == self.layout.config.absolute()

    @property
    def real(self) -> Path:
        """The file behind any links."""
        try:
            return self.path.resolve()
        except (OSError, RuntimeError):  # links in a circle
            raise SoteiraError(f"{self.path}: this file cannot be written: correct the link") from None


def check_target(target: Target, *, force: bool) -> None:
    """Say early why the file could not be written. Raises SoteiraError."""
    path = target.real
    if path.is_dir():
        raise SoteiraError(f"{path}: this is a folder: give the path of a file in it")
    if not path.parent.is_dir():
        raise SoteiraError(f"{path}: there is no folder {path.parent}: make it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise SoteiraError(f"{path}: this file may not be written by you: say sudo soteirad init, or give another path "
                           "with --config")  # fmt: skip
    if target.installed and os.geteuid() != target.layout.config.parent.stat().st_uid:
        raise SoteiraError(f"{path}: only root may write the service's configuration: say sudo soteirad init")
    if not force and _is_somebodys(path):
        raise SoteiraError(f"{target.path}: there is a configuration already, and it stays as it is: edit it, or say "
                           f"--force to write a new one (the old one is kept as {path.name}.bak)")  # fmt: skip


def write(target: Target, text: str, secrets: Mapping[str, str], *, force: bool) -> Path | None:
    """Write the secrets, then the configuration; returns where the old one is kept, if there was one.

    What went wrong is taken back. Raises SoteiraError.
    """
    check_target(target, force=force)
    path, place, backup = target.real, target.path, None
    before: dict[Path, bytes | None] = {}
    with _undisturbed():
        try:
            if secrets:
                place = target.layout.secrets
                _make_folder(place)
            for name, secret in secrets.items():
                place = target.layout.secrets / name
                before[place] = place.read_bytes() if place.is_file() and not place.is_symlink() else None
                put(place, secret.encode(), 0o600)
            place = path
            if path.exists() and _is_somebodys(path):
                backup = _keep(path)
            put(path, text.encode(), *_rights(target))
        except BaseException as error:
            _take_back(before, backup)
            if not isinstance(error, OSError):
                raise
            raise SoteiraError(f"{place}: this file cannot be written{_why(error)}: nothing was changed") from None
    return backup


def _is_somebodys(path: Path) -> bool:
    """Say whether a file has content that is not the example's. Raises SoteiraError if it cannot be read."""
    try:
        content = path.read_bytes() if path.exists() else b""
        return bool(content.strip()) and content != resource("etc/soteira.yaml").read_bytes()
    except OSError as error:
        raise SoteiraError(f"{path}: this file cannot be read ({error.strerror}): say sudo soteirad init") from None


def _make_folder(folder: Path) -> None:
    folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise SoteiraError(f"{folder}: this is no folder of root's: move it away, and try again")
    if stat.S_IMODE(status.st_mode) != 0o700:
        folder.chmod(0o700)


def _rights(target: Target) -> tuple[int, int, int]:
    """Return mode, user and group of the configuration: the service may read it, and with secrets in it nobody else."""
    if not target.installed:
        return 0o600, -1, -1
    import grp

    try:
        group = grp.getgrnam(service_user(platform.system())).gr_gid
    except KeyError:  # not installed yet; that will give it to the group
        return 0o600, -1, -1
    return 0o640, os.geteuid(), group


def _keep(path: Path) -> Path:
    """Copy the old configuration beside itself, over nothing, with its owner and rights. Raises OSError."""
    status = path.stat()
    for number in range(1, MOST_BACKUPS):
        backup = path.with_name(f"{path.name}.bak{'' if number == 1 else number}")
        if not os.path.lexists(backup):
            put(backup, path.read_bytes(), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
            return backup
    raise SoteiraError(f"{path}: there are {MOST_BACKUPS} old ones beside it (.bak): delete some")


def _take_back(before: Mapping[Path, bytes | None], backup: Path | None) -> None:
    with suppress(OSError):
        if backup is not None:
            backup.unlink(missing_ok=True)
    for path, content in before.items():
        with suppress(OSError):
            if content is None:
                path.unlink(missing_ok=True)
            else:
                put(path, content, 0o600)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep Ctrl-C and its like from coming in between; what takes milliseconds is not worth stopping."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _why(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f" ({error.strerror}; is it root who writes, and may this disk be written?)"
    return f" ({error.strerror})"
