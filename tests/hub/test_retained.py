"""Retained messages at a real broker: published on change, again on each connection, paced, and taken back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from soteirad.errors import StorageError
from soteirad.hub.guard import Guard
from soteirad.hub.journal import Journal
from soteirad.hub.retained import BACKLOG_BYTES, PACE_S, SETTLE_S, Rank, Retained
from soteirad.mqtt.broker import Broker
from soteirad.mqtt.client import Connected, MqttClient
from soteirad.mqtt.homeassistant import Announcement
from soteirad.mqtt.topics import Topics
from tests.brokers import Mosquitto, Subscriber, retained_at


class Rig:
    """A client and retained messages that are published through it; `now` is the clock of their pace."""

    def __init__(self, broker: Mosquitto, folder: Path, client_id: str = "rig") -> None:
        self._woken = threading.Event()
        self.client = MqttClient(Broker(broker.host, broker.port, client_id=client_id), topics=Topics(client_id),
                                 on_wake=self._woken.set)  # fmt: skip
        self.journal = Journal(folder / "journal.sqlite3")
        self.journal.open()
        self.retained = Retained(self.client, self.journal, Guard())
        self.retained.load()
        self.now = 0.0

    def connect(self) -> None:
        self.client.start()
        self.until(lambda: self.client.connected)

    def turn(self) -> None:
        self._woken.wait(0.02)
        self._woken.clear()
        for notice in self.client.step(time.monotonic() * 30):
            self.retained.on_notice(notice)
            if isinstance(notice, Connected):
                self.retained.publish_all(self.now)
        self.retained.step(self.now)

    def until(self, true: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30.0
        while not true():
            assert time.monotonic() < deadline
            self.turn()

    def settle(self) -> None:
        """Let all that is due be published and acknowledged, however long its pace takes."""
        while self.retained.due() is not None or self.client.backlog:
            self.now += PACE_S
            self.turn()

    def close(self) -> None:
        self.client.stop(2.0)
        self.journal.close()


@pytest.fixture
def rig(broker: Mosquitto, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(broker, tmp_path)
    rig.connect()
    yield rig
    rig.close()


def arrived(listener: Subscriber, count: int) -> list[tuple[str, bytes]]:
    return [(m.topic, m.payload) for m in listener.wait_for(lambda m: len(m) >= count)]


def device(*keys: str, topic: str = "ha/device/a/config") -> Announcement:
    components = {key: {"platform": "sensor", "unique_id": key} for key in keys}
    return Announcement(topic, {"components": components}, dict.fromkeys(keys, "sensor"))


def test_only_what_changed_is_published_unless_it_is_asked_for_again(rig: Rig, listener: Subscriber) -> None:
    for _ in range(3):
        rig.retained.set("a", "1")
    rig.retained.set("a", "2")
    rig.retained.set("a", "2", again=True)
    assert arrived(listener, 3) == [("a", b"1"), ("a", b"2"), ("a", b"2")]


def test_a_new_connection_brings_state_first_then_announcements_then_pictures_at_a_pace(
    broker: Mosquitto, tmp_path: Path, listener: Subscriber
) -> None:
    rig = Rig(broker, tmp_path)
    for n in range(2):
        rig.retained.picture(f"cam{n}/snapshot", b"jpeg")
    rig.retained.announce([device("x", topic="ha/1"), device("y", topic="ha/2")])
    for n in range(3):
        rig.retained.set(f"cam{n}/state", "{}")
    rig.connect()
    assert [t for t, _ in arrived(listener, 4)] == ["cam0/state", "cam1/state", "cam2/state", "ha/1"]
    for topic in ("ha/2", "cam0/snapshot", "cam1/snapshot"):
        before = len(listener.messages())
        rig.turn()
        assert len(listener.messages()) == before, "not before its time"
        rig.now += PACE_S
        rig.turn()
        assert arrived(listener, before + 1)[-1][0] == topic
    rig.close()


def test_somebody_who_was_started_anew_gets_everything_after_a_delay(rig: Rig, listener: Subscriber) -> None:
    rig.retained.set("a", "1")
    rig.settle()
    rig.retained.publish_all(rig.now, delay=2.0)
    rig.now += 1.9
    rig.turn()
    rig.retained.set("b", "1")
    assert arrived(listener, 2) == [("a", b"1"), ("b", b"1")], "news does not wait with it"
    rig.now += 0.2
    rig.turn()
    assert arrived(listener, 3)[2:] == [("a", b"1")]


def test_somebody_who_is_started_again_and_again_does_not_hold_up_what_waits(rig: Rig, listener: Subscriber) -> None:
    for n in range(10):
        rig.retained.picture("cam/snapshot", b"%d" % n)
        rig.now += PACE_S
        rig.retained.publish_all(rig.now, delay=2.0)
        rig.turn()
    rig.until(lambda: len(listener.messages()) >= 9)


def test_what_is_taken_back_is_gone_at_the_broker_and_from_memory(
    rig: Rig, broker: Mosquitto
) -> None:
    for topic in ("a", "b", "c"):
        rig.retained.set(topic, "1")
    rig.retained.take_back(["a", "c", "never seen"])
    rig.settle()
    rig.until(lambda: rig.journal.retained() == {"b": {}})
    assert retained_at(broker) == {"b": b"1"}


def test_what_was_taken_back_while_the_broker_was_away_is_taken_back_when_it_is_there(
    rig: Rig, broker: Mosquitto, listener: Subscriber
) -> None:
    rig.retained.set("a", "1")
    arrived(listener, 1)
    broker.stop()
    rig.until(lambda: not rig.client.connected)
    rig.retained.take_back(["a"])
    rig.settle()
    assert "a" in rig.journal.retained(), "the broker does not know yet"
    broker.start()
    rig.until(lambda: rig.client.connected)
    rig.until(lambda: not rig.journal.retained())
    assert "a" not in retained_at(broker)


def test_what_comes_back_before_it_was_taken_back_stays(rig: Rig, broker: Mosquitto) -> None:
    rig.retained.set("a", "1")
    rig.retained.take_back(["a"])
    rig.turn()  # on its way
    rig.retained.set("a", "1")
    rig.settle()
    rig.until(lambda: not rig.client.backlog)
    assert retained_at(broker) == {"a": b"1"} and "a" in rig.journal.retained()


def test_what_an_earlier_run_left_is_taken_back_if_it_is_not_kept(
    rig: Rig, broker: Mosquitto, tmp_path: Path
) -> None:
    for topic in ("old/state", "cam/state"):
        rig.retained.set(topic, "1")
    rig.retained.picture("cam/snapshot", b"jpeg")
    rig.retained.picture("cam/preview", b"jpeg")
    rig.settle()
    rig.close()
    successor = Rig(broker, tmp_path)
    successor.retained.set("cam/state", "2")
    successor.retained.keep(["cam/snapshot"])
    successor.connect()
    successor.settle()
    successor.until(lambda: successor.journal.retained().keys() == {"cam/state", "cam/snapshot"})
    assert {t: p for t, p in retained_at(broker).items() if t != "rig/status"} == {
        "cam/state": b"2", "cam/snapshot": b"jpeg"
    }  # fmt: skip
    successor.close()


def test_what_a_device_lost_is_removed_once_and_then_left_out(rig: Rig, listener: Subscriber) -> None:
    rig.retained.announce([device("x", "y")])
    rig.settle()
    rig.until(lambda: rig.journal.retained() == {"ha/device/a/config": {"x": "sensor", "y": "sensor"}})
    rig.retained.announce([device("x")])
    rig.settle()
    rig.until(lambda: rig.journal.retained() == {"ha/device/a/config": {"x": "sensor"}})
    first, removal, last = [p for _, p in arrived(listener, 3)]
    assert removal == b'{"components":{"x":{"platform":"sensor","unique_id":"x"},"y":{"platform":"sensor"}}}'
    assert last == b'{"components":{"x":{"platform":"sensor","unique_id":"x"}}}' and b'"y"' in first
    rig.retained.publish_all(rig.now)
    rig.settle()
    assert arrived(listener, 4)[3:] == [("ha/device/a/config", last)]


def test_what_a_device_lost_while_the_daemon_did_not_run_is_removed_too(
    rig: Rig, broker: Mosquitto, tmp_path: Path, listener: Subscriber
) -> None:
    rig.retained.announce([device("x", "y"), device("z", topic="ha/device/b/config")])
    rig.settle()
    rig.until(lambda: len(rig.journal.retained()) == 2 and not rig.client.backlog)
    rig.close()
    successor = Rig(broker, tmp_path)
    successor.retained.announce([device("x")])
    successor.retained.keep([])
    successor.connect()
    successor.settle()
    successor.until(lambda: successor.journal.retained() == {"ha/device/a/config": {"x": "sensor"}})
    listener.wait_for(lambda seen: seen[-1].payload == device("x").text().encode())
    told = [(m.topic, m.payload) for m in listener.messages()]
    assert ("ha/device/b/config", b"") in told and b'"y":{"platform":"sensor"}}' in told[-2][1]
    assert {t for t in retained_at(broker) if t.startswith("ha")} == {"ha/device/a/config"}
    successor.close()


def test_announcements_are_taken_back_first_then_come_new_ones_then_goes_what_is_no_more_each_after_a_pause(
    rig: Rig, listener: Subscriber
) -> None:
    rig.retained.set("cam/state", "{}")
    rig.retained.announce([device("x", topic="ha/old")])
    rig.settle()
    rig.until(lambda: len(listener.messages()) == 2)
    rig.retained.announce([device("x", topic="ha/new")])
    rig.retained.take_back(["cam/state"])
    rig.now += PACE_S
    rig.turn()
    assert arrived(listener, 3)[2] == ("ha/old", b"")
    rig.now += SETTLE_S - 0.1
    rig.turn()
    assert len(listener.messages()) == 3
    rig.now += 0.2
    rig.turn()
    assert [(t, p[:1]) for t, p in arrived(listener, 4)[3:]] == [("ha/new", b"{")]
    rig.now += PACE_S
    rig.turn()
    rig.now += SETTLE_S - 0.1
    rig.turn()
    assert len(listener.messages()) == 4
    rig.now += 0.2
    rig.turn()
    assert arrived(listener, 5)[4] == ("cam/state", b"")


def test_pictures_wait_for_a_slow_broker_and_only_the_newest_is_sent(
    rig: Rig, broker: Mosquitto, listener: Subscriber
) -> None:
    broker.freeze()
    large = b"x" * 300_000
    for n in range(60):
        rig.retained.picture("cam/snapshot", b"%03d" % n + large)
        rig.now += PACE_S
        rig.turn()
    assert rig.client.backlog < BACKLOG_BYTES + 2 * len(large)
    broker.thaw()
    rig.settle()
    found = listener.wait_for(lambda m: any(x.payload.startswith(b"059") for x in m))
    assert len(found) < 40


def test_a_picture_that_the_broker_does_not_take_is_left_out(rig: Rig, listener: Subscriber,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(rig.client, "fits", lambda size: size < 100)
    rig.retained.picture("a", b"x" * 100)
    rig.retained.picture("b", b"x" * 99)
    rig.settle()
    assert arrived(listener, 1) == [("b", b"x" * 99)]


def test_an_announcement_that_the_broker_does_not_take_is_left_out_and_told_once(
    rig: Rig, listener: Subscriber, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rig.client, "fits", lambda size: size < 200)
    large, small = device(*"abcdefgh", topic="ha/device/large/config"), device("a", topic="ha/device/b/config")
    rig.retained.announce([large, small])
    rig.settle()
    rig.retained.publish_all(rig.now)
    rig.settle()
    listener.publish("end", "")
    seen = listener.wait_for(lambda m: m[-1].topic == "end")
    assert [m.topic for m in seen[:-1]] == ["ha/device/b/config"] * 2
    (line,) = caplog.messages
    assert "ha/device/large/config is left out" in line and "discovery to single" in line


def test_a_ledger_that_fails_keeps_nothing_from_being_published(rig: Rig, listener: Subscriber,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    def fail(_notes: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(rig.journal, "note_retained", fail)
    rig.retained.set("a", "1")
    assert arrived(listener, 1) == [("a", b"1")]
    assert "a" not in rig.journal.retained()
    monkeypatch.undo()
    rig.turn()
    assert rig.journal.retained() == {"a": {}}, "it is noted as soon as the disk is there again"


def test_many_announcements_are_noted_in_one_transaction(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    note = rig.journal.note_retained
    monkeypatch.setattr(rig.journal, "note_retained", lambda notes: (written.append(len(notes)), note(notes)))
    rig.retained.announce([device("a", topic=f"ha/device/{n}/config") for n in range(50)])
    assert written == [50]


def test_after_a_move_everything_has_to_be_set_anew_and_goes_through_the_other_client(
    rig: Rig, broker: Mosquitto, tmp_path: Path, listener: Subscriber
) -> None:
    rig.retained.set("a", "1", Rank.STATE)
    other = Rig(broker, tmp_path, "other")
    other.connect()
    rig.retained.move(other.client)
    rig.client.stop(2.0)
    rig.retained.set("b", "1")
    listener.wait_for(lambda m: [(x.topic, x.payload) for x in m if x.topic in "ab"] == [("a", b"1"), ("b", b"1")])
    other.close()
