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
from soteirad.event import Event, clip_id, iso_time
from soteirad.room import MB, Disk
from soteirad.video.clip_file import EmptyClipError, Facts, finish, is_part, whole_of
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
AGAIN_S = 60.0
"""How often it is tried again to finish what could not be finished."""
_NAME = re.compile(r"([0-7][0-9A-HJKMNP-TV-Z]{25})(?:-[0-9]{1,3})?\.mp4")


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
        self._disk = disk or Disk(place.folder.parent)
        self._orders: queue.SimpleQueue[ClipOrder | ClipEnd | None] = queue.SimpleQueue()
        self._open: list[ClipWriter] = []
        self._told: dict[str, list[Path]] = {}
        """Parts of clips that were told of, by the id of the event that tells."""
        self._again_at = float("-inf")
        self._complaint = ""
        self._thread = threading.Thread(target=self._run, name="clips", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def order(self, order: ClipOrder | ClipEnd) -> None:
        """Write a clip, or end one; from any thread."""
        self._orders.put(order)

    def stop(self, timeout: float) -> None:
        """Complete what is open with what there is; what that takes longer for is done by the next start."""
        self._orders.put(None)
        self._thread.join(timeout)

    def step(self) -> None:
        """Write what has come, and complete what has ended."""
        if self._open:
            self._disk.look()
        for writer in list(self._open):
            self._advance(writer)
        self._let_go()
        if time.monotonic() >= self._again_at:
            self._again_at = time.monotonic() + AGAIN_S
            self.finish_left()

    def take(self, order: ClipOrder | ClipEnd) -> None:
        """Begin a clip, or shorten one."""
        if isinstance(order, ClipEnd):
            for writer in self._open:
                if writer.order.path == order.path:
                    writer.ends = min(writer.ends, order.ends)
            return
        self._disk.look()
        if self._disk.tight:
            self._complain(self._tight())
        elif len(self._open) >= MOST_OPEN:
            logger.warning("no clip of %s: %d are being written already", order.note["id"], MOST_OPEN)
        else:
            self._open.append(ClipWriter(order, self._place.folder, self._feed(), self._sound))

    def finish_left(self) -> None:
        """Complete what a process that was killed, or a full disk, left unfinished."""
        self._disk.look()
        busy = {part for writer in self._open for part in writer.parts}
        busy |= {part for parts in self._told.values() for part in parts}
        left: dict[str, list[Path]] = {}
        with suppress(OSError):
            for part in sorted((self._place.folder / self._place.camera).glob("*/.*.part")):
                name = _NAME.fullmatch(whole_of(part).name)
                if is_part(part) and name and part not in busy and not part.is_symlink():
                    left.setdefault(name[1], []).append(part)
        for parts in left.values():
            self._complete(sorted(parts, key=lambda part: len(part.name)))

    def _run(self) -> None:
        try:
            self.step()
            while self._wait():
                self.step()
            self._end()
        except Exception as error:
            self._on_fault(error)

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
        with suppress(queue.Empty):
            order = self._orders.get(timeout=STEP_S if self._open or self._told else AGAIN_S)
            while order is not None:
                self.take(order)
                order = self._orders.get_nowait()
            return False
        return True

    def _advance(self, writer: ClipWriter) -> None:
        try:
            if self._disk.tight:
                self._complain(self._tight())
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
        if self._disk.tight:
            return
        whole: list[tuple[Path, Facts]] = []
        for part in parts:
            try:
                whole.append((part, finish(part)))
            except EmptyClipError:
                with suppress(OSError):
                    part.unlink()
            except StorageError as error:
                self._complain(str(error))
                return
        if whole and (note := whole[0][1].note).get("id"):
            event = _recorded(self._place, note, [whole_of(part) for part, _ in whole], [facts for _, facts in whole])
            self._told[event.id] = [part for part, _ in whole]
            self._confirm(event)
            self._complaint = ""

    def _let_go(self) -> None:
        for event_id in [event_id for event_id in self._told if not self._kept(event_id)]:
            for part in self._told.pop(event_id):
                with suppress(OSError):
                    part.unlink(missing_ok=True)

    def _tight(self) -> str:
        free = self._disk.room.free if self._disk.room is not None else 0
        return (f"{self._place.folder}: the disk is nearly full: {free / MB:.0f} MB are free, and the last are for "
                "events: no clips are written")  # fmt: skip

    def _complain(self, text: str) -> None:
        if text.partition(": ")[2] != self._complaint:
            self._complaint = text.partition(": ")[2]
            logger.error("%s", text)


def _recorded(place: Place, note: Mapping[str, Any], paths: Sequence[Path], facts: Sequence[Facts]) -> Event:
    """Return the event that says that a clip is complete."""
    about = str(note["id"])
    return Event(
        id=clip_id(about), event_type="recorded", camera=place.camera, time=str(note["time"]),
        confirmed=iso_time(time.time()), label=note.get("label"), track_id=note.get("track_id"),
        zones=tuple(note.get("zones", ())), media_time=note.get("media_time"), about=about,
        clip=str(paths[0].relative_to(place.folder)),
        why={"seconds": round(sum(one.seconds for one in facts), 2), "bytes": sum(one.bytes for one in facts),
             "begins": note.get("begins"), "codec": facts[0].codec, "audio": facts[0].audio, "parts": len(facts)},
    )  # fmt: skip
