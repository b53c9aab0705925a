"""The intake: a disk that fails and comes back changes no order and loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from soteirad.errors import StorageError
from soteirad.event import Event, iso_time, new_id
from soteirad.hub.guard import Guard
from soteirad.hub.intake import Closing, Intake
from soteirad.hub.journal import Journal
from soteirad.spool import Spool

T0 = 1_800_000_000.0


def make(kind: str, track: int | None = 1, camera: str = "porch") -> Event:
    return Event(new_id(T0), kind, camera, iso_time(T0), label="person" if track else None,  # type: ignore[arg-type]
                 track_id=track, why={"reason": "gone"} if kind == "left" else {})  # fmt: skip


class Rig:
    """A real journal and spool; `broken` names the journal's methods that the disk refuses now."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal.sqlite3")
        self.journal.open()
        self.spool = Spool(folder / "spool")
        self.spool.create()
        self.broken: set[str] = set()
        self.committed: list[Event] = []
        for name in ("append", "close_open_visits"):
            setattr(self.journal, name, self._failing(name, getattr(self.journal, name)))
        self.intake = Intake(self.journal, self.spool, Guard(), self._commit)

    def _failing(self, name: str, method: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            if name in self.broken:
                raise StorageError("the disk is full")
            return method(*arguments)

        return call

    def _commit(self, events: Sequence[Event]) -> None:
        known = [entry.event.id for entry in self.journal.pending(1000)]
        assert all(event.id in known for event in events), "answered before the disk had it"
        self.committed += events

    def journaled(self) -> list[tuple[str, str, int | None, object]]:
        events = (entry.event for entry in self.journal.pending(1000))
        return [(e.camera, e.event_type, e.track_id, e.why.get("reason")) for e in events]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.journal.close()


def test_events_are_journaled_together_and_then_answered(rig: Rig) -> None:
    events = [make("entered", 1), make("entered", 2)]
    rig.intake.take(events)
    assert rig.committed == events == [entry.event for entry in rig.journal.pending(9)]


def test_a_closing_ends_the_visits_of_its_camera_between_the_events_around_it(rig: Rig) -> None:
    rig.intake.take([make("entered", 1), make("entered", 1, "yard"), Closing("porch", "reload"), make("present", 1)])
    assert rig.journaled() == [
        ("porch", "entered", 1, None), ("yard", "entered", 1, None), ("porch", "left", 1, "reload"),
        ("porch", "present", 1, None),
    ]  # fmt: skip
    assert [e.event_type for e in rig.committed] == ["entered", "entered", "present"]


def test_what_comes_while_the_disk_fails_is_journaled_in_order_when_it_is_back(rig: Rig) -> None:
    rig.intake.take([make("entered", 1)])
    rig.broken = {"append", "close_open_visits"}
    first = make("entered", 2)
    rig.intake.take([first])
    rig.intake.take([Closing("porch", "camera_restart")])
    for _ in range(5):
        rig.intake.take([])
    later = [make("present", 1), make("left", 1)]
    for event in later:
        rig.intake.take([event])
    assert len(rig.committed) == 1 == len(rig.journaled())
    rig.broken = set()
    rig.intake.take([])
    assert [row[1:] for row in rig.journaled()] == [
        ("entered", 1, None), ("entered", 2, None), ("left", 1, "camera_restart"), ("left", 2, "camera_restart"),
        ("present", 1, None), ("left", 1, "gone"),
    ]  # fmt: skip
    assert rig.committed[1:] == [first, *later]
    rig.intake.take([])
    assert len(rig.journaled()) == 6, "nothing is taken twice"


def test_a_closing_that_fails_half_way_is_done_again_without_doubling_what_was_spooled(rig: Rig) -> None:
    rig.intake.take([make("entered", 1)])
    spooled = make("entered", 2)
    rig.spool.write(spooled)
    rig.broken = {"close_open_visits"}
    rig.intake.take([Closing("porch", "camera_restart"), make("present", 1)])
    assert [row[1:3] for row in rig.journaled()] == [("entered", 1), ("entered", 2)]
    rig.broken = set()
    rig.intake.take([])
    assert [row[1:3] for row in rig.journaled()] == [
        ("entered", 1), ("entered", 2), ("left", 1), ("left", 2), ("present", 1)
    ]  # fmt: skip
    assert rig.spool.read() == []


def test_a_disk_that_refuses_what_was_spooled_leaves_it_in_the_spool(rig: Rig) -> None:
    event = make("entered", 1)
    rig.spool.write(event)
    rig.broken = {"append"}
    rig.intake.take([Closing("porch", "camera_restart")])
    assert rig.spool.read() == [event] and rig.journaled() == []
    with pytest.raises(StorageError):
        rig.intake.recover()
    assert rig.spool.read() == [event]
    rig.broken = set()
    rig.intake.take([])
    assert rig.spool.read() == [] and [row[1] for row in rig.journaled()] == ["entered", "left"]


def test_an_event_that_came_through_the_pipe_and_the_spool_is_journaled_once(rig: Rig) -> None:
    event = make("entered", 1)
    rig.spool.write(event)
    rig.intake.take([event])
    rig.intake.take([Closing("porch", "camera_restart")])
    assert [row[1] for row in rig.journaled()] == ["entered", "left"] and rig.spool.read() == []


def test_a_closing_leaves_the_spool_of_other_cameras_alone(rig: Rig) -> None:
    event = make("entered", 1, "yard")
    rig.spool.write(event)
    rig.intake.take([Closing("porch", "camera_restart")])
    assert rig.spool.read() == [event]


def test_a_start_takes_in_what_was_spooled_and_then_closes_what_was_open(rig: Rig) -> None:
    rig.journal.append([make("entered", 1), make("entered", 3, "yard")])
    rig.spool.write(make("left", 1))
    rig.spool.write(make("entered", 2))
    assert rig.intake.recover() == (2, 2)
    assert [row[1:] for row in rig.journaled()][2:] == [
        ("left", 1, "gone"), ("entered", 2, None), ("left", 3, "restart"), ("left", 2, "restart")
    ]  # fmt: skip
    assert rig.intake.recover() == (0, 0)
