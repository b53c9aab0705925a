"""Snapshots: the frame that confirmed an object, with its box, as a JPEG of limited size."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import cv2
import numpy as np

from soteirad.capture.frame import Frame
from soteirad.errors import StorageError
from soteirad.event import Event
from soteirad.whole_file import rename

MAX_WIDTH = 1280
MAX_BYTES = 200_000
QUALITIES = (85, 70, 55, 40)
_COLOUR = (80, 220, 60)  # BGR


def make_snapshot(frame: Frame, event: Event | None = None, max_width: int = MAX_WIDTH) -> bytes:
    """Return a JPEG of the frame, at most `max_width` pixels wide and 200 kB, with an event's box and label."""
    scale = min(1.0, max_width / frame.width)
    picture = frame.bgr(round(frame.width * scale), round(frame.height * scale))
    if event is not None and event.box is not None:
        x1, y1, x2, y2 = (round(v * scale) for v in event.box)
        cv2.rectangle(picture, (x1, y1), (x2, y2), _COLOUR, 2)
        text = f"{event.label} {event.confidence:.0%}"
        cv2.putText(picture, text, (x1 + 4, max(y1 - 6, 16)), cv2.FONT_HERSHEY_SIMPLEX, 0.6, _COLOUR, 2, cv2.LINE_AA)
    for quality in QUALITIES:
        jpeg = encode_jpeg(picture, quality)
        if len(jpeg) <= MAX_BYTES:
            return jpeg
    while len(jpeg) > MAX_BYTES:  # noise does not compress: fewer pixels do
        picture = np.asarray(cv2.resize(picture, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA), np.uint8)
        jpeg = encode_jpeg(picture, QUALITIES[-1])
    return jpeg


def encode_jpeg(picture: np.ndarray, quality: int) -> bytes:
    """Return a BGR picture as a JPEG of that quality (0-100)."""
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, power cuts included. Raises StorageError."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        rename(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from error
