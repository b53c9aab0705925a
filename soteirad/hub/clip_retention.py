"""The retention of clips: of each camera those that are too old or too many go, the oldest first, and on a full disk
the oldest of all, before anything else does.

What is ours is known by its name: `clips/<camera>/<day>/<event>.mp4`, `<event>-<n>.mp4` for a further part, and
`.<event>.mp4.part` while it is written and `.<event>.mp4.tmp` while it is completed. Nothing else is
ever counted or deleted; no symbolic link is followed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from soteirad.archive import Archive, NoJournalError
from soteirad.config import Config
from soteirad.config.clips import ClipsConfig
from soteirad.config.messages import NAME_PATTERN
from soteirad.errors import StorageError
from soteirad.event import clip_id, iso_time
from soteirad.kept_files import DAY, DAY_S, STALE_S, ULID, File, entries, folders, in_order, time_of
from soteirad.room import Room

COUNT_EVERY_S = 3600.0
"""How often all clips are counted anew; in between only those of today and yesterday can have become more."""

_CAMERA = re.compile(NAME_PATTERN)
_CLIP = re.compile(rf"({ULID})(-[0-9]{{1,3}})?\.mp4")
_PART = re.compile(rf"\.{ULID}(-[0-9]{{1,3}})?\.mp4\.(part|tmp)")


@dataclass(frozen=True)
class ClipLimits:
    """The section `clips` of each camera, and `others` for cameras that are not in the configuration any more."""

    others: ClipsConfig
    cameras: Mapping[str, ClipsConfig] = field(default_factory=dict)

    def of(self, camera: str) -> ClipsConfig:
        """Return the section that is for a camera's clips."""
        return self.cameras.get(camera, self.others)


def clip_limits(config: Config) -> ClipLimits:
    """Return the limits that a configuration says."""
    return ClipLimits(config.clips, {name: camera.clips for name, camera in config.cameras.items()})


class ClipRetention:
    """Deletes clips below one state folder, for the thread of `Retention`, whose parameters these are.

    `breathe` leaves the disk to others for a moment, and says whether to end. `monotonic` gives seconds that never
    jump.
    """

    def __init__(self, folder: Path, journal: Path, clock: Callable[[], float], look: Callable[[Path], Room],
                 aged: Callable[[], float | None], breathe: Callable[[], bool],
                 monotonic: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self._folder = folder
        self._journal = journal
        self._clock = clock
        self._look = look
        self._aged = aged
        self._breathe = breathe
        self._monotonic = monotonic
        self._began = monotonic()
        self._limits = ClipLimits(ClipsConfig())
        self._sizes: dict[tuple[str, str], int] = {}
        """How much there is of each camera and day, in bytes."""
        self._count_at = float("-inf")

    def check(self, limits: ClipLimits) -> None:
        """Delete what is to be deleted now. Raises StorageError if the disk refuses."""
        self._limits, now, sure = limits, self._clock(), self._aged()
        try:
            if not self._count(now):
                return
            with Archive(self._journal) as archive:
                goes = partial(self._may_go, archive, now)
                for camera in {camera for camera, _ in self._sizes}:
                    own = limits.of(camera)
                    if sure is not None:
                        self._oldest_go((camera,), partial(_is_before, sure - own.retain_days * DAY_S), goes)
                    if self._is_too_much(camera, own.max_size):
                        self._oldest_go((camera,), partial(self._is_too_much, camera, own.max_size), goes)
                if self._sizes and self._is_short():
                    self._oldest_go({camera for camera, _ in self._sizes}, self._is_short, goes)
        except NoJournalError:
            return  # nothing is known of what is needed
        except OSError as error:
            raise StorageError(f"{self._folder}: old clips cannot be deleted: {error.strerror}: see that the daemon's "
                               "user may write there") from error  # fmt: skip

    def _count(self, now: float) -> bool:
        """Count what there is, of each camera and day; returns whether it came to the end. Nobody adds to what is older
        than a day."""
        whole = not 0 <= now - self._count_at < COUNT_EVERY_S
        recent = iso_time(now - DAY_S)[:10]
        sizes = {} if whole else {key: size for key, size in self._sizes.items() if key[1] < recent}
        for camera in folders(self._folder / "clips"):
            # Others, such as a disk's lost+found, may not even be looked into.
            for place in folders(camera) if _CAMERA.fullmatch(camera.name) else ():
                if DAY.fullmatch(place.name) and (whole or place.name >= recent):
                    sizes[camera.name, place.name] = sum(file.size for file in self._files(place))
                    if self._breathe():
                        return False
        self._sizes = sizes
        if whole:
            self._count_at = now
        return True

    def _oldest_go(self, cameras: Collection[str], too_much: Callable[[File], bool],
                   goes: Callable[[File], bool]) -> None:  # fmt: skip
        """Delete the oldest clips of some cameras, of those that `goes`, as long as the next is `too_much`."""
        for day in sorted({day for camera, day in self._sizes if camera in cameras}):
            places = [self._folder / "clips" / camera / day for camera in cameras if (camera, day) in self._sizes]
            for file in in_order(partial(self._clips, places)):
                if not too_much(file):
                    return
                if goes(file):
                    self._delete(file)
                if self._breathe():
                    return
            for place in places:
                self._settle(place)

    def _is_too_much(self, camera: str, most: int, _: File | None = None) -> bool:
        return sum(size for (name, _), size in self._sizes.items() if name == camera) > most

    def _is_short(self, _: File | None = None) -> bool:
        room = self._look(self._folder / "clips")  # another disk may be mounted there
        return room.free < room.comfortable

    def _may_go(self, archive: Archive, now: float, file: File) -> bool:
        """Say whether nobody waits for a clip: neither for the event that named it nor for the one that tells of it.

        What the journal does not know may be on its way into it.
        """
        states = archive.state(file.event_id), archive.state(clip_id(file.event_id))
        return all(state == "done" or (state is None and file.time < now - DAY_S) for state in states)

    def _delete(self, file: File) -> None:
        path = Path(file.path)
        with suppress(FileNotFoundError):
            path.unlink()
        self._sizes[path.parent.parent.name, file.day] -= file.size

    def _settle(self, place: Path) -> None:
        """Forget a camera's day of which nothing is left, and remove its empty folder; nobody writes to those of
        before."""
        if not any(self._files(place)):
            self._sizes.pop((place.parent.name, place.name), None)
        if place.name < iso_time(self._clock() - DAY_S)[:10]:
            with suppress(OSError):  # it is not empty
                place.rmdir()

    def _patience(self, camera: str) -> float:
        """Return how long, in seconds, a part may wait to be finished: as long as a clip is kept if its camera is there
        to do it, on a disk that has no room yet."""
        own = self._limits.cameras.get(camera)
        if own is not None and own.enabled:
            return own.retain_days * DAY_S
        return max(STALE_S, self._limits.of(camera).max)

    def _clips(self, places: Collection[Path]) -> Iterator[File]:
        """Yield the complete clips in some folders. Raises OSError."""
        for place in places:
            yield from (file for file in self._files(place) if file.event_id)

    def _files(self, place: Path) -> Iterator[File]:
        """Yield what is ours in a folder of one day, without an id what is still written; remove what nobody finishes:
        its camera did not start again. Raises OSError."""
        patience = self._patience(place.parent.name)
        # After a long power cut all are old: the cameras are about to start, and finish them.
        stale = self._clock() - patience if self._monotonic() - self._began > patience else float("-inf")
        for entry in entries(place):
            name = _CLIP.fullmatch(entry.name)
            if (name is None and not _PART.fullmatch(entry.name)) or not entry.is_file(follow_symlinks=False):
                continue
            with suppress(FileNotFoundError, ValueError):
                found = entry.stat(follow_symlinks=False)
                if name is not None:
                    yield File(time_of(name[1]), entry.path, found.st_size, place.name, name[1])
                elif found.st_mtime < stale:
                    Path(entry.path).unlink()
                else:
                    yield File(found.st_mtime, entry.path, found.st_size, place.name)


def _is_before(moment: float, file: File) -> bool:
    return file.time < moment
