"""What waits to be asked: the most urgent first, and the least urgent goes when there is no room."""

from __future__ import annotations

import threading
from collections import deque
from enum import IntEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Priority(IntEnum):
    """How urgent a question is; the smallest comes first."""

    COMMAND = 0
    VISIT = 1
    INTERVAL = 2


class AskQueue(Generic[T]):
    """A bounded queue between threads; within a priority, first come, first served."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._waiting: dict[Priority, deque[T]] = {priority: deque() for priority in Priority}
        self._closed = False
        self._dropped = 0

    def put(self, item: T, priority: Priority) -> T | None:
        """Add `item`; return what had to go for it: the oldest of the least urgent.

        That is `item` itself if everything that waits is more urgent, or if the queue is closed.
        """
        with self._changed:
            if self._closed:
                return item
            gone = None
            if len(self) >= self._limit:
                self._dropped += 1
                least = max(p for p, items in self._waiting.items() if items)
                if priority > least:
                    return item
                gone = self._waiting[least].popleft()
            self._waiting[priority].append(item)
            self._changed.notify()
            return gone

    def get(self, timeout: float | None) -> T | None:
        """Return the next item; None after `timeout` seconds (None: no limit), and at once if closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self) > 0, timeout)
            for items in self._waiting.values():
                if items:
                    return items.popleft()
            return None

    def close(self) -> list[T]:
        """Wake all who wait in `get`, take nothing more, and return what waited, the most urgent first."""
        with self._changed:
            self._closed = True
            left = [item for items in self._waiting.values() for item in items]
            for items in self._waiting.values():
                items.clear()
            self._changed.notify_all()
            return left

    @property
    def closed(self) -> bool:
        """Whether `get` returns None for good."""
        with self._changed:
            return self._closed

    @property
    def dropped(self) -> int:
        """How many items had to go for want of room."""
        with self._changed:
            return self._dropped

    def __len__(self) -> int:
        with self._changed:
            return sum(map(len, self._waiting.values()))
