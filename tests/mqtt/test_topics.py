"""The topic tree."""

from __future__ import annotations

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


def test_an_event_from_the_future_of_a_clock_that_was_set_back_is_on_time() -> None:
    event = Event(id="x", event_type="entered", camera="porch", time=iso_time(T0))
    assert event_topic(Topics("soteira"), event, T0 - 7200) == "soteira/porch/event"
