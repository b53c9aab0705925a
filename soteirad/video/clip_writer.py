"""The writer of one clip: follows a feed from the beginning of the clip to its end, through one file or several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from soteirad.errors import SourceError
from soteirad.event import epoch_time, iso_time
from soteirad.video.clip_file import ClipFile, part_of
from soteirad.video.clip_plan import ClipOrder
from soteirad.video.feed import Feed
from soteirad.video.piece import Piece, SoundFormat

LATE_S = 2.0
"""Pictures come so much later, at most; a clip for whose end none come is complete without them."""
MOST_PARTS = 50
"""Files of one clip; a camera that changes its format more often is out of order."""


class ClipWriter:
    """Writes what `order` says below `folder`. A stream that changes its format goes on in a file of its own.

    For one thread. All methods raise StorageError; what was written until then stays.
    """

    def __init__(self, order: ClipOrder, folder: Path, feed: Feed, sound: bool) -> None:
        self.order = order
        self.ends = order.ends
        self.parts: list[Path] = []
        """The files that were begun."""
        self.done = False
        self._folder = folder
        self._feed = feed
        self._sound = sound
        self._next: int | None = None
        self._file: ClipFile | None = None
        self._heard: SoundFormat | None = None
        self._waits = True

    def step(self, now: float) -> None:
        """Write what has come; `now` is on the clock of the gates."""
        if self._next is None:
            self._next = self._feed.begin(self.order.begins)
        if self._next is not None:
            reading = self._feed.read(self._next)
            self._next = reading.next
            self._waits = self._waits or reading.lost
            self._write(reading.pieces)
        self.done = self.done or now > self.ends + LATE_S
        if self.done:
            self.close()

    def close(self) -> None:
        """Close the file that is open; what is there can be played."""
        file, self._file = self._file, None
        self.done = True
        if file is not None:
            file.close()

    def _write(self, pieces: Sequence[Piece]) -> None:
        if self._sound:
            sounds = (piece.format for piece in reversed(pieces) if isinstance(piece.format, SoundFormat))
            self._heard = next(sounds, self._heard)
        for index, piece in enumerate(pieces):
            if piece.time > self.ends and piece.is_picture:
                self.done = True
                return
            if piece.is_picture and self._file is not None and piece.format != self._file.format:
                file, self._file, self._waits = self._file, None, True
                file.close()
            if self._waits and piece.is_picture and piece.key:
                self._begin(pieces[index:])
            if self._file is not None and not self._waits:
                self._file.add(piece)

    def _begin(self, pieces: Sequence[Piece]) -> None:
        """Go on with a key picture: in the file that is open, or else in a new one."""
        if self._file is not None:
            self._file.resume()
        else:
            if len(self.parts) == MOST_PARTS:
                self.done = True
                return
            path = self._folder / self.order.path
            if self.parts:
                path = path.with_name(f"{path.stem}-{len(self.parts) + 1}.mp4")
            begins = epoch_time(str(self.order.note["time"])) - (self.order.moment - _due(pieces))
            note = {**self.order.note, "begins": iso_time(begins)}
            try:
                self._file = ClipFile(path, pieces, self._heard, note)
            except SourceError:
                return  # this picture makes no sense: with the next key picture it may
            self.parts.append(part_of(path))
        self._waits = False


def _due(pieces: Sequence[Piece]) -> float:
    """Return when the first picture would have come had it not been held up: those tell that were the quickest."""
    first, quickest = pieces[0], pieces[0].time
    for piece in pieces:
        if piece.is_picture and piece.connection == first.connection and None not in (first.pts, piece.pts):
            quickest = min(quickest, piece.time - (piece.pts or 0.0) + (first.pts or 0.0))
    return quickest if first.time - quickest <= LATE_S else first.time
