"""What all checks are given: the configuration as far as it can be read, this machine's places, and who asks."""

from __future__ import annotations

import os
import platform
import pwd
import shlex
import threading
from collections import UserDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from soteirad.config import Config, load_config
from soteirad.errors import ConfigError
from soteirad.service.layout import Layout, service_user
from soteirad.service.programs import Run, run


@dataclass(frozen=True)
class Account:
    """A user of this machine: number, and those of the groups it is in."""

    name: str
    uid: int
    groups: frozenset[int]


@dataclass(frozen=True)
class Patient:
    """What there is to look at.

    `config` is None when the file cannot be used; `problems` are its problems. `secrets` is False when only the values
    of secrets are missing: then no camera and no server can be tried. `daemon` says whether a daemon works on the
    state folder, None if that cannot be seen. `account` is the service's, None when there is none
    here or when this is not its configuration. `pictures`
    wishes that vision models are asked about pictures, `fast` that what takes long is left out. `stop` is set when the
    check that runs is to end.
    """

    path: Path
    config: Config | None = None
    problems: tuple[str, ...] = ()
    secrets: bool = True
    layout: Layout = field(default_factory=Layout)
    account: Account | None = None
    daemon: bool | None = None
    root: bool = field(default_factory=lambda: os.geteuid() == 0)
    system: str = field(default_factory=platform.system)
    run: Run = run
    pictures: bool = False
    fast: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    def typed(self, command: str) -> str:
        """Return a command about this configuration as it is typed: `sudo soteirad doctor --config /my.yaml`."""
        own = "" if self.path == self.layout.config else f" --config {shlex.quote(str(self.path))}"
        return f"{command}{own}"

    @property
    def as_root(self) -> str:
        """What to do about something that only root may see."""
        return f"{self.typed('sudo soteirad doctor')}, which may see it"

    @property
    def configured(self) -> Config:
        """The configuration, for checks that need one."""
        if self.config is None:
            raise RuntimeError("there is no configuration")
        return self.config


def admit(path: Path, *, layout: Layout | None = None, environ: Mapping[str, str] = os.environ, pictures: bool = False,
          fast: bool = False) -> Patient:  # fmt: skip
    """Read what can be read of the configuration and learn who is there. Raises nothing that the file causes."""
    path, places = path.absolute(), layout or Layout()
    config, problems, secrets = _read(path, environ)
    system = platform.system()
    # A file of one's own is nothing to the service, which might else be given what belongs to somebody.
    account = account_of(service_user(system)) if path.resolve() == places.config.resolve() else None
    return Patient(
        path, config, problems, secrets, places, account,
        None if config is None else works_on(config.storage.path), system=system, pictures=pictures, fast=fast,
    )  # fmt: skip


def account_of(name: str) -> Account | None:
    """Return a user of this machine, or None."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, found.pw_uid, frozenset(os.getgrouplist(name, found.pw_gid)))


def works_on(state: Path, locks: Path = Path("/proc/locks")) -> bool | None:
    """Say whether a daemon has the state folder's lock, without touching that; None if it cannot be seen."""
    try:
        place = (state / "spool" / ".hub").stat().st_ino
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        held = [line.split() for line in locks.read_text(encoding="ascii").splitlines()]
    except OSError:
        return None
    # What disk a lock is on is told otherwise there than by stat on some file systems: the file's number must do.
    locks_of = (words[5].rpartition(":")[2] for words in held if words[1:2] + words[3:4] == ["FLOCK", "WRITE"])
    return str(place) in locks_of


def _read(path: Path, environ: Mapping[str, str]) -> tuple[Config | None, tuple[str, ...], bool]:
    try:
        return load_config(path, environ), (), True
    except ConfigError as error:
        problems = tuple(error.problems)
    except Exception as error:
        wrong = f"it cannot be read ({type(error).__name__}): this is a fault in Soteira, please report it"
        return None, (f"{path}: file: {wrong}",), True
    try:
        return load_config(path, _Secrets(environ)), problems, False
    except ConfigError:
        return None, problems, True


class _Secrets(UserDict[str, str]):
    """An environment in which every variable is set."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return "unknown-here"
