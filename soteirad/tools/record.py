"""`record`: what a camera sends, kept in a file as it is, to try settings on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from soteirad.assembly import source_settings
from soteirad.capture.clock import Clock, SystemClock
from soteirad.capture.packets import PacketSource, Received
from soteirad.capture.reader import Reader
from soteirad.capture.recording import ENDINGS, Recording
from soteirad.capture.source import SourceSettings
from soteirad.config import CameraConfig, load_config
from soteirad.config.address import is_device, is_live
from soteirad.errors import SoteiraError, SourceError

KEY_S = 60.0
"""The longest wait for a key frame; cameras that save bandwidth send one every 10 or 20 s."""
STEP_S = 0.5
"""How often the progress is told."""
OUTAGE_S = 1.0
"""Beyond its length a recording with outages ends after so long; the last packets may come late."""


@dataclass(frozen=True)
class Order:
    """What is to be recorded: where from, for how long (seconds) and how large at most (bytes), into which file.

    Without an ending, the file's name gets the one that fits what the camera sends.
    """

    url: str
    settings: SourceSettings
    path: Path
    seconds: float
    max_bytes: float = float("inf")


@dataclass(frozen=True)
class Recorded:
    """What became of it; `ended` says why it ended, in the owner's words."""

    path: Path
    seconds: float
    bytes: int
    packets: int
    outages: int
    ended: str


@dataclass(frozen=True)
class Progress:
    """How far it is; `note` says what it waits for."""

    seconds: float
    bytes: int
    note: str


def order(config: Path, camera: str, out: Path | None, minutes: float, max_mb: float | None, *, detail: bool,
          unmasked: bool) -> Order:  # fmt: skip
    """Return what to record of a configured camera. Raises ConfigError, and SoteiraError for what cannot be."""
    cameras = load_config(config).cameras
    if camera not in cameras:
        raise SoteiraError(f"{config}: there is no camera '{camera}': it has {', '.join(cameras)}")
    found = cameras[camera]
    url = _address(camera, found, detail=detail)
    if found.privacy_mask and not unmasked:
        raise SoteiraError(f"{camera}: it has a privacy_mask, and a recording is all that the camera sends, also what "
                           "the mask hides: say --unmasked if that is right")  # fmt: skip
    path = out if out is not None else Path(f"{camera}-{datetime.now().astimezone():%Y%m%d-%H%M%S}")
    if path.suffix and path.suffix.lower() not in ENDINGS:
        raise SoteiraError(f"{path}: this ending is not known: name it .mp4 or .mkv, or leave the ending out")
    if not path.parent.is_dir():
        raise SoteiraError(f"{path}: there is no folder {path.parent}: make it first")
    if taken := [p for p in (path, *(path.with_name(path.name + end) for end in ENDINGS)) if p.exists()]:
        raise SoteiraError(f"{taken[0]}: this is there already: give another name with --out")
    settings = source_settings(found.model_copy(update={"stream": 0}) if detail else found)
    return Order(url, settings, path, minutes * 60, float("inf") if max_mb is None else max_mb * 1e6)


def _address(name: str, camera: CameraConfig, *, detail: bool) -> str:
    url = camera.detail if detail else camera.source
    if url is None:
        raise SoteiraError(f"{name}: it has no detail stream: leave --detail out, or add detail to its section")
    if is_device(url):
        raise SoteiraError(f"{name}: a camera at this machine sends one program at a time pictures that would have to "
                           "be encoded first: stop the daemon and record it with ffmpeg")  # fmt: skip
    if not is_live(url):
        raise SoteiraError(f"{name}: its source is a file already, {url}: give that to soteirad replay")
    return url


def record(what: Order, stop: threading.Event, on_progress: Callable[[Progress], None] = lambda _: None,
           on_note: Callable[[str], None] = lambda _: None, clock: Clock | None = None) -> Recorded:  # fmt: skip
    """Record until it is long or large enough, or `stop` is set; the file is finished in any case.

    A connection that is lost is made again as the daemon does, with pauses that grow; the file goes on with the next
    key frame and with the time that has passed. `on_note` is told of it. Raises SourceError if nothing was recorded,
    and SoteiraError when the file cannot be written; what is in it by then can be played.
    """
    clock = clock or SystemClock()
    connections = count(1)
    scribe = _Scribe(what, clock, on_note)
    reader: Reader[Received] = Reader(lambda: PacketSource(what.url, what.settings, clock, next(connections)),
                                      scribe.take, lambda: None, scribe.lost, scribe.ended, clock)  # fmt: skip
    thread = threading.Thread(target=scribe.guard(reader.run), name="recorder", daemon=True)
    thread.start()
    try:
        while not scribe.ended.is_set():
            if clock.wait(stop, STEP_S):
                scribe.end("stopped")
            scribe.watch()
            on_progress(scribe.progress())
    except KeyboardInterrupt:
        scribe.end("stopped")
    finally:
        scribe.finish()
    return scribe.result()


class _Scribe:
    """Writes what the reader's thread takes; the caller's thread may end it, also while the camera hangs."""

    def __init__(self, what: Order, clock: Clock, on_note: Callable[[str], None]) -> None:
        self.ended = threading.Event()
        self._what = what
        self._clock = clock
        self._on_note = on_note
        self._lock = threading.Lock()
        self._recording = Recording(what.path, what.max_bytes)
        self._asked = clock.monotonic()
        self._began: float | None = None
        self._connection = 0
        self._outages = 0
        self._why = ""
        self._error: Exception | None = None

    def guard(self, run: Callable[[], None]) -> Callable[[], None]:
        """Return `run` with a fault of it handed to the caller's thread."""

        def guarded() -> None:
            try:
                run()
            except Exception as error:
                self._fail(error)

        return guarded

    def take(self, received: Received) -> None:
        """Write a packet, beginning with a key frame after each connection."""
        with self._lock:
            anew = received.connection != self._connection
            if self.ended.is_set() or (anew and not received.key):
                return
            if anew and not self._recording.continues(received):
                self._end("the camera sends another kind of stream than before, which needs a file of its own")
            elif not self._recording.fits(received):
                self._end("it is as large as it may become")
            else:
                self._write(received)

    def _write(self, received: Received) -> None:
        try:
            self._recording.add(received)
        except SoteiraError as error:
            self._fail(error)
            return
        self._connection = received.connection
        self._began = received.time if self._began is None else self._began
        if self._recording.seconds >= self._what.seconds:
            self._end("it is as long as it was to be")

    def lost(self, reason: str) -> None:
        """Note that the connection ended; before there is a picture, that is the end."""
        with self._lock:
            if self._recording.packets == 0:
                self._fail(SourceError(reason))
            elif not self.ended.is_set():
                self._outages += 1
                self._on_note(f"{reason}; the recording goes on when the camera is back")

    def watch(self) -> None:
        """End what has lasted long enough, or does not begin."""
        with self._lock:
            now = self._clock.monotonic()
            if self._began is None and now - self._asked > KEY_S + self._what.settings.connect_timeout:
                self._fail(SourceError(f"no key frame came in {KEY_S:.0f} s, and a recording begins with one: set the "
                                       "camera to send one every few seconds"))  # fmt: skip
            elif self._began is not None and now - self._began > self._what.seconds + OUTAGE_S:
                self._end("its time is over")

    def progress(self) -> Progress:
        """Return how far it is."""
        note = "waiting for a key frame" if self._began is None else ""
        return Progress(self._recording.seconds, self._recording.bytes, note)

    def end(self, why: str) -> None:
        """End it."""
        with self._lock:
            self._end(why)

    def finish(self) -> None:
        """Close the file, whatever the camera does."""
        with self._lock:
            self.ended.set()
            try:
                self._recording.close()
            except SoteiraError as error:
                self._error = self._error or error

    def result(self) -> Recorded:
        """Return what was recorded. Raises what went wrong."""
        recording = self._recording
        there = recording.packets > 0 and recording.path is not None and recording.path.exists()
        if isinstance(self._error, SoteiraError) and there and not isinstance(self._error, SourceError):
            raise SoteiraError(f"{self._error}; what was written before can be played")
        if self._error is not None:
            raise self._error
        if recording.path is None:
            raise SourceError("nothing was recorded: it was stopped before the camera sent a key frame")
        try:
            size = recording.path.stat().st_size
        except OSError as error:
            raise SoteiraError(f"{recording.path}: the recording is not there any more ({error.strerror}): was it "
                               "moved or deleted?") from None  # fmt: skip
        return Recorded(recording.path, round(recording.seconds, 2), size, recording.packets, self._outages,
                        self._why)  # fmt: skip

    def _end(self, why: str) -> None:
        if not self.ended.is_set():
            self._why = why
            self.ended.set()

    def _fail(self, error: Exception) -> None:
        if not self.ended.is_set():
            self._error = error
            self.ended.set()
