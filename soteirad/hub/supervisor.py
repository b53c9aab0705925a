"""The supervisor: one process for each camera, restarted with backoff when it dies."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import time
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess

from soteirad.camera import CameraJob, camera_main
from soteirad.capture.reader import Backoff
from soteirad.messages import FromCamera, Stop, ToCamera

logger = logging.getLogger(__name__)

STABLE_S = 60.0
"""A process that lived this long begins its backoff anew when it dies."""


def process_context() -> ForkServerContext:
    """Return the multiprocessing context: a fork server that has imported the camera's libraries once.

    Four processes with NanoDet-g took 94 MB each this way and 127 MB when each was spawned (PSS, measured).
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["soteirad.camera", "onnxruntime"])
    return context


class CameraProcess:
    """One camera's process and the hub's end of its pipe."""

    def __init__(self, job: CameraJob, context: ForkServerContext) -> None:
        self.job = job
        self.name = job.name
        self.connection: Connection | None = None
        self.finished = False
        self.failure: str | None = None
        self._context = context
        self._process: BaseProcess | None = None
        self._backoff = Backoff()
        self._started = 0.0
        self._restart_at: float | None = None

    def start(self) -> None:
        """Start the process."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=camera_main, args=(self.job, theirs), name=f"soteirad-{self.name}", daemon=True
        )
        process.start()
        theirs.close()
        self.connection, self._process = ours, process
        self._started, self._restart_at = time.monotonic(), None

    @property
    def pid(self) -> int | None:
        """The process id, or None while there is no process."""
        return self._process.pid if self._process is not None else None

    def receive(self) -> tuple[list[FromCamera], bool]:
        """Return what the camera sent, and whether its end of the pipe is closed (it died or finished)."""
        messages: list[FromCamera] = []
        connection = self.connection
        try:
            while connection is not None and connection.poll():
                messages.append(connection.recv())
        except (EOFError, OSError):
            return messages, True
        except Exception as error:  # a process killed in mid-message leaves half a pickle
            logger.warning("%s: the camera process left an incomplete message (%s)", self.name, type(error).__name__)
            return messages, True
        return messages, False

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
