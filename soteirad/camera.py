"""The camera process: source, gates, detector and the pipe to the hub, wired together."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any, cast

import cv2

from soteirad.assembly import source_settings
from soteirad.capture.age import LATE_S
from soteirad.capture.frame import Frame
from soteirad.capture.reader import Reader
from soteirad.capture.source import FileSource, Source, open_source
from soteirad.config.address import is_device
from soteirad.config.secrets import redact_url, without_addresses
from soteirad.detail import DetailThread
from soteirad.detector_thread import DetectorThread
from soteirad.diagnostics import DamageReport
from soteirad.errors import HangError, ModelError, SourceEnded, SourceError
from soteirad.event import Event, new_id
from soteirad.mailbox import Crashed, DetailPicture, Mailbox, News, SourceOffline, SourceOnline
from soteirad.messages import (
    CameraFailed,
    SourceFinished,
)
from soteirad.runner import CameraJob, Runner
from soteirad.service.logs import setup_logging
from soteirad.service.memory import go_first
from soteirad.spool import Spool
from soteirad.uplink import Uplink
from soteirad.watch import CameraWatch, LookResult, Outcome

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 0.7
CLIPS_WITHIN_S = 1.2
"""How long an end waits for clips to be finished; the next start does the rest."""
ORPHAN_S = 4.0
"""A camera process whose hub is gone ends within this time, whatever its threads are doing."""
HANG_S = 60.0
"""How much longer than its own time limits a helper thread may take before it counts as hung ..."""
DRIVER_S = 2.0
"""... and the reader of a camera on this machine, which looks no name up."""


def camera_main(job: CameraJob, connection: Connection) -> None:
    """Run a camera process until the hub says stop, the hub is gone, or a file source has ended."""
    setup_logging(job.log_level, job.name)
    go_first()
    stop = threading.Event()
    # Ctrl-C and a terminal's hang-up reach the whole group; the hub decides.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    cv2.setNumThreads(1)
    spool = Spool(job.spool)
    spool.hold()
    uplink = Uplink(connection, stop, spool, _end_by_force)
    uplink.start()
    try:
        watch = CameraWatch(job.name, job.camera, lambda captured, *_: new_id(captured), job.choice,
                            job.snapshots)  # fmt: skip
        watch.load()
        runner = (LiveRunner if job.camera.live else FileRunner)(job, watch, uplink, stop)
        try:
            runner.run()
        finally:
            runner.close(CLIPS_WITHIN_S)
    except ModelError as error:
        uplink.send(CameraFailed(str(error)))
    except HangError as error:
        logger.error("%s", error)
        sys.exit(1)
    except Exception:
        # FFmpeg's errors have the address in them, and Python would print them as they are.
        trace = without_addresses(traceback.format_exc(), (job.camera.source, job.camera.detail or ""))
        logger.critical("this is a fault in Soteira, please report it with these lines:\n%s", trace.rstrip())
        sys.exit(1)
    finally:
        uplink.close(CLOSE_TIMEOUT_S)


def _end_by_force() -> None:
    """End this process soon, even if one of its threads hangs in a library."""
    timer = threading.Timer(ORPHAN_S, os._exit, (1,))
    timer.daemon = True
    timer.start()


class FileRunner(Runner):
    """A file: every frame in order, and each look's result before the next frame."""

    def open_source(self) -> FileSource:
        """Return the file, not opened yet."""
        return cast(FileSource, super().open_source())

    def run(self) -> None:
        """Play the file to its end, or until stopped."""
        self.prepare()
        problem = ""
        source = self.open_source()
        try:
            source.open()
            self.tell_status(True)
            while not self.stop.is_set():
                frame = source.read(self._wants)
                self.deliver(self.watch.take(frame))
                self.overlay()
                self.see(frame)
                self.serve()
                self._video.follow(frame.time)
        except SourceEnded:
            pass
        except SourceError as error:
            problem = str(error)
        finally:
            source.close()
        if not self.stop.is_set():
            self.deliver(self.watch.end("source_ended"))
            self.ask(self._asker.end())
            self.tell_status(False, problem or "the file has ended")
            self.uplink.send(SourceFinished(problem))

    def _wants(self, frame: Frame) -> bool:
        self._video.offer(frame)
        return self.watch.pipeline.wants(frame)


class LiveRunner(Runner):
    """A camera: reader, gate and detector threads; a slow detector never stalls capture or motion."""

    _detail: DetailThread | None = None
    _late = 0

    def run(self) -> None:
        """Watch until stopped."""
        self.prepare()
        self._damage = DamageReport()
        self._mailbox = Mailbox(self.watch.pipeline.due)
        self._reader = Reader(self.open_source, self._put_frame, lambda: self._mailbox.put(SourceOnline()),
                              lambda reason: self._mailbox.put(SourceOffline(reason)), self.stop)  # fmt: skip
        self._detector = DetectorThread(self.watch, self._mailbox)
        self._detector.start()
        if self._camera.detail is not None:
            self._detail = DetailThread(self._open_detail, self._mailbox.put, self.stop)
            self._detail.start()
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        while not self.stop.is_set():
            mail = self._mailbox.take(timeout=0.5)
            for passed in self._mailbox.passed:
                self.watch.pipeline.pass_over(passed)
            if isinstance(mail, Frame):
                self._take_frame(mail)
            elif mail is not None:
                self._take_news(mail)
            self.serve()
            self._damage.step(time.monotonic(), self.memory.counters)
            self._check_threads()
        self._detector.stop()

    def _put_frame(self, frame: Frame) -> None:
        self._video.offer(frame)
        self._mailbox.put_frame(frame)

    def deliver(self, outcomes: list[Outcome]) -> None:
        """Send what was confirmed, and ask for better pictures of it."""
        super().deliver(outcomes)
        self._fetch_details([o.event for o in outcomes if o.event.snapshot is not None and o.event.box is not None])

    def see(self, frame: Frame) -> None:
        """Ask what is due, and for better pictures of who has stayed long enough."""
        super().see(frame)
        self._fetch_details([])

    def _fetch_details(self, confirmed: list[Event]) -> None:
        if self._detail is not None:
            for event in {e.id: e for e in (*self._asker.take_wanted(), *confirmed)}.values():
                self._detail.request(event)

    def frames_taken(self) -> int:
        """Return how many frames the gate thread has taken, those that were too old among them."""
        return super().frames_taken() + self._late

    def source_facts(self) -> dict[str, Any]:
        """Return what diagnostics say of the source; `dropped` frames gave way to newer ones, `late` were too old."""
        return {**super().source_facts(), "dropped": self._mailbox.dropped, "late": self._late}

    def _take_frame(self, frame: Frame) -> None:
        # Not the age at which it was decoded: this thread, or all of this process, may have stood still since.
        if time.monotonic() - frame.time > LATE_S:
            self._late += 1
            return
        if not self.watch.pipeline.wants(frame):
            return
        analysis, outcomes = self.watch.analyse(frame)
        if analysis.look is not None and self._detector.idle:
            self.watch.pipeline.begin_look(analysis)
            self._detector.submit(analysis)
        self.deliver(outcomes)
        self.see(frame)
        self.overlay()

    def _take_news(self, news: News) -> None:
        if isinstance(news, LookResult):
            self._detector.done()
            self.deliver(self.watch.conclude(news))
            self.overlay()
        elif isinstance(news, DetailPicture):
            if news.event.snapshot is not None:
                self.send_picture(news.event, news.jpeg, news.frame.captured, detail=True)
                self.deliver([])
            self.ask(self._asker.detailed(news.event.id, news.frame, self.watch.present))
        elif isinstance(news, Crashed):
            raise news.error
        else:
            self._source_changed(news)

    def _open_detail(self) -> Source:
        """Return the source of detail pictures: the address is another one, all else is the camera's."""
        return open_source(str(self._camera.detail), replace(source_settings(self._camera, self._hwaccel), stream=0))

    def _read(self) -> None:
        try:
            self._reader.run()
        except Exception as error:
            self._mailbox.put(Crashed(error))

    def _check_threads(self) -> None:
        """End the process when a helper thread hangs where no time limit reaches: in a driver, or a name look-up."""
        camera, server = self._camera, self._camera.detector.server
        # FFmpeg's time limits do not reach into a driver.
        slack = DRIVER_S if is_device(camera.source) else HANG_S
        if self._reader.busy_for() > camera.connect_timeout + camera.read_timeout + slack:
            name = redact_url(camera.source)
            self._source_changed(SourceOffline(f"{name}: its driver or its address does not answer"))
            raise HangError("the reader hangs: it ends with its process")
        if self._detector.busy_for() > HANG_S + (server.timeout if server else 0.0):
            raise HangError("the detector hangs")

    def _source_changed(self, news: SourceOnline | SourceOffline) -> None:
        """Report a source that is lost, or back; the first connection is no event."""
        online, was_online = isinstance(news, SourceOnline), self._online
        reason = news.reason if isinstance(news, SourceOffline) else ""
        if was_online and not online:
            self._lost = True
            self.uplink.confirm(self.watch.source_event(False, time.time(), reason))
            self.deliver(self.watch.end("source_lost"))
            self.ask(self._asker.end())
        elif online and self._lost:
            self._lost = False
            self.uplink.confirm(self.watch.source_event(True, time.time(), reason))
        self.tell_status(online, reason)
