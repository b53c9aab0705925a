"""The clips of one camera: a thread that writes them, tells of those that are complete, and finishes what a killed
process left."""

from __future__ import annotations

import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soteirad.errors import StorageError
from soteirad.event import Event, clip_id, epoch_time, iso_time
from soteirad.kept_files import ULID, entries, folders
from soteirad.room import MB, Disk
from soteirad.video.clip_file import DamagedClipError, EmptyClipError, Facts, finish, is_part, whole_of
from soteirad.video.clip_plan import ClipEnd, ClipOrder
from soteirad.video.clip_writer import ClipWriter
from soteirad.video.feed import Feed

logger = logging.getLogger(__name__)

MOST_OPEN = 8
"""Clips that are written at the same time; a visit beyond that has none."""
STEP_S = 1.0
"""How often what came is written: many pieces at once cost less than each by itself."""
TOLD_S = 0.5
"""How long the end of the watch waits for what it told to be on the disk."""
AGAIN_S = 15.0
"""How long after a clip could not be finished it is tried again."""
_NAME = re.compile(rf"({ULID})(?:-[0-9]{{1,3}})?\.mp4")


@dataclass(frozen=True)
class Place:
    """Where a camera's clips go: the folder of all clips, and the camera's name."""

    folder: Path
    camera: str


class Clips:
    """Writes clips of what `feed` returns. `now` is the clock of the gates.

    `confirm` takes the event that tells of a complete clip, `kept` says whether an event has not reached the disk yet:
    until then the part stays, so that a process that is killed meanwhile tells again. `on_fault` takes a fault that
    this was not made for.
    """

    def __init__(self, place: Place, feed: Callable[[], Feed], confirm: Callable[[Event], None],
                 kept: Callable[[str], bool], now: Callable[[], float], on_fault: Callable[[Exception], None],
                 sound: bool = True, disk: Disk | None = None) -> None:  # fmt: skip
        self._place = place
        self._feed = feed
        self._confirm = confirm
        self._kept = kept
        self._now = now
        self._on_fault = on_fault
        self._sound = sound
        # Another disk may be mounted there.
        self._disk = disk or Disk(place.folder if place.folder.is_dir() else place.folder.parent)
        self._orders: queue.SimpleQueue[ClipOrder | ClipEnd | threading.Event | None] = queue.SimpleQueue()
        self._open: list[ClipWriter] = []
        self._left: list[Sequence[Path]] = []
        """Parts of the clips that are still to be finished."""
        self._told: dict[str, list[Path]] = {}
        """Parts of clips that were told of, by the id of the event that tells."""
        self._followers: list[threading.Event] = []
        self._again_at = float("-inf")
        self._complaints: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="clips", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def order(self, order: ClipOrder | ClipEnd) -> None:
        """Write a clip, or end one; from any thread."""
        self._orders.put(order)

    def follow(self, timeout: float) -> None:
        """Wait until what has come is written, for at most `timeout` seconds: a file may come faster than that."""
        written = threading.Event()
        self._orders.put(written)
        until = time.monotonic() + timeout
        while self._thread.is_alive() and time.monotonic() < until and not written.wait(min(timeout, 0.1)):
            pass  # a thread that ended of a fault writes no more

    def stop(self, timeout: float) -> None:
        """Complete what is open with what there is; what that takes longer for is done by the next start."""
        self._orders.put(None)
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def step(self) -> None:
        """Write what has come, and complete what has ended."""
        if self._open or self._left:
            self._disk.look()
        for writer in list(self._open):
            self._advance(writer)
        self._let_go()
        # One at a time: those that are open do not wait for all that an earlier process left.
        if self._left and time.monotonic() >= self._again_at:
            self._complete(self._left.pop(0))

    def take(self, order: ClipOrder | ClipEnd) -> None:
        """Begin a clip, or shorten one."""
        if isinstance(order, ClipEnd):
            for writer in self._open:
                if writer.order.path == order.path:
                    writer.ends = min(writer.ends, order.ends)
            return
        self._disk.look()
        folder = (self._place.folder / order.path).parent
        if self._disk.tight:
            self._complain(self._no_room())
        elif link := next((path for path in (self._place.folder, folder.parent, folder) if path.is_symlink()), None):
            self._complain(f"{link}: this is a link, which nobody follows: no clips are written")
        elif len(self._open) >= MOST_OPEN:
            logger.warning("no clip of %s: %d are being written already", order.note["id"], MOST_OPEN)
        else:
            self._open.append(ClipWriter(order, self._place.folder, self._feed(), self._sound))

    def find_left(self) -> None:
        """Look what a process that was killed left unfinished."""
        left: dict[str, list[Path]] = {}
        try:
            camera = self._place.folder / self._place.camera
            for day in () if self._place.folder.is_symlink() else folders(camera):
                for entry in entries(day):
                    part = Path(entry.path)
                    name = _NAME.fullmatch(whole_of(part).name)
                    if is_part(part) and name and entry.is_file(follow_symlinks=False):
                        left.setdefault(name[1], []).append(part)
        except OSError as error:
            self._complain(f"{self._place.folder}: clips cannot be looked for: {error.strerror}")
        self._left += [sorted(parts, key=lambda part: (len(part.name), part.name)) for _, parts in sorted(left.items())]

    def _run(self) -> None:
        try:
            self.find_left()
            self.step()
            while self._wait():
                self.step()
                self._release()
            self._end()
        except Exception as error:
            self._on_fault(error)
        finally:
            self._release()

    def _release(self) -> None:
        """Let those go on who wait until all is written."""
        while self._followers:
            self._followers.pop().set()

    def _end(self) -> None:
        self.step()
        for writer in self._open:
            with suppress(StorageError):
                writer.close()
        while self._open:
            self._complete(self._open.pop().parts)
        until = time.monotonic() + TOLD_S
        while self._told and time.monotonic() < until:
            time.sleep(TOLD_S / 20)
            self._let_go()

    def _wait(self) -> bool:
        """Wait for an order, or for the time of the next step; returns whether to go on."""
        busy = self._open or self._told or self._left
        with suppress(queue.Empty):
            order = self._orders.get(timeout=STEP_S if busy else None)
            while order is not None:
                if isinstance(order, threading.Event):
                    self._followers.append(order)
                else:
                    self.take(order)
                order = self._orders.get_nowait()
            return False
        return True

    def _advance(self, writer: ClipWriter) -> None:
        try:
            if self._disk.tight:
                self._complain(self._no_room())
                writer.close()
            else:
                writer.step(self._now())
        except StorageError as error:
            self._complain(str(error))
            with suppress(StorageError):
                writer.close()
        if writer.done:
            self._open.remove(writer)
            self._complete(writer.parts)

    def _complete(self, parts: Sequence[Path]) -> None:
        """Make whole clips out of parts, and tell of them as of one; what cannot be done now is tried again."""
        whole: list[tuple[Path, Facts]] = []
        for part in [part for part in parts if part.exists()]:
            try:
                if self._disk.tight:
                    raise StorageError(self._no_room())
                whole.append((part, finish(part)))
            except EmptyClipError:
                with suppress(OSError):
                    part.unlink()
            except DamagedClipError as error:
                self._complain(str(error))
            except StorageError as error:
                self._complain(str(error))
                self._left.append(parts)
                self._again_at = time.monotonic() + AGAIN_S
                return
        if whole:
            self._tell(whole)

    def _tell(self, whole: Sequence[tuple[Path, Facts]]) -> None:
        """Tell of a clip that is complete, by the name that was promised: there was perhaps nothing in its first part.
        """
        paths = [whole_of(part) for part, _ in whole]
        if found := _NAME.fullmatch(paths[0].name):
            first = paths[0].with_name(f"{found[1]}.mp4")
            with suppress(OSError):
                paths[0] = paths[0].replace(first)
        try:
            event = _recorded(self._place, whole[0][1].note, paths, [facts for _, facts in whole])
        except (KeyError, TypeError, ValueError):
            self._complain(f"{paths[0]}: this clip is of no event that is known")
            return
        self._told[event.id] = [part for part, _ in whole]
        self._confirm(event)
        self._complaints.clear()

    def _let_go(self) -> None:
        for event_id in [event_id for event_id in self._told if not self._kept(event_id)]:
            for part in self._told.pop(event_id):
                with suppress(OSError):
                    part.unlink(missing_ok=True)

    def _no_room(self) -> str:
        free = self._disk.room.free if self._disk.room is not None else 0
        return (f"{self._place.folder}: the disk is nearly full: {free / MB:.0f} MB are free, and the last are for "
                "events: no clips are written")  # fmt: skip

    def _complain(self, text: str) -> None:
        """Say it, unless the same was said since the last clip, of whichever file and with whichever figures."""
        kind = re.sub("[0-9]+", "", text.partition(": ")[2])
        if kind not in self._complaints:
            self._complaints.add(kind)
            logger.error("%s", text)


def _recorded(place: Place, note: Mapping[str, Any], paths: Sequence[Path], facts: Sequence[Facts]) -> Event:
    """Return the event that says that a clip is complete.

    Raises KeyError, TypeError or ValueError for a note of something else.
    """
    about = str(note["id"])
    epoch_time(note["time"])
    if not paths[0].name.startswith(about) or note["camera"] != place.camera:
        raise ValueError(about)
    return Event(
        id=clip_id(about), event_type="recorded", camera=place.camera, time=str(note["time"]),
        confirmed=iso_time(time.time()), label=note.get("label"), track_id=note.get("track_id"),
        zones=tuple(note.get("zones", ())), media_time=note.get("media_time"), about=about,
        clip=str(paths[0].relative_to(place.folder)),
        why={"seconds": round(sum(one.seconds for one in facts), 2), "bytes": sum(one.bytes for one in facts),
             "begins": note.get("begins"), "codec": facts[0].codec, "audio": facts[0].audio, "parts": len(facts)},
    )  # fmt: skip
