"""Brokers that are away: at the start, in the middle, or for so long that nobody must be woken any more."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from soteirad.event import Event, iso_time, new_id
from soteirad.hub.journal import Journal
from soteirad.spool import Spool
from tests.brokers import Mosquitto, Received, Subscriber
from tests.clips import DEMO
from tests.daemon import Daemon, events, kinds, write_config
from tests.house import StartDaemon


def journaled(folder: Path, unpublished: bool = False) -> list[str]:
    """The ids in the journal, in its order."""
    which = "WHERE published_at IS NULL" if unpublished else ""
    with closing(sqlite3.connect(folder / "state" / "journal.sqlite3")) as db:
        return [row[0] for row in db.execute(f"SELECT id FROM events {which} ORDER BY seq")]  # noqa: S608


def ids(messages: list[Received]) -> list[str]:
    return [e["id"] for e in events(messages)]


def all_published(daemon: Daemon, folder: Path) -> None:
    daemon.wait_until(lambda: not journaled(folder, unpublished=True), "everything in the journal is published")


def an_event(kind: str, track_id: int, age: float) -> Event:
    captured = time.time() - age
    what = {"event_type": kind, "label": "person", "track_id": track_id}
    return Event(id=new_id(captured), camera="porch", time=iso_time(captured), **what)  # type: ignore[arg-type]


def test_a_subscriber_gets_every_event_once_and_in_order_though_the_broker_was_away_for_some(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": str(DEMO), "speed": 10}}),
                          "--until-end")  # fmt: skip
    listener.wait_for(lambda seen: len(ids(seen)) == 1)
    all_published(daemon, tmp_path)
    broker.stop()
    daemon.wait_log("lost the MQTT broker")
    daemon.wait_log("entered person", times=2)
    assert len(journaled(tmp_path, unpublished=True)) >= 2, "nothing happened while the broker was away"
    broker.start()
    assert daemon.wait_exit() == 0
    written = journaled(tmp_path)
    listener.wait_for(lambda seen: len(ids(seen)) >= len(written))
    assert ids(listener.messages()) == written
    assert len(set(written)) == 6


def test_a_daemon_that_finds_no_broker_watches_all_the_same_and_publishes_everything_later(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, visit_clip: Path
) -> None:
    broker.stop()
    daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": str(visit_clip), "speed": 8}}))
    daemon.wait_log("no connection to the MQTT broker")
    daemon.wait_log("left person")
    assert ids(listener.messages()) == []
    assert len(journaled(tmp_path, unpublished=True)) == 2
    broker.start()
    seen = listener.wait_for(lambda seen: len(ids(seen)) >= 2)
    assert kinds(events(seen)) == ["entered person", "left person"]
    assert ids(seen) == journaled(tmp_path)
    all_published(daemon, tmp_path)
    daemon.stop()


def test_an_event_older_than_a_minute_goes_to_the_late_topic_and_not_to_the_one_that_fires_automations(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon
) -> None:
    old, fresh = an_event("entered", 1, age=70.0), an_event("left", 1, age=5.0)
    state = tmp_path / "state"
    state.mkdir()
    journal = Journal(state / "journal.sqlite3")
    journal.open()
    journal.append([old, fresh])
    journal.close()
    missing = {"porch": {"source": str(tmp_path / "none.mp4")}}
    assert start_daemon(write_config(tmp_path, broker.port, missing), "--until-end").wait_exit() == 1
    seen = listener.wait_for(lambda seen: len(ids(seen)) >= 2)
    assert [(m.topic, json.loads(m.payload)["id"]) for m in seen if "/event" in m.topic] == [
        ("soteira/porch/event/late", old.id),
        ("soteira/porch/event", fresh.id),
    ]


def test_a_spooled_event_older_than_a_minute_is_late_too_and_its_visit_is_closed_on_time(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon
) -> None:
    old = an_event("entered", 1, age=3600.0)
    spool = Spool(tmp_path / "state" / "spool")
    spool.create()
    spool.write(old)
    missing = {"porch": {"source": str(tmp_path / "none.mp4")}}
    assert start_daemon(write_config(tmp_path, broker.port, missing), "--until-end").wait_exit() == 1
    seen = listener.wait_for(lambda seen: len(ids(seen)) >= 2)
    assert [(m.topic, *kinds([json.loads(m.payload)])) for m in seen if "/event" in m.topic] == [
        ("soteira/porch/event/late", "entered person"),
        ("soteira/porch/event", "left person restart"),
    ]
    assert not spool.read()
