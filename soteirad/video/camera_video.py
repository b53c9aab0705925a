"""A camera's video: which of its streams are kept, encoded, written as clips and shown, and by which threads."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from soteirad.assembly import source_settings
from soteirad.capture.clock import SystemClock
from soteirad.capture.frame import Frame
from soteirad.capture.packets import PacketSource
from soteirad.config import CameraConfig
from soteirad.event import Event
from soteirad.messages import StreamName, VideoOverlay
from soteirad.video.clip_plan import ClipPlan
from soteirad.video.clips import Clips, Place
from soteirad.video.detail_video import DetailVideo
from soteirad.video.encoder import EncoderThread
from soteirad.video.feed import Feed
from soteirad.video.live_stream import LiveStream, Message
from soteirad.video.tap import COPIED, Tap

logger = logging.getLogger(__name__)

CONFIRMED_S = 12.0
"""An entry or a departure that is sure only later than this after its moment has a clip that begins too late."""
FOLLOW_S = 1.0
"""So much of a file is read, at most, before what was read is written."""
FOLLOW_WITHIN_S = 5.0
"""How long a file waits for that: its disk may have failed."""
_MASKED = "it has a privacy_mask or is turned (rotate), and only its small stream is shown so"
_NOTHING_YET = "there is no picture yet"
_SILENT = "no picture comes"
_SILENT_S = 5.0
"""A camera that has sent nothing for so long is not shown: what there is of it is of another time."""


class Sender(Protocol):
    """What goes to the hub."""

    def confirm(self, event: Event) -> None:
        """Send an event that may not be lost."""

    def kept(self, event_id: str) -> bool:
        """Say whether an event is in this process alone."""

    def video(self, message: Message | VideoOverlay) -> None:
        """Send video, unless too much waits already."""


class CameraVideo:
    """For the gate thread, but for `tap` and `offer`, which are for the thread that reads the source.

    `clips` is the folder of clips, `now` the clock of the gates, if it goes on without pictures. A fault of
    a thread is kept in `fault`.
    """

    def __init__(self, name: str, camera: CameraConfig, clips: Path, sender: Sender,
                 now: Callable[[], float] | None = None) -> None:  # fmt: skip
        self._camera = camera
        self._sender = sender
        self._now = now
        self.fault: Exception | None = None
        self._masked = bool(camera.privacy_mask) or camera.rotate != 0
        keep = camera.clips.before + CONFIRMED_S if camera.clips.enabled else 0.0
        of_detail = camera.clips.stream == "detail" and camera.detail is not None and not self._masked
        self._copy = Feed(keep)
        self._encoded = Feed(keep)
        self._encoder = EncoderThread(self._encoded, self._fail)
        self._detail = DetailVideo(keep if of_detail else 0.0, self._open_detail, self._fail)
        self._of_detail = of_detail
        self._missed = ""
        """Why clips are not cut from the large stream as they should be."""
        self._followed = 0.0
        self._shown: dict[StreamName, LiveStream] = {}
        self.tap = Tap(None if self._masked else self._copy)  # what is masked is not even kept
        self._plan: ClipPlan | None = None
        self._clips: Clips | None = None
        if camera.clips.enabled:
            self._plan = ClipPlan(camera.clips)
            self._clips = Clips(Place(clips, name), self._clip_feed, sender.confirm, sender.kept,
                                now or self._newest, self._fail, camera.clips.audio)  # fmt: skip

    def start(self) -> None:
        """Start the threads that are always there."""
        camera = self._camera
        if self._clips is not None:
            self._clips.start()
        if camera.clips.enabled and camera.clips.stream == "detail" and not self._of_detail:
            why = _MASKED if camera.detail is not None else "it has no detail stream"
            logger.warning("clips are cut from the source: %s", why)

    @property
    def wants_sound(self) -> bool:
        """Whether the sound of the source is to be kept."""
        clips = self._camera.clips
        return clips.enabled and clips.audio and not self._masked

    def offer(self, frame: Frame) -> None:
        """Take a decoded frame, in case that it has to be encoded."""
        self._encoder.offer(frame)

    def see(self, event: Event, moment: float) -> Event:
        """Return a confirmed event of that moment (seconds, as `Frame.time`) with the clip that shows it."""
        if self._plan is None or self._clips is None:
            return event
        event, order = self._plan.see(event, moment)
        if order is not None:
            self._clips.order(order)
        return event

    def follow(self, moment: float) -> None:
        """Wait until a file's clips are written about up to that moment: it may come faster than they are."""
        if self._clips is not None and moment - self._followed >= FOLLOW_S:
            self._followed = moment
            self._clips.follow(FOLLOW_WITHIN_S)

    def show(self, streams: frozenset[StreamName]) -> None:
        """Send the video of these streams, and of no others."""
        for name in [name for name in self._shown if name not in streams]:
            self._shown.pop(name).stop()
        for name in streams - self._shown.keys():
            choose = self._source_feed if name == "source" else self._detail_feed
            codecs = ("h264",) if name == "source" else COPIED
            self._shown[name] = stream = LiveStream(name, choose, self._is_encoded, self._sender.video, self._fail,
                                                    codecs)  # fmt: skip
            stream.start()
        self.step()

    @property
    def shown(self) -> bool:
        """Whether anybody looks."""
        return bool(self._shown)

    def overlay(self, values: dict[str, Any], frame: Frame) -> None:
        """Send what is drawn over the picture of `frame`, to those who look."""
        at: dict[StreamName, float] = {}
        for name, stream in self._shown.items():
            encoded = name != "source" or not self._is_copied("h264")
            pts = None if encoded else frame.video.time
            if (moment := stream.at(pts, frame.time)) is not None:
                at[name] = moment
        if at:
            self._sender.video(VideoOverlay(at, values))

    def step(self) -> None:
        """Encode and fetch what is needed now. Raises the fault of a thread."""
        if self.fault is not None:
            raise self.fault
        clips = self._clips is not None and not self._is_detail_there and not self._is_copied(*COPIED)
        live = "source" in self._shown and not self._is_copied("h264")
        self._encoder.want(bool(self.tap.codec) and (clips or live))
        self._detail.want(self._of_detail or "detail" in self._shown)
        self._tell_of_detail()

    def stop(self, timeout: float) -> None:
        """Complete the clips that are open, and end all threads."""
        for stream in self._shown.values():
            stream.stop()
        self._detail.want(False)
        self._encoder.stop()
        if self._clips is not None:
            self._clips.stop(timeout)

    def _is_copied(self, *codecs: str) -> bool:
        return not self._masked and self.tap.codec in codecs

    def _is_encoded(self, feed: Feed) -> bool:
        return feed is self._encoded

    @property
    def _is_detail_there(self) -> bool:
        """Whether clips are cut from the large stream."""
        detail = self._detail
        return self._of_detail and not detail.problem and detail.can_be_copied and detail.feed.newest is not None

    def _tell_of_detail(self) -> None:
        missed = ""
        if self._of_detail:
            codec = "" if self._detail.can_be_copied else _not_copied(self._detail.codec)
            missed = self._detail.problem or codec
        if missed and missed != self._missed:
            logger.warning("clips are cut from the source: %s", missed)
        self._missed = missed

    def _clip_feed(self) -> Feed:
        if self._is_detail_there:
            return self._detail.feed
        return self._copy if self._is_copied(*COPIED) else self._encoded

    def _source_feed(self) -> Feed | str:
        if not self.tap.codec:
            return _NOTHING_YET
        if not self._is_copied("h264") and self._encoder.problem:
            return self._encoder.problem
        feed = self._copy if self._is_copied("h264") else self._encoded
        silent = self._now is not None and feed.newest is not None and self._now() - feed.newest > _SILENT_S
        return _SILENT if silent else feed

    def _detail_feed(self) -> Feed | str:
        if self._masked:
            return _MASKED
        if self._detail.problem:
            return self._detail.problem
        if not self._detail.can_be_copied:
            return _not_copied(self._detail.codec)
        return self._detail.feed

    def _open_detail(self, tap: Tap, connection: int) -> PacketSource:
        settings = replace(source_settings(self._camera), stream=0, sound=self._of_detail and self._camera.clips.audio)
        return PacketSource(str(self._camera.detail), settings, SystemClock(), connection, tap=tap, prompt=True)

    def _newest(self) -> float:
        """Return the clock of the gates of a file: the time of what came last."""
        found = self._clip_feed().newest
        return float("-inf") if found is None else found

    def _fail(self, error: Exception) -> None:
        self.fault = error


def _not_copied(codec: str) -> str:
    return f"its large stream is {codec.upper()}, which is not passed on: set it to H.264"
