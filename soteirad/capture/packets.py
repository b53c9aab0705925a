"""A camera's packets as they come, without decoding them: what a recording is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
from av.video.stream import VideoStream

from soteirad.capture.clock import Clock
from soteirad.capture.decoder import Decoder, PacketTap, StreamCounters
from soteirad.capture.source import SourceSettings, ffmpeg_address
from soteirad.config.secrets import redact_url
from soteirad.errors import SourceError

SINGLE = ("image2", "jpeg_pipe", "png_pipe")
"""FFmpeg's names for an address that gives one picture."""


@dataclass(frozen=True)
class Received:
    """A packet; `pts` and `dts` are its stamps in seconds, as far as it has any that mean something."""

    packet: av.Packet[Any]
    stream: VideoStream
    """For the reader's thread alone, until it reads on."""
    time: float
    """When it came (monotonic seconds)."""
    pts: float | None
    dts: float | None
    key: bool
    connection: int
    """The number of the connection that it came through."""

    @property
    def shape(self) -> tuple[str, int, int, bytes]:
        """What may not change within a file: codec, width, height, and the codec's own header."""
        codec = self.stream.codec_context
        return codec.name, codec.width, codec.height, codec.extradata or b""


class PacketSource:
    """The packets of a live address; `connection` is its number. One thread uses it.

    `tap` gets the packets, too. `prompt` is for who does not want to wait for the next picture to have one whole;
    decoding times are not known then.
    """

    def __init__(self, url: str, settings: SourceSettings, clock: Clock, connection: int = 0, *,
                 tap: PacketTap | None = None, prompt: bool = False) -> None:  # fmt: skip
        self._url = url
        self._connection = connection
        self._settings = settings
        self._decoder = Decoder(redact_url(url), StreamCounters(), clock, stream=settings.stream,
                                silence=settings.read_timeout, tap=tap, sound=settings.sound)  # fmt: skip
        self._prompt = prompt

    def open(self) -> None:
        """Connect. Raises SourceError."""
        url, options, format_ = ffmpeg_address(self._url, self._settings)
        timeouts = (self._settings.connect_timeout, self._settings.read_timeout)
        prompt = self._prompt and options.get("rtsp_transport") == "tcp"
        self._decoder.open(url, options, timeouts, format_, prompt)
        if self._decoder.stream.container.format.name in SINGLE:
            raise SourceError(f"{redact_url(self._url)}: there is a single picture, and no video")

    def read(self) -> Received:
        """Return the next packet; blocks until it comes, at most the read timeout. Raises SourceError."""
        packet, arrival = self._decoder.next_packet()
        while not packet.size:
            packet, arrival = self._decoder.next_packet()
        base = packet.time_base
        # What counts frames instead of telling their times is no clock.
        told = not self._decoder.counts_frames and base is not None
        pts, dts = ((float(stamp * base) if told and base and stamp is not None else None)
                    for stamp in (packet.pts, packet.dts))  # fmt: skip
        return Received(packet, self._decoder.stream, arrival, pts, dts, packet.is_keyframe,
                        self._connection)  # fmt: skip

    def close(self) -> None:
        """Disconnect."""
        self._decoder.close()
