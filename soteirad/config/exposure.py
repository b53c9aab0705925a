"""Secrets that everybody on the machine may read: passwords written in a configuration file, and files of secrets."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from soteirad.config.document import Document, DocumentError, KeyPath, Loader, read
from soteirad.config.secrets import VARIABLE, redact_url
from soteirad.service.layout import USER, Layout

_KEYS = ("password", "api_key")
_HEADERS = re.compile(r"auth|token|key|secret|cookie", re.IGNORECASE)


def exposed(path: Path, layout: Layout | None = None) -> list[str]:
    """Return one line for each secret that others may read: in the configuration at `path`, and in the files of
    secrets; with what to do, and without the secret. A file that cannot be read has none.
    """
    return [*_in_configuration(path, layout or Layout()), *_files(layout or Layout())]


def literal_secrets(text: str) -> list[str]:
    """Return where in a configuration's text a secret is written out instead of as `{SOTEIRA_X}`:
    `line:column: mqtt.password`, in the order of the file.
    """
    try:
        loader = Loader(text)
        try:
            document = read(loader.get_single_node(), None)
        finally:
            loader.dispose()
    except (DocumentError, yaml.YAMLError, ValueError, OverflowError, LookupError):
        return []
    found = sorted({(document.place(where, of_key=False), document.path_text(where)) for where in _walk(document)})
    return [f"{place.line}:{place.column}: {shown}" for place, shown in found]


def _walk(document: Document) -> Iterator[KeyPath]:
    def walk(data: Any, path: KeyPath) -> Iterator[KeyPath]:
        if isinstance(data, dict):
            for key, value in data.items():
                yield from walk(value, (*path, key))
        elif isinstance(data, list):
            for index, value in enumerate(data):
                yield from walk(value, (*path, index))
        elif data is not None and _is_secret(path, str(data)):
            yield path

    return walk(document.data, ())


def _is_secret(path: KeyPath, value: str) -> bool:
    literal = VARIABLE.sub("", value)
    if path and path[-1] in _KEYS:
        return bool(literal)
    if len(path) > 1 and path[-2] == "headers":
        return bool(_HEADERS.search(str(path[-1]))) and literal == value
    # What is left of an address in which only variables were secret has nothing to hide.
    return "://" in literal and redact_url(literal) != literal and _has_secret(value)


def _has_secret(address: str) -> bool:
    """Say whether something that is hidden in an address is written out."""
    marked = VARIABLE.sub("", address)
    user_info = re.match(r"[A-Za-z]+://([^/]*)@", marked)
    if user_info is not None and user_info[1].partition(":")[2]:
        return True
    bare = re.sub(r"(?<=://)[^/]*@", "", marked)
    pieces = [piece.partition("=")[2] for piece in re.split("[?&;#/]", bare) if redact_url(f"x://h/?{piece}").endswith("***")]
    return any(pieces)


def _in_configuration(path: Path, layout: Layout) -> Iterator[str]:
    try:
        if not _open_to_all(path):
            return
        places = literal_secrets(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return
    if places:
        ours = f"chown root:{USER} {path} && sudo chmod 640 {path}" if path == layout.config else f"chmod o= {path}"
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        yield (f"{path}:{places[0]}{more}: this is a secret, and everybody on this machine may read the file: "
               f"`sudo {ours}`, or write {{SOTEIRA_NAME}} and put it in {layout.secrets}/SOTEIRA_NAME")  # fmt: skip


def _files(layout: Layout) -> Iterator[str]:
    try:
        files = sorted(layout.secrets.iterdir())
    except OSError:  # as it has to be, for all but root
        return
    for file in files:
        try:
            if _open_to_all(file):
                yield f"{file}: everybody on this machine may read this secret: `sudo chmod 600 {file}`"
        except OSError:
            continue


def _open_to_all(path: Path) -> bool:
    """Say whether others may read a file, and come to it. Raises OSError."""
    resolved = path.resolve()
    found = resolved.stat()
    return (stat.S_ISREG(found.st_mode) and bool(found.st_mode & stat.S_IROTH)
            and all(os.stat(folder).st_mode & stat.S_IXOTH for folder in resolved.parents))  # noqa: PTH116
