"""The decoder: one container, one video stream, decoded on one thread without added delay."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import av
import av.error
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from soteirad.capture.clock import Clock
from soteirad.capture.damage import Damage
from soteirad.capture.hardware import STATEFUL
from soteirad.capture.reasons import SILENT, UNKNOWN_CODEC, explain, odd_codec, too_large
from soteirad.capture.units import CODECS, Unit, Units
from soteirad.errors import SourceEnded, SourceError, SourceRefused

logger = logging.getLogger(__name__)
T = TypeVar("T")

IN_PIECES = {"fflags": "noparse+nofillin", "max_ts_probe": "0"}
"""FFmpeg's options to get what RTP packets bring as it comes, H.264 and H.265 in pieces. Nobody makes decoding times
then, for which its probe would wait for 50 packets: 2 s of H.265 (measured)."""
COUNTING_FORMATS = ("mpjpeg", "mjpeg", "jpeg_pipe", "png_pipe", "image2")


@dataclass
class StreamCounters:
    """What came from a source, over all its connections.

    `received` counts packets of the video stream, `decoded` the frames they gave, `corrupt` frames that were damaged
    or could not be decoded at all, `skipped` packets that were left out to catch up.
    """

    received: int = 0
    decoded: int = 0
    corrupt: int = 0
    skipped: int = 0


class Decoded(NamedTuple):
    """A frame and what is known of it.

    `stamp` is its presentation time in seconds, `arrival` the monotonic time at which its packet came, `waited` how
    long the reader waited for that, `ms` what decoding took. `corrupt` says that it, or one that it builds on, was
    damaged.
    """

    video: av.VideoFrame
    stamp: float | None
    arrival: float
    waited: float
    ms: float
    corrupt: bool


class PacketTap(Protocol):
    """Somebody who gets the packets, too: for the thread that reads."""

    def begin(self, picture: VideoStream, sound: Stream | None) -> None:
        """Another connection begins, with these streams."""

    def take(self, packet: av.Packet[Any], time: float) -> None:
        """A packet came at `time` (monotonic seconds): a whole picture, or some sound."""


class Decoder:
    """Opens an address and gives its frames.

    `name` is the address as logs may show it, `hwaccel` what `usable_hardware` gave. `silence` is how many seconds a
    source may take for a packet, `patience` how many one that sends packets may take for a picture. `lossy` says that
    packets may be lost on their way (RTP over UDP). The counters go on from connection to connection. `tap` gets all
    packets that come, those that are not decoded, too, and the sound that comes with them if `sound` says so.
    """

    def __init__(self, name: str, counters: StreamCounters, clock: Clock, hwaccel: str = "none", stream: int = 0,
                 patience: float = float("inf"), silence: float = float("inf"),
                 lossy: bool = False, tap: PacketTap | None = None, sound: bool = False) -> None:  # fmt: skip
        self._silence = silence
        self._tap = tap
        self._wants_sound = sound and tap is not None
        self._sound: Stream | None = None
        self._lossy = lossy
        self._name = name
        self._counters = counters
        self._clock = clock
        self._hwaccel = hwaccel
        self._index = stream
        self._patience = patience
        self._url = ""
        self._skipping = False
        self._container: InputContainer | None = None
        self._stream: VideoStream | None = None
        self._frames: Iterator[Decoded] = iter(())
        self._raw: Iterator[tuple[av.Packet[Any], float, float]] = iter(())
        self.rate = 25.0
        """Frames a second, as the container says."""
        self._stateful = False
        self._units: Units | None = None
        self.counts_frames = False
        """Whether time stamps only count frames, as in MJPEG over HTTP, which carries no times."""

    def open(self, url: str, options: dict[str, str], timeout: tuple[float, float] | None,
             format_: str | None = None, prompt: bool = False) -> None:  # fmt: skip
        """Open `url`; `prompt` says that it is RTSP whose frames are not to wait for the next one. Raises SourceError.

        That works for some codecs; with another one the source is opened a second time, and so it is when FFmpeg cannot
        begin with pieces: when the camera announces no parameter sets, and the first piece is a fragment.
        """
        self._url, self._units = url, None
        if prompt and self._opens_in_pieces(url, options, timeout, format_):
            codec = self.stream.codec_context.name
            self._units = Units(codec) if codec in CODECS else None
            if codec in (*CODECS, "mjpeg"):
                return
            self.close()
        self._open(url, options, timeout, format_)

    def _opens_in_pieces(self, url: str, options: dict[str, str], timeout: tuple[float, float] | None,
                         format_: str | None) -> bool:  # fmt: skip
        """Open `url`, or say that the same may go without `IN_PIECES`. Raises SourceError."""
        began = self._clock.monotonic()
        try:
            self._open(url, {**options, **IN_PIECES}, timeout, format_)
        except SourceError as error:
            # FFmpeg says the same of a camera that is silent: who waited that long is not to wait again.
            waited = timeout is not None and self._clock.monotonic() - began >= min(timeout)
            if waited or not isinstance(error.__context__, av.error.InvalidDataError):
                raise
            return False
        return True

    def _open(self, url: str, options: dict[str, str], timeout: tuple[float, float] | None,
              format_: str | None) -> None:  # fmt: skip
        container = self._open_container(url, options, timeout, format_)
        try:
            stream = self._choose_stream(container, options)
            stream.thread_type = "NONE"
            self.counts_frames = container.format.name in COUNTING_FORMATS
            self.rate = float(stream.average_rate or 25)
            decode = self._hardware_decoder(stream)
        except BaseException:
            container.close()
            raise
        self._container, self._stream, self._skipping = container, stream, False
        self._sound = container.streams.audio[0] if self._wants_sound and container.streams.audio else None
        self._stateful = decode is not None
        if self._tap is not None:
            self._tap.begin(stream, self._sound)
        self._raw = self._packets(container, stream)
        self._frames = self._decode(container, stream, decode)

    def next(self) -> Decoded:
        """Return the next frame. Raises SourceEnded and SourceError."""
        return self._taken(self._frames)

    def next_packet(self) -> tuple[av.Packet[Any], float]:
        """Return the next packet as it came, and when (monotonic seconds), in place of frames; raises as `next`."""
        packet, arrival, _ = self._taken(self._raw)
        return packet, arrival

    @property
    def stream(self) -> VideoStream:
        """The open stream; only for its reader's thread. Raises SourceError if there is none."""
        if self._stream is None:
            raise SourceError(f"{self._name}: it is not open")
        return self._stream

    @property
    def in_hardware(self) -> bool:
        """Whether hardware decodes it; sure only after the first frame. Raises SourceError if it is not open."""
        return self._stateful or bool(self.stream.codec_context.is_hwaccel)

    def _taken(self, items: Iterator[T]) -> T:
        """Return the next of them, with FFmpeg's errors in an owner's words."""
        try:
            return next(items)
        except (StopIteration, av.error.EOFError):
            raise SourceEnded(f"{self._name}: the stream ended") from None
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise explain(self._name, self._url, error, running=True) from None

    def skip(self) -> None:
        """Leave out what comes before the next key frame."""
        self._skipping = True

    def close(self) -> None:
        """Close the source; closing twice does nothing."""
        container, self._container = self._container, None
        self._stream, self._frames, self._raw = None, iter(()), iter(())
        if container is not None:
            container.close()

    def _open_container(self, url: str, options: dict[str, str], timeout: tuple[float, float] | None,
                        format_: str | None) -> InputContainer:  # fmt: skip
        # A stream that this hardware cannot decode is decoded in software all the same.
        plain = self._hwaccel in ("none", STATEFUL)
        accelerated = None if plain else HWAccel(self._hwaccel, allow_software_fallback=True)
        try:
            return av.open(url, format=format_, options=options, timeout=timeout, hwaccel=accelerated)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise explain(self._name, url, error) from None

    def _choose_stream(self, container: InputContainer, limits: Mapping[str, str]) -> VideoStream:
        # FFmpeg plays text files as video of a terminal.
        found = [] if container.format.name == "tty" else container.streams.video
        if not found:
            raise SourceError(f"{self._name}: this source has no video stream: give a camera's stream or a video file")
        if self._index >= len(found):
            raise SourceError(f"{self._name}: this source has no video stream {self._index}: set stream to a number "
                              f"from 0 to {len(found) - 1}")  # fmt: skip
        stream = found[self._index]
        if stream.codec_context is None:
            raise SourceRefused(f"{self._name}: {UNKNOWN_CODEC}")
        self._hold_to(limits, stream.codec_context)
        return stream

    def _hold_to(self, limits: Mapping[str, str], codec: VideoCodecContext) -> None:
        """Keep to limits that FFmpeg itself heeds only for the probe. Raises SourceRefused."""
        name = codec.codec.name
        if "codec_whitelist" in limits and name not in limits["codec_whitelist"].split(","):
            raise SourceRefused(f"{self._name}: {odd_codec(name)}")
        if "max_pixels" in limits:
            if codec.width * codec.height > int(limits["max_pixels"]):
                raise SourceRefused(f"{self._name}: {too_large(codec.width, codec.height)}")
            codec.options = {**codec.options, "max_pixels": limits["max_pixels"]}

    def _hardware_decoder(self, stream: VideoStream) -> VideoCodecContext | None:
        """Return a decoder of its own for V4L2's stateful decoders, which FFmpeg knows as codecs."""
        if self._hwaccel != STATEFUL:
            return None
        theirs = stream.codec_context
        try:
            ours: Any = av.CodecContext.create(f"{theirs.name}_v4l2m2m", "r")
            ours.extradata, ours.width, ours.height = theirs.extradata, theirs.width, theirs.height
            ours.open()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            logger.warning("hwaccel %s cannot be used here, the video is decoded in software: %s", STATEFUL, error)
            return None
        decoder: VideoCodecContext = ours
        return decoder

    MAX_DAMAGED = 100
    """Packets in a row that cannot be decoded before the source is given up."""

    def _decode(self, container: InputContainer, stream: VideoStream,
                decoder: VideoCodecContext | None) -> Iterator[Decoded]:  # fmt: skip
        """Yield the stream's frames; a damaged packet costs its frame and not the connection."""
        undecoded, damage = 0, Damage(self._lossy)
        last = self._clock.monotonic()
        for packet, arrival, waited in self._packets(container, stream):
            began = time.perf_counter()
            try:
                frames = packet.decode() if decoder is None else decoder.decode(packet)
            except av.error.InvalidDataError:
                frames = []
                undecoded += 1
                self._counters.corrupt += 1
                damage.lost()
                if undecoded >= self.MAX_DAMAGED:
                    raise
            ms = (time.perf_counter() - began) * 1000
            if frames and packet.size:
                undecoded, last = 0, arrival
            elif arrival - last > self._patience:
                raise self._no_picture()
            for video in frames:
                corrupt = damage.touches(video)
                self._counters.decoded += 1
                self._counters.corrupt += corrupt
                yield Decoded(video, video.time, arrival, waited, ms, corrupt)
        if undecoded:
            raise SourceError(f"{self._name}: it ends in data that cannot be decoded: the file is damaged or cut off")

    def _no_picture(self) -> SourceError:
        return SourceError(f"{self._name}: data comes, but no picture in {self._patience:.0f} s: is it the "
                           f"right stream, and does the camera send key frames?")  # fmt: skip

    def _packets(self, container: InputContainer,
                 stream: VideoStream) -> Iterator[tuple[av.Packet[Any], float, float]]:  # fmt: skip
        """Yield the packets to decode, when each came (monotonic seconds) and how long that took."""
        asked = shown = self._clock.monotonic()
        for packet in self._whole_packets(container, stream):
            arrival = self._clock.monotonic()
            if arrival - asked >= self._silence:
                # FFmpeg's time limit has passed, but its parser gives what it held back before it says so.
                raise SourceError(f"{self._name}: {SILENT}")
            if packet.size:  # the empty packet at the end only brings what was held back
                self._counters.received += 1
                if self._tap is not None:
                    self._tap.take(packet, arrival)
                self._skipping = self._skipping and not packet.is_keyframe
            if self._skipping:
                self._counters.skipped += 1
                if arrival - shown > self._patience:
                    raise self._no_picture()
            else:
                shown = arrival
                yield packet, arrival, arrival - asked
            asked = self._clock.monotonic()

    def _whole_packets(self, container: InputContainer, stream: VideoStream) -> Iterator[av.Packet[Any]]:
        """Yield packets that are pictures, joined here if FFmpeg does not."""
        units = self._units
        if units is None and stream.codec_context.name != "mjpeg":
            yield from self._pictures(container, stream)
            return
        if units is None:
            for packet in self._pictures(container, stream):
                packet.is_keyframe = True  # nobody says so of RTP's without FFmpeg's filling in
                yield packet
            return
        time_base = stream.time_base
        for packet in self._pictures(container, stream):
            for unit in units.add(bytes(packet), packet.pts) if packet.size else units.rest():
                yield _packet_of(unit, time_base, stream)
            if not packet.size:
                yield packet


    def _pictures(self, container: InputContainer, stream: VideoStream) -> Iterator[av.Packet[Any]]:
        """Yield the packets of the pictures; the sound goes to the tap.

        Sound that goes on while the picture has stopped would keep FFmpeg's time limit from noticing.
        """
        if not self._wants_sound or len(container.streams) == 1:
            yield from container.demux(stream)
            return
        last = self._clock.monotonic()
        for packet in container.demux():
            now = self._clock.monotonic()
            if packet.stream is stream:
                last = now
                yield packet
            elif now - last >= self._silence:
                raise SourceError(f"{self._name}: {SILENT}")
            elif packet.stream is self._sound and packet.size and self._tap is not None:
                self._tap.take(packet, now)


def _packet_of(unit: Unit, time_base: Any, stream: VideoStream) -> av.Packet[Any]:
    packet = av.Packet(unit.data)
    packet.pts, packet.time_base, packet.is_keyframe, packet.stream = unit.stamp, time_base, unit.key, stream
    packet.is_corrupt = unit.torn
    return packet
