"""The tap: a stream's packets, as they are on their way to the decoder, become pieces of a feed."""

from __future__ import annotations

from typing import Any

import av
import av.error
from av.bitstream import BitStreamFilterContext
from av.stream import Stream

from soteirad.video.feed import Feed
from soteirad.video.parameter_sets import is_whole, sets_in
from soteirad.video.piece import PictureFormat, Piece, SoundFormat

COPIED = ("h264", "hevc")
"""Codecs that are passed on as they are."""
_TO_ANNEX_B = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
_LOW_COMPLEXITY = 2
"""AAC's audio object type; the others are not played everywhere."""


class Tap:
    """For the reader's thread. `codec` is that of the pictures, once a connection has brought some."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._connection = 0
        self._filter: BitStreamFilterContext | None = None
        self._format: PictureFormat | None = None
        self._sound: SoundFormat | None = None
        self.codec = ""

    def begin(self, picture: Stream, sound: Stream | None) -> None:
        """Take another connection, with these streams."""
        self._connection += 1
        codec, extradata = picture.codec_context.name, picture.codec_context.extradata or b""
        self.codec, self._filter, self._format = codec, None, None
        if codec in COPIED:
            if extradata[:1] == b"\x01":  # as in MP4: lengths instead of start codes
                self._filter = BitStreamFilterContext(_TO_ANNEX_B[codec], picture)
            else:
                self._format = PictureFormat(codec, sets_in(extradata, codec))
        self._sound = None if sound is None else sound_format(sound)

    def take(self, packet: av.Packet[Any], time: float) -> None:
        """Take a packet that came at `time` on the clock of the gates."""
        if packet.stream is not None and packet.stream.type == "audio":
            if self._sound is not None:
                self._put(bytes(packet), packet, time, self._sound, key=True)
        elif self.codec in COPIED:
            for picture in [packet] if self._filter is None else self._filtered(packet):
                self._take_picture(picture, time)

    def _take_picture(self, packet: av.Packet[Any], time: float) -> None:
        data = bytes(packet)
        sets = sets_in(data, self.codec) if packet.is_keyframe else b""
        if is_whole(sets, self.codec) and (self._format is None or self._format.sets != sets):
            self._format = PictureFormat(self.codec, sets)
        if self._format is not None:
            self._put(data, packet, time, self._format, key=packet.is_keyframe)

    def _filtered(self, packet: av.Packet[Any]) -> list[av.Packet[Any]]:
        copy = av.Packet(bytes(packet))  # the filter takes the data of what it is given
        copy.pts, copy.dts, copy.time_base, copy.is_keyframe = (
            packet.pts, packet.dts, packet.time_base, packet.is_keyframe)  # fmt: skip
        try:
            return [] if self._filter is None else self._filter.filter(copy)
        except (av.error.FFmpegError, ValueError):
            return []  # a damaged packet: the decoder tells

    def _put(self, data: bytes, packet: av.Packet[Any], time: float, format_: PictureFormat | SoundFormat, *,
             key: bool) -> None:  # fmt: skip
        base = packet.time_base
        pts, dts = (float(stamp * base) if base is not None and stamp is not None else None
                    for stamp in (packet.pts, packet.dts))  # fmt: skip
        self._feed.put(Piece(data, pts, dts, time, key, self._connection, format_))


def sound_format(sound: Stream) -> SoundFormat | None:
    """Return what sound a stream has, if it is AAC-LC without headers; None for any other."""
    codec: Any = sound.codec_context
    config = codec.extradata or b""
    if codec.name != "aac" or len(config) < 2 or config[0] >> 3 != _LOW_COMPLEXITY:
        return None
    return SoundFormat(int(codec.sample_rate), int(codec.channels))
