"""The plan of clips: one for a visit, two for a long one, and none for what nobody saw."""

from __future__ import annotations

from dataclasses import replace

import pytest

from soteirad.config.clips import ClipsConfig
from soteirad.event import Event
from soteirad.video.clip_plan import ClipEnd, ClipOrder, ClipPlan

SETTINGS = ClipsConfig(enabled=True, before=5.0, after=5.0, max=60.0)
ENTERED = Event("01A", "entered", "porch", "2027-01-15T23:59:59.000Z", label="person", track_id=7, zones=("door",))
LEFT = replace(ENTERED, id="01B", event_type="left", time="2027-01-16T00:00:20.000Z", why={"reason": "gone"})
PATH = "porch/2027-01-15/01A.mp4"


def test_a_visit_has_one_clip_from_before_the_entry_to_after_the_departure() -> None:
    plan = ClipPlan(SETTINGS)
    event, order = plan.see(ENTERED, 100.0)
    assert isinstance(order, ClipOrder) and event.clip == order.path == PATH
    assert (order.begins, order.ends, order.moment) == (95.0, 155.0, 100.0)
    assert order.note["id"] == "01A" and [*order.note["zones"]] == ["door"] and "confirmed" not in order.note
    event, end = plan.see(LEFT, 121.0)
    assert event.clip == PATH and end == ClipEnd(PATH, 126.0)


def test_a_departure_after_the_end_of_the_clip_has_one_of_its_own() -> None:
    plan = ClipPlan(SETTINGS)
    plan.see(ENTERED, 100.0)
    event, order = plan.see(LEFT, 150.5)
    assert isinstance(order, ClipOrder) and event.clip == order.path == "porch/2027-01-16/01B.mp4"
    assert (order.begins, order.ends) == (145.5, 155.5)


@pytest.mark.parametrize("reason", ["view_changed", "source_ended", None])
def test_the_end_of_a_watch_is_no_departure_with_a_clip(reason: str | None) -> None:
    plan = ClipPlan(SETTINGS)
    plan.see(ENTERED, 100.0)
    event, order = plan.see(replace(LEFT, why={"reason": reason}), 300.0)
    assert event.clip is None and order is None


def test_events_without_a_visit_have_no_clip() -> None:
    plan = ClipPlan(SETTINGS)
    for event in (replace(ENTERED, track_id=None), replace(ENTERED, event_type="view_changed")):
        assert plan.see(event, 100.0) == (event, None)


def test_each_visit_is_known_by_its_track() -> None:
    plan = ClipPlan(SETTINGS)
    plan.see(ENTERED, 100.0)
    plan.see(replace(ENTERED, id="01C", track_id=8), 101.0)
    event, end = plan.see(replace(LEFT, track_id=8), 110.0)
    assert event.clip == "porch/2027-01-15/01C.mp4" and isinstance(end, ClipEnd)
    event, end = plan.see(LEFT, 111.0)
    assert event.clip == PATH
    _, order = plan.see(LEFT, 112.0)
    assert isinstance(order, ClipOrder), "a visit ends once"
