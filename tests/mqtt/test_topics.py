"""The topic tree."""

from __future__ import annotations

import pytest
from paho.mqtt.client import topic_matches_sub

from soteirad.event import Event, iso_time
from soteirad.mqtt.topics import LATE_AFTER_S, Topics, event_topic

T0 = 1_800_000_000.0


def test_topics_are_those_of_the_published_contract() -> None:
    topics = Topics("soteira")
    assert topics.status() == "soteira/status"
    assert topics.camera_status("porch") == "soteira/porch/status"
    assert topics.state("porch") == "soteira/porch/state"
    assert topics.event("porch") == "soteira/porch/event"
    assert topics.late_event("porch") == "soteira/porch/event/late"
    assert topics.snapshot("porch") == "soteira/porch/snapshot"
    assert topics.diagnostics("porch") == "soteira/porch/diagnostics"


def test_an_event_goes_to_the_late_topic_only_when_it_is_older_than_a_minute() -> None:
    topics = Topics("box/two")
    event = Event(id="x", event_type="entered", camera="porch", time=iso_time(T0))
    assert event_topic(topics, event, T0 + LATE_AFTER_S) == "box/two/porch/event"
    assert event_topic(topics, event, T0 + LATE_AFTER_S + 0.001) == "box/two/porch/event/late"


def test_a_clip_is_told_of_on_a_topic_of_its_own_which_nobody_takes_for_a_wish() -> None:
    topics = Topics("soteira")
    event = Event("x", "recorded", "porch", iso_time(T0), confirmed=iso_time(T0 + 20))
    assert event_topic(topics, event, T0 + 20 + LATE_AFTER_S) == topics.clip("porch") == "soteira/porch/clip"
    late = event_topic(topics, event, T0 + 21 + LATE_AFTER_S)
    assert late == topics.late_clip("porch") == "soteira/porch/clip/late"
    assert not [t for t in (topics.clip("porch"), late) for f in topics.commands() if topic_matches_sub(f, t)]


def test_an_event_from_the_future_of_a_clock_that_was_set_back_is_on_time() -> None:
    event = Event(id="x", event_type="entered", camera="porch", time=iso_time(T0))
    assert event_topic(Topics("soteira"), event, T0 - 7200) == "soteira/porch/event"


def test_commands_are_heard_for_the_daemon_and_for_each_camera_and_for_nobody_else() -> None:
    topics = Topics("soteira")
    assert topics.commands() == ("soteira/+/set/+", "soteira/set/+")
    heard = [topics.command("porch", "detect"), topics.daemon_command("restart")]
    assert heard == ["soteira/porch/set/detect", "soteira/set/restart"]
    told = [*topics.retained("porch"), topics.event("porch"), topics.late_event("porch"), topics.diagnostics("porch"),
            topics.status(), topics.info(), topics.answer("porch", "parcel")]  # fmt: skip
    assert not [t for t in told for f in topics.commands() if topic_matches_sub(f, t)]
    assert all(any(topic_matches_sub(f, t) for f in topics.commands()) for t in heard)


def test_what_lies_retained_of_a_camera_is_known() -> None:
    assert Topics("a").retained("porch") == ("a/porch/status", "a/porch/state", "a/porch/snapshot", "a/porch/preview")


@pytest.mark.parametrize(("topic", "camera"), [
    ("soteira/porch/set/detect", "porch"), ("soteira/soteira/set/x", "soteira"), ("soteira/set/restart", "set"),
    ("soteira/status", ""), ("soteira", ""), ("", ""), ("soteira//set/x", ""),
])  # fmt: skip
def test_the_camera_of_a_topic_is_found(topic: str, camera: str) -> None:
    assert Topics("soteira").camera_of(topic) == camera
