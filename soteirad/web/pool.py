"""A few threads for work that blocks. They are daemons: one that hangs does not keep the process from ending."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Pool:
    """At most `most` threads, each made when it is first needed. `run` is for coroutines of one loop."""

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._unfinished = 0
        self._stopped = False

    async def run(self, work: Callable[[], T]) -> T:
        """Do something in a thread and return what comes of it."""
        if self._stopped:
            raise RuntimeError("the pool has stopped")
        job = _Job(work, asyncio.get_running_loop())
        with self._lock:
            self._unfinished += 1
            if self._threads < min(self._unfinished, self._most):
                self._threads += 1
                threading.Thread(target=self._serve, name=f"{self._name}-{self._threads}", daemon=True).start()
        self._queue.put(job)
        found: T = await job.future
        return found

    def stop(self) -> None:
        """Let all threads end after what they do now."""
        self._stopped = True
        for _ in range(self._most):
            self._queue.put(None)

    def _serve(self) -> None:
        while (job := self._queue.get()) is not None:
            if not self._stopped:
                job.do()
            with self._lock:
                self._unfinished -= 1


class _Job:
    """Some work, and the future that waits for it."""

    def __init__(self, work: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self._work = work
        self._loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()

    def do(self) -> None:
        """Do it, and tell."""
        try:
            found, error = self._work(), None
        except Exception as told:
            found, error = None, told
        with suppress(RuntimeError):  # the loop has ended: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle, found, error)

    def _settle(self, found: Any, error: Exception | None) -> None:
        if self.future.done():  # whoever waited went away
            return
        if error is None:
            self.future.set_result(found)
        else:
            self.future.set_exception(error)
