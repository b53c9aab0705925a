"""The scoring that other tests rely on."""

from __future__ import annotations

from soteirad.event import Event
from tests.truth import Entry, score

BOX = (0, 0, 10, 10)


def event(time: float, box: tuple[int, int, int, int] = BOX, label: str = "person") -> Event:
    return Event(f"{time}", "entered", "c", "t", label=label, box=box, media_time=time)


def test_matching_is_one_to_one_and_finds_the_largest_number() -> None:
    truth = [Entry.of(event(1.0)), Entry.of(event(2.5))]
    found = score([event(1.8), event(1.2)], truth)
    assert (found.matched, found.recall, found.precision) == (2, 1.0, 1.0)
    assert score([event(1.0), event(1.1)], truth[:1]).precision == 0.5


def test_label_time_and_place_must_all_fit() -> None:
    truth = [Entry.of(event(1.0))]
    assert score([event(1.0)], truth).matched == 1
    assert score([event(2.1)], truth).matched == 0
    assert score([event(1.0, label="car")], truth).matched == 0
    assert score([event(1.0, box=(6, 0, 16, 10))], truth).matched == 0


def test_a_true_box_moves_along_its_track() -> None:
    entry = Entry("person", 0.0, 1.0, ((0.0, 0, 0, 10, 10), (1.0, 10, 0, 20, 10)))
    assert entry.box_at(0.5) == (5, 0, 15, 10)
    assert entry.box_at(9.0) == (10, 0, 20, 10)
    assert entry.box_at(-1.0) == (0, 0, 10, 10)


def test_a_true_track_that_begins_inside_the_picture_is_continued_backwards_to_its_border() -> None:
    entry = Entry("person", 1.0, 1.0, ((1.0, 4, 0, 14, 10), (2.0, 10, 0, 20, 10)), (100, 100))
    assert entry.box_at(0.0) == (0, 0, 8, 10)


def test_nothing_fits_an_entry_at_a_time_that_is_too_far_from_all_that_is_known_of_its_place() -> None:
    entry = Entry("person", 1.0, 1.0, ((1.0, *BOX), (1.8, *BOX)), known=0.2)
    assert [score([event(time)], [entry]).matched for time in (0.7, 0.8, 1.2, 1.4, 1.6, 2.0)] == [0, 1, 1, 0, 1, 1]
