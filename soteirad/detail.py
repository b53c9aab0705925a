"""The detail picture: one frame of a camera's larger stream, or of its snapshot address, for a confirmed object."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from soteirad.backoff import Backoff
from soteirad.capture.clock import Clock, SystemClock
from soteirad.capture.frame import Frame
from soteirad.capture.source import Source
from soteirad.errors import SourceError, SourceRefused
from soteirad.event import Event
from soteirad.mailbox import Crashed, DetailPicture
from soteirad.snapshot import make_snapshot

logger = logging.getLogger(__name__)

MAX_WAITING = 20
"""Events that may wait for a picture; one picture serves all that waited when its source was opened."""
MAX_AGE_S = 10.0
"""A picture that is taken so long after its event shows something else."""
SAME_SHAPE = 0.03
"""Privacy masks fit a picture whose aspect ratio differs from the small one's by less than this share."""


class DetailThread:
    """Opens the source when somebody asks, takes its first whole frame, and closes it.

    A source that fails is told once, and left alone for a while; the small picture that the event has already serves.
    """

    def __init__(self, make_source: Callable[[], Source], on_news: Callable[[DetailPicture | Crashed], None],
                 stop: threading.Event, clock: Clock | None = None) -> None:  # fmt: skip
        self._make_source = make_source
        self._on_news = on_news
        self._stop = stop
        self._clock = clock or SystemClock()
        self._changed = threading.Condition()
        self._waiting: list[tuple[Event, float]] = []
        self._backoff = Backoff(first=5.0, last=300.0)
        self._quiet_until = float("-inf")
        self._told = False
        self._thread = threading.Thread(target=self._run, name="detail", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def request(self, event: Event) -> None:
        """Ask for a picture of what `event` confirmed; captured later than this call."""
        with self._changed:
            if len(self._waiting) < MAX_WAITING:
                self._waiting.append((event, self._clock.monotonic()))
                self._changed.notify()

    def serve(self) -> None:
        """Wait for requests, and answer those that wait with one picture."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stop.is_set(), timeout=1.0)
            events, self._waiting = self._waiting, []
        if not events or self._stop.is_set() or self._clock.monotonic() < self._quiet_until:
            return
        latest = events[-1][1] + MAX_AGE_S
        if self._clock.monotonic() >= latest:
            return
        try:
            frame = self._one_frame(latest)
            self._check_shape(frame, events[-1][0])
        except SourceError as error:
            self._fail(error)
            return
        self._backoff.reset()
        self._told = False
        jpeg, now = make_snapshot(frame), self._clock.monotonic()
        for event in (event for event, at in events if now - at < MAX_AGE_S):
            self._on_news(DetailPicture(event, jpeg, frame))

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self.serve()
        except Exception as error:
            self._on_news(Crashed(error))

    def _one_frame(self, latest: float) -> Frame:
        source = self._make_source()
        try:
            source.open()
            frame = source.read()
            while frame.corrupt:
                if self._stop.is_set() or self._clock.monotonic() >= latest:
                    raise SourceError("its pictures arrive damaged")
                frame = source.read()
            return frame
        finally:
            source.close()

    @staticmethod
    def _check_shape(frame: Frame, event: Event) -> None:
        """Privacy masks are drawn for the small picture. Raises SourceError where they may not fit this one."""
        if not frame.privacy or event.frame_size is None:
            return
        small = event.frame_size[0] / event.frame_size[1]
        if abs(frame.width / frame.height / small - 1.0) > SAME_SHAPE:
            raise SourceError("its pictures have another shape than the small ones, so the privacy masks may not fit")

    def _fail(self, error: SourceError) -> None:
        if not self._told:
            logger.warning("no detail picture, the small one serves: %s", error)
        self._told = True
        delay = self._backoff.next()
        self._quiet_until = self._clock.monotonic() + (max(delay, 60.0) if isinstance(error, SourceRefused) else delay)
