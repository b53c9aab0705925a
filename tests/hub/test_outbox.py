"""The outbox: journal to broker, with a real journal, client and mosquitto."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from soteirad.errors import StorageError
from soteirad.event import Event, clip_id, iso_time, new_id
from soteirad.hub.journal import Journal
from soteirad.hub.outbox import ACK_TIMEOUT_S, MAX_IN_FLIGHT, Mirror, Outbox
from soteirad.mqtt.broker import Broker
from soteirad.mqtt.client import Disconnected, MqttClient, MqttNotice
from soteirad.mqtt.topics import Topics
from tests.brokers import Mosquitto, Received, Subscriber

SPEED = 30.0
T0 = 1_800_000_000.0
TOPICS = Topics("soteira")


class Hub:
    """The part of the hub's loop that concerns events; its clocks are moved by the test."""

    def __init__(self, folder: Path, broker: Mosquitto, speed: float = SPEED, mirror: Mirror | None = None) -> None:
        self.now = T0
        self.ahead: list[Event] = []
        self.speed = speed
        self.waited = 0.0
        self.woken = threading.Event()
        self.notices: list[MqttNotice] = []
        self.journal = Journal(folder / "journal.db", lambda: self.now)
        at = Broker(broker.host, broker.port, client_id="soteirad-soteira")
        self.client = MqttClient(at, topics=TOPICS, on_wake=self.woken.set)
        self.outbox = Outbox(
            self.journal, self.client, TOPICS, lambda: self.now, lambda: time.monotonic() + self.waited, mirror,
            lambda: self.ahead,
        )

    def start(self) -> None:
        self.journal.open()
        self.client.start()

    def stop(self) -> None:
        for notice in self.client.stop(5.0):
            self.outbox.on_notice(notice)
        self.outbox.pump()
        self.journal.close()

    def turn(self) -> None:
        self.woken.wait(0.02)
        self.woken.clear()
        for notice in self.client.step(time.monotonic() * self.speed):
            self.notices.append(notice)
            self.outbox.on_notice(notice)
        self.outbox.pump()

    def until(self, condition: Callable[[], object], timeout: float = 30.0) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"not reached in {timeout} s; notices: {self.notices[-5:]}"
            self.turn()

    def until_all_published(self) -> None:
        self.until(lambda: self.journal.count_pending() == 0)

    def record(self, count: int, at: float = T0) -> list[str]:
        """Journal events whose clock order is the reverse of their journal order."""
        return self.journal.append(
            [
                Event(
                    id=new_id(at - n * 0.01),
                    event_type="left",
                    camera="porch" if n % 3 else "yard",
                    time=iso_time(at - n * 0.01),
                    label="person",
                    track_id=n,
                    box=(1, 2, 3, 4),
                )
                for n in range(count)
            ]
        )


@pytest.fixture
def subscriber(broker: Mosquitto) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker, "soteira/+/event/#")
    subscriber.start()
    yield subscriber
    subscriber.stop()


@pytest.fixture
def hub(tmp_path: Path, broker: Mosquitto) -> Iterator[Hub]:
    hub = Hub(tmp_path, broker)
    hub.start()
    yield hub
    hub.stop()


def ids(messages: list[Received]) -> list[str]:
    return [json.loads(m.payload)["id"] for m in messages]


def first_seen(messages: list[Received]) -> list[str]:
    """The ids in the order of their first arrival."""
    return list(dict.fromkeys(ids(messages)))


def test_events_are_published_in_journal_order_compact_and_not_retained(hub: Hub, subscriber: Subscriber) -> None:
    written = hub.record(3 * MAX_IN_FLIGHT)
    hub.until_all_published()
    seen = subscriber.wait_for(lambda m: len(m) == len(written))
    assert ids(seen) == written
    assert {m.topic for m in seen} == {"soteira/porch/event", "soteira/yard/event"}
    assert not any(m.retain for m in seen)
    event = hub.journal.last_events(1)[0]
    assert seen[-1].payload.decode() == json.dumps(event.payload(), separators=(",", ":"))


def test_a_complete_clip_is_told_of_on_its_own_topic_and_noted_there(hub: Hub, broker: Mosquitto) -> None:
    about = new_id(T0)
    told = [
        Event(clip_id(about), "recorded", "porch", iso_time(T0 - 30), confirmed=iso_time(T0), about=about),
        Event(clip_id(new_id(T0)), "recorded", "yard", iso_time(T0 - 120), confirmed=iso_time(T0 - 61)),
    ]  # fmt: skip
    listener = Subscriber(broker, "soteira/#")
    listener.start()
    try:
        hub.journal.append([*told, told[0]])
        hub.until_all_published()
        seen = listener.wait_for(lambda m: len(m) == 2)
    finally:
        listener.stop()
    assert [(m.topic, json.loads(m.payload)["id"]) for m in seen] == [
        ("soteira/porch/clip", told[0].id), ("soteira/yard/clip/late", told[1].id),
    ]  # fmt: skip
    assert not any(m.retain for m in seen)


def test_at_most_twenty_events_are_in_flight(hub: Hub, broker: Mosquitto, subscriber: Subscriber) -> None:
    hub.until(lambda: hub.client.connected)
    broker.freeze()
    written = hub.record(3 * MAX_IN_FLIGHT)
    for _ in range(5):
        hub.turn()
    hub.client.publish("soteira/porch/event/mark", b'{"id": "mark"}', qos=1)
    broker.thaw()
    assert ids(subscriber.wait_for(lambda m: "mark" in ids(m))) == [*written[:MAX_IN_FLIGHT], "mark"]
    hub.until_all_published()
    seen = subscriber.wait_for(lambda m: len(m) > len(written))
    assert [i for i in ids(seen) if i != "mark"] == written


def test_events_before_the_first_connection_are_published_when_it_comes(
    tmp_path: Path, broker: Mosquitto, subscriber: Subscriber
) -> None:
    broker.stop()
    hub = Hub(tmp_path, broker)
    hub.start()
    written = hub.record(5)
    hub.until(lambda: hub.client.retry_at is not None)
    assert hub.journal.count_pending() == 5
    broker.start()
    hub.until_all_published()
    assert ids(subscriber.wait_for(lambda m: len(m) >= 5)) == written
    hub.stop()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_broker_outage_in_the_middle_loses_no_event_and_keeps_the_order(
    hub: Hub, broker: Mosquitto, subscriber: Subscriber, end: str
) -> None:
    written = hub.record(300)
    hub.until(lambda: len(subscriber.messages()) >= 50)
    # A killed broker takes along what it acknowledged and its subscribers had not read: let them read first.
    hub.client.publish("soteira/porch/event/mark", b'{"id": "mark"}', qos=1)
    subscriber.wait_for(lambda m: "mark" in ids(m))
    getattr(broker, end)()
    hub.until(lambda: not hub.client.connected)
    left_over = hub.journal.count_pending()
    assert left_over > 0
    written += hub.record(30)
    broker.start()
    subscriber.wait_subscribed(2)
    hub.until_all_published()
    seen = subscriber.wait_for(lambda m: set(ids(m)) >= set(written))
    assert [i for i in first_seen(seen) if i != "mark"] == written
    log = broker.log()
    # Only what was in flight comes again, and never because paho resent it (d1 is its mark for that).
    assert log.count("Received PUBLISH from soteirad-soteira (d0") <= len(written) + MAX_IN_FLIGHT + 1
    assert "Received PUBLISH from soteirad-soteira (d1" not in log


def test_a_broker_that_restarts_fifty_times_amid_300_events_loses_none_and_keeps_the_order(
    tmp_path: Path, broker: Mosquitto, subscriber: Subscriber
) -> None:
    hub = Hub(tmp_path, broker, speed=10 * SPEED)
    hub.start()
    written: list[str] = []
    for count in range(50):
        hub.until(lambda: hub.client.connected)
        written += hub.record(6)
        if count % 3 == 0:
            hub.until(lambda n=count: len(subscriber.messages()) > n // 2)
        elif count % 3 == 1:
            hub.turn()
        else:
            broker.freeze()  # some are on their way when it ends
            hub.turn()
        broker.stop()
        broker.start()
        hub.until(lambda: hub.client.retry_at is not None or not hub.client.connected)
    hub.until_all_published()
    seen = subscriber.wait_for(lambda m: set(ids(m)) >= set(written))
    assert len(written) == 300 and first_seen(seen) == written
    payloads: dict[str, set[bytes]] = {}
    for message in seen:
        payloads.setdefault(json.loads(message.payload)["id"], set()).add(message.payload)
    assert all(len(same) == 1 for same in payloads.values()), "a duplicate is the same event"
    assert sum(isinstance(n, Disconnected) for n in hub.notices) >= 50
    hub.stop()


def test_a_hub_that_restarts_goes_on_where_the_broker_had_acknowledged(
    tmp_path: Path, broker: Mosquitto, subscriber: Subscriber
) -> None:
    first = Hub(tmp_path, broker)
    first.start()
    written = first.record(10)
    first.until_all_published()
    written += first.record(10)
    first.stop()
    second = Hub(tmp_path, broker)
    second.start()
    second.until_all_published()
    assert ids(subscriber.wait_for(lambda m: len(m) >= 20)) == written
    second.stop()


def test_what_was_acknowledged_during_stop_is_not_sent_again(
    tmp_path: Path, broker: Mosquitto, subscriber: Subscriber
) -> None:
    hub = Hub(tmp_path, broker)
    hub.start()
    hub.until(lambda: hub.client.connected)
    hub.record(MAX_IN_FLIGHT)
    hub.outbox.pump()
    hub.stop()
    again = Journal(tmp_path / "journal.db")
    again.open()
    assert again.count_pending() == 0
    again.close()


def test_an_event_that_waited_over_a_minute_goes_to_the_late_topic_in_its_place_in_the_order(
    hub: Hub, broker: Mosquitto, subscriber: Subscriber
) -> None:
    hub.until(lambda: hub.client.connected)
    broker.stop()
    hub.until(lambda: not hub.client.connected)
    old = hub.record(4, at=T0)
    hub.now = T0 + 61
    new = hub.record(4, at=hub.now)
    broker.start()
    hub.until_all_published()
    seen = subscriber.wait_for(lambda m: len(m) == 8)
    assert ids(seen) == old + new
    assert [m.topic.endswith("/event/late") for m in seen] == [True] * 4 + [False] * 4


def test_an_event_that_was_in_flight_when_the_broker_froze_comes_late_not_on_the_event_topic_again(
    hub: Hub, broker: Mosquitto, subscriber: Subscriber
) -> None:
    hub.until(lambda: hub.client.connected)
    broker.freeze()
    written = hub.record(3)
    hub.outbox.pump()
    broker.kill()  # what the frozen broker had not read is gone with it
    hub.now += 3600
    broker.start()
    subscriber.wait_subscribed(2)
    hub.until_all_published()
    seen = subscriber.wait_for(lambda m: len(m) >= 3)
    assert ids(seen) == written
    assert all(m.topic.endswith("/event/late") for m in seen)


def test_a_connection_that_acknowledges_nothing_is_broken_off_and_tried_anew(
    hub: Hub, broker: Mosquitto, subscriber: Subscriber
) -> None:
    hub.until(lambda: hub.client.connected)
    broker.freeze()
    written = hub.record(5)
    hub.turn()
    hub.waited += ACK_TIMEOUT_S + 1
    hub.until(lambda: any(isinstance(n, Disconnected) for n in hub.notices))
    assert "did not acknowledge" in str(hub.notices[-1])
    broker.thaw()
    hub.until_all_published()
    assert first_seen(subscriber.wait_for(lambda m: set(ids(m)) == set(written))) == written


def test_acknowledgements_that_cannot_be_noted_are_kept_for_the_next_pump(
    hub: Hub, subscriber: Subscriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.until(lambda: hub.client.connected)
    hub.record(2)
    hub.outbox.pump()
    subscriber.wait_for(lambda m: len(m) == 2)

    def full(_topics: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(hub.journal, "mark_published", full)
        with pytest.raises(StorageError):
            hub.until(lambda: False)
    hub.until_all_published()
    assert len(subscriber.messages()) == 2


def test_pruning_what_is_in_flight_harms_nothing(hub: Hub, broker: Mosquitto, subscriber: Subscriber) -> None:
    hub.until(lambda: hub.client.connected)
    broker.freeze()
    hub.record(10)
    hub.outbox.pump()
    assert hub.journal.prune(7, 7, 4).dropped == 6
    more = hub.record(2)
    broker.thaw()
    hub.until_all_published()
    assert ids(subscriber.wait_for(lambda m: len(m) >= 12))[-2:] == more


@pytest.fixture
def mirroring(tmp_path: Path, broker: Mosquitto) -> Iterator[Hub]:
    """A hub whose events are each followed by two other messages."""
    hub = Hub(tmp_path, broker, mirror=lambda event: [("soteira/m/event/a", f'{{"id": "a{event.id}"}}'),
                                               ("soteira/m/event/b", f'{{"id": "b{event.id}"}}')])  # fmt: skip
    hub.start()
    yield hub
    hub.stop()


def test_what_mirrors_an_event_follows_it_at_once_not_retained(mirroring: Hub, subscriber: Subscriber) -> None:
    written = mirroring.record(2 * MAX_IN_FLIGHT)
    mirroring.until_all_published()
    seen = subscriber.wait_for(lambda m: len(m) == 3 * len(written))
    assert ids(seen) == [each for i in written for each in (i, f"a{i}", f"b{i}")]
    assert not any(m.retain for m in seen)


def test_a_late_event_is_not_mirrored(mirroring: Hub, subscriber: Subscriber) -> None:
    late = mirroring.record(2, at=T0 - 3600)
    timely = mirroring.record(1)
    mirroring.until_all_published()
    seen = subscriber.wait_for(lambda m: len(m) == 5)
    assert ids(seen) == [*late, *timely, f"a{timely[0]}", f"b{timely[0]}"]


def test_a_mirror_that_cannot_read_the_journal_keeps_no_event_back(
    tmp_path: Path, broker: Mosquitto, subscriber: Subscriber
) -> None:
    def broken(_event: Event) -> list[tuple[str, str]]:
        raise StorageError("the disk is gone")

    hub = Hub(tmp_path, broker, mirror=broken)
    hub.start()
    hub.until(lambda: hub.client.connected)
    written = hub.record(3)
    for _ in written:
        with pytest.raises(StorageError):
            hub.outbox.pump()
    hub.until_all_published()
    assert ids(subscriber.wait_for(lambda m: len(m) == 3)) == written
    hub.stop()


# What is ahead of the journal.


def events_of(count: int, at: float = T0) -> list[Event]:
    return [Event(new_id(at), "left", "porch", iso_time(at), label="person", track_id=n) for n in range(count)]


def broken(*_: object, **__: object) -> object:
    raise StorageError("the disk is full")


def test_what_the_journal_refuses_is_published_behind_what_it_has_and_noted_when_it_has_it(
    hub: Hub, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = hub.record(2)
    hub.ahead = events_of(2 * MAX_IN_FLIGHT)
    ours = [event.id for event in hub.ahead]
    with monkeypatch.context() as full:
        full.setattr(hub.journal, "mark_published", broken)
        while len(hub.outbox.acknowledged) < len(first + ours):
            with contextlib.suppress(StorageError):
                hub.turn()
        assert ids(subscriber.wait_for(lambda m: len(m) >= len(first + ours))) == first + ours
        assert (hub.outbox.waiting(), hub.journal.count_pending()) == (2, 2), "the journal does not know"
    hub.journal.append(hub.ahead)
    hub.ahead = []
    hub.turn()
    assert hub.journal.count_pending() == 0 and hub.outbox.acknowledged == {}
    later = hub.record(1)
    hub.until_all_published()
    assert ids(subscriber.wait_for(lambda m: len(m) > len(first + ours))) == first + ours + later, "none twice"


def test_what_is_under_way_when_the_journal_gets_it_is_not_sent_again(
    hub: Hub, broker: Mosquitto, subscriber: Subscriber
) -> None:
    hub.until(lambda: hub.client.connected)
    hub.ahead = events_of(5)
    broker.freeze()
    hub.outbox.pump()
    hub.journal.append(hub.ahead)
    sent, hub.ahead = [event.id for event in hub.ahead], []
    more = hub.record(3)
    hub.outbox.pump()
    broker.thaw()
    hub.until_all_published()
    assert ids(subscriber.wait_for(lambda m: len(m) >= 8)) == sent + more


def test_what_was_acknowledged_ahead_is_not_sent_again_by_the_next_connection_and_the_rest_is_late_by_then(
    hub: Hub, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, str]] = []  # a broker that was restarted may repeat by itself what it had
    publish = hub.client.publish

    def noted(topic: str, payload: str, **how: object) -> int | None:
        token = publish(topic, payload, **how)  # type: ignore[arg-type]
        if token is not None:
            sent.append((topic, json.loads(payload)["id"]))
        return token

    monkeypatch.setattr(hub.client, "publish", noted)
    hub.ahead = events_of(3)
    hub.until(lambda: len(hub.outbox.acknowledged) == 3)
    broker.stop()
    hub.until(lambda: not hub.client.connected)
    hub.ahead += events_of(2)
    hub.now += 3600
    broker.start()
    hub.until(lambda: len(hub.outbox.acknowledged) == 5)
    assert [event_id for _, event_id in sent] == [event.id for event in hub.ahead]
    assert [topic for topic, _ in sent] == ["soteira/porch/event"] * 3 + ["soteira/porch/event/late"] * 2


def test_a_journal_that_cannot_even_be_read_holds_up_nothing_that_is_ahead_of_it(
    hub: Hub, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.until(lambda: hub.client.connected)
    written = hub.record(2)
    hub.ahead = events_of(2)
    with monkeypatch.context() as dead:
        dead.setattr(hub.journal, "pending", broken)
        with pytest.raises(StorageError):
            hub.outbox.pump()
        subscriber.wait_for(lambda m: len(m) == 2)
    hub.until_all_published()
    assert ids(subscriber.wait_for(lambda m: len(m) >= 4)) == [event.id for event in hub.ahead] + written


def test_what_another_outbox_could_not_note_is_noted_and_not_sent_again(hub: Hub, subscriber: Subscriber) -> None:
    first, second = hub.record(2)
    hub.outbox = Outbox(hub.journal, hub.client, TOPICS, lambda: hub.now, acknowledged={first: "soteira/yard/event"})
    hub.until_all_published()
    assert ids(subscriber.wait_for(lambda m: len(m) >= 1)) == [second]
