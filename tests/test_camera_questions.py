"""Questions in a running camera: what goes down the pipe, in which order, and with which pictures."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from soteirad import camera as camera_module
from soteirad.asking import DETAIL_WAIT_S, Present
from soteirad.camera import FileRunner, LiveRunner
from soteirad.capture.frame import Frame
from soteirad.config import CameraConfig
from soteirad.config.question import AD_HOC
from soteirad.config.schema import camera_from
from soteirad.detail import DetailThread
from soteirad.detect.choice import Choice
from soteirad.detect.detection import Detections
from soteirad.detect.detector import REFERENCE
from soteirad.errors import SourceEnded
from soteirad.event import Event, iso_time
from soteirad.llm.picture import Shot
from soteirad.mailbox import Mailbox, SourceOffline, SourceOnline
from soteirad.messages import Adjust, Ask, CameraState, Inquire, Picture, SourceFinished
from soteirad.runner import CameraJob
from soteirad.spool import Spool
from soteirad.uplink import MAX_PICTURES, Uplink
from soteirad.watch import CameraWatch, Outcome
from tests.capture.made import FakeClock, frame_of
from tests.test_camera import Kept, Time
from tests.waiting import PATIENCE_S, wait_until

CHOICE = Choice(REFERENCE, 0.0, None, ())
EPOCH = 1_800_000_000.0
WIDTH, HEIGHT = 320, 240
SMALL = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
LARGE = np.full((3 * HEIGHT, 3 * WIDTH, 3), 200, np.uint8)
VISIT = (4.0, 9.0)
"""When the white figure is in the picture of the clip, seconds."""


def walls() -> NDArray[np.uint8]:
    blocks = np.random.default_rng(3).integers(40, 120, (12, 16)).astype(np.uint8)
    return np.asarray(cv2.merge([cv2.resize(blocks, (WIDTH, HEIGHT))] * 3), np.uint8)


def moment(time: float) -> NDArray[np.uint8]:
    """Return the picture of that time: a white figure comes in from the left, stands, and goes out again."""
    picture = walls()
    if VISIT[0] <= time < VISIT[1]:
        way = min(time - VISIT[0], VISIT[1] - time, 1.5) / 1.5
        right = round(way * 200)
        picture[80:220, max(0, right - 60) : right] = 255
    return picture


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "visit.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10, options={"crf": "18", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(150):
            frame = av.VideoFrame.from_ndarray(moment(index / 10), format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


class White:
    """A detector to whom whatever is white is a person."""

    def load(self) -> None:
        pass

    def close(self) -> None:
        pass

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        return width, height

    def detect(self, picture: NDArray[np.uint8]) -> Detections:
        rows, columns = np.nonzero(picture.min(axis=2) > 200)
        if len(rows) < 400:
            return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
        box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
        return Detections(box / np.float32([WIDTH, HEIGHT, WIDTH, HEIGHT]), np.array([0.9], np.float32), np.array([0]))


def question(name: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "ask": f"What of {name}?", **keys}


def asks(uplink: Kept) -> list[Ask]:
    return [message for message in uplink.sent if isinstance(message, Ask)]


def taken(ask: Ask) -> list[float]:
    return [round(shot.captured - EPOCH, 3) for shot in ask.shots]


# A file


def file_runner(camera: CameraConfig, folder: Path) -> tuple[FileRunner, Kept]:
    watch = CameraWatch("porch", camera, lambda captured, _media, what: f"{what}@{captured:.3f}", CHOICE)
    watch._detector = White()  # type: ignore[assignment]
    uplink = Kept()
    job = CameraJob("porch", camera, CHOICE, folder, True, "info")
    return FileRunner(job, watch, uplink, threading.Event()), uplink  # type: ignore[arg-type]


def played(clip: Path, folder: Path, *questions: dict[str, Any]) -> list[object]:
    """Return what a file's camera sent."""
    camera = camera_from({"source": str(clip), "speed": "max", "questions": [*questions], "fps": 10})
    runner, uplink = file_runner(camera, folder)
    runner.run()
    return uplink.sent


def test_an_event_goes_first_then_its_picture_then_what_is_asked_about_it(clip: Path, tmp_path: Path) -> None:
    sent = played(clip, tmp_path, question("who"), question("parcel", when={"on": "left"}))
    told = [m for m in sent if isinstance(m, (Event, Picture, Ask))]
    assert [type(m).__name__ for m in told] == ["Event", "Picture", "Ask", "Event", "Ask"]
    entered, picture, who, left, parcel = told
    assert isinstance(entered, Event) and isinstance(left, Event) and isinstance(picture, Picture)
    assert isinstance(who, Ask) and isinstance(parcel, Ask)
    assert (entered.event_type, left.event_type, left.why["reason"]) == ("entered", "left", "gone")
    assert (who.question, who.event_id, picture.event_id) == ("who", entered.id, entered.id)
    assert (parcel.question, parcel.event_id) == ("parcel", left.id)
    assert (who.time, parcel.time) == (entered.time, left.confirmed)


def white_share(shot: Shot) -> float:
    picture = cv2.imdecode(np.frombuffer(shot.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return float((picture.min(axis=2) > 200).mean())


def test_pictures_of_before_and_after_show_who_came_and_a_crop_shows_them_large(clip: Path, tmp_path: Path) -> None:
    sent = played(clip, tmp_path, question("a", frames=3), question("b", crop="object"))
    cropped, whole = (ask for ask in sent if isinstance(ask, Ask))
    before, then, after = map(white_share, whole.shots)
    assert before == 0.0 and 0.01 < then < after
    assert white_share(cropped.shots[0]) > then


def test_at_the_end_of_a_file_it_is_asked_with_the_pictures_that_there_are(clip: Path, tmp_path: Path) -> None:
    soon = tmp_path / "soon.mp4"
    with av.open(str(clip)) as whole, av.open(str(soon), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in whole.decode(video=0):
            if float(frame.time or 0) < VISIT[0] + 4:
                frame.pict_type = 0
                out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    sent = played(soon, tmp_path, question("a", frames=4), question("b", when={"on": "left"}))
    told = [m for m in sent if isinstance(m, (Event, Ask, SourceFinished))]
    assert [type(m).__name__ for m in told] == ["Event", "Event", "Ask", "SourceFinished"]
    left, ask = told[1:3]
    assert isinstance(left, Event) and left.why["reason"] == "source_ended"
    assert isinstance(ask, Ask) and ask.question == "a" and len(ask.shots) == 3, "the last one was never taken"


def test_without_questions_a_file_asks_nothing(clip: Path, tmp_path: Path) -> None:
    assert not [m for m in played(clip, tmp_path) if isinstance(m, Ask)]


class Frames:
    """A source of given frames."""

    live = False

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = [*frames]

    def open(self) -> None:
        pass

    def read(self, wants: Callable[[Frame], bool] = lambda _: True) -> Frame:
        while self._frames:
            if wants(frame := self._frames.pop(0)):
                return frame
        raise SourceEnded("no more")

    def close(self) -> None:
        pass


def test_neither_damaged_frames_nor_those_beyond_the_cap_are_asked_about(tmp_path: Path) -> None:
    questions = [question("often", when={"on": "interval", "interval": 1}, frames=4)]
    camera = camera_from({"source": "clip.mp4", "detect": False, "fps": 1, "questions": questions})
    runner, uplink = file_runner(camera, tmp_path)
    given = [frame_of(walls(), time=n / 10, captured=EPOCH + n / 10, corrupt=20 <= n <= 40) for n in range(200)]
    runner.open_source = lambda: Frames(given)  # type: ignore[method-assign,assignment,return-value]
    runner.run()
    shown = {time for ask in asks(uplink) for time in taken(ask)}
    assert len(shown) >= 15 and not shown & {n / 10 for n in range(20, 41)}
    assert len(shown) <= 20, "one in a second"


# Wishes


class Rig:
    """A file's runner that is given frames by hand."""

    def __init__(self, folder: Path, *questions: dict[str, Any]) -> None:
        self.runner, self.uplink = file_runner(self.configured(*questions), folder)
        self._media = 0.0

    @staticmethod
    def configured(*questions: dict[str, Any]) -> CameraConfig:
        return camera_from({"source": "clip.mp4", "detect": False, "questions": [*questions]})

    def frame(self) -> None:
        self._media += 1.0
        frame = frame_of(walls(), time=self._media, captured=EPOCH + self._media)
        self.runner.deliver(self.runner.watch.step(frame))
        self.runner.see(frame)

    def wish(self, *wishes: object) -> list[Ask]:
        self.uplink.sent.clear()
        for wish in wishes:
            self.uplink.wishes.put(wish)
        self.runner.serve()
        return asks(self.uplink)


def test_a_question_that_is_wished_for_is_asked_about_the_latest_frame(tmp_path: Path) -> None:
    rig = Rig(tmp_path, question("gate", when={"on": "command"}))
    rig.runner.tell_status(True)
    rig.frame()
    rig.frame()
    named, sent = rig.wish(Inquire("gate"), Inquire(AD_HOC, "Is it raining?"))
    assert (named.question, named.text, sent.question, sent.text) == ("gate", "", AD_HOC, "Is it raining?")
    assert taken(named) == taken(sent) == [2.0] and named.id != sent.id
    assert named.on == sent.on == "command"


def test_nothing_is_asked_before_the_first_frame_or_while_the_source_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path)
    rig.runner.tell_status(True)
    assert rig.wish(Inquire(AD_HOC, "Is it raining?")) == []
    rig.frame()
    rig.runner.tell_status(False, "cable")
    assert rig.wish(Inquire(AD_HOC, "Is it raining?")) == []
    assert caplog.text.count("nothing can be asked: there is no picture at the moment") == 2


def test_other_questions_take_effect_while_it_runs_and_the_wishes_keep_their_order(tmp_path: Path) -> None:
    rig = Rig(tmp_path, question("a"))
    rig.runner.tell_status(True)
    rig.frame()
    other = rig.configured(question("b", when={"on": "interval", "interval": 5}))
    assert [ask.question for ask in rig.wish(Inquire("a"), Adjust(other), Inquire("a"), Inquire("b"))] == ["a", "b"]
    rig.uplink.sent.clear()
    for _ in range(11):
        rig.frame()
    assert [(ask.on, taken(ask)) for ask in asks(rig.uplink)] == [("interval", [6.0]), ("interval", [11.0])]
    rig.wish(Adjust(rig.configured()))
    for _ in range(11):
        rig.frame()
    assert asks(rig.uplink) == []


# A live camera


class Live:
    """A live camera's runner that is given frames and events by hand, with a detail thread that is turned by hand."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *questions: dict[str, Any],
                 detail: bool = True) -> None:  # fmt: skip
        self.time = Time()
        monkeypatch.setattr(camera_module, "time", self.time)
        camera = camera_from({"source": "rtsp://127.0.0.1:1/none", "detect": False, "questions": [*questions],
                              "objects": {"track": ["person", "car"]},
                              **({"detail": "rtsp://127.0.0.1:1/large"} if detail else {})})  # fmt: skip
        watch = CameraWatch("porch", camera, lambda captured, _media, what: f"{what}@{captured:.3f}", CHOICE)
        self.uplink = Kept()
        job = CameraJob("porch", camera, CHOICE, folder, True, "info")
        self.runner = LiveRunner(job, watch, self.uplink, threading.Event())  # type: ignore[arg-type]
        self.runner._mailbox = Mailbox()
        self.opened = 0
        if detail:
            self.thread = DetailThread(self._open, self.runner._mailbox.put, threading.Event(), FakeClock())
            self.runner._detail = self.thread
        self._take(SourceOnline())

    def _open(self) -> Any:
        self.opened += 1
        return Frames([frame_of(LARGE, captured=self._now())])

    def _take(self, news: Any) -> None:
        self.runner._take_news(news)

    def _now(self) -> float:
        return EPOCH + self.time.now - Time.now

    def shown(self) -> Frame:
        return frame_of(SMALL, time=self.time.now, captured=self._now())

    def frames(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.time.now += 0.1
            self.runner._take_frame(self.shown())

    def confirm(self, kind: str, snapshot: str | None = None, **keys: Any) -> Event:
        found = Event(f"{kind}@{self._now():.3f}", kind, "porch", iso_time(self._now()), label="person",  # type: ignore[arg-type]
                      track_id=1, box=(80, 60, 240, 230), frame_size=(WIDTH, HEIGHT), snapshot=snapshot,
                      why={"reason": "gone"}, dwell=5.0, confidence=0.9)  # fmt: skip
        found = replace(found, **keys)
        self.runner.deliver([Outcome(found, self.shown(), 0.0)])
        return found

    def fetch(self) -> None:
        """Let the detail thread serve who waits, and the gate thread take the pictures."""
        if self.thread._waiting:
            self.thread.serve()
        while (news := self.runner._mailbox.take(0.0)) is not None:
            self._take(news)

    def lose(self) -> None:
        self._take(SourceOffline("cable"))

    def pictures(self) -> list[str]:
        return [message.path for message in self.uplink.sent if isinstance(message, Picture)]


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Live]:
    return lambda *questions, **keys: Live(tmp_path, monkeypatch, *questions, **keys)


def test_a_live_question_waits_for_the_large_picture_of_its_event(live: Callable[..., Live]) -> None:
    rig = live(question("who"))
    rig.frames(1.0)
    event = rig.confirm("entered", "porch/a.jpg")
    assert asks(rig.uplink) == [] and rig.pictures() == ["porch/a.jpg"]
    rig.frames(1.0)
    rig.fetch()
    (ask,) = asks(rig.uplink)
    assert ask.event_id == event.id and taken(ask) == [2.0] and ask.shots[0].width == 768
    assert rig.pictures() == ["porch/a.jpg"] * 2 and rig.opened == 1, "one picture serves both"


def test_a_picture_is_fetched_for_a_question_also_where_there_is_no_snapshot(live: Callable[..., Live]) -> None:
    rig = live(question("parcel", when={"on": "left"}))
    rig.frames(1.0)
    rig.confirm("left")
    rig.fetch()
    (ask,) = asks(rig.uplink)
    assert ask.shots[0].width == 768 and rig.pictures() == []


def test_who_has_stayed_gets_a_large_picture_of_then_and_their_snapshot_stays(
    live: Callable[..., Live], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = live(question("who", when={"min_dwell": 30}))
    monkeypatch.setattr(rig.runner.watch, "present", lambda: [Present(1, "person", (0.2, 0.2, 0.8, 0.9))])
    rig.frames(1.0)
    rig.confirm("entered", "porch/a.jpg")
    rig.fetch()
    assert rig.pictures() == ["porch/a.jpg"] * 2
    rig.frames(30.1)
    rig.fetch()
    (ask,) = asks(rig.uplink)
    assert ask.shots[0].width == 768 and taken(ask)[0] >= 31
    assert rig.pictures() == ["porch/a.jpg"] * 2, "it shows who came, not who has stayed"
    assert rig.opened == 2


def test_no_picture_is_fetched_where_nobody_wants_one(live: Callable[..., Live]) -> None:
    rig = live(question("who", when={"on": ["entered", "scene_changed"], "labels": ["car"]}, answer="yes_no"))
    rig.confirm("left")
    rig.confirm("entered")
    rig.confirm("scene_changed", label=None, box=None, frame_size=None)
    rig.fetch()
    assert rig.opened == 0
    assert [ask.on for ask in asks(rig.uplink)] == ["scene_changed"], "which waits for none"


def test_without_a_large_picture_the_small_one_is_asked_about(live: Callable[..., Live]) -> None:
    rig = live(question("who"))
    rig.frames(1.0)
    rig.confirm("entered")
    rig.frames(DETAIL_WAIT_S - 0.2)
    assert asks(rig.uplink) == []
    rig.frames(0.4)
    (ask,) = asks(rig.uplink)
    assert taken(ask) == [1.0] and ask.shots[0].width == WIDTH
    rig.fetch()
    assert len(asks(rig.uplink)) == 1


def test_without_a_detail_stream_nothing_waits_for_one(live: Callable[..., Live]) -> None:
    rig = live(question("who"), detail=False)
    rig.confirm("entered", "porch/a.jpg")
    assert len(asks(rig.uplink)) == 1


def test_what_is_planned_when_the_source_is_lost_is_asked_after_the_news_of_it(live: Callable[..., Live]) -> None:
    rig = live(question("who", frames=4))
    rig.frames(5.0)
    rig.confirm("entered")
    rig.frames(2.5)
    rig.uplink.sent.clear()
    rig.lose()
    told = [m for m in rig.uplink.sent if isinstance(m, (Event, Ask))]
    assert [m.event_type if isinstance(m, Event) else m.question for m in told] == ["source_lost", "who"]
    (ask,) = asks(rig.uplink)
    assert len(ask.shots) == 3 and ask.main == 1


def test_frames_that_are_too_old_are_not_asked_about(live: Callable[..., Live]) -> None:
    rig = live(question("often", when={"on": "interval", "interval": 1}))
    rig.runner._take_frame(frame_of(SMALL, time=rig.time.now - 5.0, captured=EPOCH))
    rig.runner._take_frame(frame_of(SMALL, time=rig.time.now, captured=EPOCH, corrupt=True))
    assert asks(rig.uplink) == []
    rig.frames(1.0)
    assert len(asks(rig.uplink)) == 1


def test_the_state_follows_what_was_asked(live: Callable[..., Live]) -> None:
    rig = live(question("who"), detail=False)
    rig.confirm("entered", "porch/a.jpg")
    kinds = [type(m) for m in rig.uplink.sent if isinstance(m, (Event, Picture, Ask, CameraState))]
    assert kinds == [Event, Picture, Ask, CameraState]


# The pipe


@pytest.fixture
def pipe(tmp_path: Path) -> Any:
    spool = Spool(tmp_path / "spool")
    spool.create()
    hub, camera = multiprocessing.Pipe()
    uplink = Uplink(camera, threading.Event(), spool)
    uplink.start()
    yield hub, uplink
    hub.close()
    camera.close()


def asked(number: int, size: int = 0) -> Ask:
    return Ask(f"{number:04d}", "parcel", "left", iso_time(EPOCH), shots=(Shot(bytes(size), 8, 8, EPOCH),))


def test_questions_count_as_pictures_for_a_stalled_hub(pipe: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Each is larger than the pipe, so the first one blocks until the hub reads again."""
    hub, uplink = pipe
    for number in range(MAX_PICTURES + 3):
        uplink.picture(asked(number, 1_000_000))
    dropped = [r.getMessage() for r in caplog.records]
    assert dropped == ["the hub is slow: the question parcel is dropped"] * 3
    for number in range(MAX_PICTURES):
        assert hub.poll(PATIENCE_S) and hub.recv() == asked(number, 1_000_000)
    wait_until(lambda: not any(uplink._pictures.values()))
    uplink.picture(asked(99))
    assert hub.poll(PATIENCE_S) and hub.recv() == asked(99)


def test_what_the_hub_wants_to_know_arrives_in_order(pipe: Any) -> None:
    hub, uplink = pipe
    wishes = [Inquire("parcel"), Adjust(Rig.configured()), Inquire(AD_HOC, "Is it raining?")]
    for wish in wishes:
        hub.send(wish)
    wait_until(lambda: uplink.wishes.qsize() == 3)
    assert [uplink.wishes.get() for _ in wishes] == wishes
