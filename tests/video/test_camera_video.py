"""A camera's video: which stream is shown of it, and why none is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from soteirad.config.schema import camera_from
from soteirad.event import Event
from soteirad.messages import VideoOverlay
from soteirad.video.camera_video import CameraVideo
from soteirad.video.feed import Feed
from soteirad.video.live_stream import LiveStream, Message
from tests.video.made import encoded
from tests.video.test_tap import Packet
from tests.waiting import wait_until


class Sender:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.sent: list[Message | VideoOverlay] = []

    def confirm(self, event: Event) -> None:
        self.events.append(event)

    def kept(self, _: str) -> bool:
        return False

    def video(self, message: Message | VideoOverlay) -> None:
        self.sent.append(message)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def video_of(folder: Path, clock: Clock | None = None, **keys: object) -> CameraVideo:
    camera = camera_from({"source": "rtsp://camera/stream", **keys})
    return CameraVideo("porch", camera, folder, Sender(), clock)


def begin(video: CameraVideo, codec: str) -> None:
    context = SimpleNamespace(name=codec, extradata=b"")
    video.tap.begin(SimpleNamespace(codec_context=context), None)  # type: ignore[arg-type]
    if codec == "h264":
        for piece in encoded(10):
            video.tap.take(Packet(piece.data, piece.key), piece.time)  # type: ignore[arg-type]


def test_h264_is_shown_as_it_came_and_all_else_is_encoded(tmp_path: Path) -> None:
    video = video_of(tmp_path)
    assert video._source_feed() == "there is no picture yet"
    begin(video, "h264")
    assert video._source_feed() is video._copy
    begin(video, "mjpeg")
    assert video._source_feed() is video._encoded
    video._encoder.problem = "nothing here encodes H.264"
    assert video._source_feed() == "nothing here encodes H.264"


@pytest.mark.parametrize("keys", [{"privacy_mask": [[0, 0, 0.5, 0, 0.5, 0.5]]}, {"rotate": 90}])
def test_what_is_masked_or_turned_is_never_shown_as_it_came(tmp_path: Path, keys: dict[str, object]) -> None:
    video = video_of(tmp_path, detail="rtsp://camera/large", **keys)
    begin(video, "h264")
    assert video._source_feed() is video._encoded and video._clip_feed() is video._encoded
    assert isinstance(video._detail_feed(), str) and not video.wants_sound
    assert video._copy.bytes == 0, "what is masked is kept as it came"


def test_a_camera_that_is_silent_is_not_shown(tmp_path: Path) -> None:
    clock = Clock()
    video = video_of(tmp_path, clock)
    begin(video, "h264")
    clock.now = 5.0
    assert isinstance(video._source_feed(), Feed)
    clock.now = 20.0
    assert video._source_feed() == "no picture comes"
    begin(video, "h264")
    clock.now = 1.0
    assert isinstance(video._source_feed(), Feed)


def test_streams_are_shown_while_they_are_wanted(tmp_path: Path) -> None:
    video = video_of(tmp_path)
    begin(video, "h264")
    video.show(frozenset({"source"}))
    stream: LiveStream = video._shown["source"]
    wait_until(lambda: stream.at(None, 0.0) is not None)
    video.show(frozenset())
    assert not video.shown
    stream._thread.join(10.0)
    assert not stream._thread.is_alive() and video.fault is None


def test_the_fault_of_a_thread_ends_the_camera(tmp_path: Path) -> None:
    video = video_of(tmp_path)
    video._fail(RuntimeError("a fault"))
    with pytest.raises(RuntimeError, match="a fault"):
        video.step()
