"""Frigate's format at a real broker: with a real journal, outbox and client, as the hub joins them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from soteirad.event import Event, iso_time, new_id
from soteirad.hub.guard import Guard
from soteirad.hub.journal import Journal
from soteirad.hub.mirror import REMEMBERED, FrigateMirror
from soteirad.hub.outbox import Outbox
from soteirad.hub.retained import Retained
from soteirad.messages import Picture
from soteirad.mqtt.broker import Broker
from soteirad.mqtt.client import Acknowledged, Connected, MqttClient
from soteirad.mqtt.topics import Topics
from tests.brokers import Mosquitto, Subscriber, retained_at

T0 = 1_800_000_000.0
SPEED = 30.0


class Rig:
    """What the hub does with the mirror, and a clock that the test moves."""

    def __init__(self, folder: Path, broker: Mosquitto, prefix: str = "frigate", box: str = "soteira") -> None:
        self.now = T0
        self._woken = threading.Event()
        self._acknowledged: set[int] = set()
        self._paced = 0.0
        self.journal = Journal(folder / f"{box}.db", lambda: self.now)
        self.journal.open()
        at = Broker(broker.host, broker.port, client_id=f"soteirad-{box}")
        self.client = MqttClient(at, topics=Topics(box), on_wake=self._woken.set)
        self.retained = Retained(self.client, self.journal, Guard())
        self.mirror = self.mirror_for(prefix)
        self.outbox = Outbox(self.journal, self.client, Topics(box), lambda: self.now, mirror=self.mirror.events)
        self.client.start()
        self.until(lambda: self.client.connected)

    def mirror_for(self, prefix: str) -> FrigateMirror:
        mirror = FrigateMirror(self.retained, self.client.publish, prefix, self.journal.openings, lambda: self.now)
        mirror.online(True)
        return mirror

    def until(self, true: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30.0
        while not true():
            assert time.monotonic() < deadline
            self._woken.wait(0.02)
            self._woken.clear()
            for notice in self.client.step(time.monotonic() * SPEED):
                self.outbox.on_notice(notice)
                self.retained.on_notice(notice)
                if isinstance(notice, Connected):
                    self.retained.publish_all(0.0)
                elif isinstance(notice, Acknowledged):
                    self._acknowledged.add(notice.token)
            self.outbox.pump()
            self._paced += 1.0
            self.retained.step(self._paced)

    def settle(self) -> None:
        """Wait until the broker has all that was to be published."""
        self.until(lambda: self.retained.due() is None)
        token = self.client.publish("settled", b"", qos=1)
        self.until(lambda: token in self._acknowledged)

    def commit(self, *events: Event) -> None:
        self.journal.append(events)
        for event in events:
            self.mirror.confirmed(event)

    def publish(self, *events: Event) -> None:
        self.commit(*events)
        self.until(lambda: not self.journal.count_pending())

    def stop(self) -> None:
        self.mirror.online(False)
        self.client.stop(5.0)
        self.journal.close()


@pytest.fixture
def rig(tmp_path: Path, broker: Mosquitto, listener: Subscriber) -> Iterator[Rig]:
    """The listener is there first, so that it misses nothing."""
    rig = Rig(tmp_path, broker)
    yield rig
    rig.stop()


def make(kind: str, track: int = 1, at: float = T0, label: str = "person", camera: str = "porch") -> Event:
    fields: dict[str, Any] = {"label": label, "track_id": track, "confidence": 0.8, "box": (1, 2, 30, 40),
                              "frame_size": (640, 360), "snapshot": "porch/d/x.jpg"}  # fmt: skip
    if kind == "scene_changed":
        fields = {}
    return Event(id=new_id(at), event_type=kind, camera=camera, time=iso_time(at), **fields)  # type: ignore[arg-type]


def state(motion: bool, **counts: int) -> dict[str, Any]:
    return {"motion": motion, "objects": {label: {"present": n > 0, "count": n} for label, n in counts.items()}}


def mirrored(listener: Subscriber, rig: Rig, prefix: str = "frigate") -> list[tuple[str, bytes]]:
    """All that came under the prefix until now."""
    rig.settle()
    count = sum(m.topic == "mark" for m in listener.messages()) + 1
    rig.client.publish("mark", b"", qos=1)
    seen = listener.wait_for(lambda m: sum(x.topic == "mark" for x in m) >= count)
    return [(m.topic.removeprefix(prefix), m.payload) for m in seen if m.topic.startswith(f"{prefix}/")]


def told(listener: Subscriber, rig: Rig) -> list[tuple[str, str]]:
    """Type and id of each event in Frigate's format until now."""
    found = [json.loads(payload) for topic, payload in mirrored(listener, rig) if topic == "/events"]
    return [(m["type"], m["after"]["id"]) for m in found]


def left_at(broker: Mosquitto, rig: Rig) -> dict[str, bytes]:
    """What a subscriber finds that comes now."""
    rig.settle()
    return retained_at(broker)


def test_a_visit_is_new_and_ends_with_one_id_right_behind_our_own_events(rig: Rig, listener: Subscriber) -> None:
    rig.publish(make("entered"))
    rig.now += 10
    rig.publish(make("left", at=T0 + 9))
    (new, one), (end, other) = told(listener, rig)
    assert (new, end) == ("new", "end") and one == other
    order = [m.topic for m in listener.messages() if m.topic.endswith(("event", "events"))]
    assert order == ["soteira/porch/event", "frigate/events"] * 2
    assert not any(m.retain for m in listener.messages() if m.topic == "frigate/events")


def test_a_changed_view_ends_every_visit_of_its_camera(rig: Rig, listener: Subscriber) -> None:
    rig.publish(make("entered", 1), make("present", 2, label="cat"), make("entered", 1, camera="yard"))
    rig.publish(make("scene_changed", at=T0 + 1))
    found = told(listener, rig)
    assert [kind for kind, _ in found] == ["new"] * 3 + ["end"] * 2
    assert [i for _, i in found[3:]] == [i for _, i in found[:2]]


def test_visits_that_a_restart_closes_end_too(rig: Rig, listener: Subscriber) -> None:
    rig.publish(make("entered"))
    rig.journal.close_open_visits("restart", T0 + 5)
    rig.until(lambda: not rig.journal.count_pending())
    (_, one), (kind, other) = told(listener, rig)
    assert kind == "end" and one == other


def test_what_is_published_late_is_not_mirrored(rig: Rig, listener: Subscriber) -> None:
    rig.now += 61
    rig.publish(make("entered"))
    assert told(listener, rig) == []
    assert any(m.topic == "soteira/porch/event/late" for m in listener.messages())


def test_a_better_picture_is_an_update_and_the_first_one_is_none(rig: Rig, listener: Subscriber) -> None:
    event = make("entered")
    rig.publish(event)
    rig.mirror.picture(Picture(event.id, "x", b"small"))
    assert [kind for kind, _ in told(listener, rig)] == ["new"]
    rig.now += 3
    rig.mirror.picture(Picture(event.id, "x", b"large", latest=False))
    (_, one), (kind, other) = told(listener, rig)
    assert kind == "update" and one == other
    pictures = [p for t, p in mirrored(listener, rig) if t == "/porch/person/snapshot"]
    assert pictures == [b"small", b"large"]


def test_an_update_never_comes_before_new(rig: Rig, broker: Mosquitto, listener: Subscriber) -> None:
    event = make("entered")
    rig.commit(event)
    rig.mirror.picture(Picture(event.id, "x", b"small"))
    rig.mirror.picture(Picture(event.id, "x", b"large"))
    rig.until(lambda: not rig.journal.count_pending())
    assert [kind for kind, _ in told(listener, rig)] == ["new"]
    assert left_at(broker, rig)["frigate/porch/person/snapshot"] == b"large"


def test_an_earlier_visits_better_picture_does_not_replace_a_later_ones_of_the_same_label(
    rig: Rig, broker: Mosquitto, listener: Subscriber
) -> None:
    first, cat, second = make("entered", 1), make("entered", 2, T0 + 1, "cat"), make("entered", 3, T0 + 2)
    rig.publish(first, cat, second)
    for event in (first, cat, second):
        rig.mirror.picture(Picture(event.id, "x", b"small " + event.id.encode()))
    for event in (first, cat):
        rig.mirror.picture(Picture(event.id, "x", b"large " + event.id.encode(), latest=False))
    found = left_at(broker, rig)
    assert found["frigate/porch/person/snapshot"] == b"small " + second.id.encode()
    assert found["frigate/porch/cat/snapshot"] == b"large " + cat.id.encode()
    assert [kind for kind, _ in told(listener, rig)] == ["new"] * 3 + ["update"] * 2


def test_a_picture_of_an_unknown_event_or_of_a_changed_view_belongs_to_no_label(
    rig: Rig, listener: Subscriber
) -> None:
    changed = make("scene_changed")
    rig.publish(changed)
    rig.mirror.picture(Picture(changed.id, "x", b"jpeg"))
    rig.mirror.picture(Picture("never seen", "x", b"jpeg"))
    assert [topic for topic, _ in mirrored(listener, rig)] == ["/available"]


def test_only_the_last_visits_are_remembered(rig: Rig, listener: Subscriber) -> None:
    events = [make("entered", n) for n in range(REMEMBERED + 1)]
    for event in events:
        rig.mirror.confirmed(event)
    rig.mirror.picture(Picture(events[0].id, "x", b"forgotten"))
    rig.mirror.picture(Picture(events[1].id, "x", b"jpeg"))
    assert [payload for topic, payload in mirrored(listener, rig) if topic != "/available"] == [b"jpeg"]


def test_only_what_changed_of_the_state_is_published(rig: Rig, listener: Subscriber) -> None:
    for _ in range(2):
        rig.mirror.state("porch", state(False, person=0, cat=0))
    rig.mirror.state("porch", state(True, person=0, cat=0))
    rig.mirror.state("porch", state(True, person=1, cat=0))
    assert mirrored(listener, rig)[1:] == [
        ("/porch/person", b"0"), ("/porch/cat", b"0"), ("/porch/all", b"0"), ("/porch/motion", b"OFF"),
        ("/porch/motion", b"ON"), ("/porch/person", b"1"), ("/porch/all", b"1"),
    ]  # fmt: skip


def test_a_subscriber_that_comes_later_finds_counts_motion_picture_and_that_we_are_there(
    rig: Rig, broker: Mosquitto
) -> None:
    rig.mirror.state("porch", state(True, person=2))
    rig.retained.picture("frigate/porch/person/snapshot", b"jpeg")
    assert left_at(broker, rig) == {
        "frigate/available": b"online", "frigate/porch/person": b"2", "frigate/porch/all": b"2",
        "frigate/porch/motion": b"ON", "frigate/porch/person/snapshot": b"jpeg",
    }  # fmt: skip
    rig.mirror.online(False)
    assert left_at(broker, rig)["frigate/available"] == b"offline"


def test_a_label_that_is_not_looked_for_any_more_is_taken_back(rig: Rig, broker: Mosquitto) -> None:
    rig.mirror.state("porch", state(False, person=1, cat=2))
    rig.mirror.state("porch", state(False, person=1))
    found = left_at(broker, rig)
    assert "frigate/porch/cat" not in found and found["frigate/porch/all"] == b"1"


def test_a_new_connection_gets_all_again(rig: Rig, broker: Mosquitto, listener: Subscriber) -> None:
    rig.mirror.state("porch", state(False, person=1))
    broker.stop()
    rig.until(lambda: not rig.client.connected)
    rig.mirror.state("porch", state(True, person=1))
    for file in (broker._folder).glob("*.db"):  # a broker that forgot everything
        file.unlink()
    broker.start()
    rig.until(lambda: rig.client.connected)
    assert left_at(broker, rig) == {
        "frigate/available": b"online", "frigate/porch/person": b"1", "frigate/porch/all": b"1",
        "frigate/porch/motion": b"ON",
    }  # fmt: skip


def test_all_of_a_camera_that_is_no_more_is_taken_back(rig: Rig, broker: Mosquitto) -> None:
    for camera in ("porch", "yard"):
        rig.mirror.state(camera, state(False, person=1))
        event = make("entered", camera=camera)
        rig.publish(event)
        rig.mirror.picture(Picture(event.id, "x", b"jpeg"))
    rig.mirror.forget("porch")
    rig.mirror.forget("never seen")
    assert set(left_at(broker, rig)) == {
        "frigate/available", "frigate/yard/person", "frigate/yard/all", "frigate/yard/motion",
        "frigate/yard/person/snapshot",
    }  # fmt: skip


def test_under_another_prefix_nothing_is_left_under_the_old_one(rig: Rig, broker: Mosquitto) -> None:
    rig.mirror.state("porch", state(False, person=1))
    rig.retained.picture("frigate/porch/person/snapshot", b"jpeg")
    rig.settle()
    rig.retained.move(rig.client)
    mirror = rig.mirror_for("house/nvr")
    mirror.state("porch", state(False, person=2))
    rig.retained.keep(mirror.pictures({"porch": ["person"]}))
    assert left_at(broker, rig) == {
        "house/nvr/available": b"online", "house/nvr/porch/person": b"2", "house/nvr/porch/all": b"2",
        "house/nvr/porch/motion": b"OFF",
    }  # fmt: skip


def test_a_label_with_slashes_and_wildcards_breaks_no_topic(rig: Rig, broker: Mosquitto) -> None:
    event = make("entered", label="a/+#")
    rig.publish(event)
    rig.mirror.state("porch", state(False, **{"a/+#": 1}))
    rig.mirror.picture(Picture(event.id, "x", b"jpeg"))
    found = left_at(broker, rig)
    assert found["frigate/porch/a___"] == b"1" and found["frigate/porch/a___/snapshot"] == b"jpeg"
