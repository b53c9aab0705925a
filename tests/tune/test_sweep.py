"""The sweep: what it reports with any settings is what a replay with them reports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from soteirad.assembly import model_card, pipeline_settings
from soteirad.config import CameraConfig
from soteirad.event import Event
from soteirad.report import Reporter
from soteirad.tools.replay import Replay, replay
from soteirad.tune.sweep import Ran, sweep
from tests import clips
from tests.shared_data import shared
from tests.tune.made import Measured

Sections = dict[str, dict[str, Any]]

VARIED: list[Sections] = [
    {},
    {"motion": {"threshold": 0.08}, "objects": {"stride": 8}},
    {"motion": {"threshold": 0.004}, "objects": {"stride": 1, "still_interval": 1.0}},
    {"scene": {"distance": 0.03, "ssim": 0.97, "interval": 0.3}},
    {"scene": {"distance": 0.9, "ssim": 0.1, "interval": 7.0}, "objects": {"still_interval": 60.0}},
    {"objects": {"min_score": 0.7}, "motion": {"threshold": 0.3}},
]


def with_sections(camera: CameraConfig, sections: Sections) -> CameraConfig:
    changed = {name: getattr(camera, name).model_copy(update=keys) for name, keys in sections.items()}
    return camera.model_copy(update=changed)


def reported(result: Replay) -> list[tuple[Any, ...]]:
    """The visits of a replay; a changed view ends visits without an event of their own."""
    return [row(e) for e in result.events if e.label is not None]


def row(e: Event) -> tuple[Any, ...]:
    assert e.box is not None and e.frame_size is not None
    place = [round(v / side, 2) for v, side in zip(e.box, e.frame_size * 2, strict=True)]
    return e.event_type, e.track_id, e.label, e.media_time, e.confidence, place, e.dwell, e.why["reason"]


def visits(ran: Ran, measured: Measured, size: tuple[int, int] | None = None) -> list[tuple[Any, ...]]:
    """The same of a sweep, through the reporter of a camera."""
    width, height = size or measured.recording.facts.frame_size
    frame = type("Frame", (), {"captured": 0.0, "time": 0.0, "width": width, "height": height})()
    reporter = Reporter("clip", model_card(measured.camera).class_names, (), lambda *_: "id", 1.0, True)
    return [row(reporter.visit(v, frame, {}, {})) for v in ran.visits]


def swept(measured: Measured, *varied: Sections, every_frame: bool = False, traced: bool = False) -> list[Ran]:
    card = model_card(measured.camera)
    settings = [pipeline_settings(with_sections(measured.camera, v), card, every_frame) for v in varied]
    return sweep(measured.recording, settings, range(len(varied)) if traced else ())


def assert_equal_to_replays(measured: Measured, varied: list[Sections],
                            size: tuple[int, int] | None = None) -> list[Ran]:  # fmt: skip
    runs = swept(measured, *varied, traced=True)
    for sections, ran in zip(varied, runs, strict=True):
        result = replay("clip", with_sections(measured.camera, sections))
        assert visits(ran, measured, size) == reported(result), sections
        counted = result.summary
        assert (ran.frames, ran.analysed, ran.looks) == tuple(
            counted[key] for key in ("frames", "analysed", "detector_runs")
        ), sections
        assert ran.trace is not None
        reasons = [why for _, why in ran.trace.looks]
        assert {why: reasons.count(why) for why in reasons} == counted["looks"], sections
        assert ran.views == [e.event_type for e in result.events].count("scene_changed"), sections
    return runs


def test_visits_and_looks_are_those_of_a_replay_for_any_settings(visit: Measured) -> None:
    runs = assert_equal_to_replays(visit, VARIED)
    assert len({ran.looks for ran in runs}) > 3, "the settings make a difference"


def moved(picture: np.ndarray, time: float) -> np.ndarray:
    """The camera is turned aside at 1 s, and back at 6.5 s."""
    height, width = picture.shape[:2]
    across = 0.3 * width if 1.0 <= time < 6.5 else 0.0
    move = np.array([[1, 0, across], [0, 1, across / 4]], np.float64)
    return np.asarray(cv2.warpAffine(picture, move, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8)


def test_a_camera_that_is_moved_makes_no_difference(
    tmp_path: Path, measure: Callable[[Path], Measured]
) -> None:
    clip = clips.altered(tmp_path / "moved.mp4", ((3.0, 12.0),), moved)
    runs = assert_equal_to_replays(measure(clip), [VARIED[0], VARIED[3]])
    assert all(ran.views == 1 for ran in runs)


def test_pictures_of_another_size_make_no_difference(tmp_path: Path, measure: Callable[[Path], Measured]) -> None:
    clip = clips.two_sizes(tmp_path / "sizes.ts", ((4.5, 8.5),), (320, 180), after=0.5)
    assert_equal_to_replays(measure(clip), [VARIED[0], VARIED[3]], (320, 180))


@pytest.mark.parametrize("name", ["TUD-Stadtmitte.mp4", "brightness_change.avi"])
def test_it_is_so_on_busy_streets_and_in_floods_of_light(name: str, measure: Callable[[Path], Measured]) -> None:
    assert_equal_to_replays(measure(shared(f"clips/{name}")), VARIED[3:4])


def test_settings_in_company_report_what_they_report_alone(visit: Measured) -> None:
    assert [swept(visit, v)[0] for v in VARIED[1:4]] == swept(visit, *VARIED)[1:4]


def test_the_reference_is_a_replay_of_every_frame_and_knows_where_an_object_was(visit: Measured) -> None:
    [ran] = swept(visit, {}, every_frame=True)
    assert visits(ran, visit) == reported(replay("clip", visit.camera, every_frame=True))
    assert ran.looks == ran.analysed
    [seen] = [s for s in ran.seen if s.kind == "entered"]
    times = [time for time, _ in seen.path]
    assert times == sorted(times) and len(times) > 25 and times[0] == seen.time


def test_a_trace_tells_what_each_frame_showed(visit: Measured) -> None:
    [ran] = swept(visit, {}, traced=True)
    assert ran.trace is not None
    assert len(ran.trace.motion) == ran.analysed and len(ran.trace.scene) == ran.scene_runs
    assert max(ran.trace.motion) > 0.02 and ran.trace.looks[0] == (0, "start")


def test_settings_that_measure_otherwise_are_refused(visit: Measured) -> None:
    with pytest.raises(ValueError, match="thresholds only"):
        swept(visit, {}, {"motion": {"history": 100}})


def test_frames_that_were_not_recorded_are_no_frames_to_go_by(visit: Measured) -> None:
    settings = pipeline_settings(visit.camera.model_copy(update={"fps": 7.0}), model_card(visit.camera))
    with pytest.raises((ValueError, IndexError)):
        assert sweep(visit.recording, [settings])[0].analysed != visit.recording.analysed.size
        raise ValueError("fewer frames were wanted, and those were there")
