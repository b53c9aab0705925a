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


def mot(person: int, frame: int, x: float) -> str:
    return f"{frame},{person},{x},6,20,40,1,0,0,0"


def test_a_ground_truth_of_mot_is_continued_backwards_to_the_border_and_leaves_out_who_was_there() -> None:
    walking = [mot(4, 30 + step, 80 - 5 * step) for step in range(11)]
    (entry,) = mot_entries([mot(9, 1, 0), *walking], 10, (110, 100))
    assert entry.label == "person" and entry.time == pytest.approx(2.5)
    assert entry.box_at(2.5) == pytest.approx((105, 6, 110, 46))
    assert entry.box_at(3.0) == pytest.approx((80, 6, 100, 46))


def test_who_appears_in_the_middle_of_the_picture_was_not_to_be_seen_before() -> None:
    (entry,) = mot_entries([mot(4, 30 + step, 50) for step in range(11)], 10, (110, 100))
    assert entry.time == 3.0


def test_the_labelled_clips_have_their_entries() -> None:
    assert [(e.label, e.time) for e in demo_entries()] == [("person", 6.1), ("person", 41.6), ("cat", 54.0)]
    assert sum(e.label == "person" for e in parking_entries()) == 3
