"""Reports: visits become events in pixels and wall-clock time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from soteirad.event import epoch_time
from soteirad.gates.objects import Zone
from soteirad.report import Reporter, snapshot_path
from soteirad.track.tracker import Visit
from tests.capture.made import frame_of

NAMES = ("person", "car")
STEP = Zone("step", (0.0, 0.5, 1.0, 0.5, 1.0, 1.0, 0.0, 1.0))
CARS_ONLY = Zone("drive", (0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0), frozenset({"car"}))
PICTURE = np.zeros((360, 640, 3), np.uint8)
CAPTURED = 1_800_000_000.0
FRAME = frame_of(PICTURE, time=20.0, captured=CAPTURED)


def make_id(captured: float, media_time: float, what: str) -> str:
    return f"{captured:.3f}|{media_time:.3f}|{what}"


def reporter(**options: Any) -> Reporter:
    return Reporter("porch", NAMES, [STEP, CARS_ONLY], make_id, **options)


def visit(**values: Any) -> Visit:
    fields: dict[str, Any] = {
        "kind": "entered", "track_id": 7, "class_index": 0, "box": (0.25, 0.5, 0.5, 0.75), "score": 0.87654,
        "time": 20.0, "dwell": 0.2, "reason": "confirmed",
    }  # fmt: skip
    return Visit(**{**fields, **values})


def test_an_entry_is_told_with_label_box_in_pixels_zones_and_evidence() -> None:
    event = reporter().visit(visit(), FRAME, {"trigger": "motion"}, {"total": 39.26})
    assert (event.event_type, event.camera, event.label, event.track_id) == ("entered", "porch", "person", 7)
    assert event.box == (160, 180, 320, 270)
    assert event.frame_size == (640, 360)
    assert event.zones == ("step",)
    assert event.confidence == 0.877
    assert event.why == {"trigger": "motion", "reason": "confirmed"}
    assert event.latency_ms == {"total": 39.3}
    assert (event.dwell, event.media_time, event.snapshot, event.confirmed) == (None, None, None, None)


def test_a_departure_is_told_at_the_time_of_the_last_sight_with_the_dwell_and_when_it_was_sure() -> None:
    event = reporter().visit(visit(kind="left", time=16.0, dwell=12.3456, reason="gone"), FRAME, {}, {"total": 1.0})
    assert epoch_time(event.time) == CAPTURED - 4.0
    assert event.confirmed is not None
    assert epoch_time(event.confirmed) == CAPTURED
    assert event.dwell == 12.346
    assert event.latency_ms == {}
    assert event.why == {"reason": "gone"}


@pytest.mark.parametrize(("rate", "seconds"), [(1.0, 4.0), (2.0, 2.0), (10.0, 0.4), (0.5, 8.0)])
def test_media_seconds_pass_faster_than_the_clock_when_a_file_is_played_fast(rate: float, seconds: float) -> None:
    event = reporter(rate=rate).visit(visit(kind="left", time=16.0), FRAME, {}, {})
    assert epoch_time(event.time) == pytest.approx(CAPTURED - seconds, abs=0.001)


def test_a_box_that_reaches_out_of_the_frame_is_cut_to_it() -> None:
    event = reporter().visit(visit(box=(-0.1, -0.2, 1.1, 1.3)), FRAME, {}, {})
    assert event.box == (0, 0, 640, 360)


def test_a_zone_for_other_labels_counts_only_those() -> None:
    assert reporter().visit(visit(class_index=1), FRAME, {}, {}).zones == ("step", "drive")


def test_files_tell_the_media_time_and_cameras_do_not() -> None:
    assert reporter(show_media_time=True).visit(visit(time=19.98765), FRAME, {}, {}).media_time == 19.988
    assert reporter().visit(visit(), FRAME, {}, {}).media_time is None


def test_the_id_is_made_of_the_events_own_time_and_track() -> None:
    event = reporter().visit(visit(kind="left", time=16.0), FRAME, {}, {})
    assert event.id == f"{CAPTURED - 4:.3f}|16.000|left:7"


def test_a_snapshot_lies_under_its_camera_and_utc_day_and_has_the_events_id() -> None:
    assert snapshot_path("porch", CAPTURED, "01ABC") == "porch/2027-01-15/01ABC.jpg"
    event = reporter().visit(visit(), FRAME, {}, {}, snapshot=True)
    assert event.snapshot == f"porch/2027-01-15/{event.id}.jpg"


def test_an_event_about_the_camera_has_neither_label_nor_box() -> None:
    event = reporter(show_media_time=True).camera_event("scene_changed", CAPTURED, 20.0, {"closed_tracks": [1]})
    assert (event.event_type, event.label, event.box, event.media_time) == ("scene_changed", None, None, 20.0)
    assert event.why == {"closed_tracks": [1]}
    assert event.snapshot is None


def test_an_event_about_the_camera_may_have_a_picture() -> None:
    event = reporter().camera_event("scene_changed", CAPTURED, 20.0, {}, snapshot=True)
    assert event.snapshot == snapshot_path("porch", CAPTURED, event.id)
    assert epoch_time(event.time) == CAPTURED
