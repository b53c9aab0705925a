"""What one track knows of where its object is."""

from __future__ import annotations

import numpy as np
import pytest

from soteirad.gates.geometry import Box
from soteirad.track.track import Track


def box(x: float, y: float = 0.3, width: float = 0.1, height: float = 0.3) -> Box:
    return x, y, x + width, y + height


def track(x: float = 0.2, time: float = 0.0) -> Track:
    return Track(1, 0, box(x), 0.8, time, time, False)


def walk(t: Track, speed: float, until: float) -> None:
    for time in np.arange(0.1, until + 0.05, 0.1):
        t.hit(box(0.2 + speed * float(time)), 0.8, float(time))


def test_a_walker_is_expected_where_the_walk_leads() -> None:
    t = track()
    walk(t, 0.1, 3.0)
    assert t.predicted(3.5)[0] == pytest.approx(0.55, abs=0.01)


def test_a_velocity_is_not_trusted_for_ever() -> None:
    t = track()
    walk(t, 0.1, 3.0)
    assert t.predicted(3.0 + Track.PREDICT_S) == pytest.approx(t.predicted(60.0))


def test_who_stays_within_a_tenth_of_their_size_stands_still_and_is_expected_there() -> None:
    t = track()
    for i in range(1, 20):
        t.hit(box(0.2 + 0.005 * (i % 2)), 0.8, i / 10)
    assert t.still
    assert t.predicted(9.0)[:2] == pytest.approx(t.box[:2], abs=0.01)


def test_a_walker_does_not_stand_still() -> None:
    t = track()
    walk(t, 0.1, 3.0)
    assert not t.still


def test_a_faint_hit_moves_a_track_and_leaves_its_size() -> None:
    t = track()
    t.hit(box(0.2, height=0.15), 0.15, 0.1, firm=False)
    assert t.size == pytest.approx([0.1, 0.3])
    assert t.last_seen == pytest.approx(0.1)
    assert t.last_firm == 0.0


def test_one_odd_box_hardly_changes_the_size() -> None:
    t = track()
    t.hit(box(0.2, height=0.15), 0.8, 0.1)
    assert t.size[1] == pytest.approx(0.3, abs=0.03)


def test_the_size_follows_who_comes_closer_sooner_than_who_is_half_hidden() -> None:
    larger, smaller = track(), track()
    for number in (1, 2):
        larger.hit(box(0.2, width=0.2), 0.8, 0.3 * number)
        smaller.hit(box(0.2, width=0.05), 0.8, 0.3 * number)
    assert larger.size[0] == pytest.approx(0.173, abs=0.001)
    assert smaller.size[0] == pytest.approx(0.077, abs=0.001)


def test_a_first_larger_box_makes_the_size_at_most_half_of_it_larger_however_long_ago_the_last_one_was() -> None:
    t = track()
    t.hit(box(0.2, width=0.2), 0.8, 100.0)
    assert t.size[0] == pytest.approx(0.15)


def test_at_the_edge_an_object_may_grow_at_once() -> None:
    t = track()
    t.hit(box(0.2, width=0.2), 0.8, 0.1, growing=True)
    assert t.size[0] == pytest.approx(0.2)


def test_hits_that_do_not_count_break_the_row() -> None:
    t = track()
    t.hit(box(0.2), 0.2, 0.1, counts=False)
    assert t.hits == 0


def test_a_hidden_object_moves_along_with_whoever_hides_it() -> None:
    t = track()
    t.carry((0.1, 0.0))
    assert t.box[0] == pytest.approx(0.3)
    assert t.velocity == (0.0, 0.0)
