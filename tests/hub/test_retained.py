"""Retained state at a real broker: published on change, again on each connection, and taken back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from soteirad.hub.retained import Retained
from soteirad.mqtt.client import MqttClient
from soteirad.mqtt.topics import Topics
from tests.brokers import Mosquitto, Subscriber

TOPICS = Topics("soteira")


class Rig:
    """A connected client and retained state that is published through it."""

    def __init__(self, broker: Mosquitto, prefix: str = "soteira") -> None:
        self.topics = Topics(prefix)
        self._woken = threading.Event()
        self.client = MqttClient(broker.host, broker.port, user=None, password=None, topics=self.topics,
                                 on_wake=self._woken.set)  # fmt: skip
        self.client.start()
        self.until(lambda: self.client.connected)
        self.retained = Retained(self.client, self.topics)

    def until(self, true: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30.0
        while not true():
            assert time.monotonic() < deadline
            self._woken.wait(0.02)
            self._woken.clear()
            self.client.step(time.monotonic())


@pytest.fixture
def rig(broker: Mosquitto) -> Iterator[Rig]:
    rig = Rig(broker)
    yield rig
    rig.client.stop(2.0)


def left_at(broker: Mosquitto, rig: Rig) -> dict[str, bytes]:
    """What a subscriber finds that comes now; another message says that nothing more follows."""
    subscriber = Subscriber(broker, client_id="late")
    subscriber.start()
    rig.client.publish("end", b"")
    found = subscriber.wait_for(lambda m: any(message.topic == "end" for message in m))
    subscriber.stop()
    return {message.topic: message.payload for message in found if message.retain}


def payloads(listener: Subscriber, count: int) -> list[tuple[str, bytes]]:
    return [(m.topic.removeprefix("soteira/"), m.payload) for m in listener.wait_for(lambda m: len(m) >= count)]


def test_only_what_changed_is_published(rig: Rig, listener: Subscriber) -> None:
    for _ in range(3):
        rig.retained.camera_status("porch", True)
        rig.retained.state("porch", {"motion": False})
    rig.retained.camera_status("porch", False)
    assert payloads(listener, 3) == [
        ("porch/status", b"online"), ("porch/state", b'{"motion":false}'), ("porch/status", b"offline")
    ]  # fmt: skip
    assert not rig.retained.online("porch") and not rig.retained.online("never seen")


def test_all_that_is_retained_of_a_camera_that_is_no_more_is_taken_back(
    rig: Rig, broker: Mosquitto, listener: Subscriber
) -> None:
    for camera in ("porch", "yard"):
        rig.retained.camera_status(camera, True)
        rig.retained.state(camera, {})
        rig.retained.snapshot(camera, b"jpeg")
    rig.retained.forget("porch")
    listener.wait_for(lambda m: sum(not message.payload for message in m) == 3)
    assert left_at(broker, rig) == {"soteira/yard/status": b"online", "soteira/yard/state": b"{}",
                                  "soteira/yard/snapshot": b"jpeg"}  # fmt: skip
    assert not rig.retained.online("porch") and rig.retained.online("yard")


def test_a_forgotten_camera_is_taken_back_at_each_connection_until_it_comes_back(
    rig: Rig, listener: Subscriber
) -> None:
    rig.retained.camera_status("porch", True)
    rig.retained.camera_status("yard", True)
    rig.retained.forget("porch")
    rig.retained.forget("never seen")
    rig.retained.publish_all()
    rig.retained.camera_status("porch", True)
    assert payloads(listener, 6) == [
        ("porch/status", b"online"), ("yard/status", b"online"), ("porch/status", b""),
        ("porch/status", b""), ("yard/status", b"online"), ("porch/status", b"online"),
    ]  # fmt: skip


def test_after_a_move_everything_is_published_under_the_new_prefix(
    rig: Rig, broker: Mosquitto, listener: Subscriber
) -> None:
    rig.retained.camera_status("porch", True)
    rig.retained.state("porch", {"motion": True})
    other = Rig(broker, "house")
    rig.retained.move(other.client, other.topics)
    rig.retained.publish_all()
    rig.retained.camera_status("porch", False)
    found = listener.wait_for(lambda m: sum(x.topic.startswith("house/porch") for x in m) == 3)
    assert [(m.topic, m.payload) for m in found if m.topic.startswith("house/porch")] == [
        ("house/porch/status", b"online"), ("house/porch/state", b'{"motion":true}'), ("house/porch/status", b"offline")
    ]  # fmt: skip
    other.client.stop(2.0)
