"""What an installation made: kept in a file of root's, so that a later one knows its own from the owner's."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Record:
    """`files` holds the hash of each file as it was written, `links` where each link led, `made` users and groups."""

    version: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    made: frozenset[str] = frozenset()

    def wrote(self, path: str, content: bytes | None) -> bool:
        """Tell whether a file is as it was written."""
        return content is not None and self.files.get(path) == _digest(content)

    def with_file(self, path: str, content: bytes) -> Record:
        """Return it with a file that was written."""
        return replace(self, files={**self.files, path: _digest(content)})

    def with_link(self, path: str, target: str) -> Record:
        """Return it with a link that was made."""
        return replace(self, links={**self.links, path: target})

    def without(self, path: str) -> Record:
        """Return it without a file or link that was removed."""
        files = {name: digest for name, digest in self.files.items() if name != path}
        return replace(self, files=files, links={name: to for name, to in self.links.items() if name != path})

    def emit(self) -> bytes:
        """Return it as the text of a file."""
        document = {"version": self.version, "files": self.files, "links": self.links, "made": sorted(self.made)}
        return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def read_record(content: bytes | None) -> Record:
    """Return what a file says; one that is missing or damaged says that nothing is known."""
    if content is None:
        return Record()
    try:
        document: dict[str, Any] = json.loads(content)
        version, made = document["version"], frozenset(map(str, document["made"]))
        return Record(None if version is None else str(version), _texts(document["files"]), _texts(document["links"]),
                      made)  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Record()


def older(version: str, than: str) -> bool:
    """Tell whether a version is older than another one; what is no number does not count."""
    return _numbers(version) < _numbers(than)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _texts(found: dict[Any, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in found.items()}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
