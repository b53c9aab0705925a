"""Keys that have another name now: a file that uses the old one still works, and is told what to write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from soteirad.config.document import Document, KeyPath, Place, Problem
from soteirad.config.secrets import looks_secret

ANY = "*"
"""In a path: each camera, or whatever else stands at this place."""


@dataclass(frozen=True)
class Rename:
    """A key that moved from `old` to `new`; both paths have `ANY` at the same places."""

    old: tuple[str, ...]
    new: tuple[str, ...]


RENAMES: tuple[Rename, ...] = ()
"""All that were ever renamed, oldest first. None so far: a key that is renamed gets its line here."""


def renamed(document: Document, renames: tuple[Rename, ...] = RENAMES) -> list[Problem]:
    """Move what is written under an old name to its new one, and return what is to be told of each, with its place.

    Where both are written it becomes one of the document's problems.
    """
    told = []
    for rename in renames:
        for old in list(_matches(document.data, rename.old, ())):
            new = _filled(rename.new, rename.old, old)
            place, shown = document.place(old, of_key=True), document.path_text(old)
            if _find(document.data, new) is not None:
                text = f"this key is called {'.'.join(new)} now, which is in the file, too: remove this one"
                document.problems.append(Problem(place, shown, text))
                _take(document.data, old)
            elif _can_hold(document.data, new):
                value = _take(document.data, old)
                _put(document, old, new, value)
                text = f"this key is called {'.'.join(new)} now: write {_line(old, new, value)}"
                told.append(Problem(place, shown, text))
    return told


def _matches(data: Any, pattern: tuple[str, ...], path: KeyPath) -> Iterator[KeyPath]:
    if not pattern:
        yield path
    elif isinstance(data, dict):
        for key in list(data) if pattern[0] == ANY else [pattern[0]]:
            if key in data:
                yield from _matches(data[key], pattern[1:], (*path, key))


def _filled(new: tuple[str, ...], pattern: tuple[str, ...], found: KeyPath) -> tuple[str, ...]:
    names = iter([str(part) for part, wanted in zip(found, pattern, strict=True) if wanted == ANY])
    return tuple(next(names) if part == ANY else part for part in new)


def _find(data: Any, path: tuple[str, ...]) -> list[Any] | None:
    """Return the value at a path in a list of its own, None if there is none."""
    for part in path:
        if not isinstance(data, dict) or part not in data:
            return None
        data = data[part]
    return [data]


def _can_hold(data: Any, path: tuple[str, ...]) -> bool:
    """Say whether all that is there of the way to a path are sections."""
    for part in path[:-1]:
        data = data.get(part) if isinstance(data, dict) else data
        if data is None:
            return True
        if not isinstance(data, dict):
            return False
    return True


def _take(data: Any, path: KeyPath) -> Any:
    for part in path[:-1]:
        data = data[part]
    return data.pop(path[-1])


def _put(document: Document, old: KeyPath, new: tuple[str, ...], value: Any) -> None:
    data = document.data
    for part in new[:-1]:
        if data.get(part) is None:
            data[part] = {}
        data = data[part]
    data[new[-1]] = value
    places: tuple[dict[KeyPath, Place], ...] = (document.keys, document.values)
    for known in places:
        for path in [path for path in known if path[: len(old)] == old]:
            known[(*new, *path[len(old) :])] = known[path]
    # A problem with the value is told with the name that is in the file.
    for path in [path for path in document.unresolved if path[: len(old)] == old]:
        document.unresolved.add((*new, *path[len(old) :]))


def _line(old: KeyPath, new: tuple[str, ...], value: Any) -> str:
    """Return what to write, below the last section that both paths share; no value that could be a secret."""
    shared = 0
    while shared < min(len(old), len(new)) - 1 and old[shared] == new[shared]:
        shared += 1
    rest = new[shared:]
    plain = isinstance(value, (bool, int, float)) and not looks_secret(new[-1])
    shown = f" {json.dumps(value)}" if plain else " ..."
    return "`" + "".join(f"{part}: {{" for part in rest[:-1]) + f"{rest[-1]}:{shown}" + "}" * (len(rest) - 1) + "`"
