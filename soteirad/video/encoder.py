"""The encoder: a camera's frames as H.264, for cameras whose own video cannot be passed on. At most one for each."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import av.error

from soteirad.capture.frame import Frame
from soteirad.video.feed import Feed
from soteirad.video.parameter_sets import is_whole, sets_in
from soteirad.video.piece import PictureFormat, Piece

logger = logging.getLogger(__name__)

LONGEST = 1280
"""Pixels of the longer side of what is encoded, at most."""
FPS = 15.0
"""Frames that are encoded in a second, at most."""
KEY_S = 2.0
"""Time between two key frames."""
_TICKS = 90_000
_BASE = Fraction(1, _TICKS)
_HARDWARE = ("h264_videotoolbox",) if sys.platform == "darwin" else ("h264_nvenc", "h264_qsv", "h264_v4l2m2m")
_SOFTWARE = "libx264"
_OPTIONS = {
    _SOFTWARE: {"preset": "ultrafast", "tune": "zerolatency", "crf": "26", "threads": "1", "forced-idr": "1"},
    "h264_videotoolbox": {"realtime": "1", "prio_speed": "1"},
    "h264_nvenc": {"preset": "p1", "tune": "ull", "zerolatency": "1", "forced-idr": "1"},
    "h264_qsv": {"preset": "veryfast", "async_depth": "1", "low_power": "1", "forced_idr": "1"},
}
_BITS_A_PIXEL = 0.1
"""For encoders that know no constant quality."""


class Encoder:
    """Encodes frames of one size. Raises ValueError or OSError if nothing on this machine encodes H.264."""

    def __init__(self, width: int, height: int, hardware: bool = True) -> None:
        self.width, self.height = width, height
        problem: Exception | None = None
        for name in (*(_HARDWARE if hardware else ()), _SOFTWARE):
            try:
                self._codec = self._opened(name)
                self.name = name
                return
            except (av.error.FFmpegError, ValueError, OSError) as error:
                problem = error
        raise ValueError(f"nothing here encodes H.264: {problem}")

    def encode(self, frame: Frame, time: float, key: bool) -> list[tuple[bytes, bool]]:
        """Return what comes of a frame: access units (Annex B), and whether each is a key frame.

        Masks are painted and the picture is turned before.
        """
        video = self._picture(frame)
        video.pts, video.time_base = round(time * _TICKS), _BASE
        video.pict_type = av.video.frame.PictureType.I if key else av.video.frame.PictureType.NONE
        return [(bytes(packet), packet.is_keyframe) for packet in self._codec.encode(video)]

    def _picture(self, frame: Frame) -> av.VideoFrame:
        if frame.privacy or frame.rotate:
            picture = frame.bgr(self.width, self.height)
            return frame.scalers.scale(av.VideoFrame.from_ndarray(picture, format="bgr24"), self.width, self.height,
                                       self._codec.pix_fmt, "BILINEAR")  # fmt: skip
        scaled = frame.scalers.scale(frame.video, self.width, self.height, self._codec.pix_fmt, "BILINEAR")
        if scaled is frame.video:  # nothing was converted, and others look at it
            scaled = av.VideoFrame.from_ndarray(scaled.to_ndarray(), format=scaled.format.name)
        return scaled

    def _opened(self, name: str) -> Any:
        codec: Any = av.CodecContext.create(name, "w")
        codec.width, codec.height, codec.time_base, codec.framerate = self.width, self.height, _BASE, round(FPS)
        codec.pix_fmt = "nv12" if name in ("h264_qsv", "h264_v4l2m2m") else "yuv420p"
        codec.gop_size, codec.max_b_frames = round(FPS * KEY_S * 4), 0
        codec.options = _OPTIONS.get(name, {})
        if name != _SOFTWARE:
            codec.bit_rate = round(self.width * self.height * FPS * _BITS_A_PIXEL)
        codec.open()
        return codec


def encoded_size(width: int, height: int) -> tuple[int, int]:
    """Return the size at which frames of that size are encoded: even, and not larger than `LONGEST`."""
    scale = min(1.0, LONGEST / max(width, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


class EncoderThread:
    """Encodes the newest frame while it is `wanted`, into `feed`; a frame that comes while it is busy is left out.

    `on_fault` takes a fault that this was not made for.
    """

    def __init__(self, feed: Feed, on_fault: Callable[[Exception], None]) -> None:
        self._feed = feed
        self._on_fault = on_fault
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._due = float("-inf")
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._encoder: Encoder | None = None
        self._hardware = True
        self._format: PictureFormat | None = None
        self._connection = 0
        self._key_at = float("-inf")
        self._wanted = False
        self.problem = ""
        """Why nothing can be encoded; empty if it can."""

    def want(self, wanted: bool) -> None:
        """Begin to encode, or end."""
        with self._changed:
            if wanted and not self._wanted:
                self._due = self._key_at = float("-inf")
                self._connection += 1
            if wanted != self._wanted:
                self._feed.clear()  # nobody is to be shown what there was an hour ago
            self._wanted = wanted
            if wanted and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)
                self._thread.start()

    def offer(self, frame: Frame) -> None:
        """Give it a frame, from the thread that reads the source."""
        if not self._wanted or frame.corrupt or frame.time < self._due:
            return
        with self._changed:
            # Half a frame early is on time: else a camera of 15 frames a second would give 7.5.
            self._due = max(self._due + 1 / FPS, frame.time + 0.5 / FPS)
            self._frame = frame
            self._changed.notify()

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._frame is not None or self._stopped)
                    frame, self._frame = self._frame, None
                if self._stopped or frame is None:
                    return
                self._encode(frame)
        except Exception as error:
            self._on_fault(error)

    def _encode(self, frame: Frame) -> None:
        encoder = self._encoder_for(encoded_size(frame.width, frame.height))
        if encoder is None:
            return
        key = frame.time - self._key_at >= KEY_S
        try:
            made = encoder.encode(frame, frame.time, key)
        except av.error.FFmpegError as error:
            # Hardware that can be opened need not work; software that does not is a fault.
            if not self._hardware:
                raise
            logger.warning("its video is encoded in software from now on: %s: %s", encoder.name, error)
            self._encoder, self._hardware = None, False
            return
        for data, is_key in made:
            if is_key:
                self._key_at = frame.time
                sets = sets_in(data, "h264")
                if is_whole(sets, "h264") and (self._format is None or self._format.sets != sets):
                    self._format = PictureFormat("h264", sets)
            if self._format is not None:
                self._feed.put(Piece(data, frame.time, frame.time, frame.time, is_key, self._connection, self._format))

    def _encoder_for(self, size: tuple[int, int]) -> Encoder | None:
        """Return an encoder of that size; None if there is none."""
        if self._encoder is None or (self._encoder.width, self._encoder.height) != size:
            try:
                self._encoder, self._format = Encoder(*size, self._hardware), None
            except (ValueError, OSError) as error:
                if not self.problem:
                    logger.error("its video cannot be encoded: %s", error)
                self._encoder, self.problem = None, str(error)
                return None
            self.problem, self._key_at = "", float("-inf")
            logger.info("its video is encoded here, by %s, at %dx%d", self._encoder.name, *size)
        return self._encoder
