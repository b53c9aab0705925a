"""Signals: handlers only set a flag and wake the loop; a second one to end does so at once."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from types import FrameType


class Signals:
    """SIGTERM and SIGINT ask for the end, SIGHUP for the configuration to be read again.

    `fileno` becomes readable whenever the loop has something to do.
    """

    def __init__(self) -> None:
        self.stop = False
        self.reload = False
        self.told_to_stop = False
        """Whether `stop` is by a signal."""
        self._reader = -1
        self._writer = -1

    def install(self) -> None:
        """Take over the signals; call it from the main thread."""
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)
        signal.signal(signal.SIGHUP, self._ask_to_reload)
        # A signal just before `select` waits would have its handler run only when the wait is over.
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def fileno(self) -> int:
        """The file descriptor to wait on."""
        return self._reader

    def wake(self) -> None:
        """Make the loop turn; may be called from any thread."""
        with contextlib.suppress(OSError):  # a full pipe wakes the loop anyway
            os.write(self._writer, b"\0")

    def wait(self, seconds: float) -> bool:
        """Wait until the loop has something to do, at most `seconds`; returns whether the end was asked for."""
        select.select([self._reader], [], [], seconds)
        self.drain()
        return self.stop

    def drain(self) -> None:
        """Forget what woke the loop."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._reader, 4096):
                pass

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.told_to_stop:
            os._exit(128 + number)
        self.stop = self.told_to_stop = True
        self.wake()

    def _ask_to_reload(self, _number: int, _frame: FrameType | None) -> None:
        self.reload = True
        self.wake()


def reap_children() -> None:
    """Let children that ended go: after a restart in the same process the last run's helpers wait for it."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
