"""Detail pictures: of a real camera's snapshot address, of one that fails, and one picture for all who waited."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from soteirad.capture.frame import Frame
from soteirad.capture.source import Source, SourceSettings, open_source
from soteirad.detail import MAX_AGE_S, MAX_WAITING, DetailThread, logger
from soteirad.errors import SourceEnded, SourceError, SourceRefused
from soteirad.event import Event
from soteirad.mailbox import Crashed, DetailPicture
from tests import clips
from tests.capture.made import FakeClock, frame_of, write_clip
from tests.http_camera import SNAPSHOT, VIDEO, HttpCamera

SETTINGS = SourceSettings(connect_timeout=5.0, read_timeout=5.0)
PICTURE = np.full((48, 64, 3), 90, np.uint8)


def event(number: int) -> Event:
    return Event(f"{number:04d}", "entered", "porch", "2027-01-15T08:00:00.000Z", label="person", box=(1, 2, 30, 40))


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[HttpCamera]:
    with HttpCamera(clips.jpegs(write_clip(tmp_path / "a.mp4", 3))) as camera:
        yield camera


class Rig:
    """A detail thread that the test turns by hand, unless it is started."""

    def __init__(self, make: Callable[[], Source]) -> None:
        self.news: list[DetailPicture | Crashed] = []
        self.came = threading.Condition()
        self.stop = threading.Event()
        self.clock = FakeClock()
        self.thread = DetailThread(make, self._take, self.stop, self.clock)

    def _take(self, news: DetailPicture | Crashed) -> None:
        with self.came:
            self.news.append(news)
            self.came.notify_all()

    def ask(self, number: int) -> None:
        self.thread.request(event(number))
        self.thread.serve()

    def served(self) -> list[str]:
        return [news.event.id for news in self.news if isinstance(news, DetailPicture)]


def of(url: str) -> Callable[[], Source]:
    return lambda: open_source(url, SETTINGS)


class Made:
    """A source of given frames."""

    live = True

    def __init__(self, *frames: Frame) -> None:
        self._frames = list(frames)
        self.closed = 0

    def open(self) -> None:
        pass

    def read(self) -> Frame:
        if not self._frames:
            raise SourceEnded("it hung up")
        return self._frames.pop(0)

    def close(self) -> None:
        self.closed += 1


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == logger.name and r.levelno >= logging.WARNING]


def test_an_event_gets_a_picture_of_the_snapshot_address_without_a_box(camera: HttpCamera) -> None:
    rig = Rig(of(camera.snapshot_url))
    rig.ask(1)
    (news,) = rig.news
    assert isinstance(news, DetailPicture) and news.event == event(1)
    picture = cv2.imdecode(np.frombuffer(news.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and picture.shape == (48, 64, 3)
    assert np.ptp(picture) < 12, "nothing is drawn on the grey picture"
    assert camera.served == {SNAPSHOT: 1}


def test_a_stream_is_opened_for_one_frame_and_closed_again(camera: HttpCamera) -> None:
    rig = Rig(of(camera.url))
    rig.ask(1)
    rig.ask(2)
    assert rig.served() == ["0001", "0002"] and camera.served == {VIDEO: 2}


def test_all_that_waited_are_served_by_one_picture(camera: HttpCamera) -> None:
    rig = Rig(of(camera.snapshot_url))
    for number in range(5):
        rig.thread.request(event(number))
    rig.thread.serve()
    pictures = [news for news in rig.news if isinstance(news, DetailPicture)]
    assert rig.served() == [event(n).id for n in range(5)]
    assert len({(news.jpeg, news.frame.captured) for news in pictures}) == 1
    assert camera.served == {SNAPSHOT: 1}


def test_no_more_than_twenty_wait(camera: HttpCamera) -> None:
    rig = Rig(of(camera.snapshot_url))
    for number in range(MAX_WAITING + 5):
        rig.thread.request(event(number))
    rig.thread.serve()
    assert rig.served() == [event(n).id for n in range(MAX_WAITING)]
    rig.ask(99)
    assert rig.served()[-1] == "0099", "there is room again"


def test_a_camera_that_fails_is_told_once_left_alone_and_asked_again_later(
    camera: HttpCamera, caplog: pytest.LogCaptureFixture
) -> None:
    camera.refuse(503)
    rig = Rig(of(camera.snapshot_url))
    rig.ask(1)
    rig.ask(2)
    assert camera.requests[SNAPSHOT] == 1, "it is left alone"
    rig.clock.now += 6.3
    rig.ask(3)
    assert camera.requests[SNAPSHOT] == 2
    rig.clock.now += 9.9
    rig.ask(4)
    assert camera.requests[SNAPSHOT] == 2, "each time for longer"
    (line,) = told(caplog)
    assert line.startswith("no detail picture, the small one serves: ") and "the camera reports a fault" in line
    camera.refuse(0)
    rig.clock.now += 3.0
    rig.ask(5)
    assert rig.served() == ["0005"]
    camera.refuse(503)
    rig.ask(6)
    assert len(told(caplog)) == 2, "it failed anew"
    rig.clock.now += 6.3
    camera.refuse(0)
    rig.ask(7)
    assert rig.served() == ["0005", "0007"], "and the first delay is the first one again"


def test_a_camera_that_refuses_the_password_is_left_alone_for_a_minute_and_the_password_is_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    account = {"user": "admin", "password": "right"}
    with HttpCamera(clips.jpegs(write_clip(tmp_path / "a.mp4", 1)), **account) as camera:  # type: ignore[arg-type]
        rig = Rig(of(camera.url_for(SNAPSHOT, "admin", "geheim")))
        rig.ask(1)
        asked = camera.requests[SNAPSHOT]
        rig.clock.now += 59.0
        rig.ask(2)
        assert camera.requests[SNAPSHOT] == asked
        rig.clock.now += 1.1
        rig.ask(3)
        assert camera.requests[SNAPSHOT] > asked
    (line,) = told(caplog)
    assert "refused user name or password" in line and "geheim" not in line


def test_a_damaged_frame_is_not_shown_but_the_first_whole_one_after_it() -> None:
    damaged = frame_of(PICTURE, captured=1.0, corrupt=True)
    source = Made(damaged, damaged, frame_of(PICTURE, captured=3.0), frame_of(PICTURE, captured=4.0))
    rig = Rig(lambda: source)
    rig.ask(1)
    (news,) = rig.news
    assert isinstance(news, DetailPicture) and news.frame.captured == 3.0
    assert source.closed == 1


def test_a_stream_of_damaged_frames_only_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    source = Made(frame_of(PICTURE, corrupt=True))
    rig = Rig(lambda: source)
    rig.ask(1)
    assert rig.news == [] and source.closed == 1
    assert told(caplog) == ["no detail picture, the small one serves: it hung up"]


@pytest.mark.parametrize(("error", "least"), [(SourceError("x"), 5.0), (SourceRefused("x"), 60.0)])
def test_a_source_that_always_fails_is_tried_at_most_every_five_minutes(error: SourceError, least: float) -> None:
    tries: list[float] = []

    def fail() -> Source:
        tries.append(rig.clock.now)
        raise error

    rig = Rig(fail)
    for number in range(3000):
        rig.ask(number)
        rig.clock.now += 1.0
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert least <= pauses[0] <= max(least, 6.25) + 1
    assert 300 <= max(pauses) <= 376 and len(tries) < 20


def test_the_thread_serves_until_it_is_stopped(camera: HttpCamera) -> None:
    rig = Rig(of(camera.snapshot_url))
    rig.thread.start()
    for number in (1, 2):
        rig.thread.request(event(number))
        with rig.came:
            assert rig.came.wait_for(lambda: len(rig.news) >= number, 20.0)  # noqa: B023 - it waits here
    assert rig.served() == ["0001", "0002"]
    rig.stop.set()
    rig.thread._thread.join(20.0)
    assert not rig.thread._thread.is_alive()


def test_a_fault_in_the_thread_reaches_the_gate_thread() -> None:
    def fail() -> Source:
        raise RuntimeError("a decoder bug")

    rig = Rig(fail)
    rig.thread.start()
    rig.thread.request(event(1))
    with rig.came:
        assert rig.came.wait_for(lambda: rig.news, 20.0)
    (news,) = rig.news
    assert isinstance(news, Crashed) and str(news.error) == "a decoder bug"


def test_a_picture_that_comes_too_late_after_its_event_is_not_given(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(lambda: Made(frame_of(PICTURE)))
    rig.thread.request(event(1))
    rig.clock.now += MAX_AGE_S - 3
    rig.thread.request(event(2))
    rig.clock.now += 4
    rig.thread.serve()
    assert rig.served() == ["0002"], "for the other it would show something else"
    rig.thread.request(event(3))
    rig.clock.now += MAX_AGE_S
    rig.thread.serve()
    assert rig.served() == ["0002"]


def test_a_source_that_only_gives_damaged_pictures_is_given_up() -> None:
    rig = Rig(lambda: made)

    class Damaged(Made):
        def read(self) -> Frame:
            rig.clock.now += 1.0
            return frame_of(PICTURE, corrupt=True)

    made = Damaged()
    rig.ask(1)
    assert rig.news == []


@pytest.mark.parametrize(("small", "given"), [((640, 480), True), ((640, 360), False)])
def test_where_privacy_masks_may_not_fit_there_is_no_detail_picture(small: tuple[int, int], given: bool) -> None:
    masked = frame_of(PICTURE, privacy=((0.0, 0.0, 1.0, 0.0, 1.0, 0.5),))  # 64x48
    rig = Rig(lambda: Made(masked))
    rig.thread.request(replace(event(1), frame_size=small))
    rig.thread.serve()
    assert (rig.served() == ["0001"]) == given
