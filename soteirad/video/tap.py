"""The tap: a stream's packets, as they are on their way to the decoder, become pieces of a feed."""

from __future__ import annotations

from typing import Any

import av
from av.stream import Stream

from soteirad.video.feed import Feed
from soteirad.video.parameter_sets import from_record, is_whole, sets_in, to_annex_b
from soteirad.video.piece import PictureFormat, Piece, SoundFormat

COPIED = ("h264", "hevc")
"""Codecs that are passed on as they are."""
_LOW_COMPLEXITY = 2
"""AAC's audio object type; the others are not played everywhere."""
_CHANNELS = (1, 2, 6)


class Tap:
    """For the reader's thread. `codec` is that of the pictures, once a connection has brought some.

    Without a feed nothing of the pictures is kept.
    """

    def __init__(self, feed: Feed | None) -> None:
        self._feed = feed
        self._connection = 0
        self._length = 0
        """Bytes of length before each NAL unit, as in MP4; 0 where they have start codes."""
        self._waits = True
        self._format: PictureFormat | None = None
        self._sound: SoundFormat | None = None
        self.codec = ""

    def begin(self, picture: Stream, sound: Stream | None) -> None:
        """Take another connection, with these streams."""
        self._connection += 1
        self.codec, self._format, self._waits = picture.codec_context.name, None, True
        self._configure(picture.codec_context.extradata or b"")
        self._sound = None if sound is None else sound_format(sound)

    def take(self, packet: av.Packet[Any], time: float) -> None:
        """Take a packet that came at `time` on the clock of the gates."""
        if self._feed is None:
            return
        if packet.stream is not None and packet.stream.type == "audio":
            if self._sound is not None:
                self._put(bytes(packet), packet, time, self._sound, key=True)
        elif self.codec in COPIED:
            self._take_picture(packet, time)

    def _configure(self, extradata: bytes) -> None:
        """Take what the container says before the pictures."""
        if self.codec not in COPIED:
            return
        if extradata[:1] == b"\x01":
            sets, self._length = from_record(extradata, self.codec)
        else:
            sets, self._length = sets_in(extradata, self.codec), 0
        self._learn(sets)

    def _learn(self, sets: bytes) -> None:
        if is_whole(sets, self.codec) and (self._format is None or self._format.sets != sets):
            self._format = PictureFormat(self.codec, sets)

    def _take_picture(self, packet: av.Packet[Any], time: float) -> None:
        if packet.has_sidedata("new_extradata"):  # FLV says it in mid-stream
            self._configure(bytes(packet.get_sidedata("new_extradata")))
        data = to_annex_b(bytes(packet), self._length) if self._length else bytes(packet)
        if packet.is_keyframe:
            self._learn(sets_in(data, self.codec))
        # What a connection brings before its first key picture builds on what nobody has.
        self._waits = self._waits and not packet.is_keyframe
        if self._format is not None and data and not self._waits:
            self._put(data, packet, time, self._format, key=packet.is_keyframe)

    def _put(self, data: bytes, packet: av.Packet[Any], time: float, format_: PictureFormat | SoundFormat, *,
             key: bool) -> None:  # fmt: skip
        base, pts, dts = packet.time_base, packet.pts, packet.dts
        # As float(stamp * base), without making fractions, which cost a third of all that is done here.
        up, down = (0, 1) if base is None else (base.numerator, base.denominator)
        shown = None if pts is None or not up else pts * up / down
        decoded = None if dts is None or not up else shown if dts == pts else dts * up / down
        if self._feed is not None:
            self._feed.put(Piece(data, shown, decoded, time, key, self._connection, format_))


def sound_format(sound: Stream) -> SoundFormat | None:
    """Return what sound a stream has, if it is AAC-LC without headers; None for any other."""
    codec: Any = sound.codec_context
    config = codec.extradata or b""
    if codec.name != "aac" or len(config) < 2 or config[0] >> 3 != _LOW_COMPLEXITY:
        return None
    found = SoundFormat(int(codec.sample_rate), int(codec.channels))
    return found if found.rate and found.channels in _CHANNELS else None
