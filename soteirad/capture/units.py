"""Whole pictures out of the pieces that FFmpeg gives of an RTSP camera when its parser is off: H.264 and H.265. Pure.

FFmpeg's parser gives a picture out when the next one begins, so all of them are a frame late: it does not look at
RTP's mark on a picture's last packet, and does not pass it on. Here the last piece is known by what can be seen of it:
the pieces of a slice are as long as packets may be and the last one is shorter, and a camera cuts all its key pictures
into as many slices, and all others. Whenever that does not tell, a picture waits for the beginning of the next one, as
with the parser; and once it told wrong, all pictures of that connection do.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import NamedTuple

START = b"\0\0\0\1"
"""What FFmpeg puts before each NAL unit; inside of one it cannot occur."""
CODECS = ("h264", "hevc")
_OVERHEAD = sys.getsizeof(b"")
RECOVERY_POINT = 6
"""H.264's message that decoding can start here: mostly where a picture begins to be renewed bit by bit."""


class Unit(NamedTuple):
    """A picture, ready to be decoded (Annex B).

    `stamp` is that of its pieces, in their units; `key` says whether decoding can start here; `torn` that it is only
    the rest of a picture that was given out too early.
    """

    data: bytes
    stamp: int | None
    key: bool
    torn: bool


class Units:
    """Joins the pieces of one connection; one object for each."""

    KNOWN = 8
    """So many pictures must be known before one is given out early, and all those known of its kind, key pictures or
    others, must have had as many slices."""
    SHORTER = 16
    """A last piece is recognised if it is so many bytes shorter than the slice's first one."""
    REMEMBERED = 32
    """So many first pieces are remembered."""
    MOST = 32_000_000
    """Bytes of memory that one picture may take; a camera that goes on and on begins another one."""

    def __init__(self, codec: str) -> None:
        self._hevc = codec == "hevc"
        self._usual: deque[int] = deque(maxlen=self.KNOWN)
        self._usual_key: deque[int] = deque(maxlen=self.KNOWN)
        self._firsts: deque[int] = deque(maxlen=self.REMEMBERED)
        self._pieces: list[bytes] = []
        self._stamp: int | None = None
        self._slices = 0
        self._key = self._torn = self._early = False
        self._first = self._size = 0
        self.trusted = True
        """Whether pictures are given out before the next one begins."""

    def add(self, piece: bytes, stamp: int | None) -> list[Unit]:
        """Take what came in one packet and return the pictures that are whole with that: none, one or two."""
        starts = piece.startswith(START)
        same = stamp == self._stamp or not (self._slices or self._torn)
        if not starts and same and self._pieces and self._size <= self.MOST:
            return self._continue(piece, stamp)
        done: list[Unit] = []
        nals = piece.split(START)[1:] if starts else []
        slices = [nal for nal in nals if self._is_slice(nal)]
        begins = bool(slices) and self._begins_picture(slices[0])
        if ((self._slices or self._torn) and (stamp != self._stamp or begins)) or self._size > self.MOST:
            done.append(self._finish())
        if not self._pieces and self._early:
            self._torn = not nals or (bool(slices) and not begins)
            self.trusted = self.trusted and not self._torn
        self._early = False
        self._keep(piece)
        self._stamp = stamp
        self._slices += len(slices)
        self._key = self._key or any(self._is_key(nal) for nal in nals)
        if nals:
            self._first = len(piece)
        ends_in_slice = bool(slices) and slices[-1] is nals[-1]
        # What is shorter than all first pieces is a slice of its own.
        short = ends_in_slice and bool(self._firsts) and len(piece) < min(self._firsts) - self.SHORTER
        return [*done, *self._give(short)]

    def _continue(self, piece: bytes, stamp: int | None) -> list[Unit]:
        """Take another piece of the slice that has begun: most pieces are that, and nothing but their length counts."""
        if self._pieces[-1].startswith(START):
            self._firsts.append(self._first)
        self._keep(piece)
        self._stamp = stamp
        return self._give(len(piece) < self._first - self.SHORTER)

    def _keep(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece) + _OVERHEAD

    def _give(self, short: bool) -> list[Unit]:
        """Return the picture if its last piece, which is as `short` as last ones are, makes it whole."""
        if not (short and self.trusted and self._is_whole()):
            return []
        self._early = True
        return [self._finish()]

    def rest(self) -> list[Unit]:
        """Return what there is of the last picture."""
        return [self._finish()] if self._slices or self._torn else []

    def _is_whole(self) -> bool:
        """Say whether the picture that is being joined has as many slices as all those known of its kind."""
        usual = self._usual_key if self._key else self._usual
        known = max(len(self._usual), len(self._usual_key)) == self.KNOWN
        return known and {*usual} == {self._slices} and not self._torn

    def _finish(self) -> Unit:
        unit = Unit(b"".join(self._pieces), self._stamp, self._key, self._torn)
        if not self._torn:
            (self._usual_key if self._key else self._usual).append(self._slices)
        self._pieces, self._slices, self._size, self._key, self._torn = [], 0, 0, False, False
        return unit

    def _kind(self, nal: bytes) -> int:
        return nal[0] >> 1 & 0x3F if self._hevc else nal[0] & 0x1F

    def _is_slice(self, nal: bytes) -> bool:
        return bool(nal) and (self._kind(nal) < 32 if self._hevc else 1 <= self._kind(nal) <= 5)

    def _begins_picture(self, nal: bytes) -> bool:
        """Say whether a slice is its picture's first: the first bit behind the NAL unit's header."""
        return nal[2 if self._hevc else 1 :][:1] >= b"\x80"

    def _is_key(self, nal: bytes) -> bool:
        """Say whether decoding can start here; for H.264 also where a picture begins to be renewed bit by bit."""
        if not nal:
            return False
        kind = self._kind(nal)
        return 16 <= kind <= 21 if self._hevc else kind == 5 or (kind == 6 and RECOVERY_POINT in _messages(nal))


def _messages(nal: bytes) -> list[int]:
    """Return the types of the messages in a NAL unit of H.264's supplemental information."""
    data, at, found = nal.replace(b"\0\0\3", b"\0\0"), 1, []
    while at < len(data) - 2:  # the last byte ends the unit
        numbers = []
        for _ in range(2):
            start = at
            while data[at : at + 1] == b"\xff":
                at += 1
            numbers.append(255 * (at - start) + sum(data[at : at + 1]))
            at += 1
        found.append(numbers[0])
        at += numbers[1]
    return found
