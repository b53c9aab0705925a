"""All that a clip's gates and detector can learn of it, in one file: measured once and read many times.

The file is a row of blobs (luma pictures as deflated differences, thumbnails as JPEG), an index of arrays, and a
footer with a checksum of both. A file that is not whole is no recording.
"""

from __future__ import annotations

import io
import json
import mmap
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soteirad.detect.detection import Detections
from soteirad.gates.scene import HISTOGRAM_BINS

Grey = NDArray[np.uint8]
Colours = NDArray[np.float32]

VERSION = 3
"""Of the file's format and of what is measured: another one makes all recordings anew."""
_FOOTER = struct.Struct("<8sQI")
_MAGIC = b"soteira\1"
_DEFLATE_LEVEL = 1
_CHUNK = 1 << 20


class DamagedError(Exception):
    """The file is not a whole recording."""


@dataclass(frozen=True)
class Moment:
    """A frame of which measurements were kept, and no picture: all that a pipeline reads of it itself."""

    index: int
    time: float
    corrupt: bool


@dataclass(frozen=True)
class Facts:
    """What else is known of a clip.

    `stage_ms` is what each stage took on this machine, as the mean of its runs: decode (a frame), motion, scene,
    detect. `frame_size` is (width, height) of the first frame.
    """

    clip: str
    seconds: float
    frame_size: tuple[int, int]
    stage_ms: dict[str, float]


class RecordingWriter:
    """Writes a recording: `frame` for each frame of the clip, then `finish`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: io.BufferedWriter | None = None
        self._crc = 0
        self._at = 0
        self._previous: Grey | None = None
        self._frames: list[tuple[float, bool]] = []
        self._analysed: list[int] = []
        self._shapes: list[tuple[int, int]] = []
        self._luma_at, self._picture_at = [0], [0]
        self._colours: list[Colours] = []
        self._found: list[Detections] = []

    def open(self) -> None:
        """Create the file, for its owner's eyes alone. Raises OSError."""
        self._file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "wb")

    def frame(self, time: float, corrupt: bool) -> None:
        """Note a frame of the clip; `analysed` follows if the pipeline wants it."""
        self._frames.append((time, corrupt))

    def analysed(self, grey: Grey, colours: Colours, found: Detections, picture: bytes) -> None:
        """Keep what was measured in the last frame. Raises OSError."""
        self._analysed.append(len(self._frames) - 1)
        self._shapes.append((grey.shape[0], grey.shape[1]))
        same = self._previous is not None and self._previous.shape == grey.shape
        change = grey - self._previous if same and self._previous is not None else grey
        self._previous = grey.copy()
        self._luma_at.append(self._write(zlib.compress(change.tobytes(), _DEFLATE_LEVEL)))
        self._picture_at.append(self._write(picture))
        self._colours.append(colours)
        self._found.append(found)

    def finish(self, facts: Facts) -> None:
        """Write the index and the footer. Raises OSError."""
        if self._file is None:
            return
        arrays = io.BytesIO()
        np.savez_compressed(arrays, **self._index(facts))  # type: ignore[arg-type]
        index = arrays.getvalue()
        self._write(index)
        self._file.write(_FOOTER.pack(_MAGIC, len(index), self._crc))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()

    def close(self) -> None:
        """Close the file; without `finish` it is no recording."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _index(self, facts: Facts) -> dict[str, NDArray[Any]]:
        times, corrupt = zip(*self._frames, strict=True) if self._frames else ((), ())
        bins = [np.flatnonzero(c) for c in self._colours]
        kept = [c[b] for c, b in zip(self._colours, bins, strict=True)]
        header = {**facts.__dict__, "version": VERSION}
        return {
            "facts": np.frombuffer(json.dumps(header).encode(), np.uint8),
            "times": np.array(times, np.float64),
            "corrupt": np.array(corrupt, np.bool_),
            "analysed": np.array(self._analysed, np.int64),
            "shapes": np.array(self._shapes, np.int64).reshape(-1, 2),
            "luma_at": np.array(self._luma_at, np.int64),
            "picture_at": np.array(self._picture_at, np.int64),
            "colours_at": _offsets([len(b) for b in bins]),
            "bins": _joined(bins, np.uint16),
            "shares": _joined(kept, np.float32),
            "found_at": _offsets([len(f) for f in self._found]),
            "boxes": _joined([f.boxes for f in self._found], np.float32).reshape(-1, 4),
            "scores": _joined([f.scores for f in self._found], np.float32),
            "classes": _joined([f.classes for f in self._found], np.int64),
        }

    def _write(self, data: bytes) -> int:
        """Write a blob and return where it ends."""
        if self._file is None:
            raise ValueError("the recording is not open")
        self._file.write(data)
        self._crc = zlib.crc32(data, self._crc)
        self._at += len(data)
        return self._at


class Recording:
    """A recording that is read. Frames that were analysed are counted from 0: `ordinal`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data: mmap.mmap | None = None
        self._index: dict[str, NDArray[Any]] = {}
        self.facts = Facts("", 0.0, (0, 0), {})
        self.moments: list[Moment] = []

    def open(self) -> None:
        """Map the file and check that it is whole. Raises DamagedError, or OSError when it cannot be read."""
        with self.path.open("rb") as file:
            try:
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError:
                raise DamagedError("empty") from None
        try:
            self._read_index(self._data)
        except (ValueError, KeyError, TypeError, OSError, zlib.error, struct.error) as error:
            self.close()
            raise DamagedError(str(error)) from error

    def close(self) -> None:
        """Let go of the file."""
        if self._data is not None:
            self._data.close()
            self._data = None

    @property
    def analysed(self) -> NDArray[np.int64]:
        """The frames that were analysed, as indices of `moments`."""
        return self._index["analysed"]

    def time(self, ordinal: int) -> float:
        """Return the media time of an analysed frame, seconds."""
        return self.moments[int(self.analysed[ordinal])].time

    def colours(self, ordinal: int) -> Colours:
        """Return the colour histogram of an analysed frame."""
        start, end = self._index["colours_at"][ordinal : ordinal + 2]
        colours = np.zeros(HISTOGRAM_BINS * HISTOGRAM_BINS, np.float32)
        colours[self._index["bins"][start:end]] = self._index["shares"][start:end]
        return colours

    def found(self, ordinal: int) -> Detections:
        """Return what the detector found in an analysed frame."""
        start, end = self._index["found_at"][ordinal : ordinal + 2]
        return Detections(*(self._index[name][start:end] for name in ("boxes", "scores", "classes")))

    def picture(self, ordinal: int) -> bytes:
        """Return the thumbnail of an analysed frame, a JPEG."""
        return self._blob(int(self._index["luma_at"][ordinal + 1]), int(self._index["picture_at"][ordinal + 1]))

    def lumas(self) -> Callable[[int], Grey]:
        """Return a reader of luma pictures by ordinal, which must be asked for all of them in order."""
        previous: Grey | None = None

        def read(ordinal: int) -> Grey:
            nonlocal previous
            shape = tuple(int(v) for v in self._index["shapes"][ordinal])
            data = self._blob(int(self._index["picture_at"][ordinal]), int(self._index["luma_at"][ordinal + 1]))
            change = np.frombuffer(zlib.decompress(data), np.uint8).reshape(shape)
            grey: Grey = change if previous is None or previous.shape != shape else previous + change
            previous = grey
            return grey

        return read

    def _blob(self, start: int, end: int) -> bytes:
        if self._data is None:
            raise ValueError("the recording is not open")
        return self._data[start:end]

    def _read_index(self, data: mmap.mmap) -> None:
        magic, length, crc = _FOOTER.unpack(data[-_FOOTER.size :])
        end = len(data) - _FOOTER.size
        if magic != _MAGIC or length > end:
            raise ValueError("no footer")
        found = 0
        for start in range(0, end, _CHUNK):
            found = zlib.crc32(data[start : min(end, start + _CHUNK)], found)
        if found != crc:
            raise ValueError("wrong checksum")
        with np.load(io.BytesIO(data[end - length : end]), allow_pickle=False) as arrays:
            self._index = {name: arrays[name] for name in arrays.files}
        facts = json.loads(self._index["facts"].tobytes())
        if facts.pop("version") != VERSION:
            raise ValueError("another version")
        self.facts = Facts(**{**facts, "frame_size": tuple(facts["frame_size"])})
        rows = zip(self._index["times"].tolist(), self._index["corrupt"].tolist(), strict=True)
        self.moments = [Moment(i, time, corrupt) for i, (time, corrupt) in enumerate(rows)]


def _offsets(lengths: list[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _joined(parts: list[NDArray[Any]], kind: Any) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, kind), *(p.reshape(-1).astype(kind) for p in parts)])
