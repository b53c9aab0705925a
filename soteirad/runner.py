"""What runs a camera, of either kind: its source, and all that it says to the hub."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from soteirad.asking import Asker
from soteirad.assembly import source_settings
from soteirad.capture.clock import BeatingClock
from soteirad.capture.frame import Frame
from soteirad.capture.hardware import usable_hardware
from soteirad.capture.source import Source, StreamMemory, open_source
from soteirad.config import CameraConfig
from soteirad.detect.choice import Choice
from soteirad.diagnostics import Diagnoser
from soteirad.event import Event, iso_time, new_id
from soteirad.live import LiveView
from soteirad.messages import (
    Adjust,
    Ask,
    CameraState,
    CameraStatus,
    Heartbeat,
    Inquire,
    Missed,
    Picture,
    Preview,
    Show,
    ShowVideo,
)
from soteirad.snapshot import make_snapshot
from soteirad.uplink import Uplink
from soteirad.video.camera_video import CameraVideo
from soteirad.watch import CameraWatch, Outcome

logger = logging.getLogger(__name__)

HEARTBEAT_S = 2.0
PREVIEW_WIDTH = 640


@dataclass(frozen=True)
class CameraJob:
    """What a camera process is told when it starts; travels by pickle."""

    name: str
    camera: CameraConfig
    choice: Choice | None
    spool: Path
    snapshots: bool
    log_level: str
    clips: Path = Path("clips")
    """The folder of clips, if the camera has any."""
    lost: bool = False
    """Whether the last that was told of its source is that it was lost."""


class Runner:
    """What both kinds share: the source and the outgoing side."""

    def __init__(self, job: CameraJob, watch: CameraWatch, uplink: Uplink, stop: threading.Event) -> None:
        self.watch = watch
        self.uplink = uplink
        self.stop = stop
        self.memory = StreamMemory()
        self._camera = job.camera
        self._asker = Asker(job.camera.questions, watch.zones, new_id, job.camera.detail is not None)
        self._hwaccel = "none"
        self._diagnoser = Diagnoser(watch)
        self._live = LiveView(watch)
        # A live camera's clock goes on without it; a file's is that of its pictures.
        self._video = CameraVideo(job.name, job.camera, job.clips, uplink,
                                  time.monotonic if job.camera.live else None)  # fmt: skip
        self._state: dict[str, Any] = {}
        self._snapshot: dict[str, Any] | None = None
        self._online: bool | None = None
        self._lost = job.lost
        self._reason = "starting"
        self._beat_at = float("-inf")
        self._preview_at = float("-inf")
        self._previewed: float | None = None

    def prepare(self) -> None:
        """Say what there is before the first frame, and look what decodes here."""
        self.deliver([])
        self._hwaccel = usable_hardware(self._camera.hwaccel)
        self._video.start()

    def close(self, timeout: float) -> None:
        """Finish the clips that are open, as far as `timeout` seconds go."""
        self._video.stop(timeout)

    def open_source(self) -> Source:
        """Return the camera's source, not opened yet."""
        # A file waits on the gate thread, which serves meanwhile; a live source never waits by this clock.
        settings = replace(source_settings(self._camera, self._hwaccel), sound=self._video.wants_sound)
        return open_source(self._camera.source, settings, stop=self.stop,
                           clock=BeatingClock(self.serve, HEARTBEAT_S), memory=self.memory,
                           tap=self._video.tap)  # fmt: skip

    def beat(self) -> None:
        """Tell the hub, now and then, that the gate thread is at work."""
        now = time.monotonic()
        if now - self._beat_at >= HEARTBEAT_S:
            self._beat_at = now
            self.uplink.send(Heartbeat(self.frames_taken()))

    def frames_taken(self) -> int:
        """Return how many frames the gate thread has taken, whatever it did with them."""
        return self.watch.pipeline.counters.frames

    def serve(self) -> None:
        """Do what is not about one frame: the hub's wishes, previews, diagnostics, and a sign of life."""
        asked = False
        while not self.uplink.wishes.empty():  # this thread is the only one that takes from it
            wish = self.uplink.wishes.get()
            if isinstance(wish, Adjust):
                self._camera = wish.camera
                self._asker.configure(wish.camera.questions)
                self.deliver(self.watch.adjust(wish.camera))
            elif isinstance(wish, Inquire):
                self.inquire(wish)
            elif isinstance(wish, Show):
                self._live.show(wish.wanted)
            elif isinstance(wish, ShowVideo):
                self._video.show(wish.streams)
            else:
                asked = True  # one picture answers all who ask at the same time
        if asked:
            self.preview()
        now = time.monotonic()
        due = self._camera.preview and now - self._preview_at >= self._camera.preview
        if due and self._online and self.watch.last_frame is not None:
            self._preview_at = now
            self.preview(again=False)
        self.show(now)
        self._video.step()
        self.beat()
        self.diagnose()

    def show(self, now: float) -> None:
        """Send what the page shows: near misses always, and frames while somebody looks."""
        for when, what in self.watch.take_near_misses():
            self.uplink.send(Missed(when, what))
        shown = self._live.step(now) if self._online else None
        if shown is not None:
            self.uplink.picture(shown)

    def overlay(self) -> None:
        """Send what is drawn over the video of the last frame that was analysed, while somebody looks."""
        values, frame = self.watch.live() if self._video.shown else None, self.watch.last_frame
        if values is not None and frame is not None:
            self._video.overlay(values, frame)

    def preview(self, again: bool = True) -> None:
        """Send a small picture of the latest frame; the same one a second time only if `again`."""
        if not self._online:
            logger.warning("no picture: the source is offline")
            return
        picture = self.watch.picture(PREVIEW_WIDTH, since=None if again else self._previewed)
        if picture is not None:
            jpeg, self._previewed = picture
            self.uplink.picture(Preview(jpeg))

    def inquire(self, wish: Inquire) -> None:
        """Ask what the hub was asked to ask."""
        frame = self.watch.last_frame
        if frame is None or not self._online:
            logger.warning("nothing can be asked: there is no picture at the moment")
        else:
            self.ask(self._asker.inquire(wish.question, wish.text, frame))

    def ask(self, asks: Sequence[Ask]) -> None:
        """Send questions that are due."""
        for ask in asks:
            self.uplink.picture(ask)

    def see(self, frame: Frame) -> None:
        """Ask what is due now that `frame` was analysed."""
        self.ask(self._asker.see(frame, self.watch.present))

    def deliver(self, outcomes: list[Outcome]) -> None:
        """Send events first, then their pictures and questions, then the state if it changed."""
        outcomes = [replace(o, event=self._video.see(o.event, o.moment)) for o in outcomes]
        for outcome in outcomes:
            self.uplink.confirm(outcome.event)
        for event, frame in ((o.event, o.frame) for o in outcomes):
            if event.snapshot is not None:
                self.send_picture(event, make_snapshot(frame, event), frame.captured)
            self.ask(self._asker.happened(event, frame))
        state = {**self.watch.state(), "snapshot": self._snapshot}
        if state != self._state:
            self._state = state
            self.uplink.send(CameraState(state))

    def send_picture(self, event: Event, jpeg: bytes, captured: float, detail: bool = False) -> None:
        """Send an event's snapshot; the small one becomes the latest, the detail picture only takes its place."""
        latest = not detail or (self._snapshot is not None and self._snapshot["event"] == event.id)
        if latest:
            self._snapshot = {"event": event.id, "time": iso_time(captured), "detail": detail}
        self.uplink.picture(Picture(event.id, event.snapshot or "", jpeg, latest))

    def tell_status(self, online: bool, reason: str = "") -> None:
        """Tell the hub, and the log, when the source comes or goes, and when it fails for another reason."""
        if (online, reason) == (self._online, self._reason):
            return
        if online:
            logger.info("online")
        else:
            logger.warning("offline: %s", reason)
        self._online, self._reason = online, reason
        self.uplink.send(CameraStatus(online, reason))
        self.diagnose(force=True)

    def diagnose(self, force: bool = False) -> None:
        """Send diagnostics when they are due."""
        now = time.monotonic()
        if not force and not self._diagnoser.due(now):
            return
        diagnostics = self._diagnoser.step(now, self.source_facts(), force)
        if diagnostics is not None:
            self.uplink.send(diagnostics)

    def source_facts(self) -> dict[str, Any]:
        """Return what diagnostics say of the source."""
        return {"online": bool(self._online), "reason": self._reason, **asdict(self.memory.counters)}
