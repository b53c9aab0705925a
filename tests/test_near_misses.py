"""Near misses: what was nearly enough is told, once, and what became something is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from soteirad.detect.detection import Detections
from soteirad.gates.geometry import Box
from soteirad.gates.motion import Motion
from soteirad.gates.objects import LabelFilter
from soteirad.near_misses import NearMiss, NearMissWatch, shortcoming
from soteirad.track.track import Track

FILTERS = {0: LabelFilter(min_score=0.4, min_area=0.01, max_area=0.5)}
NOTHING = np.zeros((2, 2), np.uint8)
SMALL, FAIR, HUGE = (0.5, 0.5, 0.58, 0.58), (0.1, 0.1, 0.3, 0.4), (0.0, 0.0, 0.9, 0.9)


def motion(ratio: float = 0.0, blob: float = 0.0, opened: bool = False, flood: bool = False) -> Motion:
    return Motion(ratio, blob, opened, NOTHING, flood)


def found(*objects: tuple[tuple[float, ...], float, int]) -> Detections:
    boxes, scores, classes = zip(*objects, strict=True) if objects else ((), (), ())
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(corners, np.array(scores, np.float32), np.array(classes, np.int64))


def track(box: Box = FAIR, hits: int = 1, score: float = 0.5) -> Track:
    return Track(1, 0, box, score, 1.0, 1.0, False, hits=hits)


class Eyes:
    """A watch that is given a frame each tenth of a second."""

    def __init__(self) -> None:
        self.watch = NearMissWatch(["person", "car"])
        self.time = 0.0

    def motions(self, *motions: Motion) -> list[NearMiss]:
        news = []
        for one in motions:
            self.time += 0.1
            news += self.watch.motion(one, self.time, 0.02, 0.005, 0.8)
        return news

    def look(self, what: Detections, tracks: Any = (), lapsed: Any = (), after: float = 0.1) -> list[NearMiss]:
        self.time += after
        return self.watch.look(what, self.time, FILTERS, tracks, lapsed)


@pytest.mark.parametrize(
    ("box", "score", "verdict"),
    [(FAIR, 0.4, None), (FAIR, 0.39, "score_below"), (SMALL, 0.9, "area_below"), (SMALL, 0.2, "area_below"),
     (HUGE, 0.9, "area_above")],
)  # fmt: skip
def test_a_detection_falls_short_in_score_or_size(box: Box, score: float, verdict: str | None) -> None:
    assert shortcoming(score, (box[2] - box[0]) * (box[3] - box[1]), FILTERS[0]) == verdict


def test_motion_that_nearly_opened_the_gate_is_told_with_its_peak_when_it_is_over() -> None:
    eyes = Eyes()
    assert eyes.motions(motion(0.004), motion(0.012), motion(0.016, 0.004), motion(0.012)) == []
    (miss,) = eyes.motions(motion(0.001), motion(0.0))
    assert (miss.kind, miss.gate, miss.time) == ("motion_below", 1, pytest.approx(0.3))
    assert miss.values == {"ratio": 0.016, "limit": 0.02, "blob": 0.004, "blob_limit": 0.005}
    assert miss.text == ("1.60% of the picture changed, the largest piece 0.40%: 2.00%, or a piece of 0.50%, "
                         "would have been motion")  # fmt: skip


def test_motion_that_grew_until_the_gate_opened_missed_nothing() -> None:
    assert Eyes().motions(motion(0.015), motion(0.03, opened=True), motion(0.002), motion(0.0)) == []


def test_little_motion_is_no_near_miss() -> None:
    assert Eyes().motions(motion(0.009, 0.002), motion(0.0), motion(0.008), motion(0.0)) == []


def test_a_single_large_piece_counts_as_well_as_much_of_the_picture() -> None:
    (miss,) = Eyes().motions(motion(0.006, 0.0049), motion(0.0))
    assert miss.kind == "motion_below" and miss.values["blob"] == 0.0049


def test_a_flood_of_light_is_told_once_while_it_lasts() -> None:
    eyes = Eyes()
    (miss,) = eyes.motions(motion(0.93, flood=True), motion(0.9, flood=True), motion(0.4, flood=True))
    assert (miss.kind, miss.values) == ("flood", {"ratio": 0.93, "limit": 0.8})
    assert "93% of the picture" in miss.text


def test_a_faint_object_is_told_and_what_is_hardly_one_is_not() -> None:
    (miss,) = Eyes().look(found((FAIR, 0.3, 0), ((0.6, 0.6, 0.8, 0.9), 0.15, 0)))
    assert (miss.kind, miss.label, miss.values) == ("score_below", "person", {"score": 0.3, "limit": 0.4})
    assert miss.text == "a person of score 0.30 was not enough: min_score is 0.40"
    assert miss.box == pytest.approx(FAIR, abs=1e-3)


def test_a_clear_object_that_is_too_small_or_too_large_is_told() -> None:
    small, huge = Eyes().look(found((SMALL, 0.8, 0))), Eyes().look(found((HUGE, 0.8, 0)))
    assert [m.kind for m in (*small, *huge)] == ["area_below", "area_above"]
    assert "min_area is 1.00%" in small[0].text and "max_area is 50%" in huge[0].text


def test_what_is_far_too_small_or_of_another_kind_is_not_told() -> None:
    tiny = (0.5, 0.5, 0.55, 0.55)
    assert Eyes().look(found((tiny, 0.9, 0), (FAIR, 0.3, 1))) == []


def test_a_faint_box_on_somebody_who_is_known_misses_nothing() -> None:
    assert Eyes().look(found((FAIR, 0.3, 0)), tracks=[track()]) == []


def test_who_was_seen_too_rarely_to_be_sure_is_told() -> None:
    (miss,) = Eyes().look(found(), lapsed=[track(hits=1)])
    assert (miss.kind, miss.text) == ("not_confirmed", "a person was seen once and not again: too little to be sure")
    assert Eyes().look(found(), lapsed=[track(hits=0)]) == [], "nobody ever saw it clearly"


def test_the_same_thing_in_the_same_place_is_told_again_only_after_a_while() -> None:
    eyes = Eyes()
    times = [eyes.time for _ in range(400) if eyes.look(found((FAIR, 0.3, 0)))]
    assert times == pytest.approx([0.1, 30.1], abs=0.11)


def test_another_place_is_another_thing() -> None:
    eyes = Eyes()
    assert len(eyes.look(found((FAIR, 0.3, 0)))) == 1
    elsewhere = found(((0.6, 0.1, 0.8, 0.4), 0.3, 0))
    assert eyes.look(elsewhere, after=1.0) == [], "not so soon"
    assert len(eyes.look(elsewhere, after=2.0)) == 1


def test_what_is_told_travels_as_plain_data_without_media_time() -> None:
    (miss,) = Eyes().look(found((FAIR, 0.3, 0)))
    assert set(miss.payload()) == {"kind", "gate", "text", "label", "box", "values"}


def test_motion_is_told_with_the_limits_that_it_missed_whatever_they_are_when_it_is_over() -> None:
    watch = NearMissWatch(["person"])
    assert watch.motion(motion(0.018), 0.1, 0.02, 0.005, 0.8) == []
    (miss,) = watch.motion(motion(0.001), 0.2, 0.01, 0.005, 0.8)
    assert miss.values["limit"] == 0.02 and "2.00%" in miss.text, "1.8 % would be motion now, and was none"
