"""Sweeps on several processors: settings are shared out among processes, which read one recording."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from soteirad.errors import SoteiraError
from soteirad.pipeline import PipelineSettings
from soteirad.tune.recording import Recording
from soteirad.tune.sweep import Ran, sweep

MOST_PROCESSES = 2
"""Each needs its own copy of what settings share, and a machine that watches cameras has other work."""
WORTH_IT = 60_000
"""Frames times settings from which a second process is worth its start."""
_POLL_S = 0.2
_FEW_COLLECTIONS = 200_000
_TELL_EVERY = 32


class Crew:
    """Runs sweeps; the processes are started when they are first worth it, and end with `close`."""

    def __init__(self, processes: int | None = None) -> None:
        self._processes = min(MOST_PROCESSES, os.cpu_count() or 1) if processes is None else processes
        self._pool: ProcessPoolExecutor | None = None
        self._done: Any = None
        self._stop: Any = None

    def sweep(self, recording: Recording, shares: Sequence[Sequence[PipelineSettings]], traced: bool = False,
              on_progress: Callable[[float], None] = lambda _: None) -> list[list[Ran]]:  # fmt: skip
        """Sweep each share of settings; `on_progress` is told how much of it all is done (0-1). Raises SoteiraError."""
        frames = len(recording.moments)
        count = sum(len(share) for share in shares)
        if self._processes < 2 or len(shares) < 2 or frames * count < WORTH_IT:
            return self._alone(recording, shares, traced, on_progress)
        pool = self._started()
        began = self._done.value
        jobs = [pool.submit(_work, recording.path, tuple(share), traced) for share in shares]
        try:
            waiting: set[Future[list[Ran]]] = set(jobs)
            while waiting:
                waiting = wait(waiting, timeout=_POLL_S)[1]
                on_progress(min(1.0, (self._done.value - began) / (frames * len(shares))))
            return [job.result() for job in jobs]
        except BrokenProcessPool:
            raise SoteiraError("a process that tried settings was ended from outside, perhaps for want of memory: "
                               "close other programs, or give a shorter clip") from None  # fmt: skip

    def close(self) -> None:
        """End the processes, also in the middle of their work."""
        if self._pool is not None:
            self._stop.set()
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _alone(self, recording: Recording, shares: Sequence[Sequence[PipelineSettings]], traced: bool,
               on_progress: Callable[[float], None]) -> list[list[Ran]]:  # fmt: skip
        done, total = 0, max(1, len(recording.moments) * len(shares))
        found = []
        for share in shares:

            def tell() -> None:
                nonlocal done
                done += 1
                if done % _TELL_EVERY == 0:
                    on_progress(done / total)

            found.append(sweep(recording, share, range(len(share)) if traced else (), tell))
        return found

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._done = context.Value("L", 0)
            self._stop = context.Event()
            self._pool = ProcessPoolExecutor(self._processes, context, _begin, (self._done, self._stop))
        return self._pool


_SHARED: list[Any] = []
"""In a process of the pool: what it shares with its parent, the number of frames done and the wish to stop."""


class _StoppedError(Exception):
    """The parent wants no more of this; nobody asks for the result."""


def _begin(done: Any, stop: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its children
    # A sweep makes millions of small objects and hardly a cycle: looking for those took a fifth of its time (measured).
    gc.freeze()
    gc.set_threshold(_FEW_COLLECTIONS)
    _SHARED[:] = [done, stop]
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed says nothing, and a process of a pool would wait for it for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(path: Path, settings: tuple[PipelineSettings, ...], traced: bool) -> list[Ran]:
    frames = 0

    def tell() -> None:
        nonlocal frames
        frames += 1
        if frames % _TELL_EVERY == 0:
            with _SHARED[0].get_lock():
                _SHARED[0].value += _TELL_EVERY
            if _SHARED[1].is_set():
                raise _StoppedError

    recording = Recording(path)
    recording.open()
    try:
        return sweep(recording, settings, range(len(settings)) if traced else (), tell)
    finally:
        recording.close()
