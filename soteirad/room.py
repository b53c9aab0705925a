"""Room on the disk under the state folder: how much of it is free, and whether that is enough for more than events."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MB = 1_000_000


@dataclass(frozen=True)
class Room:
    """Bytes of a disk: those of it, and those that we may still write."""

    total: int
    free: int

    @property
    def reserve(self) -> int:
        """What is left free for the journal, and for what else lives on this disk: a fiftieth of it, at least 64 MB and
        at most 1 GB, but of a small disk not more than a tenth."""
        return min(max(64 * MB, self.total // 50), 1000 * MB, self.total // 10)

    @property
    def wanted(self) -> int:
        """What has to be free before pictures are written again; a quarter more, or it would be news with each one."""
        return self.reserve * 5 // 4

    @property
    def comfortable(self) -> int:
        """Up to this much the oldest pictures make room by themselves."""
        return self.reserve * 3 // 2


def room_of(folder: Path) -> Room:
    """Return the room on the disk of a folder. Raises OSError."""
    found = os.statvfs(folder)
    return Room(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


class Disk:
    """Knows whether there is room; for the hub's thread, what it found out for any."""

    def __init__(self, folder: Path, look: Callable[[Path], Room] = room_of) -> None:
        self._folder = folder
        self._look = look
        self.room: Room | None = None
        """What the last look found; None if it failed."""
        self.tight = False
        """Whether only events are to be written."""

    def look(self) -> None:
        """Look how much is free. A disk that does not say is taken to have room: each write will tell."""
        try:
            self.room = room = self._look(self._folder)
        except OSError:
            self.room, self.tight = None, False
            return
        self.tight = room.free < (room.wanted if self.tight else room.reserve)
