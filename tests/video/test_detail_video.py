"""The detail stream's video: open while it is wanted, and nothing of an earlier time in it."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from soteirad.capture.packets import Received
from soteirad.errors import SourceError
from soteirad.video.detail_video import MOST_READERS, DetailVideo
from soteirad.video.tap import Tap
from tests.video.made import encoded
from tests.video.test_tap import Packet
from tests.waiting import wait_until


class Camera:
    """A stream whose packets a test gives; the thread that reads it waits for them."""

    def __init__(self, tap: Tap, number: int) -> None:
        self.tap, self.number = tap, number
        self.more = threading.Semaphore(0)
        self.packets = iter(encoded(30))
        self.closed = self.broken = False

    def open(self) -> None:
        self.tap.begin(SimpleNamespace(codec_context=SimpleNamespace(name="h264", extradata=b"")), None)  # type: ignore[arg-type]

    def read(self) -> Received:
        self.more.acquire()
        if self.broken:
            raise SourceError("the camera does not answer")
        piece = next(self.packets)
        self.tap.take(Packet(piece.data, piece.key), piece.time)  # type: ignore[arg-type]
        return Received(None, None, float("inf"), None, None, piece.key, self.number)  # type: ignore[arg-type]

    def close(self) -> None:
        self.closed = True


class Rig:
    def __init__(self) -> None:
        self.cameras: list[Camera] = []
        self.faults: list[Exception] = []
        self.video = DetailVideo(60.0, self.make, self.faults.append)

    def make(self, tap: Tap, number: int) -> Any:
        self.cameras.append(Camera(tap, number))
        return self.cameras[-1]

    def want(self) -> Camera:
        """Open the stream and return its camera."""
        count = len(self.cameras)
        self.video.want(True)
        wait_until(lambda: len(self.cameras) > count)
        return self.cameras[-1]


def test_what_an_earlier_opening_still_brings_is_in_no_later_one() -> None:
    rig = Rig()
    first = rig.want()
    first.more.release(5)
    feed = rig.video.feed
    wait_until(lambda: len(feed.read(0).pieces) == 5)
    rig.video.want(False)
    assert rig.video.feed.newest is None
    second = rig.want()
    first.more.release(1)
    wait_until(lambda: first.closed)
    assert rig.video.feed is not feed and rig.video.feed.newest is None
    second.more.release(3)
    wait_until(lambda: len(rig.video.feed.read(0).pieces) == 3)
    rig.video.want(False)
    second.more.release(1)
    wait_until(lambda: second.closed)
    assert not rig.faults


def test_why_nothing_comes_is_said_until_it_does() -> None:
    rig = Rig()
    camera = rig.want()
    assert rig.video.problem == "" and rig.video.codec in ("", "h264") and rig.video.can_be_copied
    camera.broken = True
    camera.more.release(1)
    wait_until(lambda: rig.video.problem == "the camera does not answer")
    rig.video.want(False)
    assert rig.video.problem == "" and camera.closed and not rig.faults


def test_switched_on_and_off_quickly_a_camera_that_hangs_is_not_asked_more_and_more_often() -> None:
    rig = Rig()
    for _ in range(MOST_READERS):
        rig.want()
        rig.video.want(False)
    rig.video.want(True)
    assert len(rig.cameras) == MOST_READERS
    rig.cameras[0].more.release(1)
    wait_until(lambda: rig.cameras[0].closed)
    wait_until(lambda: rig.video.want(True) or len(rig.cameras) == MOST_READERS + 1)
    for camera in rig.cameras:
        camera.broken = True
        camera.more.release(1)
    rig.video.want(False)
