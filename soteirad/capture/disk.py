"""The file that a recording is written to, which stays one that can be played when the disk is full."""

from __future__ import annotations

import os
from pathlib import Path


class Disk:
    """A new file that only its owner may read, as PyAV wants it.

    After the first fault nothing more is written: what FFmpeg would still put at the start of an MP4 hides its pieces.
    The fault is kept in `error`, because PyAV does not hand it on faithfully.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = -1
        self.error: OSError | None = None

    def open(self) -> None:
        """Make the file. Raises OSError, also if it is there already."""
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, content: bytes) -> int:
        """Write all of it, or note why not."""
        rest = memoryview(content)
        try:
            while rest and self.error is None:
                rest = rest[os.write(self._handle, rest) :]
        except OSError as error:
            self.error = error
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the file; returns it."""
        return os.lseek(self._handle, offset, whence)

    def tell(self) -> int:
        """Return the place in the file."""
        return self.seek(0, os.SEEK_CUR)

    def close(self) -> None:
        """Close the file, without the piece that a fault cut off; an empty file goes."""
        handle, self._handle = self._handle, -1
        if handle < 0:
            return
        try:
            if self.error is not None:
                os.ftruncate(handle, whole_pieces(handle))
            if not os.fstat(handle).st_size:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            self.error = self.error or error
        finally:
            os.close(handle)


def whole_pieces(handle: int) -> int:
    """Return how many bytes of an MP4 file are whole pieces, each of which ends with its `mdat`; all of other files."""
    size = os.fstat(handle).st_size
    place = good = 0
    while place + 16 <= size:
        head = os.pread(handle, 16, place)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if place == 0 and kind != b"ftyp":
            return size
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        place += max(length, 8)
        if kind == b"mdat" and place <= size:
            good = place
    return good
