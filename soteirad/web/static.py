"""The page's own files: a flat folder, nothing else."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from starlette.responses import Response

from soteirad.web.answers import Failure

FOLDER = Path(__file__).parent / "static"
INDEX = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}
_REFERENCE = re.compile(rb'((?:src|href)=")(/static/([A-Za-z0-9_.-]+))"')
_REVALIDATE = "no-cache"
_FOR_EVER = "public, max-age=31536000, immutable"


class Static:
    """Answers with the files of a folder.

    A browser asks each time whether its copy is still the right one. What `index.html` names is named with its version
    (`?v=`), and such a copy is good for ever.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder

    def index(self, if_none_match: str = "") -> Response:
        """Return the page. Raises Failure when it was not installed."""
        return self._answer(INDEX, "", if_none_match)

    def file(self, name: str, version: str, if_none_match: str = "") -> Response:
        """Return a file. Raises Failure when there is none of that name."""
        return self._answer(name, version, if_none_match)

    def _answer(self, name: str, version: str, if_none_match: str) -> Response:
        data = self._read(name)
        if data is None:
            raise Failure(404, "there is no such file: open / for the page")
        if name == INDEX:
            data = _REFERENCE.sub(self._with_version, data)
        tag = _version(data)
        headers = {"ETag": f'"{tag}"', "Cache-Control": _FOR_EVER if version == tag else _REVALIDATE}
        if f'"{tag}"' in if_none_match:
            return Response(status_code=304, headers=headers)
        return Response(data, headers={**headers, "Content-Type": TYPES[Path(name).suffix]})

    def _read(self, name: str) -> bytes | None:
        # Looked up in the folder's own list: whatever the name says, it leads nowhere else.
        found = {path.name: path for path in self._folder.iterdir()}.get(name) if self._folder.is_dir() else None
        if found is None or found.suffix not in TYPES or found.is_symlink() or not found.is_file():
            return None
        return found.read_bytes()

    def _with_version(self, match: re.Match[bytes]) -> bytes:
        data = self._read(match[3].decode())
        return match[0] if data is None else match[1] + match[2] + f'?v={_version(data)}"'.encode()


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
