"""`load_config`: the file, all its problems at once, or the configuration."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from soteirad.config.document import Document, DocumentError, Loader, Place, Problem, read
from soteirad.config.exposure import exposed
from soteirad.config.inherit import INHERITED
from soteirad.config.messages import KEY, found
from soteirad.config.renames import renamed
from soteirad.config.schema import Config
from soteirad.config.section import S
from soteirad.config.syntax import explain
from soteirad.config.values import CAMERA_EXAMPLE
from soteirad.errors import ConfigError

logger = logging.getLogger(__name__)

MAX_BYTES = 1_000_000
MOST_TOLD = 100
"""Problems that are told at once: nobody reads more, and a file that was mangled has thousands."""
START = Place(1, 1)


def load_config(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read and check the configuration file, with `{SOTEIRA_X}` taken from `environ`.

    What works and should be changed all the same is logged: keys by their old names, secrets that everybody may read.
    Raises `ConfigError` with every problem, sorted by place, each on one line as
    `file:line:column: path: what is wrong: what is allowed`. No secret and no source is in it.
    """
    try:
        text = _read_text(path)
    except DocumentError as error:
        raise _config_error(path, [error.problem]) from None
    config = config_from(text, path, environ)
    for line in exposed(path):
        logger.warning("%s", line)
    return config


def config_from(text: str, path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Check the text of a configuration file as `load_config` does; `path` is only for the messages."""
    try:
        document = _parse(text, environ)
    except DocumentError as error:
        raise _config_error(path, [error.problem]) from None
    for notice in renamed(document):
        logger.warning("%s", _line(path, notice))
    return _validated(Config, document, path)


def _validated(section: type[S], document: Document, path: Path) -> S:
    problems = list(document.problems)
    checked = None
    try:
        checked = section.model_validate(document.data)
    except ValidationError as error:
        problems += _placed(document, error)
    if checked is None or problems:
        raise _config_error(path, problems)
    return checked


def _config_error(path: Path, problems: Iterable[Problem]) -> ConfigError:
    # An anchor's content is checked wherever it is used; its problem is one problem.
    unique = {(problem.place, problem.text): problem for problem in reversed(list(problems))}
    lines = [_line(path, problem) for problem in sorted(unique.values())[:MOST_TOLD]]
    if len(unique) > MOST_TOLD:
        lines.append(f"{path}: and {len(unique) - MOST_TOLD} more problems: solve these first")
    return ConfigError(lines)


def _line(path: Path, problem: Problem) -> str:
    return f"{path}:{problem.place.line}:{problem.place.column}: {problem.path}: {problem.text}"


def _read_text(path: Path) -> str:
    try:
        # A pipe that nobody writes to would let everybody wait.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _file_error("this is a pipe or a device: give the path of a file")
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _file_error("there is no such file: create it, or give the path of yours") from None
    except IsADirectoryError:  # which open says of one that it was given open
        raise _file_error("this is a folder: give the path of the file in it") from None
    except PermissionError:
        raise _file_error(
            "this file may not be read: use sudo, or give the daemon's user the right to read it and its folder"
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "unusable path"
        raise _file_error(f"this file cannot be read ({reason}): give the path of a readable file") from None
    if len(content) > MAX_BYTES:
        raise _file_error(f"this file is too large for a configuration: allowed are {MAX_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace").removeprefix("\ufeff")
        place = Place(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        raise _file_error("this file is not UTF-8 text: save it as UTF-8 in your editor", place) from None


def _file_error(text: str, place: Place = START) -> DocumentError:
    return DocumentError(Problem(place, "file", text))


def _parse(text: str, environ: Mapping[str, str]) -> Document:
    loader = None
    try:
        loader = Loader(text)
        root = loader.get_single_node()
    # PyYAML lets ValueError and its kin through for impossible escapes such as "\UFFFFFFFF".
    except (yaml.YAMLError, ValueError, OverflowError, LookupError) as error:
        mark = loader.get_mark() if loader is not None else None
        raise DocumentError(explain(error, text, mark)) from None
    finally:
        if loader is not None:
            loader.dispose()
    document = read(root, environ)
    if document.data is None and not document.problems:
        raise _file_error(f"this file is empty: {CAMERA_EXAMPLE}")
    if not isinstance(document.data, dict):
        problem = f"{found(document.data)} where sections such as cameras: are needed: {CAMERA_EXAMPLE}"
        raise _file_error(problem, document.values[()])
    return document


def _placed(document: Document, error: ValidationError) -> list[Problem]:
    """Give each validation problem its place; what a camera only inherited is told at the global section."""
    lines = error.errors(include_url=False, include_input=False)
    reported = {line["loc"] for line in lines}
    problems = []
    for line in lines:
        loc = line["loc"]
        inherited = len(loc) > 2 and loc[0] == "cameras" and loc[2] in INHERITED
        told_above = inherited and loc not in document.values and loc[2:] in reported
        if loc in document.unresolved or told_above:
            continue
        place = document.place(loc, of_key=line["type"] == KEY)
        problems.append(Problem(place, document.path_text(loc), line["msg"]))
    return problems


def load_section(section: type[S], path: Path, environ: Mapping[str, str] = os.environ) -> S:
    """Read and check another YAML file than the configuration, in the same way and with the same messages.

    Raises ConfigError.
    """
    try:
        document = _parse(_read_text(path), environ)
    except DocumentError as error:
        raise _config_error(path, [error.problem]) from None
    return _validated(section, document, path)
