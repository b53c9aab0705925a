"""The camera's end of the pipe to the hub: keeps every event until the hub has committed it."""

from __future__ import annotations

import json
import logging
import queue
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from soteirad.errors import StorageError
from soteirad.event import Event
from soteirad.messages import Committed, Confirmed, FromCamera, Picture, Stop
from soteirad.snapshot import write_atomically

logger = logging.getLogger(__name__)

MAX_PICTURES = 20
"""Pictures that may wait for a stalled hub; beyond that new ones are dropped, events never."""


class Uplink:
    """Sends to the hub on a thread of its own, so that a stalled hub never stalls the gates.

    When the hub is gone or says stop, `stop` is set. Then `close` ends the threads and writes what the hub did not
    commit to the spool folder, where the next hub finds it.
    """

    def __init__(self, connection: Connection, stop: threading.Event, spool: Path) -> None:
        self._connection = connection
        self._stop = stop
        self._spool = spool
        self._queue: queue.SimpleQueue[FromCamera | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._kept: dict[str, Event] = {}
        self._pictures = 0
        self._sender = threading.Thread(target=self._send_all, name="uplink-send", daemon=True)
        self._receiver = threading.Thread(target=self._receive_all, name="uplink-receive", daemon=True)

    def start(self) -> None:
        """Start sending and receiving."""
        self._sender.start()
        self._receiver.start()

    def confirm(self, event: Event) -> None:
        """Send an event, and keep it until the hub has committed it."""
        with self._lock:
            self._kept[event.id] = event
        self._queue.put(Confirmed(event))

    def picture(self, picture: Picture) -> None:
        """Send a snapshot, unless too many wait already."""
        with self._lock:
            if self._pictures >= MAX_PICTURES:
                logger.warning("the hub is slow: the snapshot of %s is dropped", picture.event_id)
                return
            self._pictures += 1
        self._queue.put(picture)

    def send(self, message: FromCamera) -> None:
        """Send anything else; it is lost if the hub is."""
        self._queue.put(message)

    def close(self, timeout: float) -> None:
        """Send what waits, hear the hub's last answers for at most `timeout` seconds, and spool the rest."""
        self._queue.put(None)
        self._sender.join(timeout)
        self._receiver.join(timeout)
        with self._lock:
            left = list(self._kept.values())
        for event in left:
            try:
                write_atomically(self._spool / f"{event.id}.json", json.dumps(event.payload()).encode())
            except StorageError as error:
                logger.error("an event is lost, the hub is gone and %s", error)
        if left:
            logger.warning("the hub did not commit %d events: they wait in %s", len(left), self._spool)

    def _send_all(self) -> None:
        try:
            while (message := self._queue.get()) is not None:
                self._connection.send(message)
                if isinstance(message, Picture):
                    with self._lock:
                        self._pictures -= 1
        except (OSError, ValueError):
            self._stop.set()

    def _receive_all(self) -> None:
        try:
            while True:
                message = self._connection.recv()
                if isinstance(message, Stop):
                    self._stop.set()
                elif isinstance(message, Committed):
                    with self._lock:
                        for event_id in message.event_ids:
                            self._kept.pop(event_id, None)
        except (EOFError, OSError):
            self._stop.set()


def read_spool(spool: Path) -> list[tuple[Path, Event]]:
    """Return the events that cameras spooled, oldest first; a file that cannot be read is set aside."""
    found = []
    for path in sorted(spool.glob("*.json")):
        try:
            found.append((path, Event.from_payload(json.loads(path.read_bytes()))))
        except (OSError, ValueError, TypeError) as error:
            logger.error("%s: this spooled event cannot be read and is set aside: %s", path, error)
            path.replace(path.with_suffix(".broken"))
    return found
