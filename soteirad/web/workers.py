"""Who works for the web application: few threads, and those that wait never keep short work from being done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from soteirad.web.pool import Pool

MOST_LOOKERS = 12
"""Streams and single pictures that wait for frames: as many threads."""
MOST_STREAMS = 8
MOST_DOWNLOADS = 16
"""Clips that are being sent, half of all connections: the page itself always has some."""
SHORT_WORKERS = 4

T = TypeVar("T")


class Workers:
    """Two pools: for what is done at once (reading files and the journal), and for what waits for frames."""

    def __init__(self) -> None:
        self._short = Pool("web", SHORT_WORKERS)
        self._waiting = Pool("web-look", MOST_LOOKERS)
        self._lookers = 0
        self._streams = 0
        self._downloads = 0

    async def short(self, work: Callable[[], T]) -> T:
        """Do something short in a worker thread."""
        return await self._short.run(work)

    async def wait(self, work: Callable[[], T]) -> T:
        """Wait for something in a worker thread; only for those who have a place."""
        return await self._waiting.run(work)

    def take_place(self, stream: bool) -> bool:
        """Take one of the places of those who wait for frames; False when there is none. For the loop's thread."""
        if self._lookers >= MOST_LOOKERS or (stream and self._streams >= MOST_STREAMS):
            return False
        self._lookers += 1
        self._streams += stream
        return True

    def give_place(self, stream: bool) -> None:
        """Give a place back."""
        self._lookers -= 1
        self._streams -= stream

    def take_download(self) -> bool:
        """Take one of the places of those who fetch clips; False when there is none. For the loop's thread."""
        if self._downloads >= MOST_DOWNLOADS:
            return False
        self._downloads += 1
        return True

    def give_download(self) -> None:
        """Give that place back."""
        self._downloads -= 1

    @property
    def streams(self) -> int:
        """How many streams there are."""
        return self._streams

    def stop(self) -> None:
        """Take no more work; what waits for frames notices within its own timeout."""
        self._short.stop()
        self._waiting.stop()
