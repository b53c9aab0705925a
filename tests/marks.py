"""Secrets that are marked, so that they can be looked for everywhere, in whatever form they got there."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote


class Marks:
    """Makes secrets, each of them told apart, and finds them in bytes."""

    ODD = "/@#:"
    """What people's passwords hold, and addresses take for something else."""

    def __init__(self) -> None:
        self._cores: dict[str, str] = {}

    def make(self, what: str, odd: str = "") -> str:
        """Return a secret for a place, with `odd` characters at its end; its middle stands in no other text."""
        core = f"Zq7{what.title().replace(' ', '')}9xK"
        self._cores[what] = core
        return core + odd

    def found(self, data: bytes) -> set[str]:
        """Return the places whose secret is in `data`: as it is, in any letters' case, in base64 or as UTF-16."""
        low = data.lower()
        return {what for what, core in self._cores.items()
                if core.lower().encode() in low or core.encode("utf-16-le") in data
                or any(form in data for form in _in_base64(core))}  # fmt: skip

    def found_below(self, folder: Path, but: Iterable[Path] = ()) -> dict[str, set[str]]:
        """Return which secrets are in which files below a folder, names of files included, `but` some."""
        hits, spared = {}, {path.resolve() for path in but}
        for path in folder.rglob("*"):
            if path.resolve() in spared or any(parent in spared for parent in path.resolve().parents):
                continue
            data = path.name.encode() + (path.read_bytes() if path.is_file() and not path.is_symlink() else b"")
            if seen := self.found(data):
                hits[str(path.relative_to(folder))] = seen
        return hits


def user_info(user: str, password: str) -> str:
    """Return what stands before a host in an address."""
    return f"{quote(user, safe='')}:{quote(password, safe='')}@"


def _in_base64(core: str) -> Iterator[bytes]:
    """Yield how the text looks in base64, wherever it begins there."""
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + core.encode() + b"\0" * 3)
        yield whole[-(-shift * 8 // 6) : (shift + len(core)) * 8 // 6]  # what its neighbours have no share in
