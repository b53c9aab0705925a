"""The mender: a journal that is damaged, found at the start or while the daemon runs, is replaced; the watch goes on.

While it runs, this is done on a thread of its own. The hub meanwhile treats the journal like one that the disk refuses:
events go ahead of it, and into it when it is back.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable

from soteirad.errors import DamagedError, StorageError
from soteirad.hub.damage import is_sound
from soteirad.hub.journal import Journal
from soteirad.hub.mend import finish, mend
from soteirad.hub.salvage import Saved
from soteirad.hub.tables import explained

logger = logging.getLogger(__name__)

EVERY_S = 60.0
"""A disk that damages what was just mended is not worn out by mending."""


class Mender:
    """For the hub's thread. `on_mended` is called when a new journal was opened while the daemon runs; what others know
    and it does not have to be written again."""

    def __init__(self, journal: Journal, on_wake: Callable[[], None], on_mended: Callable[[], None]) -> None:
        self._journal = journal
        self._on_wake = on_wake
        self._on_mended = on_mended
        self._thread: threading.Thread | None = None
        self._result: Saved | StorageError | None = None
        self._next = float("-inf")
        self._is_damaged = False
        self._saved: Saved | None = None
        self.note = ""
        """What became of a damaged journal in this run, in one sentence; empty if there was none."""

    def open(self, on_progress: Callable[[], object] = lambda: None) -> None:
        """Open the journal, mended if it is damaged; `on_progress` is called now and then meanwhile. Raises
        StorageError."""
        self._finish()
        try:
            self._journal.open()
        except DamagedError as error:
            logger.error("%s", error)
            self._mended(mend(self._journal.path, on_progress=on_progress))
            self._journal.open()

    def _finish(self) -> None:
        """Go on with what a run that ended meanwhile has begun."""
        path = self._journal.path
        try:
            aside = finish(path)
        except sqlite3.Error as error:
            raise explained(path, error) from error
        except OSError as error:
            raise StorageError(f"{path}: it was damaged, and the new one cannot take its place: {error.strerror}: "
                               "check the disk") from error  # fmt: skip
        if aside is not None:
            self.note = (f"{path}: it was damaged, and a new one was begun with all that could be read; the damaged "
                         "one lies beside it: the disk may be failing")  # fmt: skip
            logger.error("%s: it was damaged: a new one was begun, with all that could be read; the damaged one is %s",
                         path, aside)  # fmt: skip

    def step(self, now: float) -> None:
        """Mend what is suspect, or take what came of it; `now` is monotonic seconds."""
        if self._thread is None:
            if self._journal.suspect and now >= self._next:
                self._next = now + EVERY_S
                self._journal.set_aside()
                self._thread = threading.Thread(target=self._run, name="mender", daemon=True)
                self._thread.start()
        elif not self._thread.is_alive():
            self._thread = None
            self._take(self._result)

    def stop(self, timeout: float) -> None:
        """Wait a moment for what is under way; the next start goes on with it."""
        if self._thread is not None:
            self._thread.join(timeout)
            self.step(float("-inf"))

    def _run(self) -> None:
        self._result = None
        path = self._journal.path
        try:
            # A read that failed once is no damage: the file is read anew, once, before anything is moved.
            if self._is_damaged or not is_sound(path):
                self._is_damaged = True
                self._result = mend(path, self._journal.highest)
        except StorageError as error:
            self._result = error
        except Exception:
            logger.exception("the journal could not be mended")
            self._result = StorageError(f"{path}: it is damaged and could not be mended: a fault in Soteira")
        finally:
            self._on_wake()

    def _take(self, result: Saved | StorageError | None) -> None:
        if isinstance(result, StorageError):
            self._journal.set_aside(str(result))  # still suspect, and tried again; who uses it tells why
            return
        if result is not None:
            self._saved, self._is_damaged = result, False
        try:
            self._journal.open(check=False)  # that was done, and the hub must not wait for it
        except StorageError as error:
            self._journal.suspect = True
            self._journal.set_aside(str(error))
            return
        saved, self._saved = self._saved, None
        if saved is not None:
            self._mended(saved)
            self._on_mended()
        else:
            logger.warning("%s: it looked damaged, and is not", self._journal.path)

    def _mended(self, saved: Saved) -> None:
        self.note = (f"{self._journal.path}: it was damaged, and a new one was begun with {saved}; the damaged one "
                     "lies beside it: the disk may be failing")  # fmt: skip
