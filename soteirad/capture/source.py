"""Sources: RTSP, HTTP and files through PyAV, behind one protocol."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from soteirad.capture.clock import Clock, SystemClock
from soteirad.capture.frame import Frame, Scalers
from soteirad.config.secrets import redact_url
from soteirad.errors import SourceEnded, SourceError
from soteirad.gates.geometry import Polygon

Speed = float | Literal["max"]
LIVE_SCHEMES = ("rtsp://", "rtsps://", "http://", "https://")


class Source(Protocol):
    """A stream of frames. One thread uses it; `close` may come from another."""

    live: bool

    def open(self) -> None:
        """Connect. Raises SourceError."""

    def read(self) -> Frame:
        """Return the next frame. Raises SourceEnded at the end and SourceError on a fault."""

    def close(self) -> None:
        """Disconnect; may be called at any time and more than once."""


def is_live(url: str) -> bool:
    """Say whether `url` is a camera, whose frames are lost when nobody takes them, or a file."""
    return url.lower().startswith(LIVE_SCHEMES)


def open_source(url: str, *, speed: Speed = 1.0, transport: str = "tcp", connect_timeout: float = 10.0,
                read_timeout: float = 10.0, privacy: Sequence[Polygon] = (), stop: threading.Event | None = None,
                clock: Clock | None = None) -> Source:  # fmt: skip
    """Return the source for a URL or a path, not opened yet. `speed` paces files only.

    Raises SourceError for another kind of address.
    """
    clock = clock or SystemClock()
    if is_live(url):
        return LiveSource(url, transport, connect_timeout, read_timeout, privacy, clock)
    if "://" in url:
        raise SourceError(f"{redact_url(url)}: give an address with {', '.join(LIVE_SCHEMES)} or the path of a file")
    return FileSource(Path(url), speed, privacy, stop or threading.Event(), clock)


class _Decoder:
    """What both kinds share: one container, one video stream, decoded on one thread without added delay."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._container: InputContainer | None = None
        self._frames: Iterator[av.VideoFrame] = iter(())
        self.decode_ms = 0.0

    def open(self, url: str, options: dict[str, str], timeout: tuple[float, float] | None) -> None:
        try:
            container = av.open(url, options=options, timeout=timeout)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"{self._name}: {_reason(error, url)}") from None
        # FFmpeg plays text files as video of a terminal.
        if not container.streams.video or container.format.name == "tty":
            container.close()
            raise SourceError(f"{self._name}: this source has no video stream: give a camera's stream or a video file")
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        self._container, self.stream = container, stream
        self._frames = self._decode(container, stream)

    def next(self) -> av.VideoFrame:
        try:
            return next(self._frames)
        except (StopIteration, av.error.EOFError):
            raise SourceEnded(f"{self._name}: the stream ended") from None
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"{self._name}: {_reason(error, self._name)}") from None

    MAX_DAMAGED = 100
    """Packets in a row that cannot be decoded before the source is given up."""

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        """Yield the stream's frames; a damaged packet costs its frame and not the connection."""
        damaged = 0
        for packet in container.demux(stream):
            began = time.perf_counter()
            try:
                decoded = packet.decode()
            except av.error.InvalidDataError:
                damaged += 1
                if damaged >= self.MAX_DAMAGED:
                    raise
                continue
            self.decode_ms = (time.perf_counter() - began) * 1000
            if decoded and packet.size:  # the empty packet at the end only brings what was held back
                damaged = 0
            yield from decoded
        if damaged:
            raise SourceError(f"{self._name}: it ends in data that cannot be decoded: the file is damaged or cut off")

    def close(self) -> None:
        container, self._container = self._container, None
        self._frames = iter(())
        if container is not None:
            container.close()


class LiveSource:
    """A camera over RTSP(S) or HTTP. `time` and `captured` are taken when a frame comes out of the network."""

    live = True

    def __init__(self, url: str, transport: str, connect_timeout: float, read_timeout: float,
                 privacy: Sequence[Polygon], clock: Clock) -> None:  # fmt: skip
        self._url = url
        self._transport = transport
        self._timeouts = (connect_timeout, read_timeout)
        self._privacy = privacy
        self._scalers = Scalers()
        self._clock = clock
        self._decoder = _Decoder(redact_url(url))
        self._index = 0

    def open(self) -> None:
        """Connect to the camera. Raises SourceError."""
        # Without a guess at the frame rate, and keeping what is read for the probe, the first frame of an RTSP camera
        # that sends a key frame every 2 s came after 0.8 s instead of 4.1 s (measured), and is its first one.
        options = {"flags": "low_delay", "fpsprobesize": "0"}
        if self._url.lower().startswith("rtsp"):
            options["rtsp_transport"] = self._transport
            # Sound that goes on while the picture has stopped would keep the read timeout from noticing.
            options["allowed_media_types"] = "video"
        self._decoder.open(self._url, options, self._timeouts)

    def read(self) -> Frame:
        """Return the next frame; blocks until it comes, at most the read timeout."""
        video = self._decoder.next()
        frame = Frame(self._index, self._clock.monotonic(), self._clock.wall(), self._clock.monotonic(),
                      self._decoder.decode_ms, video, self._privacy, self._scalers)  # fmt: skip
        self._index += 1
        return frame

    def close(self) -> None:
        """Disconnect."""
        self._decoder.close()


class FileSource:
    """A video file, read losslessly and in order, paced at `speed` times real time or as fast as it goes."""

    live = False

    def __init__(self, path: Path, speed: Speed, privacy: Sequence[Polygon], stop: threading.Event,
                 clock: Clock) -> None:  # fmt: skip
        self._path = path
        self._speed = speed
        self._privacy = privacy
        self._scalers = Scalers()
        self._stop = stop
        self._clock = clock
        self._decoder = _Decoder(str(path))
        self._index = 0
        self._first_time: float | None = None
        self._last_time = 0.0
        self._opened = (0.0, 0.0)

    def open(self) -> None:
        """Open the file. Raises SourceError."""
        if not self._path.exists():
            raise SourceError(f"{self._path}: there is no such file: correct the path of this source")
        if self._path.is_dir():
            raise SourceError(f"{self._path}: this is a folder: give a video file")
        self._decoder.open(str(self._path), {}, None)
        self._opened = (self._clock.monotonic(), self._clock.wall())

    def read(self) -> Frame:
        """Return the next frame when it is due. Raises SourceEnded at the end or when the stop event is set."""
        video = self._decoder.next()
        media_time = self._media_time(video)
        offset = media_time if self._speed == "max" else media_time / self._speed
        if self._speed != "max":
            due = self._opened[0] + offset
            if self._clock.wait(self._stop, due - self._clock.monotonic()):
                raise SourceEnded(f"{self._path}: stopped")
        received = self._clock.monotonic()
        frame = Frame(self._index, media_time, self._opened[1] + offset, received, self._decoder.decode_ms, video,
                      self._privacy, self._scalers)  # fmt: skip
        self._index += 1
        return frame

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()

    def _media_time(self, video: av.VideoFrame) -> float:
        """Seconds since the first frame; without a time stamp, or where they jump back, it follows at the rate."""
        rate = float(self._decoder.stream.average_rate or 25)
        following = self._last_time + (1 / rate if self._index else 0.0)
        stamp = video.time
        if stamp is None:
            media_time = following
        else:
            if self._first_time is None or stamp - self._first_time < self._last_time - 1 / rate:
                self._first_time = stamp - following
            media_time = max(stamp - self._first_time, self._last_time)
        self._last_time = media_time
        return media_time


def _reason(error: Exception, url: str) -> str:
    """Turn an FFmpeg error into a sentence without the URL, which may hold a password."""
    known = {
        av.error.InvalidDataError: "this is not a video that FFmpeg can read: the file is damaged or no video at all",
        av.error.DecoderNotFoundError: "the video codec is unknown to this FFmpeg: convert the clip to H.264",
        av.error.FileNotFoundError: "there is no such file or stream: correct the path of this source",
        av.error.PermissionError: "permission denied: give the daemon's user the right to read it",
        av.error.HTTPUnauthorizedError: "the camera refused user name or password: correct them in the source",
        av.error.HTTPNotFoundError: "the camera has no stream under this path: correct the path",
        av.error.ConnectionRefusedError: "connection refused: is the camera on, and is the port right?",
        av.error.TimeoutError: "no answer in time: is the camera on, and is the address right?",
    }
    for kind, text in known.items():
        if isinstance(error, kind):
            return text
    if getattr(error, "errno", None) == errno.EIO:  # what FFmpeg says, among others, of an unknown host
        return "it cannot be reached: check the host name and the network; for a file, the disk"
    text = getattr(error, "strerror", None) or type(error).__name__
    return str(text).replace(url, "the source")
