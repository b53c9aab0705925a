"""The ring: the last seconds of a stream, as whole groups of pictures (GOPs). Pure."""

from __future__ import annotations

from collections import deque
from itertools import islice

from soteirad.video.piece import Piece

MOST_BYTES = 32_000_000
"""Of memory; 20 s at 12 Mbit/s. What a camera process takes for it at most, whatever the camera sends."""
PIECE_BYTES = 320
"""What a piece takes beside its data (measured): small ones without end, of a still scene, are not for nothing."""


class Ring:
    """Keeps at least the last `seconds`, beginning with a key picture, and never more than `most` bytes.

    Pieces have numbers, which rise by one. A group of pictures that is larger than `most` loses its beginning: who
    follows it goes on, and who begins waits for the next key picture.
    """

    def __init__(self, seconds: float, most: int = MOST_BYTES) -> None:
        self.seconds = seconds
        self._most = most
        self._pieces: deque[Piece] = deque()
        self._keys: deque[tuple[int, float]] = deque()
        """Number and time of each key picture that is there."""
        self.first = 0
        """The number of the oldest piece."""
        self.bytes = 0
        self.newest: float | None = None
        """When the last piece came; None if none did."""

    @property
    def end(self) -> int:
        """The number that the next piece will have."""
        return self.first + len(self._pieces)

    def add(self, piece: Piece) -> None:
        """Take the next piece; what comes before the first key picture is left out."""
        key = piece.key and piece.is_picture
        if not self._pieces and not key:
            return
        if key:
            self._keys.append((self.end, piece.time))
        self._pieces.append(piece)
        self.bytes += _size(piece)
        self.newest = piece.time
        while len(self._keys) > 1 and self._keys[1][1] <= piece.time - self.seconds:
            self._drop(self._keys[1][0] - self.first)
        while self.bytes > self._most:
            self._drop(self._keys[1][0] - self.first if len(self._keys) > 1 else 1)

    def begin(self, time: float) -> int | None:
        """Return the number of the last key picture that came at `time` or before, or else of the first one."""
        found = [number for number, at in self._keys if at <= time]
        if found:
            return found[-1]
        return self._keys[0][0] if self._keys else None

    def after(self, number: int) -> list[Piece]:
        """Return the pieces from that number on, as far as they are still there."""
        found = list(islice(reversed(self._pieces), max(0, self.end - number)))
        found.reverse()  # who follows wants the last few of many: they are found from the end
        return found

    def clear(self) -> None:
        """Leave all pieces; the numbers go on."""
        self._drop(len(self._pieces))
        self.newest = None

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self.bytes -= _size(self._pieces.popleft())
        self.first += count
        while self._keys and self._keys[0][0] < self.first:
            self._keys.popleft()


def _size(piece: Piece) -> int:
    return len(piece.data) + PIECE_BYTES
