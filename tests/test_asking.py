"""Asking: when each question is due, with which pictures, and that nothing is kept or asked for nothing."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from soteirad.asking import AFTER_S, DETAIL_WAIT_S, Asker, Present
from soteirad.capture.frame import Frame
from soteirad.config.question import AD_HOC, QuestionConfig
from soteirad.event import Event, iso_time
from soteirad.gates.objects import Zone
from soteirad.llm.picture import LONGEST_SIDE, signature, similarity
from soteirad.messages import Ask
from tests.capture.made import frame_of

EPOCH = 1_800_000_000.0
WIDTH, HEIGHT = 1280, 720
SMALL = np.full((36, 64, 3), 90, np.uint8)
GREY = signature(frame_of(SMALL).bgr(64, 36))
ZONES = (Zone("step", (0.0, 0.5, 1.0, 0.5, 1.0, 1.0, 0.0, 1.0)),)
"""The lower half."""
ON_STEP, ON_STREET = (0.4, 0.2, 0.6, 0.9), (0.4, 0.1, 0.6, 0.3)
BESIDE = (0.7, 0.5, 0.8, 0.7)
Box = tuple[float, float, float, float]


def chart() -> NDArray[np.uint8]:
    """Return a picture whose blue says how far to the right a pixel is, and whose green how far down."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[..., 0] = np.linspace(0, 255, WIDTH)[None, :]
    picture[..., 1] = np.linspace(0, 255, HEIGHT)[:, None]
    return picture


CHART = chart()


def at(time: float, picture: NDArray[np.uint8] = SMALL) -> Frame:
    return frame_of(picture, time=time, captured=EPOCH + time)


def event(kind: str, time: float, track_id: int = 1, label: str | None = "person", zones: tuple[str, ...] = (),
          box: Box | None = ON_STEP, dwell: float | None = None, reason: str = "gone") -> Event:  # fmt: skip
    pixels = None if box is None else (
        round(box[0] * WIDTH), round(box[1] * HEIGHT), round(box[2] * WIDTH), round(box[3] * HEIGHT)
    )
    return Event(f"{kind}-{track_id}", kind, "porch", iso_time(EPOCH + time), label=label,  # type: ignore[arg-type]
                 track_id=track_id, box=pixels, frame_size=(WIDTH, HEIGHT) if pixels else None, zones=zones,
                 dwell=dwell, why={"reason": reason} if kind == "left" else {}, snapshot="porch/a.jpg")  # fmt: skip


def scene_changed(time: float) -> Event:
    return Event("scene", "scene_changed", "porch", iso_time(EPOCH + time))


def question(name: str = "parcel", when: dict[str, Any] | None = None, **keys: Any) -> QuestionConfig:
    data = {"name": name, "ask": f"What of {name}?", **keys, **({"when": when} if when is not None else {})}
    return QuestionConfig.model_validate(data)


class Rig:
    """An asker, who is there, and how often somebody wanted to know that."""

    def __init__(self, *questions: QuestionConfig, detail: bool = False) -> None:
        self.there: list[Present] = []
        self.looked = 0
        numbers = itertools.count(1)
        self.asker = Asker(questions, ZONES, lambda captured: f"{captured - EPOCH:g}/{next(numbers)}", detail)

    def present(self) -> Sequence[Present]:
        self.looked += 1
        return self.there

    def see(self, *times: float) -> list[Ask]:
        return [ask for time in times for ask in self.asker.see(at(time), self.present)]

    def happened(self, found: Event, time: float, picture: NDArray[np.uint8] = SMALL) -> list[Ask]:
        return self.asker.happened(found, at(time, picture))

    def detailed(self, event_id: str, time: float, picture: NDArray[np.uint8] = SMALL) -> list[Ask]:
        return self.asker.detailed(event_id, at(time, picture), self.present)


def seconds(start: float, end: float, step: float = 0.1) -> list[float]:
    return [round(start + step * n, 3) for n in range(round((end - start) / step))]


def names(asks: Sequence[Ask]) -> list[str]:
    return [ask.question for ask in asks]


def taken(ask: Ask) -> list[float]:
    """Return when the pictures were taken."""
    return [round(shot.captured - EPOCH, 3) for shot in ask.shots]


def middle(ask: Ask, shot: int = 0) -> tuple[float, float]:
    """Return which part of the chart is in the middle of a picture."""
    picture = cv2.imdecode(np.frombuffer(ask.shots[shot].jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    rows, columns = (slice(size // 2 - 4, size // 2 + 4) for size in picture.shape[:2])
    blue, green = picture[rows, columns, :2].reshape(-1, 2).mean(0) / 255
    return float(blue), float(green)


# On events


def test_a_question_is_asked_when_somebody_came_with_the_picture_that_confirmed_them() -> None:
    (ask,) = Rig(question()).happened(event("entered", 5.0, zones=("step",)), 5.0)
    assert (ask.question, ask.on, ask.event_id, ask.label, ask.zones) == (
        "parcel", "entered", "entered-1", "person", ("step",))  # fmt: skip
    assert (ask.id, ask.time, ask.text, ask.main) == ("5/1", iso_time(EPOCH + 5), "", 0)
    assert taken(ask) == [5.0] and ask.signature == GREY


@pytest.mark.parametrize(
    ("when", "asked"),
    [
        ({}, True),
        ({"labels": ["person"]}, True),
        ({"labels": ["car", "person"]}, True),
        ({"labels": ["car"]}, False),
        ({"zones": ["step"]}, True),
        ({"zones": ["garden", "step"]}, True),
        ({"zones": ["garden"]}, False),
        ({"labels": ["person"], "zones": ["step"]}, True),
        ({"labels": ["person"], "zones": ["garden"]}, False),
        ({"labels": ["car"], "zones": ["step"]}, False),
    ],
)
@pytest.mark.parametrize("kind", ["entered", "left"])
def test_labels_and_zones_say_whom_a_question_is_about(kind: str, when: dict[str, Any], asked: bool) -> None:
    rig = Rig(question(when={"on": kind, **when}))
    assert bool(rig.happened(event(kind, 5.0, zones=("step", "road"), dwell=3.0), 5.0)) == asked


@pytest.mark.parametrize("on", ["entered", "left", "scene_changed", "interval", "command"])
def test_a_question_is_asked_on_its_own_moment_and_on_no_other(on: str) -> None:
    rig = Rig(question(when={"on": on}))
    told = [
        *rig.happened(event("entered", 5.0), 5.0),
        *rig.happened(event("left", 6.0, dwell=1.0), 6.0),
        *rig.happened(scene_changed(7.0), 7.0),
        *rig.see(8.0),
    ]
    assert [ask.on for ask in told] == ([] if on == "command" else [on])


def test_a_question_with_several_moments_is_asked_on_each() -> None:
    rig = Rig(question(when={"on": ["entered", "left"]}))
    assert [a.on for a in rig.happened(event("entered", 5.0), 5.0)] == ["entered"]
    assert [a.on for a in rig.happened(event("left", 9.0, dwell=4.0), 9.0)] == ["left"]


def test_a_changed_view_is_about_no_object() -> None:
    rig = Rig(question(when={"on": ["entered", "scene_changed"], "labels": ["car"]}))
    (ask,) = rig.happened(scene_changed(5.0), 5.0)
    assert (ask.label, ask.zones, ask.event_id) == (None, (), "scene")


def test_all_questions_that_an_event_concerns_are_asked_with_ids_of_their_own() -> None:
    asks = Rig(question("a"), question("b"), question("c", {"on": "left"})).happened(event("entered", 5.0), 5.0)
    assert names(asks) == ["a", "b"] and len({ask.id for ask in asks}) == 2


@pytest.mark.parametrize("reason", ["restart", "source_ended", "source_lost", "scene_changed", "detection_off"])
def test_nothing_is_asked_about_somebody_whom_nobody_saw_leave(reason: str) -> None:
    rig = Rig(question(when={"on": "left"}))
    assert rig.happened(event("left", 5.0, dwell=4.0, reason=reason), 5.0) == []
    assert len(rig.happened(event("left", 5.0, dwell=4.0), 5.0)) == 1


@pytest.mark.parametrize("kind", ["present", "source_lost", "source_restored", "answered"])
def test_nothing_is_asked_about_who_was_there_before_or_about_the_source(kind: str) -> None:
    every = ["entered", "left", "scene_changed", "command"]
    assert Rig(question(when={"on": every})).happened(event(kind, 5.0), 5.0) == []


def test_a_question_that_is_switched_off_is_never_asked() -> None:
    rig = Rig(question(when={"on": ["entered", "interval"]}, enabled=False))
    assert rig.happened(event("entered", 5.0), 5.0) == [] and rig.see(6.0) == []
    assert rig.asker.inquire("parcel", "", at(7.0)) == []


# How long somebody has to be there


def test_with_min_dwell_it_is_asked_when_somebody_has_stayed_about_the_picture_of_then() -> None:
    rig = Rig(question(when={"min_dwell": 10}))
    rig.there = [Present(1, "person", ON_STEP)]
    assert rig.happened(event("entered", 5.0), 5.0) == []
    assert rig.see(*seconds(5.1, 15.0)) == []
    (ask,) = rig.see(15.0)
    assert (ask.on, ask.event_id, ask.time, taken(ask)) == ("entered", "entered-1", iso_time(EPOCH + 15), [15.0])
    assert rig.see(*seconds(15.1, 30.0)) == []


def test_with_min_dwell_it_is_not_asked_about_somebody_who_went_before() -> None:
    rig = Rig(question(when={"min_dwell": 10}))
    rig.happened(event("entered", 5.0), 5.0)
    rig.there = [Present(2, "person", ON_STEP)]
    assert rig.see(15.0, 16.0) == []
    rig.there = [Present(1, "person", ON_STEP)]
    assert rig.see(17.0) == [], "it was decided then"


def test_each_visitor_has_a_time_of_their_own() -> None:
    rig = Rig(question(when={"min_dwell": 10}))
    rig.there = [Present(1, "person", ON_STEP), Present(2, "person", ON_STEP)]
    rig.happened(event("entered", 5.0, 1), 5.0)
    rig.happened(event("entered", 8.0, 2), 8.0)
    assert [(a.event_id, taken(a)) for a in rig.see(*seconds(8.0, 20.0))] == [
        ("entered-1", [15.0]), ("entered-2", [18.0])]  # fmt: skip


def test_visits_that_ended_do_not_pile_up() -> None:
    rig = Rig(question(when={"min_dwell": 86_400}))
    for number in range(1, 200):
        rig.happened(event("entered", number, number), number)
        rig.happened(event("left", number + 0.5, number, dwell=0.5, reason="restart"), number + 0.5)
    assert len(rig.asker._dwelling) == 0


@pytest.mark.parametrize(("dwell", "asked"), [(9.9, False), (10.0, True), (700.0, True)])
def test_on_left_min_dwell_is_how_long_somebody_had_been_there(dwell: float, asked: bool) -> None:
    rig = Rig(question(when={"on": "left", "min_dwell": 10}))
    assert bool(rig.happened(event("left", 50.0, dwell=dwell), 50.0)) == asked


def test_a_lost_source_ends_the_waiting_for_somebody_to_stay() -> None:
    rig = Rig(question(when={"min_dwell": 10}))
    rig.there = [Present(1, "person", ON_STEP)]
    rig.happened(event("entered", 5.0), 5.0)
    assert rig.asker.end() == []
    assert rig.see(15.0, 16.0) == []


# Cooldown and intervals


def test_within_the_cooldown_it_is_not_asked_again() -> None:
    rig = Rig(question(when={"cooldown": 60}))
    asked = [t for t in (5.0, 6.0, 64.9, 65.0, 70.0, 125.0) if rig.happened(event("entered", t, int(t)), t)]
    assert asked == [5.0, 65.0, 125.0]


def test_each_question_has_a_cooldown_of_its_own() -> None:
    rig = Rig(question("a", {"cooldown": 60}), question("b"))
    assert names(rig.happened(event("entered", 5.0), 5.0)) == ["a", "b"]
    assert names(rig.happened(event("entered", 6.0, 2), 6.0)) == ["b"]


def test_without_a_cooldown_an_event_that_the_detector_found_late_is_asked_about() -> None:
    rig = Rig(question(when={"on": ["entered", "interval"], "interval": 300}))
    assert len(rig.see(10.0)) == 1
    assert [taken(a) for a in rig.happened(event("entered", 9.8), 9.8)] == [[9.8]]
    assert rig.see(10.1, 100.0, 309.9) == [], "the interval counts from the later picture"
    assert len(rig.see(310.0)) == 1


def test_at_intervals_it_is_asked_with_the_first_picture_and_then_each_so_many_seconds() -> None:
    rig = Rig(question(when={"on": "interval", "interval": 60}))
    assert [taken(a) for a in rig.see(*seconds(0.0, 190.0))] == [[0.0], [60.0], [120.0], [180.0]]
    assert rig.looked == 0, "nobody has to be there"


def test_an_interval_with_labels_or_zones_waits_for_somebody_to_be_there() -> None:
    rig = Rig(question(when={"on": "interval", "interval": 60, "labels": ["person"], "zones": ["step"]}))
    rig.there = [Present(1, "person", ON_STREET), Present(2, "car", ON_STEP)]
    assert rig.see(*seconds(0.0, 5.0)) == []
    rig.there = [Present(1, "person", ON_STEP)]
    (ask,) = rig.see(5.0)
    assert (ask.on, ask.event_id, ask.label) == ("interval", None, None)
    assert rig.see(*seconds(5.1, 65.0)) == []
    rig.there = []
    assert rig.see(65.0, 70.0) == []


def test_a_cooldown_longer_than_the_interval_counts_and_nobody_looks_who_is_there_meanwhile() -> None:
    rig = Rig(question(when={"on": "interval", "interval": 1, "cooldown": 30, "labels": ["person"]}))
    rig.there = [Present(1, "person", ON_STEP)]
    assert [taken(a) for a in rig.see(*seconds(0.0, 61.0))] == [[0.0], [30.0], [60.0]]
    assert rig.looked == 3


# By command


def test_a_question_is_asked_by_its_name_whatever_it_waits_for() -> None:
    rig = Rig(question(when={"on": "left", "labels": ["car"], "cooldown": 600}))
    for time in (5.0, 6.0):
        (ask,) = rig.asker.inquire("parcel", "", at(time))
        assert (ask.question, ask.on, ask.text, taken(ask)) == ("parcel", "command", "", [time])
    assert rig.asker.inquire("nobody", "", at(7.0)) == []


def test_a_question_that_was_sent_is_asked_with_its_text_also_without_any_other() -> None:
    (ask,) = Rig().asker.inquire(AD_HOC, "Is the gate open?", at(5.0))
    assert (ask.question, ask.text, ask.on, ask.event_id) == (AD_HOC, "Is the gate open?", "command", None)


def test_a_question_by_command_waits_for_its_later_pictures_but_for_no_better_one() -> None:
    rig = Rig(question(when={"on": "command"}, frames=3), detail=True)
    rig.see(*seconds(0.0, 5.0))
    assert rig.asker.inquire("parcel", "", at(5.0)) == []
    assert rig.asker.take_wanted() == []
    (ask,) = rig.see(*seconds(5.1, 8.0))
    assert taken(ask)[1:] == [5.0, 7.0]


# Which pictures


@pytest.mark.parametrize(
    ("frames", "expected", "main"),
    [(1, [20.0], 0), (2, [18.0, 20.0], 1), (3, [18.0, 20.0, 22.0], 1), (4, [18.0, 20.0, 22.0, 25.0], 1)],
)
def test_pictures_are_of_before_then_and_after_in_this_order(frames: int, expected: list[float], main: int) -> None:
    rig = Rig(question(frames=frames))
    rig.see(*seconds(0.0, 20.0))
    asks = rig.happened(event("entered", 20.0), 20.0) + rig.see(*seconds(20.0, 30.0))
    assert [taken(ask) for ask in asks] == [expected]
    assert asks[0].main == main and asks[0].time == iso_time(EPOCH + 20)
    assert asks[0].signature == GREY * frames


def test_nothing_is_asked_before_its_last_picture_is_taken() -> None:
    rig = Rig(question(frames=4))
    rig.happened(event("entered", 20.0), 20.0)
    assert rig.see(*seconds(20.0, 20.0 + AFTER_S[-1])) == []
    assert len(rig.see(25.0)) == 1


def test_soon_after_the_start_there_is_no_picture_of_before() -> None:
    rig = Rig(question(frames=2))
    (ask,) = rig.happened(event("entered", 0.0), 0.0)
    assert taken(ask) == [0.0] and ask.main == 0
    rig.see(*seconds(0.0, 1.0))
    (ask,) = rig.happened(event("entered", 1.0, 2), 1.0)
    assert taken(ask) == [0.0, 1.0] and ask.main == 1


def test_a_picture_of_long_before_is_not_shown_as_that_of_just_before() -> None:
    rig = Rig(question(frames=2))
    rig.see(*seconds(0.0, 5.0))
    (ask,) = rig.happened(event("entered", 9.5), 9.5)
    assert taken(ask) == [9.5]


def test_an_event_that_the_detector_found_late_has_pictures_of_before_itself() -> None:
    rig = Rig(question(frames=2))
    rig.see(*seconds(0.0, 20.0))
    (ask,) = rig.happened(event("entered", 18.9), 18.9)
    before, then = taken(ask)
    assert then == 18.9 and 0.5 <= then - before <= 4.0


def test_when_the_source_is_lost_it_is_asked_with_the_pictures_that_there_are() -> None:
    rig = Rig(question(frames=4))
    rig.see(*seconds(0.0, 20.0))
    rig.happened(event("entered", 20.0), 20.0)
    assert rig.see(*seconds(20.0, 23.0)) == []
    (ask,) = rig.asker.end()
    assert taken(ask) == [18.0, 20.0, 22.0] and ask.main == 1
    assert rig.asker.end() == [] and rig.see(25.0) == []
    rig.happened(event("entered", 26.0, 2), 26.0)
    (ask,) = rig.asker.end()
    assert taken(ask) == [25.0, 26.0], "what was before the outage is not before this"


def test_after_a_gap_one_picture_serves_for_all_that_were_missed() -> None:
    rig = Rig(question(frames=4))
    rig.happened(event("entered", 20.0), 20.0)
    (ask,) = rig.see(26.0)
    assert taken(ask) == [20.0, 26.0]


@given(times=st.lists(st.floats(0.01, 7.0), min_size=1, max_size=40), frames=st.integers(1, 4))
def test_whatever_the_frame_rate_pictures_are_in_order_and_asked_about_once(times: list[float], frames: int) -> None:
    rig = Rig(question(frames=frames))
    moments = [round(m, 3) for m in itertools.accumulate(times)]
    asks: list[Ask] = []
    for number, moment in enumerate(moments):
        if number == len(moments) // 2:
            asks += rig.happened(event("entered", moment), moment)
        asks += rig.see(moment)
    asks += rig.asker.end()
    (ask,) = asks
    assert taken(ask) == sorted(set(taken(ask))) and 1 <= len(taken(ask)) <= frames
    assert taken(ask)[ask.main] == moments[len(moments) // 2]


def test_questions_about_one_moment_share_its_picture_and_those_about_another_do_not() -> None:
    rig = Rig(question("a"), question("b"))
    one, other = rig.happened(event("entered", 5.0), 5.0)
    assert one.shots[0] is other.shots[0]
    stamped_alike = frame_of(CHART, index=1, time=5.0, captured=EPOCH + 5.0)  # as after a camera's clock went back
    (again, _) = rig.asker.happened(event("entered", 5.0, 2), stamped_alike)
    assert middle(again) == pytest.approx((0.5, 0.5), abs=0.03) and again.signature != one.signature


# Crops


def test_a_crop_shows_the_object_with_room_around_it() -> None:
    (ask,) = Rig(question(crop="object")).happened(event("entered", 5.0, box=BESIDE), 5.0, CHART)
    assert middle(ask) == pytest.approx((0.75, 0.6), abs=0.03)
    assert (ask.shots[0].width, ask.shots[0].height) == pytest.approx((256, 288), abs=2)


def test_a_whole_frame_is_shown_where_no_crop_is_wanted_or_there_is_no_object() -> None:
    (whole,) = Rig(question()).happened(event("entered", 5.0, box=BESIDE), 5.0, CHART)
    mixed = Rig(question(when={"on": ["entered", "scene_changed"]}, crop="object"))
    (changed,) = mixed.happened(scene_changed(5.0), 5.0, CHART)
    for ask in (whole, changed):
        assert middle(ask) == pytest.approx((0.5, 0.5), abs=0.03) and ask.shots[0].width == LONGEST_SIDE


def test_all_pictures_of_a_crop_show_the_same_place() -> None:
    rig = Rig(question(crop="object", frames=3))
    for time in seconds(0.0, 5.0, 0.5):
        rig.asker.see(at(time, CHART), rig.present)
    rig.happened(event("entered", 5.0, box=BESIDE), 5.0, CHART)
    (ask,) = rig.asker.see(at(7.0, CHART), rig.present)
    for number in range(3):
        assert middle(ask, number) == pytest.approx((0.75, 0.6), abs=0.03)


def test_the_crop_of_somebody_who_stayed_is_where_they_are_then() -> None:
    rig = Rig(question(when={"min_dwell": 10}, crop="object"))
    rig.happened(event("entered", 5.0, box=BESIDE), 5.0, CHART)
    rig.there = [Present(1, "person", (0.1, 0.2, 0.3, 0.6))]
    (ask,) = rig.asker.see(at(15.0, CHART), rig.present)
    assert middle(ask) == pytest.approx((0.2, 0.4), abs=0.03)


# Pictures of the detail stream


def test_with_a_detail_stream_it_is_asked_with_its_picture_in_place_of_the_small_one() -> None:
    rig = Rig(question(), detail=True)
    rig.there = [Present(1, "person", ON_STEP)]
    assert rig.happened(event("entered", 5.0), 5.0) == []
    (wanted,) = rig.asker.take_wanted()
    assert wanted.id == "entered-1" and wanted.snapshot is None
    assert rig.asker.take_wanted() == [], "once is enough"
    (ask,) = rig.detailed("entered-1", 6.0, CHART)
    assert taken(ask) == [6.0] and ask.shots[0].width == LONGEST_SIDE
    assert ask.time == iso_time(EPOCH + 5), "the event is no later than it was"
    assert similarity(ask.signature, signature(CHART)) > 0.97
    assert rig.see(6.1, 30.0) == []


def test_a_detail_picture_that_never_arrives_is_waited_for_in_vain_only_so_long() -> None:
    rig = Rig(question(), detail=True)
    rig.happened(event("entered", 5.0), 5.0)
    assert rig.see(*seconds(5.1, 5.0 + DETAIL_WAIT_S)) == []
    (ask,) = rig.see(5.0 + DETAIL_WAIT_S)
    assert taken(ask) == [5.0]
    assert rig.detailed("entered-1", 12.0) == [], "it came too late"


def test_a_detail_picture_of_another_event_changes_nothing() -> None:
    rig = Rig(question(), detail=True)
    rig.happened(event("entered", 5.0), 5.0)
    assert rig.detailed("entered-2", 6.0) == []
    assert len(rig.detailed("entered-1", 6.0)) == 1


def test_one_detail_picture_serves_all_questions_about_its_event() -> None:
    rig = Rig(question("a"), question("b"), detail=True)
    rig.happened(event("entered", 5.0), 5.0)
    assert names(rig.detailed("entered-1", 6.0)) == ["a", "b"]


def test_a_detail_picture_that_is_later_than_the_next_small_one_stands_behind_it() -> None:
    rig = Rig(question(frames=4), detail=True)
    rig.see(*seconds(0.0, 20.0))
    rig.happened(event("entered", 20.0), 20.0)
    assert rig.see(*seconds(20.0, 23.5)) == []
    assert rig.detailed("entered-1", 23.4) == []
    (ask,) = rig.see(*seconds(23.5, 26.0))
    assert taken(ask) == [18.0, 22.0, 23.4, 25.0] and ask.main == 2


def test_somebody_who_stayed_has_a_better_picture_fetched_then_and_not_before() -> None:
    rig = Rig(question(when={"min_dwell": 10}), detail=True)
    rig.there = [Present(1, "person", ON_STEP)]
    rig.happened(event("entered", 5.0), 5.0)
    assert rig.asker.take_wanted() == []
    assert rig.see(15.0) == []
    assert [e.id for e in rig.asker.take_wanted()] == ["entered-1"]
    (ask,) = rig.detailed("entered-1", 16.0)
    assert taken(ask) == [16.0]


def test_no_better_picture_is_waited_for_where_none_is_fetched() -> None:
    """A changed view and an interval have no object."""
    rig = Rig(question(when={"on": ["scene_changed", "interval"]}), detail=True)
    assert len(rig.happened(scene_changed(5.0), 5.0)) == 1
    assert len(rig.see(400.0)) == 1
    assert rig.asker.take_wanted() == []


def test_the_better_crop_shows_somebody_where_they_have_gone_meanwhile() -> None:
    rig = Rig(question(crop="object"), detail=True)
    rig.happened(event("entered", 5.0, box=BESIDE), 5.0, CHART)
    rig.there = [Present(1, "person", (0.1, 0.2, 0.3, 0.6))]
    (ask,) = rig.detailed("entered-1", 6.5, CHART)
    assert middle(ask) == pytest.approx((0.2, 0.4), abs=0.03)


def test_the_small_crop_stays_when_somebody_is_gone_before_the_better_picture() -> None:
    rig = Rig(question(crop="object"), detail=True)
    rig.happened(event("entered", 5.0, box=BESIDE), 5.0, CHART)
    (ask,) = rig.detailed("entered-1", 6.5, CHART)
    assert taken(ask) == [5.0] and middle(ask) == pytest.approx((0.75, 0.6), abs=0.03)


def test_the_better_crop_of_somebody_who_left_shows_the_place_that_they_left() -> None:
    rig = Rig(question(when={"on": "left"}, crop="object"), detail=True)
    rig.happened(event("left", 5.0, box=BESIDE, dwell=3.0), 5.0, CHART)
    (ask,) = rig.detailed("left-1", 6.5, CHART)
    assert taken(ask) == [6.5] and middle(ask) == pytest.approx((0.75, 0.6), abs=0.03)


def test_a_lost_source_ends_the_waiting_for_a_better_picture() -> None:
    rig = Rig(question(), detail=True)
    rig.happened(event("entered", 5.0), 5.0)
    assert [taken(ask) for ask in rig.asker.end()] == [[5.0]]
    assert rig.asker.take_wanted() == [] and rig.detailed("entered-1", 6.0) == []


# Other questions while it runs


def test_other_questions_take_effect_with_the_next_event() -> None:
    rig = Rig(question("a"))
    rig.asker.configure([question("b"), question("c", enabled=False)])
    assert names(rig.happened(event("entered", 5.0), 5.0)) == ["b"]


def test_a_question_that_is_taken_away_while_it_is_planned_is_not_asked() -> None:
    rig = Rig(question("a", frames=4), question("b", frames=4), question("c", {"min_dwell": 2}))
    rig.there = [Present(1, "person", ON_STEP)]
    rig.happened(event("entered", 5.0), 5.0)
    rig.asker.configure([question("b", frames=4), question("a", frames=4, enabled=False)])
    assert names(rig.see(*seconds(5.1, 20.0))) == ["b"]


def test_a_question_that_was_sent_is_asked_also_if_the_questions_change() -> None:
    rig = Rig(question("a", when={"on": "command"}, frames=3))
    rig.asker.inquire("a", "", at(5.0))
    rig.asker.configure([question("a", when={"on": "command"}, frames=3), question("b")])
    assert names(rig.see(7.0)) == ["a"]


def test_who_is_waited_for_is_waited_for_under_the_new_terms() -> None:
    rig = Rig(question("a", {"min_dwell": 10}), question("b", {"min_dwell": 10}))
    rig.there = [Present(1, "person", BESIDE)]
    rig.happened(event("entered", 5.0), 5.0)
    rig.asker.configure([question("a", {"min_dwell": 10}, crop="object"), question("b", {"on": "left"})])
    (ask,) = rig.asker.see(at(15.0, CHART), rig.present)
    assert ask.question == "a" and middle(ask) == pytest.approx((0.75, 0.6), abs=0.03)


def test_a_change_does_not_end_a_cooldown() -> None:
    rig = Rig(question(when={"cooldown": 60}))
    rig.happened(event("entered", 5.0), 5.0)
    rig.asker.configure([])
    rig.asker.configure([question(when={"cooldown": 60})])
    assert rig.happened(event("entered", 6.0, 2), 6.0) == []


# What it costs


class Watched:
    """A rig's frames, and how many of them somebody holds on to."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._seen: list[weakref.ref[Frame]] = []

    def see(self, times: Sequence[float]) -> None:
        for time in times:
            frame = at(time)
            self._seen.append(weakref.ref(frame))
            self._rig.asker.see(frame, self._rig.present)

    def kept(self) -> int:
        gc.collect()
        return sum(frame() is not None for frame in self._seen)


@pytest.mark.parametrize(("frames", "most"), [(1, 0), (2, 3), (4, 3)])
def test_frames_are_kept_only_for_questions_that_want_one_and_at_most_three(frames: int, most: int) -> None:
    rig = Rig(question(frames=frames))
    watched = Watched(rig)
    for start in range(0, 60, 10):
        watched.see(seconds(start, start + 10))
        rig.happened(event("entered", start + 9.9, start + 1), start + 9.9)
        assert watched.kept() == most


def test_frames_are_let_go_when_the_last_question_that_wants_one_is() -> None:
    rig = Rig(question(frames=2))
    watched = Watched(rig)
    watched.see(seconds(0.0, 5.0))
    assert watched.kept() == 3
    rig.asker.configure([question()])
    assert watched.kept() == 0


def test_frames_are_let_go_when_the_source_is_lost() -> None:
    rig = Rig(question(frames=2))
    watched = Watched(rig)
    watched.see(seconds(0.0, 5.0))
    rig.asker.end()
    assert watched.kept() == 0


class Untouchable:
    """What must not be looked at."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"somebody wanted to know {name}")

    def __call__(self) -> Sequence[Present]:
        raise AssertionError("somebody wanted to know who is there")


def test_without_questions_a_frame_is_not_even_looked_at() -> None:
    for asker in (Rig().asker, Rig(question(enabled=False)).asker):
        nothing: Any = Untouchable()
        assert asker.see(nothing, nothing) == []


def test_who_is_there_is_asked_only_when_it_matters() -> None:
    rig = Rig(question("a"), question("b", {"min_dwell": 10}), question("c", {"on": "interval", "interval": 60}))
    rig.see(*seconds(0.0, 50.0))
    assert rig.looked == 0
