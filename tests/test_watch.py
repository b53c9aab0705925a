"""The watch on real pictures, with the real detector: what is told of a camera that is covered, turned or blurred.

The pictures are the demo clip's, enlarged, so that a camera can turn in them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from soteirad.config import CameraConfig
from soteirad.config.schema import camera_from
from soteirad.detect.choice import Choice
from soteirad.detect.detection import Detections
from soteirad.detect.detector import REFERENCE
from soteirad.event import Event, replay_id
from soteirad.watch import CameraWatch, LookResult
from tests.capture.made import frame_of
from tests.shared_data import DEMO

Picture = NDArray[np.uint8]
Change = Callable[[int, Picture], Picture]
"""(frame number, wide picture of 960x540) -> what the camera sees, 640x360."""

SIZE = (640, 360)
STANDS = 150
"""The frame of the clip from which on a person stands still, for 14 s."""
START, END, FRAMES = 40, 120, 200
"""The frames at which something happens to the camera and is undone again."""


@cache
def wide_pictures() -> list[Picture]:
    """Return ten seconds of the clip, in which somebody stands still."""
    with av.open(str(DEMO)) as container:
        frames = [f.to_ndarray(format="bgr24") for i, f in enumerate(container.decode(video=0)) if i < STANDS + 100]
    return [cv2.resize(f, (960, 540), interpolation=cv2.INTER_AREA) for f in frames[STANDS:]]


def seen_from(picture: Picture, x: float = 100.0, y: float = 100.0) -> Picture:
    return cv2.warpAffine(picture, np.array([[1, 0, -x], [0, 1, -y]]), SIZE)


def share(i: int, frames: int) -> float:
    """Return how far something is that takes `frames` from START on and as many from END on to be undone, 0-1."""
    return float(np.clip((i - START) / frames, 0, 1) * (1 - np.clip((i - END) / frames, 0, 1)))


def turned(i: int, picture: Picture) -> Picture:
    return seen_from(picture, 0 + 300 * share(i, 30))


def knocked(i: int, picture: Picture) -> Picture:
    return seen_from(picture, 100 + 64 * share(i, 1))


def covered(i: int, picture: Picture) -> Picture:
    """A dark cloth, much too near to be sharp, is drawn over the lens."""
    if share(i, 6) == 0:
        return seen_from(picture)
    cloth = drawn(int(1.3 * SIZE[0] * share(i, 6)))
    dim = noise(i, 2, 3) + np.array([30, 35, 60], np.float32)
    return np.clip(seen_from(picture) * (1 - cloth) + dim * cloth, 0, 255).astype(np.uint8)


@cache
def drawn(width: int) -> NDArray[np.float32]:
    """Return how much of each pixel a cloth covers, 0-1, that is drawn over `width` pixels."""
    cloth = np.zeros(SIZE[::-1], np.float32)
    cloth[:, :width] = 1
    return np.asarray(cv2.GaussianBlur(cloth, (0, 0), 30), np.float32)[..., None]


@cache
def noises() -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(0, 1, (SIZE[1] + 100, SIZE[0] + 100, 3)).astype(np.float32)


def noise(i: int, strength: float, channels: int) -> NDArray[np.float32]:
    """Return noise that no other of the pictures has: parts of one field."""
    x, y = i * 37 % 100, i * 61 % 100
    return strength * noises()[y : y + SIZE[1], x : x + SIZE[0], :channels]


def defocused(i: int, picture: Picture) -> Picture:
    sigma = 15 * share(i, 20)
    return cv2.GaussianBlur(seen_from(picture), (0, 0), sigma) if sigma > 0.3 else seen_from(picture)


def lit_by_infrared(i: int, picture: Picture) -> Picture:
    if not START <= i < END:
        return seen_from(picture)
    grey = cv2.cvtColor(seen_from(picture), cv2.COLOR_BGR2GRAY).astype(np.float32)
    exposure = max(1.0, 1.8 - (i - START) * 0.1)
    noisy = (grey * 0.7 + 10) * exposure + noise(i, 4, 1)[..., 0]
    return cv2.merge([np.clip(noisy, 0, 255).astype(np.uint8)] * 3)


@dataclass(frozen=True)
class Watched:
    """What came of each frame: its events; the different view states in order; how often the detector had run."""

    by_frame: tuple[tuple[Event, ...], ...]
    states: list[dict[str, object]]
    looks: tuple[int, ...]

    def events(self, before: int = FRAMES) -> list[Event]:
        """Return the events of the frames `before` one."""
        return [event for events in self.by_frame[:before] for event in events]


@cache
def run(change: Change) -> Watched:
    """Watch what happens to a camera, once for all tests: all run the same detector on the same pictures."""
    camera = camera_from({"source": str(DEMO), "speed": "max", "detector": {"backend": "onnx"}})
    watch = CameraWatch("porch", camera, lambda _, media, what: replay_id("clip", media, what),
                        Choice(REFERENCE, 0.0, None, ()))  # fmt: skip
    watch.load()
    by_frame: list[tuple[Event, ...]] = []
    states: list[dict[str, object]] = []
    looks: list[int] = []
    pictures = wide_pictures()
    for i in range(FRAMES):
        frame = frame_of(change(i, pictures[i % len(pictures)]), time=i / 10, captured=1_800_000_000.0 + i / 10)
        by_frame.append(tuple(o.event for o in watch.step(frame)))
        view = watch.state()["view"]
        states += [view] if not states or states[-1] != view else []
        looks.append(watch.pipeline.counters.detector_runs)
    watch.close()
    return Watched(tuple(by_frame), states, tuple(looks))


UNDONE = [(covered, "covered"), (defocused, "defocused"), (turned, "moved"), (knocked, "moved")]


@pytest.mark.slow
@pytest.mark.parametrize(("change", "seen"), UNDONE)
def test_what_happens_to_a_camera_is_told_once_and_nobody_comes_or_goes(change: Change, seen: str) -> None:
    events, states = run(change).events(), run(change).states
    told = [e for e in events if e.event_type == "scene_changed"]
    assert [e.why["seen"] for e in told] == [seen]
    assert "entered" not in [e.event_type for e in events]
    assert {e.why["reason"] for e in events if e.event_type == "left"} <= {"scene_changed"}
    normal: dict[str, object] = {"changed": False, "seen": None}
    assert states == [normal, {"changed": True, "seen": seen}, normal]


@pytest.mark.slow
@pytest.mark.parametrize(("change", "seen"), UNDONE)
def test_who_was_there_is_present_again_when_the_old_view_is_back(change: Change, seen: str) -> None:
    events = run(change).events()
    kinds = [e.event_type for e in events]
    assert kinds[0] == "present"
    after = [e for e in events if e.media_time is not None and e.media_time >= END / 10]
    assert [e.event_type for e in after if e.event_type != "left"] == ["present"]


@pytest.mark.slow
def test_a_changed_view_has_a_picture_and_ends_the_visits() -> None:
    present, told = run(covered).events(before=END)
    assert told.why["closed_tracks"] == [present.track_id]
    assert told.why["lost"] > 0.7
    assert told.snapshot == f"porch/{told.time[:10]}/{told.id}.jpg"


@pytest.mark.slow
def test_a_knocked_camera_says_how_far() -> None:
    told = next(e for e in run(knocked).events(before=END) if e.event_type == "scene_changed")
    assert told.why["shift"] == pytest.approx([-0.1, 0.0], abs=0.01)


@pytest.mark.slow
def test_a_covered_camera_does_not_run_its_detector() -> None:
    looks = run(covered).looks
    assert 0 < looks[START + 19] == looks[END - 1]


@pytest.mark.slow
def test_infrared_light_is_no_changed_view() -> None:
    watched = run(lit_by_infrared)
    assert [e.event_type for e in watched.events()] == ["present"]
    assert len(watched.states) == 1


class Certain:
    """A detector that sees one person in every picture."""

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        return width, height

    def detect(self, _picture: Picture) -> Detections:
        box = np.array([[0.4, 0.2, 0.6, 0.9]], np.float32)
        return Detections(box, np.array([0.8], np.float32), np.array([0]))


def camera(**settings: object) -> CameraConfig:
    return camera_from({"source": "clip.mp4", "speed": "max", **settings})


def certain_watch(**settings: object) -> CameraWatch:
    watch = CameraWatch("porch", camera(**settings), lambda _, media, what: replay_id("clip", media, what),
                        Choice(REFERENCE, 0.0, None, ()))  # fmt: skip
    watch._detector = Certain()  # type: ignore[assignment]
    return watch


STILL = np.random.default_rng(1).integers(0, 255, (90, 160, 3), np.uint8).repeat(2, 0).repeat(2, 1)


def play(watch: CameraWatch, start: float, end: float) -> list[Event]:
    frames = [frame_of(STILL, time=float(t), captured=1_800_000_000.0 + t) for t in np.arange(start, end, 0.1)]
    return [outcome.event for frame in frames for outcome in watch.step(frame)]


def told(events: list[Event]) -> list[tuple[str, object]]:
    return [(e.event_type, e.why.get("reason") if e.event_type == "left" else None) for e in events]


def test_detection_off_and_on_ends_visits_and_finds_who_is_there_present() -> None:
    watch = certain_watch()
    events = play(watch, 0, 3)
    off = [o.event for o in watch.adjust(camera(detect=False))]
    assert told(events + off) == [("present", None), ("left", "detection_off")]
    assert off[0].track_id == events[0].track_id and off[0].snapshot is None
    assert off[0].confirmed == "2027-01-15T08:00:02.900Z", "sure with the last frame, whenever they were last seen"
    state = watch.state()
    assert (state["detect"], state["objects"]["person"]) == (False, {"present": False, "count": 0})
    assert play(watch, 3, 10) == []
    assert watch.adjust(camera()) == []
    assert told(play(watch, 10, 13)) == [("present", None)] and watch.state()["detect"] is True


def test_the_state_tells_the_settings_that_were_adjusted() -> None:
    watch = certain_watch()
    assert watch.adjust(camera(motion={"threshold": 0.07}, objects={"min_score": 0.55})) == []
    state = watch.state()
    assert (state["motion_threshold"], state["min_score"]) == (0.07, 0.55)
    assert watch.pipeline.settings.motion_threshold == 0.07


def test_a_look_in_flight_when_detection_ends_confirms_nobody() -> None:
    watch = certain_watch()
    play(watch, 0, 0.15)
    frame = frame_of(STILL, time=0.2)
    assert watch.pipeline.wants(frame)
    analysis, _ = watch.analyse(frame)
    assert analysis.look is not None
    watch.pipeline.begin_look(analysis)
    result = watch.detect(analysis)
    watch.adjust(camera(detect=False))
    assert watch.conclude(result) == [] == watch.conclude(LookResult(analysis, None, 0.0, 0.0))
    assert watch.state()["objects"]["person"]["count"] == 0


def test_adjusting_before_the_first_frame_ends_nothing() -> None:
    watch = certain_watch()
    assert watch.adjust(camera(detect=False)) == [] == watch.adjust(camera())
    assert told(play(watch, 0, 3)) == [("present", None)]


def test_there_is_a_picture_of_the_last_frame_once_for_who_has_it_already() -> None:
    watch = certain_watch()
    assert watch.picture(640) is None
    play(watch, 0, 1)
    found = watch.picture(160)
    assert found is not None
    jpeg, taken = found
    assert taken == pytest.approx(0.9)
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (90, 160, 3)
    assert watch.picture(160, since=taken) is None
    assert watch.picture(160) == found
    play(watch, 1, 2)
    assert watch.picture(160, since=taken) is not None


def test_there_is_no_picture_from_before_the_source_was_lost() -> None:
    watch = certain_watch()
    play(watch, 0, 3)
    assert told([o.event for o in watch.end("source_lost")]) == [("left", "source_lost")]
    assert watch.picture(640) is None
    assert watch.adjust(camera(detect=False)) == []
    play(watch, 60, 61)
    assert watch.picture(640) is not None
