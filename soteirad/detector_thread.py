"""The detector's thread in a live camera's process: one look at a time, so that a slow one stalls nothing else."""

from __future__ import annotations

import threading
import time

from soteirad.mailbox import Crashed, Mailbox
from soteirad.pipeline import Analysis
from soteirad.watch import CameraWatch


class DetectorThread:
    """Runs one look at a time; its owner sees `idle` and takes the result from the mailbox."""

    def __init__(self, watch: CameraWatch, mailbox: Mailbox) -> None:
        self._watch = watch
        self._mailbox = mailbox
        self._work = threading.Semaphore(0)
        self._next: Analysis | None = None
        self.idle = True
        self._since = 0.0
        self._thread = threading.Thread(target=self._run, name="detector", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, analysis: Analysis) -> None:
        """Hand over a frame; only while `idle`."""
        self.idle, self._next, self._since = False, analysis, time.monotonic()
        self._work.release()

    def done(self) -> None:
        """Note that the owner has the result."""
        self.idle = True

    def busy_for(self) -> float:
        """Return how many seconds the look that runs has taken."""
        return 0.0 if self.idle else time.monotonic() - self._since

    def stop(self) -> None:
        """End the thread after the look that runs."""
        self._next = None
        self._work.release()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while True:
            self._work.acquire()
            analysis = self._next
            if analysis is None:
                return
            try:
                self._mailbox.put(self._watch.detect(analysis))
            except Exception as error:
                self._mailbox.put(Crashed(error))
                return
