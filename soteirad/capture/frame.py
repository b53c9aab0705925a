"""A decoded frame that makes the small pictures the gates want, and a full-size one only when asked."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray

from soteirad.gates.geometry import Polygon, polygon_mask

Picture = NDArray[np.uint8]

_PLANAR_LUMA = frozenset(
    {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "nv21", "gray", "yuv411p", "yuv410p"}
)

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class Scalers(threading.local):
    """FFmpeg's scalers of one source, kept for each thread and size.

    Making one costs 3.5 ms for a 1280x720 frame, five times as much as using it (measured). Each would start a thread
    for every core of the machine: pictures are small, and cameras have processes of their own.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[int | str, ...], VideoReformatter] = {}

    def scale(self, video: av.VideoFrame, width: int, height: int, format_: str, interpolation: str) -> av.VideoFrame:
        """Return `video` in that size and pixel format."""
        flags: Any = interpolation
        return self._scaler(width, height, format_, interpolation).reformat(
            video, width, height, format_, interpolation=flags, threads=1
        )

    def luma(self, video: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
        """Return the levels of `video` as they are, averaged to that size, in the format gray.

        FFmpeg's area scaler takes a quarter of the time of OpenCV's, and gives the same within one level.
        """
        # Grey has full range for FFmpeg: it would stretch the levels of video (16-235) if it knew that they are.
        full: Any = ColorRange.JPEG
        area: Any = "AREA"
        return self._scaler(width, height, "luma", "AREA").reformat(
            video, width, height, "gray", interpolation=area, src_color_range=full, dst_color_range=full, threads=1
        )

    def _scaler(self, *key: int | str) -> VideoReformatter:
        if key not in self._kept:
            self._kept[key] = VideoReformatter()
        return self._kept[key]


@dataclass
class Frame:
    """One frame of a source.

    `time` is media time in seconds: presentation time in a file, monotonic capture time for a live source.
    `captured` is the wall-clock capture time (seconds since the epoch), `received` the monotonic time at which the
    frame was there, `decode_ms` what decoding took. `privacy` polygons are black in every colour picture.
    `scalers` are the source's. `rotate` is by how many degrees (0, 90, 180, 270) the picture is turned clockwise; sizes
    and pictures are those of the turned one. `corrupt` says that the frame, or one that it builds on, was damaged on
    its way: it is shown to nobody and confirms nothing.
    """

    index: int
    time: float
    captured: float
    received: float
    decode_ms: float
    video: av.VideoFrame
    privacy: Sequence[Polygon] = ()
    scalers: Scalers = field(default_factory=Scalers)
    rotate: int = 0
    corrupt: bool = False
    _grey: dict[int, Picture] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Pixels."""
        return self.video.height if self._sideways else self.video.width

    @property
    def height(self) -> int:
        """Pixels."""
        return self.video.width if self._sideways else self.video.height

    @property
    def _sideways(self) -> bool:
        return self.rotate in (90, 270)

    def grey(self, lines: int) -> Picture:
        """Return the luma picture scaled to `lines` rows (never enlarged), uint8 (lines, width)."""
        if lines not in self._grey:
            self._grey[lines] = self._scaled_luma(lines)
        return self._grey[lines]

    def bgr(self, width: int, height: int) -> Picture:
        """Return a new BGR picture of that size, uint8 (height, width, 3), privacy masks black."""
        # FFmpeg's area scaler averages what it drops, as the training pipeline's resize of photographs nearly does.
        interpolation = "AREA" if width < self.width else "BILINEAR"
        lying = (height, width) if self._sideways else (width, height)
        scaled = self.scalers.scale(self.video, *lying, "bgr24", interpolation)
        picture: Picture = np.asarray(scaled.to_ndarray(), np.uint8)
        if self.rotate:
            picture = self._turned(picture)
        elif scaled is self.video:  # nothing was converted: this is the frame's own memory
            picture = picture.copy()
        if self.privacy:
            picture[polygon_mask(self.privacy, width, height) > 0] = 0
        return picture

    def _scaled_luma(self, lines: int) -> Picture:
        video, across, down = self.video, self.width, self.height
        if down > lines or video.format.name not in _PLANAR_LUMA:
            across, down = max(1, round(across * min(1.0, lines / down))), min(lines, down)
            video = self.scalers.luma(video, *((down, across) if self._sideways else (across, down)))
        plane = video.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        luma = rows[: video.height, : video.width]
        return self._turned(luma) if self.rotate else luma

    def _turned(self, picture: Picture) -> Picture:
        return np.asarray(cv2.rotate(picture, _TURNS[self.rotate]), np.uint8)
