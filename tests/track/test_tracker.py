"""Which detections are one visit, and when it begins and ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soteirad.detect.detection import Detections
from soteirad.track.tracker import Tracker, TrackerSettings, Visit

PERSON, CAR = 0, 2
Found = tuple[int, float, Sequence[float]]
Box = tuple[float, float, float, float]
INSIDE: Box = (0.4, 0.3, 0.5, 0.6)


def moving(box: object, since: float) -> float:
    return 1.0


def motionless(box: object, since: float) -> float:
    return 0.0


class Looks:
    """A tracker that is looked through ten times a second."""

    def __init__(self, evidence: Callable[..., float] = moving, settling: float = -1.0) -> None:
        self.tracker = Tracker(TrackerSettings())
        self.evidence, self.settling, self.time = evidence, settling, 0.0
        self.visits: list[Visit] = []

    def see(self, *found: Found, looks: int = 1, seconds: float = 0.1) -> list[Visit]:
        """See the same in some looks; returns the visits that begin or end with them."""
        best = sorted(found, key=lambda f: -f[1])
        new: list[Visit] = []
        for _ in range(looks):
            scores = np.array([f[1] for f in best], np.float32)
            boxes = np.array([f[2] for f in best], np.float32).reshape(-1, 4)
            detections = Detections(boxes, scores, np.array([f[0] for f in best], np.int64))
            new += self.tracker.step(self.time, detections, scores >= 0.4, self.evidence, self.time < self.settling)
            self.time += seconds
        self.visits += new
        return new

    @property
    def kinds(self) -> list[str]:
        return [v.kind for v in self.visits]


def shifted(box: Sequence[float], x: float) -> Box:
    return (box[0] + x, box[1], box[2] + x, box[3])


def test_a_visit_is_entered_once_after_two_strong_hits() -> None:
    looks = Looks()
    assert looks.see((PERSON, 0.8, INSIDE)) == []
    (entered,) = looks.see((PERSON, 0.8, INSIDE))
    assert (entered.kind, entered.class_index, entered.time) == ("entered", PERSON, pytest.approx(0.1))
    assert looks.see((PERSON, 0.8, INSIDE), looks=30) == []


def coming(time: float) -> Box:
    """Return a car's box that comes straight towards the camera, down the picture: twice the area every 0.4 s."""
    side = 0.05 * 2 ** (time / 0.8)
    middle = 0.2 + side
    return (0.5 - side / 2, middle - side / 2, 0.5 + side / 2, middle + side / 2)


@pytest.mark.parametrize("interval", [0.1, 0.4, 0.7])
def test_a_car_that_comes_straight_towards_the_camera_stays_one_visit(interval: float) -> None:
    looks = Looks()
    looks.see((CAR, 0.8, coming(0.0)))
    while looks.time < 2.5:
        looks.see((CAR, 0.8, coming(looks.time)), seconds=0.1 if looks.time < 0.15 else interval)
    assert looks.kinds == ["entered"]
    assert len(looks.tracker.tracks) == 1


def around(area: float, off: float = 0.0) -> Box:
    """Return a box of so many times the area of `INSIDE`, its middle `off` to the right of that one's."""
    x1, y1, x2, y2 = INSIDE
    x, y, share = (x1 + x2) / 2 + off, (y1 + y2) / 2, area**0.5 / 2
    return (x - share * (x2 - x1), y - share * (y2 - y1), x + share * (x2 - x1), y + share * (y2 - y1))


@pytest.mark.parametrize(
    ("box", "tracks"),
    [(around(4.0, 0.08), 1), (around(6.0, 0.08), 2), (around(1 / 4.0, 0.08), 2), (around(4.0, 0.3), 2)],
    ids=["larger and near", "far larger", "smaller", "larger and not near"],
)
def test_a_box_of_another_size_is_the_same_object_only_if_it_is_larger_and_near(box: Box, tracks: int) -> None:
    looks = Looks()
    looks.see((PERSON, 0.8, INSIDE), looks=5)
    looks.see((PERSON, 0.8, box))
    assert len(looks.tracker.tracks) == tracks


def test_who_comes_in_at_the_edge_before_somebody_far_off_is_somebody_else() -> None:
    looks = Looks()
    looks.see((PERSON, 0.8, (0.40, 0.60, 0.48, 0.80)), looks=5)
    looks.see((PERSON, 0.8, (0.40, 0.64, 0.58, 1.0)), looks=5)
    assert looks.kinds == ["entered", "entered"]


@pytest.mark.parametrize("seconds", [0.1, 0.4, 10.0])
def test_one_odd_box_that_is_far_larger_does_not_split_a_visit(seconds: float) -> None:
    looks = Looks()
    looks.see((PERSON, 0.8, INSIDE), looks=4, seconds=seconds)
    looks.see((PERSON, 0.8, around(4.5)), seconds=seconds)
    looks.see((PERSON, 0.8, INSIDE), looks=8, seconds=seconds)
    assert looks.kinds == ["entered"]


def test_two_hits_that_are_not_consecutive_confirm_nothing() -> None:
    looks = Looks()
    for _ in range(3):
        looks.see((PERSON, 0.8, INSIDE))
        looks.see()
    assert looks.kinds == []


def test_a_visit_leaves_once_with_the_time_and_dwell_of_its_last_sight() -> None:
    looks = Looks()
    looks.see((PERSON, 0.8, INSIDE), looks=21)
    looks.see(looks=100)
    assert looks.kinds == ["entered", "left"]
    left = looks.visits[-1]
    assert left.time == pytest.approx(2.0)
    assert left.dwell == pytest.approx(2.0)
    assert left.reason == "gone"


def test_who_is_lost_at_the_edge_is_gone_sooner_than_who_is_lost_inside() -> None:
    edge, inside = Looks(), Looks()
    edge.see((PERSON, 0.8, (0.9, 0.3, 1.0, 0.6)), looks=5)
    inside.see((PERSON, 0.8, INSIDE), looks=5)
    assert [v.kind for v in edge.see(looks=15)] == ["left"]
    assert inside.see(looks=15) == []


def test_a_look_that_misses_is_not_an_end() -> None:
    looks = Looks()
    looks.see((PERSON, 0.8, INSIDE), looks=5)
    looks.see(looks=2, seconds=20.0)
    looks.see((PERSON, 0.8, INSIDE))
    assert looks.kinds == ["entered"]


def test_a_faint_detection_keeps_a_track() -> None:
    looks = Looks()
    looks.see((PERSON, 0.8, INSIDE), looks=5)
    looks.see((PERSON, 0.12, INSIDE), looks=200)
    assert looks.kinds == ["entered"]


def test_faint_detections_never_start_one() -> None:
    looks = Looks()
    looks.see((PERSON, 0.35, INSIDE), looks=100)
    assert looks.tracker.tracks == []


def test_a_faint_part_of_the_body_does_not_drag_the_track_along() -> None:
    looks = Looks()
    looks.see((PERSON, 0.8, INSIDE), looks=5)
    looks.see((PERSON, 0.2, (0.4, 0.3, 0.45, 0.38)), looks=5)
    (track,) = looks.tracker.open_tracks
    assert track.box == pytest.approx(INSIDE)


def test_one_detection_keeps_one_track_of_its_label_only() -> None:
    looks = Looks()
    a, b = (PERSON, 0.8, INSIDE), (PERSON, 0.8, shifted(INSIDE, 0.3))
    looks.see(a, b, looks=3)
    looks.see(a, looks=100)
    assert Counter(looks.kinds) == {"entered": 2, "left": 1}
    assert len(looks.tracker.open_tracks) == 1


def test_a_confirmed_track_comes_before_one_that_would_fit_better_but_is_not() -> None:
    looks = Looks()
    known = (PERSON, 0.8, INSIDE)
    looks.see(known, looks=5)
    looks.see(known, (PERSON, 0.8, shifted(INSIDE, 0.1)))
    assert len(looks.tracker.tracks) == 2
    looks.see((PERSON, 0.8, shifted(INSIDE, 0.07)))
    (track,) = looks.tracker.tracks
    assert track.confirmed
    assert track.misses == 0


def test_a_strong_detection_comes_before_a_faint_one_that_would_fit_better() -> None:
    looks = Looks()
    looks.see((PERSON, 0.8, INSIDE), looks=5)
    looks.see((PERSON, 0.8, shifted(INSIDE, 0.04)), (PERSON, 0.2, INSIDE))
    (track,) = looks.tracker.open_tracks
    assert track.box == pytest.approx(shifted(INSIDE, 0.04))


def test_a_second_box_on_something_beside_comes_last() -> None:
    looks = Looks()
    looks.see((PERSON, 0.8, INSIDE), looks=5)
    beside, echo, own = shifted(INSIDE, 0.04), shifted(INSIDE, 0.02), shifted(INSIDE, -0.03)
    looks.see((PERSON, 0.35, beside), (PERSON, 0.3, echo), (PERSON, 0.2, own))
    (track,) = looks.tracker.open_tracks
    assert track.box == pytest.approx(own)


def test_a_strong_second_box_on_somebody_does_not_keep_the_neighbour_who_left() -> None:
    looks = Looks()
    stays, leaves = (PERSON, 0.8, INSIDE), (PERSON, 0.8, shifted(INSIDE, 0.1))
    looks.see(stays, leaves, looks=5)
    looks.see(stays, (PERSON, 0.7, shifted(INSIDE, 0.02)), looks=100)
    assert Counter(looks.kinds) == {"entered": 2, "left": 1}


def test_a_second_box_on_somebody_keeps_no_unconfirmed_track() -> None:
    looks = Looks()
    known = (PERSON, 0.8, INSIDE)
    looks.see(known, looks=5)
    looks.see(known, (PERSON, 0.7, shifted(INSIDE, 0.04)))
    assert len(looks.tracker.tracks) == 2
    looks.see(known, (PERSON, 0.7, shifted(INSIDE, 0.02)))
    (track,) = looks.tracker.tracks
    assert track.confirmed


def test_labels_do_not_mix() -> None:
    looks = Looks()
    looks.see((PERSON, 0.8, INSIDE), (CAR, 0.8, INSIDE), looks=3)
    looks.see((CAR, 0.8, INSIDE), looks=100)
    assert [(v.kind, v.class_index) for v in looks.visits] == [("entered", 0), ("entered", 2), ("left", 0)]


def test_who_stands_still_and_walks_on_is_one_visit() -> None:
    looks = Looks()
    for i in range(10):
        looks.see((PERSON, 0.8, shifted(INSIDE, 0.02 * i)))
    looks.evidence = motionless
    looks.see((PERSON, 0.5, shifted(INSIDE, 0.18)), looks=3, seconds=10.0)
    looks.evidence = moving
    for i in range(10, 20):
        looks.see((PERSON, 0.8, shifted(INSIDE, 0.02 * i)))
    assert looks.kinds == ["entered"]


def test_a_still_track_is_matched_with_a_wider_gate() -> None:
    found = (0.4, 0.1, 0.5, 0.6)
    tall = (PERSON, 0.8, (0.4, 0.1, 0.5, 0.27))
    still = Looks()
    still.see((PERSON, 0.8, found), looks=30)
    still.see((PERSON, 0.8, (0.4, 0.1, 0.5, 0.27)), tall)
    assert len(still.tracker.tracks) == 1
    assert still.tracker.tracks[0].misses == 0


def test_nothing_leaves_without_moving() -> None:
    looks = Looks()
    looks.see((PERSON, 0.8, INSIDE), looks=5)
    looks.evidence = motionless
    looks.see(looks=25, seconds=1.0)
    assert looks.kinds == ["entered"]


def test_nothing_enters_without_moving() -> None:
    looks = Looks(motionless)
    looks.see((PERSON, 0.8, INSIDE), looks=5)
    assert looks.kinds == ["present"]


def test_what_the_first_looks_find_is_present() -> None:
    looks = Looks(settling=2.0)
    looks.see((PERSON, 0.8, INSIDE), looks=5)
    assert looks.kinds == ["present"]


def test_what_was_faint_at_the_start_and_clear_later_was_there_before() -> None:
    looks = Looks(settling=2.0)
    looks.see((PERSON, 0.25, INSIDE), looks=30)
    assert looks.kinds == []
    looks.see((PERSON, 0.8, INSIDE), looks=3)
    assert looks.kinds == ["present"]


def test_a_walker_is_found_again_behind_a_lamp_post() -> None:
    looks = Looks()
    positions = [0.05 + 0.015 * i for i in range(50)]
    for i, x in enumerate(positions):
        hidden = 20 <= i < 32
        looks.see(*([] if hidden else [(PERSON, 0.8, (x, 0.3, x + 0.06, 0.5))]))
    assert looks.kinds == ["entered"]
    assert len({v.track_id for v in looks.visits}) == 1


def test_who_was_lost_for_seconds_is_found_again_further_off() -> None:
    looks = Looks()
    looks.see((PERSON, 0.8, INSIDE), looks=5)
    looks.see(looks=20)
    looks.see((PERSON, 0.8, shifted(INSIDE, 0.35)), looks=10)
    assert looks.kinds == ["entered"]
    assert len(looks.tracker.tracks) == 1


@pytest.mark.parametrize(
    "second",
    [shifted(INSIDE, 0.02), (0.4, 0.3, 0.5, 0.45), (0.38, 0.28, 0.52, 0.62)],
    ids=["beside", "half a body", "around"],
)
def test_a_second_box_on_somebody_is_no_second_visit(second: Box) -> None:
    looks = Looks()
    looks.see((PERSON, 0.8, INSIDE), (PERSON, 0.6, second), looks=30)
    assert looks.kinds == ["entered"]


def test_two_who_cross_are_two_visits() -> None:
    looks = Looks()
    for i in range(60):
        a, b = 0.05 + 0.014 * i, 0.88 - 0.014 * i
        found = [(PERSON, 0.8, (a, 0.3, a + 0.06, 0.5))]
        if abs(a - b) > 0.05:
            found.append((PERSON, 0.7, (b, 0.3, b + 0.06, 0.5)))
        looks.see(*found)
    assert looks.kinds == ["entered", "entered"]


def test_who_was_hidden_behind_somebody_is_not_reported_again() -> None:
    looks = Looks()
    front, behind = (PERSON, 0.9, INSIDE), (PERSON, 0.7, shifted(INSIDE, 0.05))
    looks.see(front, (PERSON, 0.7, shifted(INSIDE, 0.2)), looks=5)
    looks.see(front, behind, looks=5)
    looks.see(front, looks=100)
    looks.see(front, (PERSON, 0.7, shifted(INSIDE, 0.1)), looks=20)
    assert looks.kinds == ["entered", "entered"]


def test_who_appears_beside_somebody_inside_the_picture_is_on_probation() -> None:
    looks = Looks()
    known, new = (PERSON, 0.8, INSIDE), (PERSON, 0.8, shifted(INSIDE, 0.2))
    looks.see(known, looks=10)
    looks.see(known, new, looks=4)
    assert looks.kinds == ["entered"]
    assert looks.tracker.needs(moving, looks.time + 0.1).confirm
    looks.see(known, new, looks=4)
    assert looks.kinds == ["entered", "entered"]


def test_on_probation_somebody_is_looked_at_every_fifth_of_a_second() -> None:
    looks = Looks()
    known, new = (PERSON, 0.8, INSIDE), (PERSON, 0.8, shifted(INSIDE, 0.2))
    looks.see(known, looks=10)
    looks.see(known, new)
    assert looks.tracker.needs(moving, looks.time).confirm
    looks.see(known, new)
    assert not looks.tracker.needs(moving, looks.time).confirm
    assert looks.tracker.needs(moving, looks.time + 0.1).confirm


def test_who_was_seen_coming_in_is_not_somebody_who_was_lost_nearby() -> None:
    looks = Looks()
    looks.see((PERSON, 0.8, (0.57, 0.3, 0.63, 0.49)), looks=20)
    looks.see(looks=30)
    looks.see((PERSON, 0.8, (0.94, 0.3, 1.0, 0.49)))
    looks.see((PERSON, 0.8, (0.91, 0.3, 0.97, 0.49)))
    assert looks.kinds == ["entered", "entered"]


def test_who_comes_in_at_the_edge_is_not() -> None:
    looks = Looks()
    known = (PERSON, 0.8, (0.8, 0.3, 0.9, 0.6))
    looks.see(known, looks=10)
    looks.see(known, (PERSON, 0.8, (0.95, 0.3, 1.0, 0.6)), looks=2)
    assert looks.kinds == ["entered", "entered"]


def test_closing_ends_every_open_visit_with_its_reason() -> None:
    looks = Looks()
    looks.see((PERSON, 0.8, INSIDE), (CAR, 0.8, (0.1, 0.7, 0.3, 0.9)), looks=3)
    looks.see((PERSON, 0.8, INSIDE), (CAR, 0.8, (0.1, 0.7, 0.3, 0.9)), (PERSON, 0.8, (0.7, 0.1, 0.8, 0.4)))
    ended = looks.tracker.close("scene_changed")
    assert [(v.kind, v.reason) for v in ended] == [("left", "scene_changed")] * 2
    assert looks.tracker.tracks == []
    assert looks.tracker.close("again") == []


def test_needs_tell_what_the_tracker_waits_for() -> None:
    looks = Looks()
    looks.see((PERSON, 0.3, INSIDE))
    assert looks.tracker.needs(moving, looks.time).promising
    looks.see((PERSON, 0.8, INSIDE))
    assert looks.tracker.needs(moving, looks.time).confirm
    looks.see((PERSON, 0.8, INSIDE))
    needs = looks.tracker.needs(moving, looks.time)
    assert needs.open_tracks
    assert not needs.confirm
    assert not needs.unseen
    looks.see()
    assert looks.tracker.needs(moving, looks.time).unseen
    assert not looks.tracker.needs(motionless, looks.time).unseen


detection = st.tuples(
    st.sampled_from([PERSON, CAR]),
    st.floats(0.1, 1.0),
    st.tuples(st.floats(0, 0.8), st.floats(0, 0.8), st.floats(0.02, 0.5), st.floats(0.02, 0.5)).map(
        lambda b: (b[0], b[1], min(1.0, b[0] + b[2]), min(1.0, b[1] + b[3]))
    ),
)


@settings(max_examples=60, deadline=None)
@given(
    looks_found=st.lists(st.lists(detection, max_size=5), min_size=1, max_size=20),
    repeats=st.integers(1, 4),
    gap=st.sampled_from([0.1, 0.4, 2.0]),
    shares=st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=7),
)
def test_every_visit_begins_once_and_ends_once(
    looks_found: list[list[Found]], repeats: int, gap: float, shares: list[float]
) -> None:
    turn = count()
    looks = Looks(lambda box, since: shares[next(turn) % len(shares)], settling=0.5)
    for found in looks_found:
        looks.see(*found, looks=repeats, seconds=gap)
        ids = [t.id for t in looks.tracker.tracks]
        assert len(ids) == len(set(ids))
    visits = looks.visits + looks.tracker.close("source_ended")
    begun: set[int] = set()
    ended: set[int] = set()
    for visit in visits:
        if visit.kind == "left":
            assert visit.track_id in begun - ended
            assert visit.dwell >= 0
            ended.add(visit.track_id)
        else:
            assert visit.track_id not in begun
            begun.add(visit.track_id)
    assert begun == ended
