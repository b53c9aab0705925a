"""Gate 3's filters: who counts, who may start a track, and where they stand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.detect.detection import Detections
from soteirad.gates.objects import LabelFilter, ObjectFilter, Zone, zones_of

PERSON, CAR, CAT = 0, 2, 15


def detections(*rows: tuple[int, float, float]) -> Detections:
    """Build detections from (class, score, area), as squares at the top left corner."""
    boxes = np.array([[0, 0, area**0.5, area**0.5] for _, _, area in rows], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score, _ in rows], np.float32)
    return Detections(boxes, scores, np.array([index for index, _, _ in rows], np.int64))


def judge(limits: LabelFilter, score: float, area: float) -> str:
    kept, strong = ObjectFilter({PERSON: limits}).step(detections((PERSON, score, area)))
    assert len(kept) == len(strong)
    return "noise" if not len(kept) else "strong" if strong[0] else "weak"


@pytest.mark.parametrize(("score", "verdict"), [(0.09, "noise"), (0.11, "weak"), (0.39, "weak"), (0.41, "strong")])
def test_a_score_under_the_labels_limit_only_keeps_a_track_and_one_under_a_tenth_is_noise(
    score: float, verdict: str
) -> None:
    assert judge(LabelFilter(min_score=0.4), score, 0.05) == verdict


@pytest.mark.parametrize(("area", "verdict"), [(0.0045, "noise"), (0.006, "weak"), (0.0095, "weak"), (0.011, "strong")])
def test_half_of_the_smallest_area_is_enough_to_keep_a_track(area: float, verdict: str) -> None:
    assert judge(LabelFilter(min_area=0.01), 0.9, area) == verdict


def test_an_object_over_the_largest_area_is_noise() -> None:
    assert judge(LabelFilter(max_area=0.5), 0.9, 0.51) == "noise"
    assert judge(LabelFilter(max_area=0.5), 0.9, 0.49) == "strong"


def test_each_label_has_its_own_limits_and_a_label_without_limits_never_counts() -> None:
    chosen = ObjectFilter({PERSON: LabelFilter(min_score=0.4), CAR: LabelFilter(min_score=0.8, min_area=0.1)})
    found = detections((PERSON, 0.5, 0.02), (CAR, 0.5, 0.2), (CAR, 0.9, 0.2), (CAR, 0.9, 0.02), (CAT, 0.99, 0.3))
    kept, strong = chosen.step(found)
    assert kept.classes.tolist() == [PERSON, CAR, CAR]
    assert kept.scores.tolist() == pytest.approx([0.5, 0.5, 0.9])
    assert strong.tolist() == [True, False, True]


def test_no_detections_stay_no_detections() -> None:
    kept, strong = ObjectFilter({PERSON: LabelFilter()}).step(Detections.empty())
    assert len(kept) == 0
    assert strong.shape == (0,)


def test_the_smallest_area_is_the_smallest_of_all_labels() -> None:
    assert ObjectFilter({PERSON: LabelFilter(min_area=0.02), CAR: LabelFilter(min_area=0.003)}).smallest_area == 0.003


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.01, 1.0), st.floats(0.0001, 1.0))
def test_whatever_may_start_a_track_may_also_keep_one(score: float, area: float, limit: float, least: float) -> None:
    """Filters are applied to areas of float32 boxes, so the limits are kept off the measured area by a hair."""
    limits = LabelFilter(min_score=max(limit, 0.1), min_area=least)
    found = detections((PERSON, score, area))
    kept, strong = ObjectFilter({PERSON: limits}).step(found)
    size = float(found.boxes[0, 2] * found.boxes[0, 3])
    if found.scores[0] >= limits.min_score and size >= least:
        assert strong.tolist() == [True]
    assert strong.sum() <= len(kept)


def test_an_object_is_in_a_zone_when_its_foot_is_even_if_its_head_is_elsewhere() -> None:
    step = Zone("step", (0.0, 0.5, 1.0, 0.5, 1.0, 1.0, 0.0, 1.0))
    door = Zone("door", (0.0, 0.0, 1.0, 0.0, 1.0, 0.5, 0.0, 0.5))
    assert zones_of([step, door], "person", (0.4, 0.1, 0.6, 0.9)) == ("step",)
    assert zones_of([step, door], "person", (0.4, 0.1, 0.6, 0.4)) == ("door",)


def test_a_foot_on_the_frames_lower_edge_is_in_a_zone_that_reaches_it() -> None:
    assert zones_of([Zone("z", (0.0, 0.5, 1.0, 0.5, 1.0, 1.0, 0.0, 1.0))], "person", (0.4, 0.1, 0.6, 1.0)) == ("z",)


def test_overlapping_zones_are_all_named_and_a_zone_for_other_labels_is_not() -> None:
    whole = (0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0)
    zones = [Zone("all", whole), Zone("cars", whole, frozenset({"car"})), Zone("people", whole, frozenset({"person"}))]
    assert zones_of(zones, "person", (0.1, 0.1, 0.2, 0.2)) == ("all", "people")
    assert zones_of(zones, "car", (0.1, 0.1, 0.2, 0.2)) == ("all", "cars")
