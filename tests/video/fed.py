"""A feed that a test fills: a small stream of pictures, of which every second begins with a key picture."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np

from soteirad.event import Event, iso_time, new_id
from soteirad.video.clip_plan import ClipOrder
from soteirad.video.feed import Feed
from soteirad.video.parameter_sets import is_whole, sets_in
from soteirad.video.piece import PictureFormat, Piece, SoundFormat

RATE = 10
BEGAN = 1_700_000_000.0
"""When time 0 of the feed's clock was, in seconds since the epoch."""
MOST = 520
"""Pictures that there are."""
SOUND = SoundFormat(16_000, 1)


@cache
def encoded(count: int, size: tuple[int, int] = (96, 64)) -> tuple[Piece, ...]:
    """Return so many pictures, each of another level, which came when they are shown, from 0 on."""
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = *size, "yuv420p", Fraction(1, RATE)
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "10", "g": str(RATE)}
    found: list[Piece] = []
    format_ = PictureFormat("h264", b"")
    for index in range(count):
        grey = np.full((size[1], size[0], 3), level(index / RATE), np.uint8)
        frame = av.VideoFrame.from_ndarray(grey, format="bgr24").reformat(format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, RATE)
        for packet in codec.encode(frame):
            data, time = bytes(packet), len(found) / RATE
            if is_whole(sets := sets_in(data, "h264"), "h264"):
                format_ = PictureFormat("h264", sets)
            found.append(Piece(data, time, time, time, packet.is_keyframe, 1, format_))
    return tuple(found)


def level(time: float) -> int:
    """Return how bright the picture of that time is."""
    return 20 + 9 * (round(time * RATE) % 24)


def shows(picture: Any, time: float) -> bool:
    """Say whether this is the picture of that time (or of 2.4 s before or after)."""
    return abs(float(picture[8:-8, 8:-8].mean()) - level(time)) <= 4.4


class Fed:
    """A feed, its clock, and orders for clips of it."""

    def __init__(self, seconds: float = 17.0) -> None:
        self.feed = Feed(seconds)
        self.now = 0.0

    def come(self, until: float, size: tuple[int, int] = (96, 64), connection: int = 1) -> None:
        """Let the pictures come that are due until then."""
        for piece in encoded(MOST, size):
            if self.now <= piece.time < until:
                self.feed.put(piece._replace(connection=connection))
        self.now = until

    def order(self, moment: float, ends: float, begins: float | None = None, track: int = 1) -> ClipOrder:
        """Return the order for the clip of an entry at that moment."""
        event = Event(new_id(BEGAN + moment), "entered", "porch", iso_time(BEGAN + moment), label="person",
                      track_id=track)  # fmt: skip
        note = {"id": event.id, "camera": "porch", "time": event.time, "label": "person", "track_id": track,
                "zones": []}  # fmt: skip
        path = f"porch/{event.time[:10]}/{event.id}.mp4"
        return ClipOrder(path, moment - 5.0 if begins is None else begins, ends, moment, note)
