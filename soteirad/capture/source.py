"""Sources: cameras over RTSP, HTTP, V4L2 and AVFoundation, and files, through PyAV behind one protocol."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import av
from av.stream import Stream
from av.video.stream import VideoStream

from soteirad.capture.age import CaptureClock
from soteirad.capture.clock import Clock, SystemClock
from soteirad.capture.decoder import Decoder, PacketTap, StreamCounters
from soteirad.capture.frame import Frame, Scalers
from soteirad.capture.limits import FILE_LIMITS, network_limits
from soteirad.capture.stamps import Stamps
from soteirad.config.address import AVFOUNDATION, LIVE_SCHEMES, V4L2_FOLDER, is_live, scheme_of
from soteirad.config.secrets import redact_url
from soteirad.errors import SourceEnded, SourceError
from soteirad.gates.geometry import Polygon

BEHIND_S = 1.0
"""A source that is this far behind gives only key frames until it is not: who cannot decode all must not fall back."""
AHEAD_S = 0.5
"""A file is decoded so far ahead of its time at most, and for so long at most without a look at the stop event."""
Speed = float | Literal["max"]


@dataclass(frozen=True)
class SourceSettings:
    """How a source is opened; each field is the configuration's key of that name, times in seconds."""

    speed: Speed = 1.0
    transport: str = "tcp"
    connect_timeout: float = 10.0
    read_timeout: float = 10.0
    hwaccel: str = "none"
    """What `usable_hardware` gave."""
    stream: int = 0
    rotate: int = 0
    size: str | None = None
    privacy: Sequence[Polygon] = ()
    sound: bool = False
    """Whether to ask for the sound, too, for who taps the packets."""


@dataclass
class StreamMemory:
    """What is known of a live source beyond one connection."""

    counters: StreamCounters = field(default_factory=StreamCounters)
    clock: CaptureClock = field(default_factory=CaptureClock)


class Source(Protocol):
    """A stream of frames. One thread uses it; `close` may come from another."""

    live: bool

    @property
    def decoder(self) -> Decoder:
        """What decodes it; only for the thread that reads it."""

    def open(self) -> None:
        """Connect. Raises SourceError."""

    def read(self) -> Frame:
        """Return the next frame. Raises SourceEnded at the end and SourceError on a fault."""

    def close(self) -> None:
        """Disconnect; may be called at any time and more than once."""


def open_source(url: str, settings: SourceSettings | None = None, *, stop: threading.Event | None = None,
                clock: Clock | None = None, memory: StreamMemory | None = None,
                tap: PacketTap | None = None) -> Source:  # fmt: skip
    """Return the source for an address, a device or a path, not opened yet.

    `memory` of a live source goes on from connection to connection. `tap` gets its packets, too, with times on the
    clock of `Frame.time`. Raises SourceError for another kind of address.
    """
    settings, clock, memory = settings or SourceSettings(), clock or SystemClock(), memory or StreamMemory()
    scheme = scheme_of(url)
    if scheme and scheme not in LIVE_SCHEMES:
        known = ", ".join(f"{name}://" for name in LIVE_SCHEMES)
        raise SourceError(f"{redact_url(url)}: give an address with {known}, a device such as /dev/video0, or the path "
                          f"of a file")  # fmt: skip
    if is_live(url):
        return LiveSource(url, settings, clock, memory, tap)
    return FileSource(Path(url), settings, stop or threading.Event(), clock, memory.counters, tap)


class LiveSource:
    """A camera. `time` and `captured` of a frame are those of its capture, as far as they can be known."""

    live = True

    def __init__(self, url: str, settings: SourceSettings, clock: Clock, memory: StreamMemory,
                 tap: PacketTap | None = None) -> None:  # fmt: skip
        self._url = url
        self._settings = settings
        self._scalers = Scalers()
        self._clock = clock
        self._capture = memory.clock
        patience = settings.connect_timeout + settings.read_timeout
        self._decoder = Decoder(redact_url(url), memory.counters, clock, settings.hwaccel, settings.stream, patience,
                                silence=settings.read_timeout,
                                lossy=scheme_of(url).startswith("rtsp") and settings.transport == "udp", tap=tap,
                                sound=settings.sound)  # fmt: skip
        self._index = 0

    def open(self) -> None:
        """Connect to the camera. Raises SourceError."""
        url, options, format_ = ffmpeg_address(self._url, self._settings)
        timeouts = (self._settings.connect_timeout, self._settings.read_timeout)
        self._capture.restart()
        self._decoder.open(url, options, timeouts, format_, prompt=options.get("rtsp_transport") == "tcp")

    def read(self) -> Frame:
        """Return the next frame; blocks until it comes, at most the read timeout."""
        got = self._decoder.next()
        # What counts frames instead of telling their times is no clock.
        stamp = None if self._decoder.counts_frames else got.stamp
        captured = self._capture.captured(stamp, got.arrival, got.waited)
        now = self._clock.monotonic()
        if now - captured > BEHIND_S:
            self._decoder.skip()
        s = self._settings
        frame = Frame(self._index, captured, self._clock.wall() - (now - captured), now, got.ms, got.video,
                      s.privacy, self._scalers, s.rotate, got.corrupt)  # fmt: skip
        self._index += 1
        return frame

    @property
    def decoder(self) -> Decoder:
        """What decodes it; only for the thread that reads it."""
        return self._decoder

    def close(self) -> None:
        """Disconnect."""
        self._decoder.close()


def ffmpeg_address(source: str, settings: SourceSettings) -> tuple[str, dict[str, str], str | None]:
    """Return what FFmpeg opens for a live source: address, options and the name of a device's format."""
    size = {"video_size": settings.size} if settings.size else {}
    if source.startswith(V4L2_FOLDER):
        return source, size, "v4l2"
    if source.startswith(AVFOUNDATION):
        # AVFoundation refuses a camera whose rate and pixels are not named; these are the ones that all of them have.
        return source.removeprefix(AVFOUNDATION), {"framerate": "30", "pixel_format": "nv12", **size}, "avfoundation"
    # Without a guess at the frame rate, and keeping what is read for the probe, the first frame of an RTSP camera
    # that sends a key frame every 2 s came after 0.8 s instead of 4.1 s (measured), and is its first one.
    options = {"flags": "low_delay", "fpsprobesize": "0", **network_limits(source)}
    if scheme_of(source).startswith("rtsp"):
        # FFmpeg asks for the next one when a camera refuses the first, or sends nothing through it.
        options["rtsp_transport"] = "udp+tcp" if settings.transport == "udp" else "tcp"
        if settings.transport == "udp":
            options["err_detect"] = "aggressive"  # marks a few more of the frames that lost a packet
        options["allowed_media_types"] = "video+audio" if settings.sound else "video"
    return source, options, None


class FileSource:
    """A video file, read losslessly and in order, paced at `speed` times real time or as fast as it goes."""

    live = False

    def __init__(self, path: Path, settings: SourceSettings, stop: threading.Event, clock: Clock,
                 counters: StreamCounters, tap: PacketTap | None = None) -> None:  # fmt: skip
        self._path = path
        self._settings = settings
        self._scalers = Scalers()
        self._stop = stop
        self._clock = clock
        self._decoder = Decoder(str(path), counters, clock, settings.hwaccel, settings.stream,
                                tap=None if tap is None else _MediaTimed(tap), sound=settings.sound)  # fmt: skip
        self._index = 0
        self._first_time: float | None = None
        self._last_time = 0.0
        self._opened = (0.0, 0.0)
        self._rested = 0.0

    def open(self) -> None:
        """Open the file. Raises SourceError."""
        if not self._path.exists():
            raise SourceError(f"{self._path}: there is no such file: correct the path of this source")
        if self._path.is_dir():
            raise SourceError(f"{self._path}: this is a folder: give a video file")
        self._decoder.open(str(self._path), FILE_LIMITS, None)
        self._opened = (self._clock.monotonic(), self._clock.wall())
        self._rested = self._opened[0]

    def read(self, wants: Callable[[Frame], bool] = lambda _: True) -> Frame:
        """Return the next frame that `wants` takes, when it is due; what comes between is decoded without a pause.

        Raises SourceEnded at the end or when the stop event is set.
        """
        speed = self._settings.speed
        while True:
            frame = self._next()
            wanted = wants(frame)
            early = 0.0 if speed == "max" else self._opened[0] + frame.time / speed - frame.received
            if (wanted and speed != "max") or max(early, frame.received - self._rested) > AHEAD_S:
                self._rest(early)
                frame.received = self._rested
            if wanted:
                return frame

    def _next(self) -> Frame:
        got, s = self._decoder.next(), self._settings
        media_time = self._media_time(got.stamp)
        offset = media_time if s.speed == "max" else media_time / s.speed
        frame = Frame(self._index, media_time, self._opened[1] + offset, self._clock.monotonic(), got.ms, got.video,
                      s.privacy, self._scalers, s.rotate, got.corrupt)  # fmt: skip
        self._index += 1
        return frame

    def _rest(self, seconds: float) -> None:
        if self._clock.wait(self._stop, seconds):
            raise SourceEnded(f"{self._path}: stopped")
        self._rested = self._clock.monotonic()

    @property
    def decoder(self) -> Decoder:
        """What decodes it; only for the thread that reads it."""
        return self._decoder

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()

    def _media_time(self, stamp: float | None) -> float:
        """Seconds since the first frame; without a time stamp, or where they jump back, it follows at the rate."""
        rate = self._decoder.rate
        following = self._last_time + (1 / rate if self._index else 0.0)
        if stamp is None:
            media_time = following
        else:
            if self._first_time is None or stamp - self._first_time < self._last_time - 1 / rate:
                self._first_time = stamp - following
            media_time = max(stamp - self._first_time, self._last_time)
        self._last_time = media_time
        return media_time


class _MediaTimed:
    """Hands a file's packets on with their media time, in place of when they were read."""

    def __init__(self, tap: PacketTap) -> None:
        self._tap = tap
        self._first: float | None = None
        self._last = 0.0

    def begin(self, picture: VideoStream, sound: Stream | None) -> None:
        """Another connection begins."""
        self._tap.begin(picture, sound)

    def take(self, packet: av.Packet[Any], time: float) -> None:
        """Take a packet."""
        stamp, time_now = packet.pts if packet.pts is not None else packet.dts, self._last
        if stamp is not None and packet.time_base is not None:
            seconds = float(stamp * packet.time_base)
            if packet.stream is None or packet.stream.type == "video":
                # Time begins with the first picture, and goes on where the stamps jump back (as in a file that was
                # joined), by more than those of pictures that are shown in another order.
                if self._first is None or seconds - self._first < self._last - Stamps.BACK_S:
                    self._first = seconds - self._last
                time_now = self._last = seconds - self._first
            elif self._first is not None:
                time_now = seconds - self._first
        self._tap.take(packet, time_now)
