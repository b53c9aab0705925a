"""`config apply`: lines put into the configuration file, shown before they are written."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soteirad.config import Config, emit, known_secrets, load_config
from soteirad.config.edit import diff, edited, lines_as_changes
from soteirad.config.inherit import INHERITED
from soteirad.config.loader import config_from
from soteirad.config.overrides import as_yaml, effective
from soteirad.config.secrets import VARIABLE
from soteirad.errors import ConfigError, SoteiraError
from soteirad.tools.overrides import overrides_of
from soteirad.whole_file import put

STAND_IN = "soteira-unset"
"""What a variable stands for that only the daemon's environment has."""
_NOTHING = object()


@dataclass(frozen=True)
class Proposal:
    """What the configuration file would become."""

    path: Path
    """The real file, behind any links."""
    before: bytes
    after: bytes
    difference: str
    """Fit to be shown: without secrets. Empty if nothing changes."""
    unset: tuple[str, ...] = ()
    """Variables of the file that are not set here, so that they could not be checked."""
    notes: tuple[str, ...] = ()
    """What an owner has to know, because some of the lines have no effect."""


def read_lines(name: str) -> str:
    """Return the text of a file with lines to put in; `-` is the standard input. Raises SoteiraError."""
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SoteiraError(f"{name}: the lines to put in cannot be read: {reason}") from None


def propose(path: Path, lines: str | None, environ: Mapping[str, str] = os.environ) -> Proposal:
    """Return what putting YAML lines into the file at `path` would change; without lines those of `config diff`.

    The new text is loaded as the daemon would: it has to be a good configuration, and the one that was asked for.
    Raises ConfigError, and StorageError for the journal.
    """
    try:
        real = path.resolve()
    except (OSError, RuntimeError):  # links in a circle
        raise ConfigError([f"{path}: this file cannot be read: correct the link"]) from None
    before = _read(real) if real.is_file() else b""  # if it is none, the loader says so
    text = before.decode("utf-8", "replace")
    given = None if lines is None else _changes(lines)
    unset = () if "CREDENTIALS_DIRECTORY" in environ else _unset(text, given, environ)
    environ = {**dict.fromkeys(unset, STAND_IN), **environ}
    config = load_config(path, environ)
    wanted: Config | None = None
    if given is None:
        overrides = overrides_of(config)
        changes, wanted = lines_as_changes(as_yaml(overrides)), effective(config, overrides)
    else:
        changes = given
        if emptied := [*_emptied(lines_as_changes(text), given)]:
            raise ConfigError([f"the lines to put in: {name}: nothing stands there, and nothing is ever removed by "
                               "this: leave it out, or delete it from the file in an editor"
                               for name in emptied])  # fmt: skip
    try:
        new = edited(text, changes)
    except ConfigError as error:
        raise ConfigError([f"{path}: {problem}" for problem in error.problems]) from None
    after = _checked(path, new, environ)
    if wanted is not None and after != wanted:
        raise ConfigError([f"{path}: the file would not mean what was set over MQTT: put the lines of soteirad config "
                           "diff into it by hand"])  # fmt: skip
    shown = diff(text, new, known_secrets(config) | known_secrets(after), path.name)
    notes = () if given is None else (*_own_values(lines_as_changes(new), given), *_still_set(after, given))
    return Proposal(real, before, new.encode("utf-8"), shown, unset, notes)


def write(proposal: Proposal) -> Path:
    """Put the proposal into the file, all at once; returns where the old one is kept (`<file>.bak`).

    Owner, group, rights and extended attributes stay as they are. Raises ConfigError if the file changed since it was
    read, and SoteiraError if it cannot be written.
    """
    path = proposal.path
    backup = path.with_name(f"{path.name}.bak")
    target = backup
    try:
        _check_unchanged(proposal)
        _replace(backup, proposal.before, path)
        _check_unchanged(proposal)  # a slow card takes its time for the backup
        target = path
        _replace(path, proposal.after, path)
    except OSError as error:
        raise SoteiraError(f"{target}: this file cannot be written{_why(error)}") from None
    return backup


def _check_unchanged(proposal: Proposal) -> None:
    if _read(proposal.path) != proposal.before:
        raise ConfigError([f"{proposal.path}: the file was changed in the meantime by somebody else, so nothing was "
                           "written: look at it, and try again"])  # fmt: skip


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{path}: this file cannot be read ({error.strerror}): run the command as its owner, "
                           "such as with sudo"]) from None  # fmt: skip


def _unset(text: str, given: Mapping[str, Any] | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables in a file's values, and in those that are to come, that are not set."""
    try:
        values = [lines_as_changes(text), given]
    except ConfigError:  # the loader says it better
        return ()
    return tuple(sorted({name for name in VARIABLE.findall(str(values)) if name not in environ}))


def _changes(lines: str) -> dict[str, Any]:
    try:
        return lines_as_changes(lines)
    except ConfigError as error:
        raise ConfigError([f"the lines to put in: {problem}" for problem in error.problems]) from None


def _emptied(data: Any, given: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the sections and lists of a file in whose place there would be nothing."""
    for key, value in given.items():
        old = data.get(key) if isinstance(data, Mapping) else None
        if value is None and isinstance(old, (Mapping, list)) and old:
            yield path + key
        elif isinstance(value, Mapping):
            yield from _emptied(old, value, f"{path}{key}.")


def _own_values(data: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the lines set for all cameras and cameras of the file say otherwise."""
    shared = {section: given[section] for section in INHERITED if isinstance(given.get(section), Mapping)}
    asked = given.get("cameras") or {}
    for path, value in _leaves(shared):
        own = {name: _at(camera, path) for name, camera in data["cameras"].items()}
        deaf = [name for name, found in own.items()
                if found not in (_NOTHING, value) and _at(asked.get(name), path) is _NOTHING]  # fmt: skip
        if deaf:
            yield (f"{'.'.join(path)} has no effect on {', '.join(deaf)}: there it has another value, in the camera's "
                   "own section. To change that, put these lines below the camera's name")  # fmt: skip


def _still_set(config: Config, given: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the lines change and somebody changed over MQTT or on the page, which counts more than the file."""
    overrides: Mapping[tuple[str, str], Any] = {}
    with suppress(SoteiraError):  # a journal that cannot be read here does not keep anybody from writing the file
        overrides = overrides_of(config)
    for (_, camera, *path), value in _leaves(lines_as_changes(as_yaml(overrides))):
        if any(_at(given, place) is not _NOTHING for place in (("cameras", camera, *path), path)):
            yield (f"{'.'.join(path)} of {camera} stays {emit.flow(value)}, which was set over MQTT or on the page and "
                   "counts more than the file, until it is set back there")  # fmt: skip


def _leaves(data: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _at(data: Any, path: Sequence[str]) -> Any:
    """Return what stands at a path; `_NOTHING` if nothing does."""
    for key in path:
        data = data.get(key, _NOTHING) if isinstance(data, Mapping) else _NOTHING
    return data


def _checked(path: Path, text: str, environ: Mapping[str, str]) -> Config:
    """Load the new text as the daemon would. Raises ConfigError."""
    try:
        return config_from(text.removeprefix("\ufeff"), path, environ)
    except ConfigError as error:
        problems = [problem.removeprefix(f"{path}:") for problem in error.problems]
        head = f"{path}: with these lines the file would be wrong, so it stays as it is:"
        raise ConfigError([head, *(f"  new line {problem}" for problem in problems)]) from None


def _replace(path: Path, content: bytes, like: Path) -> None:
    """Write a file at once, owned and protected as the file `like`. Raises OSError."""
    status = like.stat()
    owner = (status.st_uid, status.st_gid)
    put(path, content, status.st_mode & 0o7777, *((-1, -1) if owner == (os.geteuid(), os.getegid()) else owner),
        dress=lambda new: _copy_attributes(like, new))  # fmt: skip


def _copy_attributes(like: Path, path: Path) -> None:
    """Copy what access lists and SELinux keep with a file, as far as it is allowed."""
    if sys.platform == "linux":
        with suppress(OSError):
            for attribute in os.listxattr(like):
                with suppress(OSError):
                    os.setxattr(path, attribute, os.getxattr(like, attribute))


def _why(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f" ({error.strerror}): run the command as the owner of the file and its folder, such as with sudo"
    if error.errno == errno.EBUSY:
        return ": it is mounted by itself, as into a container: run the command where it lies"
    return f" ({error.strerror}): nothing was changed"
