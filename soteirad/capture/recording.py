"""A recording: a camera's packets in a file, none of them decoded or encoded again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from soteirad.capture.disk import Disk
from soteirad.capture.packets import Received
from soteirad.capture.stamps import TICKS, Stamps, completed, is_enough
from soteirad.errors import SoteiraError

Container = Literal["mp4", "matroska"]
_BASE = Fraction(1, TICKS)
_MP4_CODECS = ("h264", "hevc")
_HEAD, _PIECE, _ENTRY = 4096, 256, 32
"""Bytes of the tables of a file, at most: what stands there once, for each key frame, and for each packet."""


ENDINGS: dict[str, Container] = {".mp4": "mp4", ".mkv": "matroska"}


def container_for(codec: str, path: Path) -> tuple[Path, Container]:
    """Return the path of a recording and what kind of file it is; a path without an ending gets the fitting one.

    `codec` is FFmpeg's name. Raises SoteiraError for an ending that does not go.
    """
    ending = path.suffix.lower()
    if ending in ENDINGS:
        if ENDINGS[ending] == "mp4" and codec not in _MP4_CODECS:
            raise SoteiraError(f"{path}: the camera sends {codec.upper()}, which players do not expect in such a file: "
                               "name it .mkv")  # fmt: skip
        return path, ENDINGS[ending]
    fitting = ".mp4" if codec in _MP4_CODECS else ".mkv"
    return path.with_name(path.name + fitting), ENDINGS[fitting]


class Recording:
    """A file that grows; not safe for threads. `wanted` is its path, perhaps without an ending.

    If the process dies, the file can be played up to its last key frame but one.
    """

    def __init__(self, wanted: Path, max_bytes: float = float("inf")) -> None:
        self._wanted = wanted
        self._max_bytes = max_bytes
        self._stamps = Stamps()
        self._shape: tuple[str, int, int, bytes] | None = None
        self._connection = 0
        self._held: list[Received] = []
        self._tables = _HEAD
        self._disk: Disk | None = None
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self.path: Path | None = None
        """Of the file, once there is one."""
        self.packets = 0
        self.bytes = 0

    @property
    def seconds(self) -> float:
        """How long it is so far."""
        return self._stamps.seconds

    def fits(self, received: Received) -> bool:
        """Say whether a packet still fits into the largest size."""
        more = (received.packet.size or 0) + _ENTRY + _PIECE * received.key
        return self.bytes + self._tables + more <= self._max_bytes

    def continues(self, received: Received) -> bool:
        """Say whether a packet is of the same kind of stream as those before it."""
        return self._shape in (None, received.shape)

    def add(self, received: Received) -> None:
        """Write a packet. Raises SoteiraError when it cannot be written.

        The first ones of a connection are held back until it is known what their time stamps are.
        """
        if received.connection != self._connection:
            self._held, self._connection = [received], received.connection
        elif self._held:
            self._held.append(received)
        else:
            self._write(received, received.pts, received.dts)
            return
        given = [(held.pts, held.dts) for held in self._held]
        if is_enough(given):
            held, self._held = self._held, []
            for index, (one, (pts, dts)) in enumerate(zip(held, completed(given), strict=True)):
                self._write(one, pts, dts, anew=index == 0)

    def _write(self, received: Received, pts: float | None, dts: float | None, *, anew: bool = False) -> None:
        try:
            if self._container is None:
                self._begin(received)
            packet = received.packet
            shown, decoded = self._stamps.repair(pts, dts, received.time, anew=anew)
            self.bytes += packet.size or 0
            self.packets += 1
            self._tables += _ENTRY + _PIECE * received.key
            packet.time_base = _BASE
            packet.pts, packet.dts = shown, decoded
            packet.duration = 0
            packet.stream = self._stream
            if self._container is not None:
                self._container.mux(packet)
            self._check()
        except (OSError, ValueError) as error:  # FFmpeg's errors are such
            raise self._failure(error) from None

    def close(self) -> None:
        """Finish the file. Raises SoteiraError when that cannot be written; what was written before can be played."""
        container, self._container, disk, self._disk = self._container, None, self._disk, None
        if container is None or disk is None:
            return
        try:
            container.close()
        except (OSError, ValueError) as error:
            raise self._failure(error) from None
        finally:
            disk.close()
        if disk.error is not None:
            raise self._failure(disk.error)

    def _check(self) -> None:
        if self._disk is not None and self._disk.error is not None:
            raise self._failure(self._disk.error)

    def _begin(self, received: Received) -> None:
        self.path, kind = container_for(received.shape[0], self._wanted)
        self._disk = Disk(self.path)
        self._disk.open()
        # Pieces that can be played by themselves; they become one table when the file is finished.
        options = {"movflags": "+hybrid_fragmented"} if kind == "mp4" else {}
        self._container = av.open(self._disk, "w", format=kind, options=options)
        stream: Any = self._container.add_stream_from_template(received.stream)
        stream.time_base = _BASE
        self._stream, self._shape = stream, received.shape

    def _failure(self, error: Exception) -> SoteiraError:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return SoteiraError(f"{self.path or self._wanted}: the recording cannot be written: {reason}")
