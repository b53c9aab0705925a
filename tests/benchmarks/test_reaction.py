"""Reactions: which event belongs to which true entry, and how long after it was visible it was told."""

from __future__ import annotations

import pytest

from benchmarks.reaction import Report, beside_every_frame, demo_entries, mot_entries, parking_entries, reactions
from soteirad.tune.match import Entry

LEFT, RIGHT = (0.0, 0.0, 10.0, 30.0), (50.0, 0.0, 60.0, 30.0)


def standing(label: str, time: float, box: tuple[float, ...]) -> Entry:
    return Entry(label, time, ((time, box), (time + 20.0, box)))


def report(label: str, time: float, box: tuple[float, ...], late: float = 0.05) -> Report:
    return Report(Entry(label, time, ((time, box),)), late)


def test_a_reaction_goes_from_the_first_visible_frame_to_the_subscriber() -> None:
    true = [standing("person", 5.0, LEFT), standing("person", 5.2, RIGHT)]
    found = reactions("clip", true, [report("person", 6.0, RIGHT), report("person", 5.4, LEFT)])
    assert [r.after for r in found] == pytest.approx([0.45, 0.85])


def test_what_is_told_elsewhere_or_as_something_else_or_far_too_late_is_not_the_reaction() -> None:
    true = [standing("person", 5.0, LEFT)]
    for other in (report("person", 5.4, RIGHT), report("cat", 5.4, LEFT), report("person", 8.5, LEFT)):
        assert [r.after for r in reactions("clip", true, [other])] == [None]


def test_the_gates_part_is_what_a_look_at_every_frame_would_have_spared() -> None:
    true = [standing("person", 5.0, LEFT), standing("person", 9.0, RIGHT)]
    found = reactions("clip", true, [report("person", 6.0, LEFT), report("person", 9.5, RIGHT)])
    beside = beside_every_frame(found, true, [Entry("person", 5.7, ((5.7, LEFT),))])
    assert [r.by_gates for r in beside] == [pytest.approx(0.35), None]


def test_a_ground_truth_of_mot_begins_with_each_persons_first_box_and_leaves_out_who_was_there() -> None:
    lines = ["1,9,0,0,10,20,1,0,0,0", "31,4,5,6,10,20,1,0,0,0", "30,4,4,6,10,20,1,0,0,0"]
    (entry,) = mot_entries(lines, 10)
    assert (entry.label, entry.time) == ("person", 3.0)
    assert entry.path == ((3.0, (4.0, 6.0, 14.0, 26.0)), (3.1, (5.0, 6.0, 15.0, 26.0)))


def test_the_labelled_clips_have_their_entries() -> None:
    assert [(e.label, e.time) for e in demo_entries()] == [("person", 6.1), ("person", 41.6), ("cat", 54.0)]
    assert sum(e.label == "person" for e in parking_entries()) == 3
