"""The supervisor: one process for each camera, started again when it dies or hangs."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess

from soteirad.camera import camera_main
from soteirad.config import CameraConfig
from soteirad.hub.health import Crashes, Pulse
from soteirad.messages import (
    Adjust,
    CameraStatus,
    FromCamera,
    Heartbeat,
    Inquire,
    Show,
    ShowVideo,
    Stop,
    StreamName,
    TakePicture,
    ToCamera,
)
from soteirad.runner import CameraJob

logger = logging.getLogger(__name__)

STOP_WITHIN_S = 5.0
"""A camera process that was told to end is killed after this time."""
RETRY_S = 5.0


class CameraProcess:
    """One camera's process and the hub's end of its pipe.

    A thread reads the pipe, so that a camera that freezes in mid-message holds up nobody; `on_wake` is called from it.
    `founding` cameras were there when the daemon started.
    """

    MOST_UNHEARD = 8
    """Wishes sent to a camera from which nothing was heard since: a full pipe would hold up the hub."""
    BACKLOG = 256
    """Messages that wait for the hub's loop; beyond that the pipe fills and the camera keeps its own."""

    def __init__(self, job: CameraJob, context: BaseContext, on_wake: Callable[[], None],
                 founding: bool = True) -> None:  # fmt: skip
        self.job = job
        self.name = job.name
        self.connection: Connection | None = None
        self.finished = False
        self.failure: str | None = None
        self.complaint = ""
        """Why the camera cannot be watched, by its own account."""
        self.founding = founding
        self.starts = 0
        self.restart_reason = "camera_restart"
        """Why the visits of the process that went were closed."""
        self.closing = False
        """Whether it was told to end because the configuration changed."""
        self.successor: CameraJob | None = None
        """What is to be watched then; None: nothing."""
        self._context = context
        self._on_wake = on_wake
        self._process: BaseProcess | None = None
        self._inbox: queue.Queue[FromCamera | None] = queue.Queue(self.BACKLOG)
        self._crashes = Crashes()
        self._pulse: Pulse | None = None
        self._kill_at: float | None = None
        self._killed_because = ""
        self._restart_at: float | None = None
        self._unheard = 0
        self._adjust_due = False
        self._showing = False
        self._showing_video: frozenset[StreamName] = frozenset()

    def start(self, lost: bool) -> None:
        """Start the process; `lost` says that the journal knows its source as lost.

        If the system cannot do it now, that is told and tried again.
        """
        try:
            self._start(replace(self.job, lost=lost))
        except (OSError, EOFError) as error:
            logger.error("%s: the camera process cannot be started, it is tried again: %s", self.name, error)
            self.postpone()

    def _start(self, job: CameraJob) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(  # type: ignore[attr-defined]
            target=camera_main, args=(job, theirs), name=f"soteirad-{self.name}", daemon=True
        )
        try:
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self.connection, self._process = ours, process
        self._inbox = queue.Queue(self.BACKLOG)
        self._restart_at = self._kill_at = None
        self._killed_because, self.finished, self.complaint = "", False, ""
        self._unheard, self._adjust_due, self._showing, self._showing_video = 0, False, False, frozenset()
        self._pulse = _pulse_of(job.camera)
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
            self._feel(message)
            messages.append(message)
            self._unheard = 0
            if self._adjust_due:
                self.adjust(self.job)

    def send(self, message: ToCamera) -> None:
        """Send to the camera; a camera that is gone is noticed by `receive`."""
        if self.connection is not None:
            with contextlib.suppress(OSError):
                self.connection.send(message)

    def excuse(self, now: float, seconds: float) -> None:
        """Forgive silence while the hub could hear nothing."""
        if self._pulse is not None:
            self._pulse.excuse(now, seconds)

    def check(self, now: float) -> None:
        """Kill the process if it hangs, or does not end when told to."""
        if self.connection is None or self._pulse is None or self._killed_because:
            return
        problem = self._pulse.problem(now)
        if self._kill_at is not None:
            problem = "does not end" if now >= self._kill_at else None
        if problem is not None:
            logger.error("%s: the camera process %s and is killed", self.name, problem)
            self._killed_because = problem
            self._kill()

    def ended(self, restart: bool) -> str:
        """Clean up after the process closed its pipe, and plan its restart; returns what became of it."""
        code = self._bury()
        now = time.monotonic()
        if not restart:
            return self.failure or "it is not watched"
        delay = self._crashes.next_start(now)
        self._restart_at, self.restart_reason = now + delay, "camera_restart"
        died = f"the camera process {self._killed_because}" if self._killed_because else self.complaint or _died(code)
        often = f"{Crashes.MANY} times in {Crashes.WINDOW_S / 60:.0f} minutes: " if self._crashes.often else ""
        fate = f"{died}; {often}it starts again in {delay:.0f} s"
        logger.error("%s: %s", self.name, fate)
        return fate

    def start_at(self, at: float) -> None:
        """Plan the start for `at` (monotonic seconds)."""
        self._restart_at = at

    def postpone(self) -> None:
        """Try the start again later."""
        self.start_at(time.monotonic() + RETRY_S)

    def adjust(self, job: CameraJob) -> None:
        """Go on by another job that differs only in what can change while the process lives."""
        self.job = job
        self._adjust_due = not self._may_wish()
        if not self._adjust_due:
            self.send(Adjust(job.camera))

    def show(self, wanted: bool, again: bool = False) -> None:
        """Let it send live frames, or no more; for each turn of the loop. `again`: the latest one once more, too."""
        news = wanted != self._showing or (wanted and again)
        if news and self.connection is not None and self.wish(Show(wanted)):
            self._showing = wanted

    def show_video(self, streams: frozenset[StreamName]) -> frozenset[StreamName]:
        """Let it send these streams' video; for each turn of the loop. Returns those that it was told to send."""
        if streams != self._showing_video and self.connection is not None and self.wish(ShowVideo(streams)):
            self._showing_video = streams
        return self._showing_video

    def wish(self, wish: TakePicture | Inquire | Show | ShowVideo) -> bool:
        """Ask for something about what the camera sees now, unless it is busy with wishes; returns whether it was."""
        may = self._may_wish()
        if may:
            self.send(wish)
        return may

    def replace(self, job: CameraJob | None) -> None:
        """Watch by another job, or (None) no more, as soon as the process has ended."""
        self.closing, self.successor = True, job
        self.failure = None
        if self.connection is not None:
            self.ask_to_stop()

    def succeed(self) -> bool:
        """Take up the successor's job; returns False when there is none."""
        self.closing, successor = False, self.successor
        if successor is None:
            return False
        self.job, self.successor, self.restart_reason = successor, None, "reload"
        self.start_at(time.monotonic())
        return True

    def due(self) -> float | None:
        """Return when (monotonic seconds) the process is to be started again, or None."""
        return self._restart_at

    def ask_to_stop(self) -> None:
        """Ask the process to end."""
        self._restart_at = None
        if self._kill_at is None:  # however often it is told
            self._kill_at = time.monotonic() + STOP_WITHIN_S
            self.send(Stop())

    def join(self, deadline: float) -> None:
        """Wait for the end until `deadline` (monotonic seconds), then kill."""
        process = self._process
        if process is not None:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                logger.warning("%s: the camera process does not end and is killed", self.name)
                self._kill()
                process.join()
            self._process = None

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

    def _may_wish(self) -> bool:
        """Say whether the camera listens, as far as is known."""
        self._unheard += 1
        return self._unheard <= self.MOST_UNHEARD

    def _feel(self, message: FromCamera) -> None:
        """Keep the pulse."""
        if self._pulse is not None:
            if isinstance(message, Heartbeat):
                self._pulse.beat(time.monotonic(), message.frames)
            elif isinstance(message, CameraStatus):
                self._pulse.source(time.monotonic(), message.online)

    def _bury(self) -> int | None:
        """Take the process that closed its pipe out of the world; returns its exit code."""
        process = self._process
        if process is not None:
            process.join(timeout=2.0)
            if process.is_alive():
                self._kill()
                process.join()
        if self.connection is not None:
            self.connection.close()
        self.connection = self._process = None
        return process.exitcode if process is not None else None

    def _kill(self) -> None:
        # Not `Process.kill`: if the fork server was killed, multiprocessing takes all its children for dead.
        if self._process is not None and self._process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)


def _pulse_of(camera: CameraConfig) -> Pulse:
    """Return how to judge a camera: a file's looks are made by the thread that sends its heartbeats, and a server may
    take its time for one."""
    now, server = time.monotonic(), camera.detector.server
    if camera.live:
        return Pulse(now, camera.connect_timeout + camera.read_timeout + Pulse.SILENCE_S)
    return Pulse(now, float("inf"), Pulse.SILENCE_S + (Pulse.STAND_IN_S + server.timeout if server else 0.0))


def _died(code: int | None) -> str:
    how = "unknown" if code is None else f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    return f"the camera process ended ({how})"
