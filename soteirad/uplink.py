"""The camera's end of the pipe to the hub: keeps every event until the hub has committed it."""

from __future__ import annotations

import logging
import queue
import select
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from soteirad.errors import StorageError
from soteirad.event import Event
from soteirad.messages import (
    Adjust,
    Ask,
    Committed,
    Confirmed,
    FromCamera,
    Inquire,
    LiveFrame,
    Picture,
    Preview,
    Show,
    ShowVideo,
    Stop,
    TakePicture,
    VideoBegan,
    VideoOverlay,
    VideoPiece,
    VideoStopped,
    Wish,
)
from soteirad.spool import Spool

logger = logging.getLogger(__name__)

Video = VideoBegan | VideoPiece | VideoStopped | VideoOverlay
MOST_VIDEO = 4_000_000
"""Bytes of video that may wait; beyond that pieces are dropped up to the next key picture."""
MOST_OVERLAYS = 20
WithPictures = Picture | Preview | Ask | LiveFrame
MAX_PICTURES = 20
"""Pictures that may wait for a stalled hub; beyond that new ones are dropped, events never."""
MAX_LIVE = 2
"""Of those for the page: they are worth nothing when they are late, and take no place from an event's."""
SPOOL_AFTER_S = 0.3
"""An event that the hub has not committed by then is written to the spool, lest both be killed."""


class Uplink:
    """Sends to the hub on a thread of its own, so that a stalled hub never stalls the gates.

    When the hub is gone or says stop, `stop` is set. `close` ends the threads and leaves what the hub did not commit
    in the spool, where the next hub finds it. `on_hub_gone` is called when the pipe's other end is closed, after all
    that the hub did not commit was spooled.
    """

    def __init__(self, connection: Connection, stop: threading.Event, spool: Spool,
                 on_hub_gone: Callable[[], None] = lambda: None) -> None:  # fmt: skip
        self._on_hub_gone = on_hub_gone
        self._connection = connection
        self._stop = stop
        self._spool = spool
        self.wishes: queue.SimpleQueue[Wish] = queue.SimpleQueue()
        """What the hub wants of the thread that runs the gates, in order."""
        self._queue: queue.SimpleQueue[FromCamera | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[Event, float]] = {}
        self._spooled: set[str] = set()
        self._pictures = {True: 0, False: 0}
        """How many wait: those for the page, and all others."""
        self._video = 0
        """Bytes of video that wait."""
        self._overlays = 0
        self._cut: set[str] = set()
        """Streams of which pieces were dropped since their last key picture."""
        self._closing = False
        self._told = ""
        self._sender = threading.Thread(target=self._send_all, name="uplink-send", daemon=True)
        self._receiver = threading.Thread(target=self._receive_all, name="uplink-receive", daemon=True)

    def start(self) -> None:
        """Start sending and receiving."""
        self._sender.start()
        self._receiver.start()

    def confirm(self, event: Event) -> None:
        """Send an event, and keep it until the hub has committed it."""
        with self._lock:
            self._kept[event.id] = event, time.monotonic()
        self._queue.put(Confirmed(event))

    def picture(self, picture: WithPictures) -> None:
        """Send a picture, or a question with its pictures, unless too many wait already."""
        live = isinstance(picture, LiveFrame)
        with self._lock:
            if self._pictures[live] >= (MAX_LIVE if live else MAX_PICTURES):
                level = logging.DEBUG if live else logging.WARNING  # the next one comes in half a second
                logger.log(level, "the hub is slow: %s is dropped", _name_of(picture))
                return
            self._pictures[live] += 1
        self._queue.put(picture)

    def video(self, message: Video) -> None:
        """Send video to those who look, unless too much waits already."""
        with self._lock:
            if isinstance(message, VideoOverlay):
                if self._overlays >= MOST_OVERLAYS:
                    return
                self._overlays += 1
            elif isinstance(message, VideoPiece):
                # One that is larger than all that may wait passes alone: else its stream would never go on.
                full = self._video > 0 and self._video + len(message.data) > MOST_VIDEO
                if full or (message.stream in self._cut and not message.key):
                    self._cut.add(message.stream)
                    return
                self._cut.discard(message.stream)
                self._video += len(message.data)
        self._queue.put(message)

    def kept(self, event_id: str) -> bool:
        """Say whether an event is in this process alone: neither committed by the hub, nor spooled."""
        with self._lock:
            return event_id in self._kept and event_id not in self._spooled

    def send(self, message: FromCamera) -> None:
        """Send anything else; it is lost if the hub is."""
        self._queue.put(message)

    def close(self, timeout: float) -> None:
        """Send what waits, hear the hub's last answers for at most `timeout` seconds, and spool the rest."""
        deadline = time.monotonic() + timeout
        self._queue.put(None)
        self._sender.join(timeout)
        self._closing = True
        self._receiver.join(max(0.0, deadline - time.monotonic()))
        self._write_overdue(0.0)
        spooled = len(self._spooled & self._kept.keys())
        if spooled:
            logger.warning("the hub did not commit %d events: they wait in the spool", spooled)
        if len(self._kept) > spooled:
            logger.error("the disk took %d events neither from the hub nor from here", len(self._kept) - spooled)

    def _send_all(self) -> None:
        try:
            while (message := self._queue.get()) is not None:
                self._connection.send(message)
                if isinstance(message, VideoPiece | VideoOverlay):
                    with self._lock:
                        self._video -= len(message.data) if isinstance(message, VideoPiece) else 0
                        self._overlays -= isinstance(message, VideoOverlay)
                elif isinstance(message, WithPictures):
                    with self._lock:
                        self._pictures[isinstance(message, LiveFrame)] -= 1
        except (OSError, ValueError):
            self._stop.set()

    def _receive_all(self) -> None:
        try:
            poll = select.poll()  # the connection's own would make one each time, and cost ten times as much
            poll.register(self._connection, select.POLLIN)
            while not (self._closing and not self._kept):
                if poll.poll(SPOOL_AFTER_S / 3 * 1000):
                    self._take(self._connection.recv())
                self._write_overdue(SPOOL_AFTER_S)
        except (EOFError, OSError):
            self._stop.set()
            self._write_overdue(0.0)
            self._on_hub_gone()

    def _take(self, message: object) -> None:
        if isinstance(message, Stop):
            self._stop.set()
        elif isinstance(message, Adjust | TakePicture | Inquire | Show | ShowVideo):
            self.wishes.put(message)
        elif isinstance(message, Committed):
            with self._lock:
                for event_id in message.event_ids:
                    self._kept.pop(event_id, None)
                spooled = self._spooled.intersection(message.event_ids)
                self._spooled -= spooled
            self._spool.forget(spooled)

    def _write_overdue(self, age: float) -> None:
        """Spool what has waited longer than `age` seconds."""
        before = time.monotonic() - age
        with self._lock:
            overdue = [e for e, since in self._kept.values() if since <= before and e.id not in self._spooled]
        for event in overdue:
            try:
                self._spool.write(event)
            except StorageError as error:
                if str(error) != self._told:
                    self._told = str(error)
                    logger.error("an event that the hub has not committed cannot be spooled: %s", error)
                return
            with self._lock:
                self._spooled.add(event.id)


def _name_of(picture: WithPictures) -> str:
    if isinstance(picture, Ask):
        return f"the question {picture.question}"
    if isinstance(picture, LiveFrame):
        return "a picture for the page"
    return f"the snapshot of {picture.event_id}" if isinstance(picture, Picture) else "a preview"
