"""Where recordings are kept between runs: so many bytes in all, the ones used longest ago go first."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from soteirad import __version__
from soteirad.assembly import choose_engine, model_card, source_settings
from soteirad.config import CameraConfig
from soteirad.digest import digest_of
from soteirad.errors import SoteiraError
from soteirad.tune.recording import VERSION, DamagedError, Recording, RecordingWriter
from soteirad.tune.survey import THUMBNAIL_QUALITY, THUMBNAIL_WIDTH, survey

MOST_BYTES = 1_000_000_000
SUFFIX = ".recording"
_PARTIAL = ".partial"
_PASSING = ".passing"
"""Of a recording that is taken away at the end; like a partial one it has the number of its process in its name."""
STALE_S = 86_400
"""A file of a process that was ended by force is taken away after a day: none works for so long."""

OnFrame = Callable[[float], None]
"""Is given the share of a clip that is measured, 0-1."""


class Store:
    """Recordings of clips in a folder, by what was recorded and how.

    A recording holds pictures. With privacy masks it would hold what they cover, since the gates see all of the
    picture: such a recording belongs to one process, is not kept, and `close` takes it away.
    """

    def __init__(self, folder: Path | None, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._open: list[Recording] = []
        self._passing: list[Path] = []

    def recording(self, camera: CameraConfig, on_frame: OnFrame = lambda _: None) -> Recording:
        """Return the recording of the camera's clip, opened; it is made if there is none, or a damaged one.

        Raises SourceError, ModelError, and SoteiraError where nothing can be kept.
        """
        folder = self._usable()
        key, passing = _key(camera), bool(camera.privacy_mask)
        path = folder / (f"{key}.{os.getpid()}{_PASSING}" if passing else f"{key}{SUFFIX}")
        if passing:
            self._passing.append(path)
        found = _opened(path)
        try:
            if found is None:
                self._make(camera, path, on_frame)
                found = _opened(path)
            else:
                os.utime(path)
        except OSError as error:
            raise _unusable(folder, error) from None
        if found is None:
            raise SoteiraError(f"{path}: what was just written there reads back damaged: check the disk")
        self._open.append(found)
        self._tidy(folder)
        return found

    def close(self) -> None:
        """Close all recordings, and take away those that may not be kept."""
        for recording in self._open:
            recording.close()
        for path in self._passing:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        self._open, self._passing = [], []

    def _usable(self) -> Path:
        if self._folder is None:
            raise SoteiraError("there is no home folder to keep measurements in: set XDG_CACHE_HOME to a folder that "
                               "you may write")  # fmt: skip
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not os.access(self._folder, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied")
        except OSError as error:
            raise _unusable(self._folder, error) from None
        return self._folder

    def _make(self, camera: CameraConfig, path: Path, on_frame: OnFrame) -> None:
        partial = path.with_name(f"{path.name.partition('.')[0]}.{os.getpid()}{_PARTIAL}")
        writer = RecordingWriter(partial)
        try:
            writer.open()
            survey(camera, writer, on_frame)
            partial.replace(path)
        finally:
            try:
                writer.close()
            finally:  # on a full disk even closing fails
                partial.unlink(missing_ok=True)

    def _tidy(self, folder: Path) -> None:
        """Remove what was used longest ago until the rest is small enough; what is in use stays."""
        used = {recording.path for recording in self._open}
        for path in [*folder.glob(f"*{_PARTIAL}"), *folder.glob(f"*{_PASSING}")]:
            with contextlib.suppress(OSError):
                if path not in used and path.stat().st_mtime < time.time() - STALE_S:
                    path.unlink()
        files: list[tuple[float, int, Path]] = []
        for path in folder.glob(f"*{SUFFIX}"):
            with contextlib.suppress(OSError):
                files.append((path.stat().st_mtime, path.stat().st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._most_bytes:
                break
            if path not in used:
                with contextlib.suppress(OSError):
                    path.unlink()
                total -= size


def _opened(path: Path) -> Recording | None:
    recording = Recording(path)
    try:
        recording.open()
    except (DamagedError, OSError):
        return None
    return recording


def _unusable(folder: Path, error: OSError) -> SoteiraError:
    return SoteiraError(f"{folder}: measurements cannot be kept there ({error.strerror}): make room or set "
                        f"XDG_CACHE_HOME to a folder that you may write")  # fmt: skip


def _key(camera: CameraConfig) -> str:
    """Return a hash of all that a recording hangs on: the clip, what is measured, the model and its engine."""
    card = model_card(camera)
    choice = choose_engine(camera, card)
    source, server = source_settings(camera), camera.detector.server
    parts = [VERSION, __version__, THUMBNAIL_WIDTH, THUMBNAIL_QUALITY, _content_hash(Path(camera.source)),
             source.stream, source.rotate, camera.privacy_mask, camera.fps, camera.motion.lines,
             sorted(camera.objects.track), camera.objects.nms_iou, card.model_dump(mode="json"),
             card.verify_file() if choice else [], asdict(choice.engine) if choice else None,
             server.model_dump(mode="json") if server else None]  # fmt: skip
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:40]


def _content_hash(path: Path) -> str:
    try:
        return digest_of([path])[1]
    except FileNotFoundError:
        raise SoteiraError(f"{path}: there is no such file: give the path of a video file") from None
    except IsADirectoryError:
        raise SoteiraError(f"{path}: this is a folder: give a video file") from None
    except OSError as error:
        raise SoteiraError(f"{path}: the clip cannot be read: {error.strerror}") from None
