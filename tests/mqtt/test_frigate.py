"""Frigate's format: every field, whatever an event holds, and what automations read of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.event import EVENT_TYPES, Event, epoch_time, iso_time, new_id
from soteirad.mqtt.frigate import (
    available_topic,
    event_messages,
    frigate_id,
    label_topic,
    snapshot_topic,
    state_messages,
    topic_label,
    update_messages,
)
from soteirad.mqtt.topics import LATE_AFTER_S

T0 = 1_800_000_000.123
NUMBER, COUNT, LIST, PAIRS, TEXT, YES_NO, NULL = (int, float), (int,), (list,), (dict,), (str,), (bool,), (type(None),)
FIELDS: dict[str, tuple[type, ...]] = {
    # https://docs.frigate.video/integrations/mqtt, in its order
    "id": TEXT, "camera": TEXT, "frame_time": NUMBER, "snapshot": (*PAIRS, *NULL), "label": TEXT, "sub_label": NULL,
    "top_score": NUMBER, "false_positive": YES_NO, "start_time": NUMBER, "end_time": (*NUMBER, *NULL), "score": NUMBER,
    "box": LIST, "area": COUNT, "ratio": NUMBER, "region": LIST, "current_zones": LIST, "entered_zones": LIST,
    "thumbnail": NULL, "has_snapshot": YES_NO, "has_clip": YES_NO, "active": YES_NO, "stationary": YES_NO,
    "motionless_count": COUNT, "position_changes": COUNT, "attributes": PAIRS, "current_attributes": LIST,
    "current_estimated_speed": NUMBER, "average_estimated_speed": NUMBER, "velocity_angle": NUMBER,
    "recognized_license_plate": NULL, "recognized_license_plate_score": NULL,
    # not in the documentation, but in Frigate's messages
    "pending_loitering": YES_NO, "max_severity": NULL, "path_data": LIST,
}  # fmt: skip
SNAPSHOT_FIELDS = {"frame_time", "box", "area", "region", "score", "attributes", "current_estimated_speed",
                   "velocity_angle", "path_data", "recognized_license_plate",
                   "recognized_license_plate_score"}  # fmt: skip


def make(kind: str, at: float = T0, **more: Any) -> Event:
    fields: dict[str, Any] = {"label": "person", "track_id": 1, "confidence": 0.75, "box": (10, 20, 110, 220),
                              "frame_size": (640, 360), "zones": ("step",), "snapshot": "porch/d/x.jpg"}  # fmt: skip
    if kind == "left":
        fields |= {"snapshot": None, "confidence": 0.9, "box": (300, 20, 340, 100), "zones": ("lawn", "step"),
                   "confirmed": iso_time(at + 2)}  # fmt: skip
    if kind in ("scene_changed", "source_lost", "source_restored"):
        fields = {}
    return Event(id=new_id(at), event_type=kind, camera="porch", time=iso_time(at), **{**fields, **more})  # type: ignore[arg-type]


def one(messages: list[tuple[str, str]], prefix: str = "frigate") -> dict[str, Any]:
    ((topic, payload),) = messages
    assert topic == f"{prefix}/events"
    found = json.loads(payload)
    assert isinstance(found, dict) and set(found) == {"type", "before", "after"}
    return found


def all_messages() -> list[tuple[str, dict[str, Any]]]:
    opening = make("entered")
    return [
        ("new", one(event_messages(opening, [], "frigate", T0))),
        ("new", one(event_messages(make("present"), [], "frigate", T0))),
        ("update", one(update_messages(opening, "frigate", T0 + 3))),
        ("end", one(event_messages(make("left", T0 + 10), [opening], "frigate", T0 + 12))),
        ("end", one(event_messages(make("scene_changed", T0 + 9), [opening], "frigate", T0 + 10))),
    ]


def test_every_message_has_each_field_of_frigates_and_no_other_each_of_its_type() -> None:
    for kind, message in all_messages():
        assert message["type"] == kind
        for state in (message["before"], message["after"]):
            assert set(state) == set(FIELDS)
            for name, types in FIELDS.items():
                assert type(state[name]) in types, (kind, name, state[name])
            if state["snapshot"] is not None:
                assert set(state["snapshot"]) == SNAPSHOT_FIELDS


def test_new_update_and_end_of_one_visit_have_one_id_of_frigates_form() -> None:
    opening = make("entered")
    ids = {state["id"] for _, m in all_messages() for state in (m["before"], m["after"])}
    assert re.fullmatch(r"1800000000\.123000-[a-z0-9]{6}", frigate_id(opening))
    assert frigate_id(replace(opening, id=opening.id[:20] + "MXK4SC")) == "1800000000.123000-mxk4sc"
    assert len({i.partition("-")[0] for i in ids}) == 1
    end = one(event_messages(make("left", T0 + 10), [opening], "frigate", T0 + 12))
    assert end["before"]["id"] == end["after"]["id"] == frigate_id(opening)
    assert one(update_messages(opening, "frigate", T0))["after"]["id"] == frigate_id(opening)
    assert one(event_messages(opening, [], "frigate", T0))["after"]["id"] == frigate_id(opening)


def test_new_holds_what_is_known_of_the_object() -> None:
    message = one(event_messages(make("entered"), [], "house/frigate", T0 + 1), "house/frigate")
    after, before = message["after"], message["before"]
    assert {k: after[k] for k in ("camera", "label", "score", "top_score", "box", "area", "ratio", "region")} == {
        "camera": "porch", "label": "person", "score": 0.75, "top_score": 0.75, "box": [10, 20, 110, 220],
        "area": 20000, "ratio": 0.5, "region": [0, 0, 640, 360],
    }  # fmt: skip
    assert after["start_time"] == after["frame_time"] == T0 and after["end_time"] is None
    assert after["current_zones"] == after["entered_zones"] == ["step"]
    assert after["active"] and not after["stationary"] and not after["false_positive"]
    assert after["has_snapshot"] and not after["has_clip"]
    assert after["snapshot"]["frame_time"] == T0 and after["snapshot"]["box"] == after["box"]
    # Automations compare the two: so it came from nowhere.
    assert before["false_positive"] and before["entered_zones"] == [] and before["snapshot"] is None
    assert before["top_score"] == 0.0 and not before["has_snapshot"]


def test_who_was_there_already_is_stationary() -> None:
    after = one(event_messages(make("present"), [], "frigate", T0))["after"]
    assert after["stationary"] and not after["active"]


def test_end_holds_where_and_when_the_object_was_last_seen() -> None:
    message = one(event_messages(make("left", T0 + 10), [make("entered")], "frigate", T0 + 12))
    before, after = message["before"], message["after"]
    assert after["start_time"] == T0 and after["end_time"] == after["frame_time"] == T0 + 10
    assert after["box"] == [300, 20, 340, 100] and after["area"] == 3200 and after["ratio"] == 0.5
    assert after["score"] == after["top_score"] == 0.9
    assert after["current_zones"] == ["lawn", "step"] and after["entered_zones"] == ["step", "lawn"]
    assert after["has_snapshot"] and after["snapshot"]["box"] == [10, 20, 110, 220]
    assert before["end_time"] is None and before["box"] == [10, 20, 110, 220]


def test_the_best_score_of_a_visit_stays_its_top_score() -> None:
    after = one(event_messages(make("left", confidence=0.3), [make("entered")], "frigate", T0))["after"]
    assert (after["score"], after["top_score"]) == (0.3, 0.75)


def test_a_left_that_nobody_saw_ends_the_visit_as_it_was_known() -> None:
    """Such a `left` is written by the journal: no confidence, no dwell, and by an older one perhaps no box."""
    left = make("left", T0 + 10, confidence=None, box=None, frame_size=None, zones=(), confirmed=None)
    after = one(event_messages(left, [make("entered")], "frigate", T0 + 10))["after"]
    assert after["box"] == [10, 20, 110, 220] and after["score"] == 0.75 and after["end_time"] == T0 + 10


def test_an_end_is_never_before_the_start_when_the_clock_was_set_back() -> None:
    after = one(event_messages(make("left", T0 - 100), [make("entered")], "frigate", T0 - 98))["after"]
    assert after["end_time"] == after["start_time"] == T0


def test_a_changed_view_ends_all_visits_that_it_closed() -> None:
    openings = [make("entered", T0 + n, label=label) for n, label in enumerate(("person", "cat", "car"))]
    messages = event_messages(make("scene_changed", T0 + 9), openings, "frigate", T0 + 9)
    found = [json.loads(payload) for _, payload in messages]
    assert [m["type"] for m in found] == ["end"] * 3
    assert [m["after"]["id"] for m in found] == [frigate_id(o) for o in openings]
    assert {m["after"]["end_time"] for m in found} == {T0 + 9}


def test_a_visit_whose_track_id_came_again_ends_before_the_new_one_begins() -> None:
    old, new = make("entered"), make("entered", T0 + 50)
    found = [json.loads(payload) for _, payload in event_messages(new, [old], "frigate", T0 + 50)]
    assert [(m["type"], m["after"]["id"]) for m in found] == [("end", frigate_id(old)), ("new", frigate_id(new))]


@pytest.mark.parametrize("kind", ["left", "scene_changed", "source_lost", "source_restored", "recorded"])
def test_what_opens_and_closes_no_visit_gives_nothing(kind: str) -> None:
    assert event_messages(make(kind), [], "frigate", T0) == []


@pytest.mark.parametrize("kind", ["entered", "present", "left", "scene_changed"])
def test_a_late_event_gives_nothing(kind: str) -> None:
    event, openings = make(kind), [make("entered")] if kind in ("left", "scene_changed") else []
    sure = epoch_time(event.confirmed or event.time)
    assert event_messages(event, openings, "frigate", sure + LATE_AFTER_S)
    assert event_messages(event, openings, "frigate", sure + LATE_AFTER_S + 0.01) == []


def test_an_update_tells_of_a_newer_picture() -> None:
    message = one(update_messages(make("entered"), "frigate", T0 + 3))
    assert message["before"]["snapshot"]["frame_time"] == T0
    assert message["after"]["snapshot"]["frame_time"] == T0 + 3
    changed = {name for name in FIELDS if message["before"][name] != message["after"][name]}
    assert changed == {"snapshot"}


def test_what_automations_read_is_there() -> None:
    """The accesses that templates for Frigate's events typically make, as Python."""
    opening = make("entered")
    new = one(event_messages(opening, [], "frigate", T0))
    update = one(update_messages(opening, "frigate", T0 + 3))
    end = one(event_messages(make("left", T0 + 10), [opening], "frigate", T0 + 12))
    for m in (new, update, end):
        before, after = m["before"], m["after"]
        title = f"A {after['label'].title()} on the {after['camera'].replace('_', ' ').title()} camera"
        assert title == "A Person on the Porch camera"
        assert after["sub_label"] is None and (after["sub_label"] or ["", 0])[0] == ""
        assert f"{round(after['top_score'] * 100)}%" in ("75%", "90%")
        assert set(after["current_zones"]) & {"step"} and "road" not in after["entered_zones"]
        assert not after["stationary"] and not after["false_positive"]
        assert float(after["id"].split("-")[0]) == after["start_time"]
        assert all(v >= 0 for v in after["box"]) and len(after["box"]) == len(after["region"]) == 4
        assert after["attributes"].get("face") is None and before["attributes"] == {}
        assert len(after["current_attributes"]) == 0 and not after["has_clip"]
    entered = [set(m["after"]["entered_zones"]) - set(m["before"]["entered_zones"]) for m in (new, update, end)]
    assert entered == [{"step"}, set(), {"lawn"}]
    new_picture = [(m["before"]["snapshot"] or {}).get("frame_time") != m["after"]["snapshot"]["frame_time"]
                   for m in (new, update, end)]  # fmt: skip
    assert new_picture == [True, True, False]
    assert end["after"]["end_time"] - end["after"]["start_time"] == pytest.approx(10)


@pytest.mark.parametrize(
    ("label", "part"),
    [("person", "person"), ("a/b", "a_b"), ("c+#", "c__"), ("traffic light", "traffic light"), ("собака", "собака"),
     ("x\0\n", "x__"), ("all", "all_"), ("motion", "motion_"), ("/", "_")],
)  # fmt: skip
def test_a_label_becomes_one_part_of_a_topic(label: str, part: str) -> None:
    assert topic_label(label) == part
    assert label_topic("frigate", "porch", label) == f"frigate/porch/{part}"
    assert snapshot_topic("frigate", "porch", label) == f"frigate/porch/{part}/snapshot"


def test_the_label_in_a_payload_stays_as_it_is() -> None:
    assert one(event_messages(make("entered", label="a/b"), [], "frigate", T0))["after"]["label"] == "a/b"


def test_state_gives_counts_their_sum_and_motion() -> None:
    state = {"motion": True, "enabled": True, "objects": {
        "person": {"present": True, "count": 2}, "cat": {"present": False, "count": 0},
        "a/b": {"present": True, "count": 1}, "a+b": {"present": True, "count": 3},
    }}  # fmt: skip
    assert state_messages("porch", state, "frigate") == [
        ("frigate/porch/person", "2"), ("frigate/porch/cat", "0"), ("frigate/porch/a_b", "4"),
        ("frigate/porch/all", "6"), ("frigate/porch/motion", "ON"),
    ]  # fmt: skip
    assert state_messages("porch", {}, "x") == [("x/porch/all", "0"), ("x/porch/motion", "OFF")]
    assert available_topic("x") == "x/available"


boxes = st.tuples(*[st.integers(0, 4000)] * 4)
events = st.builds(
    Event,
    id=st.floats(0, 4e9).map(new_id),
    event_type=st.sampled_from(EVENT_TYPES),
    camera=st.sampled_from(["porch", "yard"]),
    time=st.floats(0, 4e9).map(iso_time),
    confirmed=st.none() | st.floats(0, 4e9).map(iso_time),
    label=st.none() | st.text(min_size=1),
    track_id=st.none() | st.integers(0),
    confidence=st.none() | st.floats(0, 1),
    box=st.none() | boxes,
    frame_size=st.none() | st.tuples(st.integers(1, 8000), st.integers(1, 8000)),
    zones=st.lists(st.text(), max_size=3).map(tuple),
    snapshot=st.none() | st.text(),
)


@given(event=events, openings=st.lists(events, max_size=3))
def test_no_event_that_a_journal_can_hold_makes_it_fail(event: Event, openings: list[Event]) -> None:
    messages = event_messages(event, openings, "frigate", epoch_time(event.confirmed or event.time))
    messages += update_messages(event, "frigate", T0)
    for _, payload in messages:
        assert set(json.loads(payload)["after"]) == set(FIELDS)
