"""The file of a clip: fragments while it grows, so that what was written plays whatever happens; then an MP4 whose
index stands at its beginning, so that it plays while it is being loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.stream import Stream

from soteirad.capture.disk import Disk
from soteirad.errors import StorageError
from soteirad.video.muxer import Muxer, copied_stream
from soteirad.video.piece import Piece, SoundFormat
from soteirad.whole_file import rename

FRAGMENT_US = 1_000_000
"""So much of a clip, at most, is not on its way to the disk yet (microseconds)."""
_PART = ".part"


class EmptyClipError(StorageError):
    """There is no picture in a clip."""


class DamagedClipError(StorageError):
    """FFmpeg cannot make a whole clip out of what there is of one, and will not be able to another time."""


@dataclass(frozen=True)
class Facts:
    """What there is to say of a clip: its length, its size, how its pictures are encoded, whether there is sound, and
    what its writer noted in it."""

    seconds: float
    bytes: int
    codec: str
    audio: bool
    note: Mapping[str, Any]


def part_of(path: Path) -> Path:
    """Return the path of a clip while it is written: a hidden file beside it."""
    return path.with_name(f".{path.name}{_PART}")


def is_part(path: Path) -> bool:
    """Say whether this is a clip that was not finished."""
    return path.name.startswith(".") and path.name.endswith(f".mp4{_PART}")


def whole_of(part: Path) -> Path:
    """Return the path of the clip that a part is to become."""
    return part.with_name(part.name.removeprefix(".").removesuffix(_PART))


class ClipFile:
    """A clip that grows, at `part_of(path)`. `first` are the first pieces, as for a `Muxer`; `note` is kept in it.

    All methods raise StorageError when it cannot be written, and SourceError for what is no video.
    """

    def __init__(self, path: Path, first: Sequence[Piece], sound: SoundFormat | None, note: Mapping[str, Any]) -> None:
        self._part = part_of(path)
        self._disk = Disk(self._part)
        try:
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._part.unlink(missing_ok=True)
            self._disk.open()
        except OSError as error:
            raise self._refused(error) from error
        try:
            self._muxer = Muxer(self._disk, first[0], first, sound, "+frag_keyframe",
                                {"frag_duration": str(FRAGMENT_US)},
                                {"comment": json.dumps(note, separators=(",", ":"))})  # fmt: skip
        except BaseException as error:
            self._disk.close()
            with suppress(OSError):
                self._part.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise self._refused(error) from error
            raise
        self.format = self._muxer.format

    @property
    def seconds(self) -> float:
        """How long it is so far."""
        return self._muxer.seconds

    def add(self, piece: Piece) -> None:
        """Write a piece."""
        try:
            self._muxer.add(piece)
        except (OSError, ValueError, av.error.FFmpegError) as error:
            raise self._refused(error) from error
        if self._disk.error is not None:
            raise self._refused(self._disk.error)

    def resume(self) -> None:
        """Go on with a key picture, after pictures that were left out."""
        self._muxer.resume()

    def close(self) -> None:
        """Write what is left; what is there can be played, even after an error."""
        try:
            self._muxer.close()
        except (OSError, ValueError, av.error.FFmpegError) as error:
            raise self._refused(error) from error
        finally:
            self._disk.close()
        if self._disk.error is not None:
            raise self._refused(self._disk.error)

    def _refused(self, error: Exception) -> StorageError:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return StorageError(f"{self._part.parent}: clips cannot be written: {reason}")


def finish(part: Path) -> Facts:
    """Make a clip out of its part, whole or not at all; the part stays.

    Raises EmptyClipError for a part of which nothing can be played, DamagedClipError for one that makes no sense, and
    StorageError when the clip cannot be written now.
    """
    path = whole_of(part)
    temporary = part.with_suffix(".tmp")
    try:
        temporary.unlink(missing_ok=True)
        temporary.touch(0o600, exist_ok=False)
        facts = _rewrite(part, temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        rename(temporary, path)
    except (OSError, ValueError, MemoryError, av.error.FFmpegError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        kind = StorageError if isinstance(error, OSError) else DamagedClipError
        raise kind(f"{part}: this clip cannot be finished: {reason}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return facts


def _rewrite(part: Path, target: Path) -> Facts:
    with _opened(part) as given:
        comment = given.metadata.get("comment", "")
        with av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as made:
            copies = {stream.index: copied_stream(made, stream) for stream in _known(given)}
            made.metadata["comment"] = comment
            pictures, first, last = 0, 0.0, 0.0
            for packet in given.demux():
                if packet.dts is None or packet.is_corrupt or packet.stream.index not in copies:
                    continue  # the empty packet at the end, and one of which only the beginning was written
                if packet.stream.type == "video":
                    last = float(packet.dts * packet.time_base)
                    first, pictures = first if pictures else last, pictures + 1
                packet.stream = copies[packet.stream.index]
                made.mux(packet)
            if not pictures:
                raise EmptyClipError(f"{part}: there is no picture in this clip")
            codec, audio = given.streams.video[0].codec_context.name, len(copies) > 1
    step = (last - first) / (pictures - 1) if pictures > 1 else 0.0
    return Facts(round(last - first + step, 2), target.stat().st_size, codec, audio, _read_note(comment))


def _opened(part: Path) -> InputContainer:
    try:
        container = av.open(str(part), "r", metadata_errors="replace")
    except (av.error.InvalidDataError, av.error.EOFError) as error:
        raise EmptyClipError(f"{part}: there is nothing in this clip that can be played") from error
    if not any(stream.type == "video" for stream in _known(container)):
        container.close()
        raise EmptyClipError(f"{part}: there is no picture in this clip")
    return container


def _known(container: InputContainer) -> list[Stream]:
    """Return the streams of which FFmpeg knows what they are: in the head of a clip that was cut off not all may be."""
    return [stream for stream in container.streams if stream.codec_context is not None]


def _read_note(comment: str) -> Mapping[str, Any]:
    try:
        found = json.loads(comment)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

