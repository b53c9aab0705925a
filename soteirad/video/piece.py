"""A piece of a stream: one compressed picture, or a little sound, and what is needed to play it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class PictureFormat:
    """What may not change within a file: the codec (FFmpeg's name) and its parameter sets, in Annex B."""

    codec: str
    sets: bytes


@dataclass(frozen=True)
class SoundFormat:
    """AAC-LC of so many samples a second, in so many channels."""

    rate: int
    channels: int


class Piece(NamedTuple):
    """One access unit.

    `data` is a picture in Annex B, with the parameter sets that came before it, or an AAC frame without a header. `pts`
    and `dts` are its presentation and decoding time in seconds on the stream's own clock, as far as they are known.
    `time` is when it came, on the clock of the gates (`Frame.time`). `key` says that decoding can begin with it,
    `connection` through which connection it came.
    """

    data: bytes
    pts: float | None
    dts: float | None
    time: float
    key: bool
    connection: int
    format: PictureFormat | SoundFormat

    @property
    def is_picture(self) -> bool:
        """Whether it is no sound."""
        return isinstance(self.format, PictureFormat)
