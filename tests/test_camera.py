"""The live camera's threads: a fault in one of them ends the process, so that the hub can start it again."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from soteirad import runner as runner_module
from soteirad.camera import FileRunner, LiveRunner
from soteirad.capture.frame import Frame
from soteirad.config import CameraConfig
from soteirad.config.schema import camera_from
from soteirad.detect.choice import Choice
from soteirad.detect.detector import REFERENCE
from soteirad.detector_thread import DetectorThread
from soteirad.errors import HangError, SourceEnded
from soteirad.mailbox import Crashed, Mailbox
from soteirad.messages import Adjust, CameraState, LiveFrame, Missed, Preview, Show, TakePicture
from soteirad.runner import PREVIEW_WIDTH, CameraJob
from soteirad.watch import CameraWatch
from tests.capture.made import frame_of
from tests.shared_data import DEMO
from tests.waiting import wait_until


class BrokenWatch:
    """A watch whose detector fails in a way that nobody foresaw."""

    def detect(self, _analysis: object) -> None:
        raise RuntimeError("no memory")


def test_a_fault_in_the_detector_thread_reaches_the_gate_thread() -> None:
    mailbox = Mailbox()
    thread = DetectorThread(BrokenWatch(), mailbox)  # type: ignore[arg-type]
    thread.start()
    thread.submit(object())  # type: ignore[arg-type]
    mail = mailbox.take(10)
    assert isinstance(mail, Crashed) and str(mail.error) == "no memory"


CHOICE = Choice(REFERENCE, 0.0, None, ())


class NoUplink:
    """An uplink that takes everything, and brings no wishes."""

    def __init__(self) -> None:
        self.wishes: queue.SimpleQueue[object] = queue.SimpleQueue()

    def send(self, _message: object) -> None:
        pass

    def confirm(self, _event: object) -> None:
        pass


def live_runner(open_source: Callable[[], object], tmp_path: Path, **settings: object) -> LiveRunner:
    camera = camera_from({"source": "rtsp://127.0.0.1:1/none", **settings})
    watch = CameraWatch("porch", camera, lambda *_: "id", CHOICE)
    runner = LiveRunner(CameraJob("porch", camera, CHOICE, tmp_path, False, "info"), watch, NoUplink(),  # type: ignore[arg-type]
                        threading.Event())  # fmt: skip
    runner.open_source = open_source  # type: ignore[method-assign,assignment]
    return runner


def test_a_fault_in_the_reader_thread_ends_the_run(tmp_path: Path) -> None:
    def fail() -> object:
        raise RuntimeError("a decoder bug")

    with pytest.raises(RuntimeError, match="a decoder bug"):
        live_runner(fail, tmp_path).run()


class Hasty:
    """A camera whose frames come all at once, 25 for each second of capture time, and then no more."""

    def __init__(self, count: int, ended: threading.Event) -> None:
        self._times = [time.monotonic() + number / 25 for number in range(count)]
        self._ended = ended

    def open(self) -> None:
        pass

    def read(self) -> Frame:
        if not self._times:
            self._ended.wait()
            raise SourceEnded("no more")
        return frame_of(PICTURE, time=self._times.pop(0))

    def close(self) -> None:
        pass


def test_frames_beyond_the_cap_are_counted_and_do_not_wake_the_gate_thread(tmp_path: Path) -> None:
    ended = threading.Event()
    runner = live_runner(lambda: Hasty(50, ended), tmp_path, detect=False)
    watching = threading.Thread(target=runner.run)
    watching.start()
    try:
        counters = runner.watch.pipeline.counters
        wait_until(lambda: counters.analysed)
        wait_until(lambda: counters.frames + runner._mailbox.dropped == 50)
        assert counters.analysed <= 20 and runner.frames_taken() == counters.frames
    finally:
        runner.stop.set()
        ended.set()
        watching.join()


class Waiting:
    """A source whose driver never gives anything, and whose time limit nobody keeps."""

    def __init__(self, ended: threading.Event) -> None:
        self._ended = ended

    def open(self) -> None:
        self._ended.wait()

    def read(self) -> object:
        raise AssertionError("it was never open")

    def close(self) -> None:
        pass


def test_a_reader_that_hangs_beyond_all_time_limits_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    monkeypatch.setattr("soteirad.camera.HANG_S", -19.5)  # of which the time limits take 20 s
    try:
        with pytest.raises(HangError, match="the reader hangs"):
            live_runner(lambda: Waiting(ended), tmp_path).run()
    finally:
        ended.set()


# Wishes and previews


class Time:
    """The clock of the camera's module."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_800_000_000.0 + self.now


class Kept:
    """An uplink that keeps what it is given."""

    def __init__(self) -> None:
        self.wishes: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.sent: list[object] = []
        self.send = self.picture = self.confirm = self.sent.append

    def live(self) -> list[LiveFrame]:
        found = [message for message in self.sent if isinstance(message, LiveFrame)]
        self.sent.clear()
        return found

    def previews(self) -> list[bytes]:
        found = [message.jpeg for message in self.sent if isinstance(message, Preview)]
        self.sent.clear()
        return found


PICTURE = np.random.default_rng(1).integers(0, 255, (720, 1280, 3), np.uint8)


class Rig:
    """A file's runner that was given frames by hand."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **settings: object) -> None:
        self.time = Time()
        monkeypatch.setattr(runner_module, "time", self.time)
        self.camera = self.configured(**settings)
        self.watch = CameraWatch("porch", self.camera, lambda *_: "id", CHOICE)
        self.uplink = Kept()
        job = CameraJob("porch", self.camera, CHOICE, tmp_path, False, "info")
        self.runner = FileRunner(job, self.watch, self.uplink, threading.Event())  # type: ignore[arg-type]
        self._media = 0.0

    def configured(self, **settings: object) -> CameraConfig:
        return camera_from({"source": "clip.mp4", "detect": False, **settings})

    def frame(self) -> None:
        """Take a frame in, and do what is done after each."""
        self._media += 1.0
        self.runner.deliver(self.watch.step(frame_of(PICTURE, time=self._media)))
        self.runner.serve()

    def wish(self, *wishes: object) -> None:
        for wish in wishes:
            self.uplink.wishes.put(wish)
        self.runner.serve()


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(tmp_path, monkeypatch)


def test_a_picture_that_is_asked_for_is_the_latest_and_small(rig: Rig) -> None:
    rig.runner.tell_status(True)
    rig.frame()
    rig.frame()
    rig.wish(TakePicture())
    (jpeg,) = rig.uplink.previews()
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (360, PREVIEW_WIDTH, 3)
    rig.wish(TakePicture())
    assert rig.uplink.previews() == [jpeg], "the same one again is an answer"


def test_a_wish_is_answered_while_a_file_has_nothing_to_analyse(tmp_path: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    rig = Rig(tmp_path, monkeypatch, source=str(DEMO), fps=0.01)
    monkeypatch.setattr(runner_module, "time", time)
    playing = threading.Thread(target=rig.runner.run)
    playing.start()
    try:
        wait_until(lambda: rig.watch.last_frame is not None)
        rig.uplink.wishes.put(TakePicture())
        wait_until(lambda: bool(rig.uplink.previews()))
        assert rig.watch.pipeline.counters.analysed == 1 and playing.is_alive()
    finally:
        rig.runner.stop.set()
        playing.join()


def test_the_first_preview_is_that_of_the_first_frame_however_often_the_camera_was_served_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, monkeypatch, preview=60)
    rig.runner.tell_status(True)
    rig.runner.serve()
    assert rig.uplink.previews() == []
    rig.frame()
    assert len(rig.uplink.previews()) == 1


def test_any_number_of_wishes_for_a_picture_is_answered_with_one(rig: Rig) -> None:
    rig.runner.tell_status(True)
    rig.frame()
    rig.wish(*[TakePicture()] * 1000)
    assert len(rig.uplink.previews()) == 1 and rig.uplink.wishes.empty()


def test_a_picture_before_the_first_frame_or_while_the_source_is_away_is_none(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.wish(TakePicture())
    rig.runner.tell_status(True)
    rig.wish(TakePicture())
    rig.frame()
    rig.runner.tell_status(False, "cable")
    rig.wish(*[TakePicture()] * 5)
    assert rig.uplink.previews() == []
    assert caplog.text.count("no picture: the source is offline") == 2


def test_there_is_no_picture_of_before_the_outage_when_the_source_is_back(rig: Rig) -> None:
    rig.runner.tell_status(True)
    rig.frame()
    rig.runner.deliver(rig.watch.end("source_lost"))
    rig.runner.tell_status(False, "cable")
    rig.runner.tell_status(True)
    rig.wish(TakePicture())
    assert rig.uplink.previews() == []
    rig.frame()
    rig.wish(TakePicture())
    assert len(rig.uplink.previews()) == 1


def test_previews_come_at_their_interval_and_only_of_new_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, monkeypatch, preview=5)
    rig.frame()
    assert rig.uplink.previews() == [], "the source is not online yet"
    rig.runner.tell_status(True)
    counts = []
    for _ in range(12):
        rig.frame()
        counts.append(len(rig.uplink.previews()))
        rig.time.now += 1.0
    assert counts == [1, 0, 0, 0, 0] * 2 + [1, 0]
    rig.time.now += 60.0
    rig.runner.serve()
    assert len(rig.uplink.previews()) == 1, "however long it was, it is one"
    rig.time.now += 60.0
    rig.runner.serve()
    assert rig.uplink.previews() == [], "nothing new was seen"
    rig.runner.tell_status(False, "cable")
    rig.frame()
    assert rig.uplink.previews() == []


def test_without_an_interval_there_are_no_previews(rig: Rig) -> None:
    rig.runner.tell_status(True)
    for _ in range(20):
        rig.frame()
        rig.time.now += 60.0
    assert rig.uplink.previews() == []


def test_the_interval_of_previews_changes_while_it_runs(rig: Rig) -> None:
    rig.runner.tell_status(True)
    rig.frame()
    rig.wish(Adjust(rig.configured(preview=3600)))
    assert len(rig.uplink.previews()) == 1
    rig.wish(Adjust(rig.configured(preview=1)))
    rig.time.now += 1.0
    rig.frame()
    assert len(rig.uplink.previews()) == 1, "the former interval does not count any more"
    rig.wish(Adjust(rig.configured()))
    rig.time.now += 60.0
    rig.frame()
    assert rig.uplink.previews() == []


def test_a_wish_for_other_settings_is_answered_with_the_state_also_while_the_source_is_away(rig: Rig) -> None:
    rig.runner.prepare()
    rig.runner.tell_status(False, "cable")
    rig.uplink.sent.clear()
    rig.wish(Adjust(rig.configured(motion={"threshold": 0.1})), Adjust(rig.configured(motion={"threshold": 0.2})))
    states = [message.state for message in rig.uplink.sent if isinstance(message, CameraState)]
    assert [state["motion_threshold"] for state in states] == [0.1, 0.2]
    rig.uplink.sent.clear()
    rig.wish(Adjust(rig.configured(motion={"threshold": 0.2})))
    assert not rig.uplink.sent, "nothing changed"


# The page


def test_while_nobody_looks_no_picture_is_made(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soteirad.watch.make_snapshot", lambda *_, **__: pytest.fail("a picture was made"))
    rig.runner.tell_status(True)
    for _ in range(20):
        rig.frame()
        rig.time.now += 1.0
    assert rig.uplink.live() == []


def test_who_looks_sees_new_frames_twice_a_second_until_they_look_away(rig: Rig) -> None:
    rig.runner.tell_status(True)
    rig.frame()
    rig.wish(Show(True))
    (shown,) = rig.uplink.live()
    assert cv2.imdecode(np.frombuffer(shown.jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (360, 640, 3)
    assert shown.values["media_time"] == 1.0 and shown.values["frame_size"] == [1280, 720]
    counts = []
    for _ in range(8):
        rig.time.now += 0.25
        rig.frame()
        counts.append(len(rig.uplink.live()))
    assert counts == [0, 1] * 4
    rig.time.now += 5.0
    rig.runner.serve()
    assert rig.uplink.live() == [], "nothing new was seen"
    rig.time.now += 0.5
    rig.wish(Show(True))
    assert len(rig.uplink.live()) == 1, "somebody else looks, too, and gets the latest one soon"
    rig.wish(Show(False))
    rig.time.now += 5.0
    rig.frame()
    assert rig.uplink.live() == []


def test_nothing_is_shown_of_a_source_that_is_away(rig: Rig) -> None:
    rig.runner.tell_status(True)
    rig.frame()
    rig.runner.tell_status(False, "cable")
    rig.wish(Show(True))
    assert rig.uplink.live() == []


def test_what_gate_1_let_go_is_told_whether_or_not_somebody_looks(rig: Rig) -> None:
    rig.runner.tell_status(True)
    for _ in range(6):
        rig.frame()
    rig.runner.deliver(rig.watch.step(frame_of(np.full_like(PICTURE, 255), time=7.0)))
    rig.runner.serve()
    (missed,) = [message for message in rig.uplink.sent if isinstance(message, Missed)]
    assert (missed.what.kind, missed.what.gate, missed.time[-1]) == ("flood", 1, "Z")
