"""Intake and outbox together, over a disk that fails and a connection that breaks whenever they like."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from soteirad.errors import StorageError
from soteirad.event import Event, iso_time, new_id
from soteirad.hub.guard import Guard
from soteirad.hub.intake import Closing, Intake
from soteirad.hub.journal import Journal
from soteirad.hub.outbox import Outbox
from soteirad.mqtt.client import Acknowledged, Disconnected
from soteirad.mqtt.topics import Topics
from soteirad.spool import Spool

T0 = 1_800_000_000.0
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where nobody waits for a disk."""
WRITES = ("append", "close_open_visits", "mark_published")


class Line:
    """A connection that answers when it is told to; it refuses what `MqttClient` would refuse."""

    def __init__(self) -> None:
        self.connected = True
        self.sent: list[str] = []
        self.under_way: dict[int, str] = {}
        self.repeatable: set[str] = set()
        self._tokens = itertools.count(1)

    def publish(self, topic: str, payload: str, qos: int = 0, retain: bool = False) -> int | None:
        assert self.connected and (qos, retain) == (1, False)
        event_id = payload.partition('"id":"')[2][:26]
        assert len(event_id) == 26 and topic.startswith("soteira/")
        token = next(self._tokens)
        self.sent.append(event_id)
        self.under_way[token] = event_id
        return token

    def drop(self, reason: str) -> None:
        raise AssertionError(reason)


class House:
    """Hub and cameras in short; a dead hub is followed by another on the same journal and spool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 0.0
        self.refused: set[str] = set()
        self.takes = 999
        self.line = Line()
        self.kept: dict[str, Event] = {}
        self.confirmed: list[str] = []
        self.lost: set[str] = set()
        self.numbers = itertools.count()
        self.start()

    def start(self) -> None:
        self.journal = Journal(self.folder / "journal", clock=lambda: T0)
        self.journal.open()
        for name in WRITES:
            setattr(self.journal, name, self._failing(name, getattr(self.journal, name)))
        self.spool = Spool(self.folder / "spool")
        self.spool.create()
        self.intake = Intake(self.journal, self.spool, Guard(), self._committed, monotonic=lambda: self.now)
        self.outbox = Outbox(self.journal, self.line, Topics("soteira"), lambda: T0, lambda: 0.0,  # type: ignore[arg-type]
                             ahead=self.intake.ahead)  # fmt: skip

    @property
    def good(self) -> bool:
        return not self.refused

    def mend(self) -> None:
        self.refused, self.takes = set(), 999

    def _failing(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.takes -= 1
            if self.takes < 0:
                self.refused = {*WRITES}
            if name in self.refused:
                raise StorageError("the disk is full")
            return method(*arguments)

        return call

    def _committed(self, events: Any) -> None:
        for event in events:
            assert self.journal.knows(event.id), "answered before the disk had it"
            self.kept.pop(event.id, None)

    def turn(self, *new: Event | Closing) -> None:
        self.intake.take(new)
        with suppress(StorageError):
            self.outbox.pump()

    def do(self, what: str, track: int) -> None:
        self.now += 2.0
        if what in ("entered", "left", "scene_changed"):
            at = T0 + next(self.numbers)
            event = Event(new_id(at), what, "porch", iso_time(at), track_id=track)  # type: ignore[arg-type]
            self.kept[event.id] = event
            self.confirmed.append(event.id)
            self.turn(event)
        elif what in ("die", "crash"):
            self.end(crash=what == "crash")
        elif what == "disk":
            self.mend() if self.refused else self.refused.update(WRITES[: (3, 1, 2)[track - 1]])
        elif what == "some":  # so many more are taken, and then no more
            self.refused, self.takes = set(), track
        elif what == "acknowledge":
            for token in [*self.line.under_way][: track + 1]:
                self.line.under_way.pop(token)
                self.outbox.on_notice(Acknowledged(token))
        elif what == "break":
            self.line.repeatable |= {*self.line.under_way.values()}
            self.line.under_way.clear()
            self.line.connected = not self.line.connected
            self.outbox.on_notice(Disconnected("the connection broke"))
        elif what == "kill":
            self.kill()
        self.turn()

    def end(self, crash: bool) -> None:
        """End the camera; when it crashes, what was not answered is in the spool."""
        if crash:
            for event in self.kept.values():
                self.spool.write(event)
            self.kept.clear()
        self.turn(Closing("porch", "camera_restart"))

    def kill(self) -> None:
        """Kill the hub: the cameras spool what they keep, if the disk takes it; the next start waits for a disk."""
        # What the disk has no note of is published again.
        self.line.repeatable |= {*self.line.sent}
        self.line.under_way.clear()
        for event in self.kept.values():
            if self.good:
                self.spool.write(event)
            elif event.id not in self.line.sent:
                self.lost.add(event.id)
        self.lost |= {event_id for event_id in self.kept if not self.good}
        self.kept.clear()
        self.journal.close()
        self.mend()
        self.start()
        self.intake.recover()

    def settle(self) -> None:
        """Let all be well until nothing is left to do."""
        self.mend()
        if not self.line.connected:
            self.do("break", 0)
        for _ in range(200):
            self.do("acknowledge", 99)
            if not self.line.under_way and not self.outbox.waiting():
                return
        raise AssertionError("it never comes to rest")


ACTIONS = ["entered", "acknowledge"] * 4 + ["left", "scene_changed", "die", "crash", "disk", "disk", "some", "break"]
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(1, 3)), min_size=15, max_size=40)


@given(STEPS)
def test_without_a_death_nothing_is_lost_and_nothing_told_twice_but_what_was_under_way(
    steps: list[tuple[str, int]]
) -> None:
    with TemporaryDirectory(dir=MEMORY) as name:
        house = House(Path(name))
        for step in steps:
            house.do(*step)
        house.settle()
        entries = house.journal.after(0, 999)
        order = [entry.event.id for entry in entries]
        assert [event_id for event_id in order if event_id in house.confirmed] == house.confirmed
        assert [*dict.fromkeys(house.line.sent)] == order, "first told in the order of the journal"
        twice = {event_id for event_id, count in Counter(house.line.sent).items() if count > 1}
        assert twice <= house.line.repeatable
        assert house.kept == {} and house.journal.count_pending() == 0 == len(house.outbox.acknowledged)
        other = Journal(Path(name) / "other")
        other.open()
        for event in (entry.event for entry in entries):
            ours = event.event_type == "left" and event.id not in house.confirmed
            assert not ours or event.track_id in {opening.track_id for opening in other.open_visits()}, "left twice"
            other.append([event])
        assert [e.id for e in house.journal.open_visits()] == [e.id for e in other.open_visits()]
        other.close()
        house.journal.close()


@given(st.lists(st.tuples(st.sampled_from([*ACTIONS, "kill"]), st.integers(1, 3)), min_size=15, max_size=40))
def test_whoever_dies_when_each_event_is_told_unless_the_disk_took_it_from_nobody(steps: list[tuple[str, int]]) -> None:
    with TemporaryDirectory(dir=MEMORY) as name:
        house = House(Path(name))
        for step in steps:
            house.do(*step)
        house.settle()
        assert {*house.confirmed} - {*house.line.sent} <= house.lost
        known = [entry.event.id for entry in house.journal.after(0, 999)]
        assert {*house.confirmed} - {*known} <= house.lost and len({*known}) == len(known)
        twice = {event_id for event_id, count in Counter(house.line.sent).items() if count > 1}
        assert twice <= house.line.repeatable and house.journal.count_pending() == 0
        house.journal.close()
