"""The spool: events on disk that a camera confirmed and no hub has committed yet.

A file for each event, named by when it was written (on a clock that nobody sets) and by its id. Camera processes hold a
shared lock on the folder while they live, so that a new hub can wait for those of a hub that died to finish writing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

from soteirad.errors import StorageError
from soteirad.event import Event, epoch_time
from soteirad.snapshot import write_atomically

logger = logging.getLogger(__name__)


class Spool:
    """One folder, shared by all cameras of a state folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock_file = -1
        self._hub_file = -1

    def create(self) -> None:
        """Make the folder. Raises StorageError."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"{self._folder.parent}: the state folder cannot be made: {error.strerror}: "
                f"create it and give it to the daemon's user, or set storage.path"
            ) from error

    def claim(self) -> None:
        """Make this process the state folder's one hub, until it ends however it ends. Raises StorageError."""
        try:
            self._hub_file = os.open(self._folder / ".hub", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._hub_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(
                f"{self._folder.parent}: another soteirad runs with this state folder: stop it, or give this one "
                f"its own storage.path"
            ) from None
        except OSError as error:
            logger.warning("%s cannot be locked: %s", self._folder, error.strerror)

    def hold(self) -> None:
        """Take the shared lock for as long as this process lives; a disk that cannot lock is no reason to stop."""
        try:
            self._lock_file = self._open_lock()
            fcntl.flock(self._lock_file, fcntl.LOCK_SH)
        except OSError as error:
            logger.warning("%s cannot be locked: %s", self._folder, error.strerror)

    def wait_until_free(self, timeout: float, pause: Callable[[float], bool]) -> bool:
        """Wait at most `timeout` seconds until no camera process holds the folder; returns whether that is so.

        `pause` waits some seconds and says whether to give up.
        """
        try:
            lock = self._open_lock()
        except OSError:
            return False
        try:
            deadline = time.monotonic() + timeout
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return True
                except BlockingIOError:
                    if time.monotonic() >= deadline or pause(0.05):
                        return False
        finally:
            os.close(lock)

    def write(self, event: Event) -> None:
        """Put an event on disk. Raises StorageError."""
        name = f"{time.monotonic_ns():020d}-{event.id}.json"
        try:
            write_atomically(self._folder / name, json.dumps(event.payload()).encode())
        except StorageError as error:  # without the file's name, or each try would be news
            raise StorageError(f"{self._folder}: it cannot be written:{str(error).rpartition(':')[2]}") from error

    def forget(self, event_ids: Collection[str]) -> None:
        """Remove events that the journal holds; in one walk, as there may be thousands."""
        if not event_ids:
            return
        try:
            for path in self._folder.glob("*.json"):
                if path.stem.partition("-")[2] in event_ids:
                    path.unlink(missing_ok=True)
        except OSError as error:  # it is journaled again under the same id, which changes nothing
            logger.warning("%s: a spooled event cannot be removed: %s", self._folder, error.strerror)

    def read(self, camera: str | None = None) -> list[Event]:
        """Return the spooled events (of one camera) in the order in which they were written.

        A file that cannot be read is set aside and told; one that its camera removes meanwhile is journaled already.
        Raises StorageError.
        """
        found = []
        try:
            paths = sorted(self._folder.glob("*.json"))
        except OSError as error:
            raise StorageError(f"{self._folder}: it cannot be read: {error.strerror}") from error
        for path in paths:
            try:
                event = Event.from_payload(json.loads(path.read_bytes()))
                epoch_time(event.time)
            except FileNotFoundError:
                continue
            except (OSError, ValueError, TypeError) as error:
                logger.error("%s: this spooled event cannot be read and is set aside: %s", path, error)
                with contextlib.suppress(OSError):
                    path.replace(path.with_suffix(".broken"))
                continue
            if camera in (None, event.camera):
                found.append(event)
        return found

    def _open_lock(self) -> int:
        return os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
