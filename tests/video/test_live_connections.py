"""Live video across connections: a camera comes back with another codec, or in the middle of a group of pictures."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np

from soteirad.messages import VideoBegan, VideoPiece
from soteirad.video.feed import Feed
from soteirad.video.live_stream import LiveStream, Message
from soteirad.video.parameter_sets import sets_in
from soteirad.video.piece import PictureFormat, Piece
from soteirad.video.tap import COPIED

RATE = 10
GOP = 10


@cache
def pictures(codec: str = "h264", count: int = 2 * GOP) -> tuple[Piece, ...]:
    """Return pieces without B-frames, with a key picture at the first and each `GOP`-th."""
    context: Any = av.CodecContext.create({"h264": "libx264", "hevc": "libx265"}[codec], "w")
    context.width, context.height, context.pix_fmt = 96, 64, "yuv420p"
    context.time_base, context.framerate = Fraction(1, RATE), RATE
    params = f"bframes=0:keyint={GOP}:min-keyint={GOP}:scenecut=0"
    context.options = {"x264-params": params, "x265-params": f"{params}:open-gop=0:log-level=none:repeat-headers=1"}
    packets = []
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 5 * index, np.uint8), format="bgr24")
        frame.pts, frame.time_base = index, Fraction(1, RATE)
        packets += context.encode(frame.reformat(format="yuv420p"))
    packets += context.encode(None)
    format_ = PictureFormat(codec, sets_in(bytes(packets[0]), codec))
    return tuple(
        Piece(bytes(packet), index / RATE, index / RATE, index / RATE, packet.is_keyframe, 1, format_)
        for index, packet in enumerate(packets)
    )


def later(pieces: tuple[Piece, ...], seconds: float, connection: int) -> list[Piece]:
    return [piece._replace(time=piece.time + seconds, connection=connection) for piece in pieces]


class Rig:
    """A stream that is stepped after each piece."""

    def __init__(self, codecs: Collection[str] = COPIED) -> None:
        self.feed = Feed()
        self.sent: list[Message] = []
        self.faults: list[Exception] = []
        self.stream = LiveStream("source", lambda: self.feed, lambda _: False, self.sent.append, self.faults.append,
                                 codecs)  # fmt: skip

    def give(self, *pieces: Piece) -> list[Message]:
        """Return what is sent of them."""
        before = len(self.sent)
        for piece in pieces:
            self.feed.put(piece)
            self.stream.step()
        return self.sent[before:]


def kinds(messages: list[Message]) -> list[type]:
    return [type(message) for message in messages]


def test_pictures_of_a_codec_that_is_not_to_be_shown_are_not_sent_though_they_are_in_the_feed() -> None:
    rig = Rig(codecs=("h264",))
    rig.give(*pictures()[:5])
    assert not rig.give(*later(pictures("hevc"), 3.0, 2))
    began, *_ = rig.give(*later(pictures(), 6.0, 3))
    assert isinstance(began, VideoBegan) and began.codec.startswith("avc1.")


def test_who_begins_with_a_feed_that_held_another_codec_is_sent_none_of_it() -> None:
    rig = Rig(codecs=("h264",))
    for piece in pictures("hevc"):
        rig.feed.put(piece)
    rig.stream.step()
    assert not rig.sent


def test_another_connection_begins_anew_with_a_key_picture_of_its_own() -> None:
    rig = Rig()
    rig.give(*pictures()[:5])
    joined = later(pictures(), 3.0, 2)[GOP // 2 :]
    assert not rig.give(*joined[: GOP // 2]), "these build on a picture that was never here"
    found = rig.give(*joined[GOP // 2 :])
    assert kinds(found) == [VideoBegan, *[VideoPiece] * (GOP - 1)]
    assert isinstance(found[1], VideoPiece) and found[1].key


def test_a_newcomer_is_not_shown_what_came_before_the_connection_was_lost() -> None:
    rig = Rig()
    for piece in (*pictures()[:5], *later(pictures(), 3600.0, 2)[3:6]):
        rig.feed.put(piece)
    rig.stream.step()
    assert not rig.sent
