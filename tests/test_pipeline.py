"""The pipeline's own decisions: what is a new start, and what follows from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from soteirad.detect.detection import Detections
from soteirad.gates.cadence import Look
from soteirad.gates.objects import LabelFilter
from soteirad.pipeline import Pipeline, PipelineSettings
from soteirad.track.tracker import Visit
from tests.capture.made import frame_of

BOX = np.array([[0.4, 0.2, 0.6, 0.9]], np.float32)
PERSON = Detections(BOX, np.array([0.8], np.float32), np.array([0]))
NOBODY = Detections.empty()
SCENE = np.random.default_rng(1).integers(0, 255, (90, 160, 3), np.uint8).repeat(2, 0).repeat(2, 1)


class Player:
    """Feeds frames of a still scene; `found` is what the detector would find in them."""

    def __init__(self, **settings: object) -> None:
        filters = {0: LabelFilter()}
        self.pipeline = Pipeline(PipelineSettings(filters=filters, **settings))  # type: ignore[arg-type]
        self.visits: list[Visit] = []
        self.looks: list[Look] = []

    def play(self, times: np.ndarray, found: Detections, scene: np.ndarray = SCENE) -> None:
        for time in times:
            frame = frame_of(scene, time=float(time))
            if not self.pipeline.wants(frame):
                continue
            analysis = self.pipeline.analyse(frame)
            self.visits += analysis.closed
            if analysis.look is not None:
                self.looks.append(analysis.look)
                self.pipeline.begin_look(analysis)
                self.visits += self.pipeline.observe(analysis, found)

    def kinds(self) -> list[str]:
        return [v.kind for v in self.visits]


def seconds(start: float, end: float, step: float = 0.1) -> np.ndarray:
    return np.arange(start, end, step)


def test_who_is_there_from_the_start_is_present() -> None:
    player = Player()
    player.play(seconds(0, 3), PERSON)
    assert player.kinds() == ["present"]


def test_a_gap_in_the_stream_ends_visits_and_is_a_new_start() -> None:
    player = Player()
    player.play(seconds(0, 3), PERSON)
    player.play(seconds(20, 23), PERSON)
    assert player.kinds() == ["present", "left", "present"]
    assert player.visits[1].reason == "gap"


@pytest.mark.parametrize("step", [1.0, 5.0, 60.0])
def test_a_slow_source_is_not_one_long_row_of_gaps(step: float) -> None:
    player = Player()
    player.play(seconds(0, 40 * step, step), PERSON)
    assert player.kinds() == ["present"]


def test_a_second_gap_soon_after_a_long_one_is_a_gap() -> None:
    player = Player()
    player.play(seconds(0, 3), PERSON)
    player.play(seconds(3603, 3606), PERSON)
    player.play(seconds(3630, 3633), PERSON)
    assert [v.reason for v in player.visits].count("gap") == 2


def test_a_low_fps_setting_is_not_one_long_row_of_gaps() -> None:
    player = Player(fps=0.2)
    player.play(seconds(0, 60), PERSON)
    assert player.kinds() == ["present"]


def test_somebody_who_is_recognised_late_and_never_moved_is_present_and_has_not_entered() -> None:
    player = Player(every_frame=True)
    player.play(seconds(0, 20), NOBODY)
    player.play(seconds(20, 22), PERSON)
    assert player.kinds() == ["present"]


def test_after_a_restart_nobody_has_moved_yet() -> None:
    player = Player(every_frame=True)
    player.play(seconds(0, 5), NOBODY)
    player.pipeline.restart("source_lost")
    player.play(seconds(100, 103), NOBODY)
    player.play(seconds(103, 105), PERSON)
    assert player.kinds() == ["present"]


def test_a_look_from_before_a_restart_is_void() -> None:
    player = Player(every_frame=True)
    player.play(seconds(0, 1), NOBODY)
    frame = frame_of(SCENE, time=1.0)
    assert player.pipeline.wants(frame)
    analysis = player.pipeline.analyse(frame)
    player.pipeline.begin_look(analysis)
    player.pipeline.restart("source_lost")
    assert player.pipeline.observe(analysis, PERSON) == []
    assert player.pipeline.tracker.tracks == []


def test_the_trigger_of_a_visit_is_the_reason_of_the_look_that_first_saw_it() -> None:
    player = Player()
    player.play(seconds(0, 3), PERSON)
    assert player.pipeline.trigger(player.visits[0]) == "start"


def test_frames_over_the_cap_are_counted_and_not_analysed() -> None:
    player = Player(fps=5)
    player.play(seconds(0, 10, 0.05), NOBODY)
    counters = player.pipeline.counters
    assert counters.frames == 200
    assert counters.analysed in (50, 51)


DIM = (SCENE * 0.4).astype(np.uint8)
AT_THE_DOOR = DIM.copy()
AT_THE_DOOR[36:162, 128:192] = 255 - AT_THE_DOOR[36:162, 128:192]


def test_who_is_found_when_the_light_came_on_and_did_not_move_is_present_after_one_look() -> None:
    player = Player()
    player.play(seconds(0, 10), NOBODY, DIM)
    before = len(player.looks)
    player.play(seconds(10, 20), PERSON)
    assert player.kinds() == ["present"]
    assert player.looks[before:] == [Look.SCENE_CHANGE, Look.CONFIRM]


def test_who_walks_in_a_second_after_the_light_changed_has_entered() -> None:
    player = Player()
    player.play(seconds(0, 10), NOBODY)
    player.play(seconds(10, 11), NOBODY, DIM)
    player.play(seconds(11, 14), PERSON, AT_THE_DOOR)
    assert player.kinds() == ["entered"]


def test_who_is_there_stays_through_a_change_of_light() -> None:
    player = Player()
    player.play(seconds(0, 10), PERSON)
    player.play(seconds(10, 30), PERSON, DIM)
    assert player.kinds() == ["present"]


def test_a_light_that_flickers_is_not_looked_at_again_and_again() -> None:
    player = Player()
    player.play(seconds(0, 5), NOBODY)
    before = len(player.looks)
    for start in range(5, 13):
        player.play(seconds(start, start + 0.5), NOBODY, DIM)
        player.play(seconds(start + 0.5, start + 1), NOBODY)
    assert player.looks[before:] == [Look.SCENE_CHANGE]


def wanted(pipeline: Pipeline, times: np.ndarray, corrupt: bool = False) -> int:
    """Return how many frames are analysed, without doing it."""
    return sum(pipeline.wants(frame_of(SCENE, time=float(time), corrupt=corrupt)) for time in times)


def test_damaged_frames_are_counted_and_never_analysed() -> None:
    player = Player()
    assert wanted(player.pipeline, seconds(0, 3), corrupt=True) == 0
    assert (player.pipeline.counters.frames, player.pipeline.counters.analysed) == (30, 0)
    assert wanted(player.pipeline, seconds(3, 4)) == 10, "and they take no whole frame's place"


def test_a_damaged_frame_does_not_use_up_the_turn_of_the_whole_one_after_it() -> None:
    pipeline = Player(fps=1.0).pipeline
    assert pipeline.wants(frame_of(SCENE, time=0.0))
    assert not pipeline.wants(frame_of(SCENE, time=1.0, corrupt=True))
    assert pipeline.wants(frame_of(SCENE, time=1.1))


def test_a_stretch_of_damaged_frames_is_no_gap() -> None:
    player = Player()
    player.play(seconds(0, 3), PERSON)
    assert wanted(player.pipeline, seconds(3, 20), corrupt=True) == 0
    player.play(seconds(20, 23), PERSON)
    assert player.kinds() == ["present"]


@pytest.mark.parametrize("step", [3.5, 4.0, 10.0])
def test_a_source_that_becomes_slow_is_not_all_gaps_for_ever(step: float) -> None:
    player = Player()
    player.play(seconds(0, 3), PERSON)
    player.play(seconds(3 + step, 3 + 10 * step, step), PERSON)
    gaps = [visit.reason for visit in player.visits].count("gap")
    before = len(player.visits)
    player.play(seconds(3 + 10 * step, 3 + 40 * step, step), PERSON)
    assert gaps >= 1, "the first long silence is one"
    assert player.visits[before:] == [], "then it is how this source is"


def test_a_source_that_becomes_quick_again_has_gaps_again() -> None:
    player = Player()
    player.play(seconds(0, 120, 4.0), PERSON)
    player.play(seconds(120, 140), PERSON)
    player.play(seconds(150, 153), PERSON)
    assert [visit.reason for visit in player.visits].count("gap") == 1


def adjust(player: Player, **settings: object) -> None:
    changed = replace(player.pipeline.settings, **settings)  # type: ignore[arg-type]
    player.visits += player.pipeline.adjust(changed)


def test_visits_end_when_nobody_looks_any_more() -> None:
    player = Player()
    player.play(seconds(0, 3), PERSON)
    adjust(player, detect=False)
    assert [(v.kind, v.reason) for v in player.visits[1:]] == [("left", "detection_off")]
    assert player.pipeline.tracker.tracks == []
    looks = len(player.looks)
    player.play(seconds(3, 20), PERSON, AT_THE_DOOR)
    player.play(seconds(20, 30), PERSON)
    assert len(player.looks) == looks and len(player.visits) == 2


def test_motion_is_told_while_nobody_looks() -> None:
    player = Player(detect=False)
    player.play(seconds(0, 5), NOBODY)
    door = SCENE.copy()
    door[36:162, 128:192] = 255 - door[36:162, 128:192]
    player.play(seconds(5, 5.3), NOBODY, door)
    assert player.pipeline.moving and player.looks == []


def test_who_is_there_when_looks_begin_again_is_present_whenever_they_came() -> None:
    player = Player()
    player.play(seconds(0, 3), NOBODY)
    adjust(player, detect=False)
    player.play(seconds(3, 20), NOBODY)
    player.play(seconds(20, 20.5), NOBODY, DIM)
    player.play(seconds(20.5, 24), NOBODY, AT_THE_DOOR)
    adjust(player, detect=True)
    player.play(seconds(24, 27), PERSON, AT_THE_DOOR)
    assert player.kinds() == ["present"]
    assert player.pipeline.trigger(player.visits[0]) == "start"


def test_who_comes_a_while_after_looks_began_again_has_entered() -> None:
    player = Player(detect=False)
    player.play(seconds(0, 5), NOBODY)
    adjust(player, detect=True)
    player.play(seconds(5, 15), NOBODY)
    door = SCENE.copy()
    door[36:162, 128:192] = 255 - door[36:162, 128:192]
    player.play(seconds(15, 18), PERSON, door)
    assert player.kinds() == ["entered"]


@pytest.mark.parametrize("again", [False, True])
def test_a_look_in_flight_when_looks_ended_is_void_even_if_they_began_again(again: bool) -> None:
    player = Player(every_frame=True)
    player.play(seconds(0, 1), PERSON)
    frame = frame_of(SCENE, time=1.0)
    assert player.pipeline.wants(frame)
    analysis = player.pipeline.analyse(frame)
    player.pipeline.begin_look(analysis)
    adjust(player, detect=False)
    if again:
        adjust(player, detect=True)
    assert player.pipeline.observe(analysis, PERSON) == []
    player.pipeline.lose_look(analysis)
    assert player.pipeline.tracker.tracks == []
    if again:
        player.play(seconds(1.1, 3), PERSON)
        assert player.kinds() == ["present", "left", "present"], "the look that is lost holds up no other"


def test_settings_that_are_the_same_end_no_visit() -> None:
    player = Player()
    player.play(seconds(0, 3), PERSON)
    for _ in range(3):
        adjust(player)
    adjust(player, motion_threshold=0.3, filters={0: LabelFilter(min_score=0.5)})
    player.play(seconds(3, 6), PERSON)
    assert player.kinds() == ["present"]


def test_a_higher_score_keeps_new_objects_out_and_those_that_are_known_in() -> None:
    player = Player(every_frame=True)
    adjust(player, filters={0: LabelFilter(min_score=0.9)})
    player.play(seconds(0, 3), PERSON)
    assert player.kinds() == []
    adjust(player, filters={0: LabelFilter(min_score=0.7)})
    player.play(seconds(3, 5), PERSON)
    adjust(player, filters={0: LabelFilter(min_score=0.9)})
    player.play(seconds(5, 10), PERSON)
    assert player.kinds() == ["present"]


def test_another_motion_threshold_is_that_of_the_gate_and_of_the_cadence_and_outlives_a_restart() -> None:
    player = Player()
    player.play(seconds(0, 1), NOBODY)
    adjust(player, motion_threshold=0.5)
    player.pipeline.restart("source_lost")
    assert player.pipeline._motion.threshold == player.pipeline._cadence.motion_threshold == 0.5


def test_what_cannot_be_changed_while_it_runs_stays() -> None:
    player = Player()
    before = player.pipeline.settings
    adjust(player, fps=1.0, motion_ceiling=0.5, detect=False)
    assert player.pipeline.settings == replace(before, detect=False)
