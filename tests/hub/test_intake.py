"""The intake: a disk that fails and comes back changes no order and loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from soteirad.errors import StorageError
from soteirad.event import Event, iso_time, new_id
from soteirad.hub.guard import Guard
from soteirad.hub.intake import REFUSED_S, Closing, Intake
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
        self.sure: list[Event] = []
        self.now = 0.0
        for name in ("append", "close_open_visits", "open_visits"):
            setattr(self.journal, name, self._failing(name, getattr(self.journal, name)))
        self.intake = Intake(self.journal, self.spool, Guard(), self._commit, self.sure.extend,
                             lambda: self.now)  # fmt: skip

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


# Ahead of the journal.


def ahead(rig: Rig) -> list[tuple[str, int | None, object]]:
    return [(e.event_type, e.track_id, e.why.get("reason")) for e in rig.intake.ahead()]


def test_what_the_disk_refuses_for_some_seconds_goes_ahead_and_is_answered_when_the_disk_has_it(rig: Rig) -> None:
    rig.broken = {"append"}
    first, second = make("entered", 1), make("left", 1)
    rig.intake.take([first])
    rig.now = REFUSED_S - 0.1
    rig.intake.take([second])
    assert rig.intake.ahead() == () and rig.sure == [] and rig.intake.problem == "the disk is full"
    rig.now = REFUSED_S
    rig.intake.take([])
    assert rig.intake.ahead() == rig.sure == [first, second] and rig.committed == []
    third = make("entered", 2)
    rig.intake.take([third])  # nothing has to wait any more
    assert rig.intake.ahead() == rig.sure == [first, second, third] and rig.committed == []
    rig.broken = set()
    rig.intake.take([])
    assert rig.intake.ahead() == () and rig.intake.problem == ""
    assert rig.committed == rig.sure == [first, second, third] == [e.event for e in rig.journal.pending(9)]


def test_a_disk_that_takes_it_in_time_lets_nothing_ahead(rig: Rig) -> None:
    rig.broken = {"append"}
    for _ in range(3):
        rig.intake.take([make("entered", 1)])
        rig.now += REFUSED_S - 0.1
        rig.broken = set()
        rig.intake.take([])
        rig.broken = {"append"}
    assert rig.intake.ahead() == () and len(rig.committed) == 3


def test_it_is_told_once_when_it_begins_and_once_when_it_is_over(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    rig.broken = {"append"}
    for _ in range(5):
        rig.intake.take([make("entered", 1)])
        rig.now += REFUSED_S
    rig.broken = set()
    rig.intake.take([])
    refused, began, over = [record.getMessage() for record in caplog.records]
    assert refused == "the disk is full" and "takes no events" in began and "takes events again" in over


def test_a_closing_goes_ahead_as_the_events_that_it_means(rig: Rig) -> None:
    rig.intake.take([make("entered", 1), make("entered", 7, "yard")])
    rig.broken = {"append", "close_open_visits"}
    spooled, later = make("entered", 3), make("present", 1)
    rig.intake.take([make("entered", 2)])
    rig.spool.write(spooled)
    rig.intake.take([Closing("porch", "camera_restart"), later])
    rig.now = REFUSED_S
    rig.intake.take([])
    expected = [("entered", 2, None), ("entered", 3, None), ("left", 1, "camera_restart"),
                ("left", 2, "camera_restart"), ("left", 3, "camera_restart"), ("present", 1, None)]  # fmt: skip
    assert ahead(rig) == expected
    was_ahead = [*rig.intake.ahead()]
    assert [e.track_id for e in rig.sure] == [1, 7, 2, 1], "a closing is told to nobody, as ever"
    rig.broken = set()
    rig.intake.take([])
    assert [e.event for e in rig.journal.pending(99)][2:] == was_ahead and rig.spool.read() == []
    assert [e.track_id for e in rig.journal.open_visits("porch")] == [1]
    rig.intake.take([Closing("porch", "reload")])
    assert rig.journaled()[-1][1:] == ("left", 1, "reload")


def test_a_closing_waits_while_the_journal_cannot_even_be_read_and_events_do_not(rig: Rig) -> None:
    rig.intake.take([make("entered", 1)])
    rig.broken = {"append", "close_open_visits", "open_visits"}
    rig.intake.take([Closing("porch", "camera_restart"), make("present", 1), make("entered", 9)])
    rig.now = REFUSED_S
    rig.intake.take([])
    rig.intake.take([make("left", 9)])
    assert ahead(rig) == [("present", 1, None), ("entered", 9, None), ("left", 9, "gone")]
    rig.broken = set()
    rig.intake.take([])
    assert [row[1:] for row in rig.journaled()] == [
        ("entered", 1, None), ("left", 1, "camera_restart"), ("present", 1, None), ("entered", 9, None),
        ("left", 9, "gone"),
    ]  # fmt: skip


def test_a_disk_that_takes_some_and_fails_again_mixes_nothing_up(rig: Rig) -> None:
    rig.broken = {"append", "close_open_visits"}
    rig.intake.take([make("entered", 1), Closing("porch", "camera_restart"), make("present", 1)])
    rig.now = REFUSED_S
    rig.intake.take([])
    append = rig.journal.append

    def one(events: Sequence[Event]) -> object:
        rig.journal.append = refuse  # type: ignore[method-assign, assignment]
        rig.broken = set()
        return append(events)

    def refuse(_: Sequence[Event]) -> object:
        raise StorageError("the disk is full")

    rig.journal.append = one  # type: ignore[method-assign, assignment]
    rig.intake.take([])
    assert [row[1] for row in rig.journaled()] == ["entered"] and ahead(rig)[0] == ("left", 1, "camera_restart")
    rig.intake.take([Closing("porch", "again"), make("present", 1)])
    assert [kind for kind, *_ in ahead(rig)] == ["left", "present", "left", "present"]
    rig.journal.append = append  # type: ignore[method-assign]
    rig.intake.take([])
    assert [row[1:] for row in rig.journaled()] == [
        ("entered", 1, None), ("left", 1, "camera_restart"), ("present", 1, None), ("left", 1, "again"),
        ("present", 1, None),
    ]  # fmt: skip
    assert len(rig.sure) == 3 and len(rig.journal.open_visits()) == 1


def test_what_an_event_closes_is_known_before_the_journal_knows_it_and_after(rig: Rig) -> None:
    first, second = make("entered", 1), make("entered", 2)
    rig.intake.take([first])
    rig.broken = {"append"}
    left, changed = make("left", 1), make("scene_changed", None)
    rig.intake.take([second, left, changed])
    rig.now = REFUSED_S
    rig.intake.take([])
    for broken in ({"append"}, set()):
        rig.broken = broken
        rig.intake.take([])
        assert (rig.intake.openings(left.id), rig.intake.openings(changed.id)) == ([first], [second])
        assert rig.intake.openings(second.id) == []


def test_at_the_end_there_is_no_time_to_wait_for_the_disk(rig: Rig) -> None:
    rig.broken = {"append"}
    rig.intake.hurry()
    event = make("entered", 1)
    rig.intake.take([event])
    assert rig.intake.ahead() == [event]


def test_a_disk_that_never_comes_back_costs_a_bounded_amount_of_memory(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("soteirad.hub.intake.MOST_WAITING", 10)
    rig.intake._on_committed = rig.committed.extend
    rig.broken = {"append"}
    rig.intake.hurry()
    events = [make("scene_changed", None) for _ in range(25)]
    for event in events:
        rig.intake.take([event])
    assert rig.sure == events and rig.intake.ahead() == events[-10:]
    assert caplog.text.count("will not be in the journal") == 1
    rig.broken = set()
    rig.intake.take([])
    assert rig.committed == events, "its camera may forget what was given up"
    assert [e.event for e in rig.journal.pending(99)] == events[-10:]


def test_a_spool_of_many_events_is_walked_a_few_times_only(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    events = [make("left", n) for n in range(50)]
    for event in events:
        rig.spool.write(event)
    walks: list[str] = []
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: walks.append(pattern) or glob(self, pattern))
    assert rig.intake.recover() == (50, 0)
    assert len(walks) == 2 and rig.spool.read() == []


@pytest.mark.parametrize("seconds", [1.0, 4.0])
def test_what_the_successor_of_a_process_has_spooled_is_not_closed_with_that_process(rig: Rig, seconds: float) -> None:
    rig.broken = {"append", "close_open_visits"}
    rig.intake.take([Closing("porch", "camera_restart")])
    event = make("entered", 1)
    rig.spool.write(event)  # nobody has answered its camera for a while
    rig.now += seconds
    rig.intake.take([event])
    assert rig.intake.ahead() == ([event] if seconds > 3.0 else ())
    rig.broken = set()
    rig.intake.take([])
    assert rig.journaled() == [("porch", "entered", 1, None)]
    assert rig.journal.open_visits() == [event] and rig.committed == [event]


def test_a_second_closing_does_not_close_what_a_first_one_that_waits_will(rig: Rig) -> None:
    rig.intake.hurry()
    rig.intake.take([make("entered", 1)])
    rig.broken = {"append", "close_open_visits", "open_visits"}
    rig.intake.take([Closing("porch", "camera_restart")])
    rig.broken.remove("open_visits")
    rig.intake.take([Closing("porch", "removed")])
    rig.broken = set()
    rig.intake.take([])
    assert rig.journaled()[1:] == [("porch", "left", 1, "camera_restart")]
