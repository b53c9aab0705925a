"""The supervisor: one process for each camera, restarted with backoff when it dies."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import queue
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess

from soteirad.backoff import Backoff
from soteirad.camera import CameraJob, camera_main
from soteirad.messages import FromCamera, Stop, ToCamera

logger = logging.getLogger(__name__)

STABLE_S = 60.0
"""A process that lived this long begins its backoff anew when it dies."""


def process_context() -> BaseContext:
    """Return the multiprocessing context: a fork server that has imported the camera's libraries once.

    Four processes with NanoDet-g took 94 MB each this way and 127 MB when each was spawned (PSS, measured). On macOS
    they are spawned: Apple's frameworks do not survive a fork.
    """
    if sys.platform == "darwin":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["soteirad.camera", "onnxruntime"])
    return context


class CameraProcess:
    """One camera's process and the hub's end of its pipe.

    A thread reads the pipe, so that a camera that freezes in mid-message holds up nobody; `on_wake` is called from it.
    """

    BACKLOG = 256
    """Messages that wait for the hub's loop; beyond that the pipe fills and the camera keeps its own."""

    def __init__(self, job: CameraJob, context: BaseContext, on_wake: Callable[[], None]) -> None:
        self.job = job
        self.name = job.name
        self.connection: Connection | None = None
        self.finished = False
        self.failure: str | None = None
        self.starts = 0
        self._context = context
        self._on_wake = on_wake
        self._process: BaseProcess | None = None
        self._inbox: queue.Queue[FromCamera | None] = queue.Queue(self.BACKLOG)
        self._backoff = Backoff()
        self._started = 0.0
        self._restart_at: float | None = None

    def start(self) -> None:
        """Start the process."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(  # type: ignore[attr-defined]
            target=camera_main, args=(self.job, theirs), name=f"soteirad-{self.name}", daemon=True
        )
        process.start()
        theirs.close()
        self.connection, self._process = ours, process
        self._inbox = queue.Queue(self.BACKLOG)
        self._started, self._restart_at = time.monotonic(), None
        self.starts += 1
        threading.Thread(target=self._read, args=(ours, self._inbox), name=f"pipe-{self.name}", daemon=True).start()

    def receive(self) -> tuple[list[FromCamera], bool]:
        """Return what the camera sent, and whether its end of the pipe is closed (it died or finished)."""
        messages: list[FromCamera] = []
        while True:
            try:
                message = self._inbox.get_nowait()
            except queue.Empty:
                return messages, False
            if message is None:
                return messages, True
            messages.append(message)

    def _read(self, connection: Connection, inbox: queue.Queue[FromCamera | None]) -> None:
        try:
            while True:
                inbox.put(connection.recv())
                self._on_wake()
        except (EOFError, OSError):
            pass
        except Exception as error:  # a process killed in mid-message leaves half a pickle
            logger.warning("%s: the camera process left an incomplete message (%s)", self.name, type(error).__name__)
        inbox.put(None)
        self._on_wake()

    def send(self, message: ToCamera) -> None:
        """Send to the camera; a camera that is gone is noticed by `receive`."""
        if self.connection is not None:
            with contextlib.suppress(OSError):
                self.connection.send(message)

    def ended(self, restart: bool) -> None:
        """Clean up after the process closed its pipe, and plan its restart."""
        process = self._process
        if process is not None:
            process.join(timeout=2.0)
            if process.is_alive():
                process.kill()
                process.join()
        if self.connection is not None:
            self.connection.close()
        code = process.exitcode if process is not None else None
        self.connection = self._process = None
        if not restart:
            return
        if time.monotonic() - self._started > STABLE_S:
            self._backoff.reset()
        delay = self._backoff.next()
        self._restart_at = time.monotonic() + delay
        logger.error("%s: the camera process ended (%s); it starts again in %.0f s", self.name, _died(code), delay)

    def postpone(self) -> None:
        """Try the restart again after another delay."""
        self._restart_at = time.monotonic() + self._backoff.next()

    def restart_due(self) -> float | None:
        """Return when (monotonic seconds) the process is to be started again, or None."""
        return self._restart_at

    def ask_to_stop(self) -> None:
        """Ask the process to end."""
        self._restart_at = None
        self.send(Stop())

    def join(self, deadline: float) -> None:
        """Wait for the end until `deadline` (monotonic seconds), then kill."""
        process = self._process
        if process is not None:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                logger.warning("%s: the camera process does not end and is killed", self.name)
                process.kill()
                process.join()
            self._process = None


def _died(code: int | None) -> str:
    if code is None:
        return "unknown"
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
