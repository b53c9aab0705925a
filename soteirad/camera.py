"""The camera process: source, gates, detector and the pipe to the hub, wired together."""

from __future__ import annotations

import logging
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2

from soteirad.capture.reader import Reader
from soteirad.capture.source import Source, open_source
from soteirad.config import CameraConfig
from soteirad.detect.choice import Choice
from soteirad.diagnostics import Diagnoser
from soteirad.errors import ModelError, SourceEnded, SourceError
from soteirad.event import new_id
from soteirad.mailbox import Crashed, Mailbox, SourceOffline, SourceOnline
from soteirad.messages import CameraFailed, CameraState, CameraStatus, Picture, SourceFinished
from soteirad.pipeline import Analysis
from soteirad.service.logs import setup_logging
from soteirad.snapshot import make_snapshot
from soteirad.spool import Spool
from soteirad.uplink import Uplink
from soteirad.watch import CameraWatch, LookResult, Outcome

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 0.7


@dataclass(frozen=True)
class CameraJob:
    """What a camera process is told when it starts; travels by pickle."""

    name: str
    camera: CameraConfig
    choice: Choice | None
    spool: Path
    snapshots: bool
    log_level: str


def camera_main(job: CameraJob, connection: Connection) -> None:
    """Run a camera process until the hub says stop, the hub is gone, or a file source has ended."""
    setup_logging(job.log_level, job.name)
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the hub decides
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    cv2.setNumThreads(1)
    spool = Spool(job.spool)
    spool.hold()
    uplink = Uplink(connection, stop, spool)
    uplink.start()
    try:
        watch = CameraWatch(job.name, job.camera, lambda captured, *_: new_id(captured), job.choice,
                            job.snapshots)  # fmt: skip
        watch.load()
        runner = (LiveRunner if job.camera.live else FileRunner)(job, watch, uplink, stop)
        runner.run()
    except ModelError as error:
        uplink.send(CameraFailed(str(error)))
    finally:
        uplink.close(CLOSE_TIMEOUT_S)


class _Runner:
    """What both kinds share: the source and the outgoing side."""

    def __init__(self, job: CameraJob, watch: CameraWatch, uplink: Uplink, stop: threading.Event) -> None:
        self.watch = watch
        self.uplink = uplink
        self.stop = stop
        self._camera = job.camera
        self._diagnoser = Diagnoser(watch)
        self._state: dict[str, Any] = {}
        self._online: bool | None = None

    def open_source(self) -> Source:
        c = self._camera
        return open_source(c.source, speed=c.speed, transport=c.transport, connect_timeout=c.connect_timeout,
                           read_timeout=c.read_timeout, privacy=c.privacy_mask, stop=self.stop)  # fmt: skip

    def deliver(self, outcomes: list[Outcome]) -> None:
        """Send events first, then their pictures, then the state if it changed."""
        for outcome in outcomes:
            self.uplink.confirm(outcome.event)
        for event, frame in ((o.event, o.frame) for o in outcomes):
            if event.snapshot is not None:
                self.uplink.picture(Picture(event.id, event.snapshot, make_snapshot(frame, event)))
        state = self.watch.state()
        if state != self._state:
            self._state = state
            self.uplink.send(CameraState(state))

    def tell_status(self, online: bool, reason: str = "") -> None:
        """Tell the hub, and the log, when the source comes or goes."""
        if online == self._online:
            return
        self._online = online
        if online:
            logger.info("online")
        else:
            logger.warning("offline: %s", reason)
        self.uplink.send(CameraStatus(online, reason))

    def diagnose(self, received: int, dropped: int, force: bool = False) -> None:
        """Send diagnostics when they are due."""
        diagnostics = self._diagnoser.step(time.monotonic(), received, dropped, force)
        if diagnostics is not None:
            self.uplink.send(diagnostics)


class FileRunner(_Runner):
    """A file: every frame in order, and each look's result before the next frame."""

    def run(self) -> None:
        """Play the file to its end, or until stopped."""
        self.deliver([])
        problem = ""
        source = self.open_source()
        try:
            source.open()
            self.tell_status(True)
            while not self.stop.is_set():
                self.deliver(self.watch.step(source.read()))
                self.diagnose(self.watch.pipeline.counters.frames, 0)
        except SourceEnded:
            pass
        except SourceError as error:
            problem = str(error)
        finally:
            source.close()
        if not self.stop.is_set():
            self.deliver(self.watch.end("source_ended"))
            self.diagnose(self.watch.pipeline.counters.frames, 0, force=True)
            self.tell_status(False, problem or "the file has ended")
            self.uplink.send(SourceFinished(problem))


class LiveRunner(_Runner):
    """A camera: reader, gate and detector threads; a slow detector never stalls capture or motion."""

    def run(self) -> None:
        """Watch until stopped."""
        self.deliver([])
        self._lost = False
        mailbox = Mailbox()
        reader = Reader(self.open_source, mailbox.put_frame, lambda: mailbox.put(SourceOnline()),
                        lambda reason: mailbox.put(SourceOffline(reason)), self.stop)  # fmt: skip
        detector = DetectorThread(self.watch, mailbox)
        detector.start()
        threading.Thread(target=self._read, args=(reader, mailbox), name="reader", daemon=True).start()
        while not self.stop.is_set():
            mail = mailbox.take(timeout=0.5)
            if isinstance(mail, LookResult):
                detector.idle = True
                self.deliver(self.watch.conclude(mail))
            elif isinstance(mail, SourceOnline | SourceOffline):
                self._source_changed(mail)
            elif isinstance(mail, Crashed):
                raise mail.error
            elif mail is not None and self.watch.pipeline.wants(mail):
                analysis, outcomes = self.watch.analyse(mail)
                if analysis.look is not None and detector.idle:
                    self.watch.pipeline.begin_look(analysis)
                    detector.submit(analysis)
                self.deliver(outcomes)
            self.diagnose(mailbox.received, mailbox.dropped)
        detector.stop()

    @staticmethod
    def _read(reader: Reader, mailbox: Mailbox) -> None:
        try:
            reader.run()
        except Exception as error:
            mailbox.put(Crashed(error))

    def _source_changed(self, mail: SourceOnline | SourceOffline) -> None:
        """Report a source that is lost, or back; the first connection is no event."""
        online, was_online = isinstance(mail, SourceOnline), self._online
        reason = mail.reason if isinstance(mail, SourceOffline) else ""
        if was_online and not online:
            self._lost = True
            self.uplink.confirm(self.watch.source_event(False, time.time(), reason))
            self.deliver(self.watch.end("source_lost"))
        elif online and self._lost:
            self._lost = False
            self.uplink.confirm(self.watch.source_event(True, time.time(), reason))
        self.tell_status(online, reason)


class DetectorThread:
    """Runs one look at a time; its owner sees `idle` and takes the result from the mailbox."""

    def __init__(self, watch: CameraWatch, mailbox: Mailbox) -> None:
        self._watch = watch
        self._mailbox = mailbox
        self._work = threading.Semaphore(0)
        self._next: Analysis | None = None
        self.idle = True
        self._thread = threading.Thread(target=self._run, name="detector", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, analysis: Analysis) -> None:
        """Hand over a frame; only while `idle`."""
        self.idle, self._next = False, analysis
        self._work.release()

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
