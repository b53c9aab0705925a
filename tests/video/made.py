"""Streams as cameras send them, made with FFmpeg's encoders: pictures whose level tells which one it is, as pieces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from soteirad.video.muxer import Muxer
from soteirad.video.parameter_sets import is_whole, sets_in
from soteirad.video.piece import PictureFormat, Piece, SoundFormat
from tests.played import pictures

RATE = 10
LEVELS = 40
CLOSED = "bframes=0:keyint=10:min-keyint=10:scenecut=0"
B_FRAMES = "bframes=3:b-pyramid=normal:b-adapt=0:keyint=10:min-keyint=10:scenecut=0:open-gop=0"
OPEN_GOPS = "bframes=3:b-pyramid=normal:b-adapt=0:keyint=12:min-keyint=12:scenecut=0:open-gop=1"
SLICES = CLOSED + ":slices=4"
PREFIX = b"\0\0\0\1"


def level(index: int) -> int:
    """Return the grey level of a picture."""
    return 30 + 5 * (index % LEVELS)


def shade(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture (BGR) of its level, with a border that is easily seen to be damaged."""
    picture = np.full((size[1], size[0], 3), level(index), np.uint8)
    picture[:4] = 255 - level(index)
    return picture


@cache
def encoded(count: int = 30, params: str = CLOSED, codec: str = "h264",
            size: tuple[int, int] = (96, 64)) -> tuple[Piece, ...]:  # fmt: skip
    """Return pictures in the order of decoding, with both stamps, beginning at 0; they come when they are shown."""
    context: Any = av.CodecContext.create("libx264" if codec == "h264" else "libx265", "w")
    context.width, context.height = size
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, RATE), RATE
    name = "x264-params" if codec == "h264" else "x265-params"
    context.options = {"preset": "medium", name: params + ("" if codec == "h264" else ":log-level=none:repeat-headers=1"
                                                           ":pools=none:frame-threads=1")}  # fmt: skip
    packets = []
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(shade(index, size), format="bgr24").reformat(format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, RATE)
        packets += context.encode(frame)
    packets += context.encode(None)
    found: list[Piece] = []
    format_ = None
    for place, packet in enumerate(packets):
        data = bytes(packet)
        sets = sets_in(data, codec)
        if is_whole(sets, codec):
            format_ = PictureFormat(codec, sets)
        assert format_ is not None and packet.pts is not None and packet.dts is not None
        found.append(Piece(data, packet.pts / RATE, packet.dts / RATE, place / RATE, packet.is_keyframe, 1, format_))
    return tuple(found)


def as_rtp(pieces: Iterable[Piece]) -> list[Piece]:
    """Return pieces as RTP brings them: decoding times are not known."""
    return [piece._replace(dts=None) for piece in pieces]


def moved(pieces: Iterable[Piece], by: float, stamps: float | None = None, connection: int | None = None
          ) -> list[Piece]:  # fmt: skip
    """Return pieces that come `by` seconds later, their stamps moved by as much or by `stamps`."""
    further = by if stamps is None else stamps
    return [piece._replace(time=piece.time + by, pts=None if piece.pts is None else piece.pts + further,
                           dts=None if piece.dts is None else piece.dts + further,
                           connection=piece.connection if connection is None else connection)
            for piece in pieces]  # fmt: skip


@cache
def beeps(seconds: float = 3.0, rate: int = 16_000, channels: int = 1, at: float = 1.0) -> tuple[Piece, ...]:
    """Return AAC: silence, and from `at` seconds on a loud tone."""
    context: Any = av.CodecContext.create("aac", "w")
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    context.sample_rate, context.layout, context.format = rate, layout, "fltp"
    context.time_base = Fraction(1, rate)
    found = []
    for start in range(0, round(seconds * rate), 1024):
        moments = (start + np.arange(1024)) / rate
        wave = (np.sin(2 * np.pi * 440 * moments) * (moments >= at) * 0.8).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.repeat(wave[None], channels, 0), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        found += context.encode(frame)
    found += context.encode(None)
    format_ = SoundFormat(rate, channels)
    return tuple(Piece(bytes(packet), packet.pts / rate, packet.pts / rate, packet.pts / rate, True, 1, format_)
                 for packet in found if packet.size)  # fmt: skip


def tone_begins(path: Path) -> float:
    """Return when the tone of `beeps` is first heard in a file, in seconds."""
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            wave = np.abs(np.asarray(frame.to_ndarray(), np.float64)).max(axis=0)
            loud = np.nonzero(wave > 0.2)[0]
            if len(loud):
                assert frame.time is not None
                return float(frame.time + loud[0] / frame.sample_rate)
    raise AssertionError("there is no tone in it")


class Bytes:
    """What a muxer writes."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, content: bytes) -> int:
        self.data += content
        return len(content)

    def take(self) -> bytes:
        data, self.data = self.data, b""
        return data


def muxed(path: Path, pieces: Sequence[Piece], sound: SoundFormat | None = None) -> Muxer:
    """Write pieces as a fragmented MP4 as a clip is written, and return what wrote it."""
    sink = Bytes()
    muxer = muxer_of(sink, pieces, sound)
    for piece in pieces:
        muxer.add(piece)
    muxer.close()
    path.write_bytes(sink.data)
    return muxer


def shown(path: Path) -> list[tuple[float, int]]:
    """Return the time and the number (by its level) of each picture of a file, all of them decoded and undamaged."""
    found = []
    for time, picture in pictures(path):
        seen = picture[16:].mean() + 2.5  # the way to BGR and back costs so much
        found.append((round(time, 3), round((seen - level(0)) / 5)))
        assert abs(seen - level(found[-1][1])) < 2.0, f"the picture at {time} s is of no level"
        assert picture[16:].std() < 4.0, f"the picture at {time} s is damaged"
    return found


def muxer_of(sink: Bytes, pieces: Sequence[Piece], sound: SoundFormat | None = None,
             flags: str = "+frag_keyframe") -> Muxer:  # fmt: skip
    """Return a muxer that begins with the first of these pieces; none of them is given to it."""
    return Muxer(sink, pieces[0], pieces, sound, flags)
