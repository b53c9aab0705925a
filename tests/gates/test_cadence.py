"""The cadence: when gate 2 runs, when the detector looks, and why; on sequences written by hand and by Hypothesis."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.gates.cadence import Cadence, CadenceSettings, Look, TrackNeeds

THRESHOLD = 0.02
NO_NEEDS = TrackNeeds()
OPEN = TrackNeeds(open_tracks=True)


@dataclass(frozen=True)
class Step:
    """What one analysed frame brings, `dt` seconds after the one before."""

    dt: float = 0.1
    moving: bool = False
    ratio: float = 0.0
    scene: bool = False
    needs: TrackNeeds = NO_NEEDS
    flood: bool = False
    novel: bool = False


@dataclass
class Player:
    """A detector that is done at once, as with files, around a cadence."""

    cadence: Cadence = field(default_factory=lambda: Cadence(CadenceSettings(), THRESHOLD))
    time: float = 100.0

    def step(self, step: Step) -> Look | None:
        """Step without looking: the detector is busy."""
        self.time += step.dt
        return self.cadence.step(self.time, step.moving, step.ratio, step.scene, step.needs, step.flood,
                                 step.novel)  # fmt: skip

    def play(self, steps: Iterable[Step]) -> list[Look | None]:
        looks = []
        for step in steps:
            look = self.step(step)
            if look is not None:
                self.cadence.looked(self.time)
                self.cadence.observed(step.needs)
            looks.append(look)
        return looks

    def started(self) -> Player:
        """Take the looks that follow a start, and a second of stillness."""
        assert self.play([Step()] * 3) == [Look.START] * 3
        assert self.play([Step()] * 12) == [None] * 12
        return self


def moving(frames: int, ratio: float = 0.01, needs: TrackNeeds = NO_NEEDS) -> list[Step]:
    """Motion that is too small to be a spike."""
    return [Step(moving=True, ratio=ratio, needs=needs)] * frames


def still(frames: int, needs: TrackNeeds = NO_NEEDS) -> list[Step]:
    return [Step(needs=needs)] * frames


def gaps(looks: list[Look | None]) -> list[int]:
    """Return how many frames lie between consecutive looks."""
    return [b - a for a, b in pairwise(i for i, look in enumerate(looks) if look is not None)]


any_needs = st.builds(
    TrackNeeds, confirm=st.booleans(), promising=st.booleans(), unseen=st.booleans(),
    open_tracks=st.booleans(), settled=st.booleans(),
)  # fmt: skip
any_step = st.builds(
    Step, dt=st.floats(0.01, 3.0), moving=st.booleans(), ratio=st.floats(0.0, 1.0), scene=st.booleans(),
    needs=any_needs, novel=st.booleans(),
)  # fmt: skip
any_steps = st.lists(any_step, max_size=80)


# What holds for every sequence


@given(any_steps, any_step, any_steps)
def test_a_look_stays_due_with_its_reason_until_it_begins(before: list[Step], first: Step, busy: list[Step]) -> None:
    player = Player()
    player.play(before)
    due = player.step(first)
    if due is not None:
        assert [player.step(s) for s in busy] == [due] * len(busy)


@given(any_steps)
def test_without_motion_needs_or_a_scene_change_looks_run_out_whatever_happened_before(before: list[Step]) -> None:
    player = Player()
    player.play(before)
    settings = player.cadence.settings
    quiet = player.play([Step(dt=0.2)] * 60)
    allowed = settings.opening_looks + 1
    assert sum(look is not None for look in quiet) <= allowed
    assert quiet[allowed + 2 :] == [None] * len(quiet[allowed + 2 :])


@given(any_steps, st.integers(1, 5))
def test_one_cause_is_looked_at_once_even_when_the_detector_was_busy(before: list[Step], busy: int) -> None:
    """A look that waited for the detector uses up its cause: the next quiet frame is not looked at for it."""
    player = Player()
    player.play(before)
    player.play([Step(dt=0.2)] * 60)
    assert player.step(Step(scene=True)) is Look.SCENE_CHANGE
    assert [player.step(Step()) for _ in range(busy)] == [Look.SCENE_CHANGE] * busy
    player.cadence.looked(player.time)
    assert player.play(still(20)) == [None] * 20


@given(st.integers(1, 12), st.floats(0.02, 0.25), st.floats(0.0, 1.0))
def test_constant_motion_is_looked_at_on_every_strideth_frame_and_on_no_other(
    stride: int, dt: float, ratio: float
) -> None:
    player = Player(Cadence(CadenceSettings(stride=stride), THRESHOLD))
    looks = player.play([Step(dt=dt, moving=True, ratio=ratio)] * (6 * stride + 6))
    assert looks[:3] == [Look.START] * 3
    after = [look for look in looks[3:] if look is not None]
    assert after == [Look.MOTION] * len(after)
    assert gaps(looks)[2:] == [stride] * (len(after))


@given(st.lists(st.tuples(st.floats(0.005, 1.5), st.booleans(), st.booleans()), min_size=1, max_size=200))
def test_gate_two_runs_at_most_ten_times_a_second_and_in_motion_at_least_twice(
    frames: list[tuple[float, bool, bool]],
) -> None:
    cadence, time, last = Cadence(CadenceSettings(), THRESHOLD), 100.0, float("-inf")
    for dt, motion, opened in frames:
        time += dt
        due = cadence.scene_due(time, motion)
        if time - last < 0.1 - 1e-5:
            assert not due
        if motion and time - last >= 0.5 + 1e-5:
            assert due
        if due:
            cadence.scene_ran(time, opened)
            last = time


@given(st.lists(st.floats(0.01, 0.9), min_size=1, max_size=200))
def test_without_motion_gate_two_runs_every_two_seconds_and_never_causes_a_look_by_itself(dts: list[float]) -> None:
    player = Player().started()
    cadence = player.cadence
    cadence.scene_ran(player.time, opened=False)
    last = player.time
    for dt in dts:
        assert player.step(Step(dt=dt)) is None
        due = cadence.scene_due(player.time, motion_open=False)
        assert due == (player.time - last >= 2.0 - 1e-6)
        if due:
            cadence.scene_ran(player.time, opened=False)
            last = player.time


@given(any_steps)
def test_the_ungated_reference_looks_at_every_frame(steps: list[Step]) -> None:
    player = Player(Cadence(CadenceSettings(), THRESHOLD, every_frame=True))
    assert player.play(steps) == [Look.EVERY_FRAME] * len(steps)


# Start and restart


def test_the_first_three_frames_are_looked_at_one_by_one_and_no_more_without_a_cause() -> None:
    assert Player().play(still(30)) == [Look.START] * 3 + [None] * 27


def test_a_restart_is_a_new_start() -> None:
    player = Player().started()
    player.cadence.restart()
    assert player.play(still(10)) == [Look.START] * 3 + [None] * 7


# Gate 2's interval


def test_gate_twos_interval_grows_in_motion_and_starts_over_when_the_gate_opens() -> None:
    cadence = Cadence(CadenceSettings(), THRESHOLD)

    def runs(start: float, seconds: float) -> list[float]:
        times = [start + i * 0.025 for i in range(int(seconds / 0.025))]
        found = []
        for time in times:
            if cadence.scene_due(time, motion_open=True):
                cadence.scene_ran(time, opened=False)
                found.append(time)
        return found

    intervals = [round(b - a, 6) for a, b in pairwise(runs(0.0, 5.0))]
    assert intervals == sorted(intervals)
    assert intervals[0] < 0.2
    assert intervals[-1] == 0.5
    cadence.scene_ran(6.0, opened=True)
    assert not cadence.scene_due(6.05, motion_open=True)
    assert cadence.scene_due(6.1, motion_open=True)


# Motion


def test_a_spike_is_a_rise_and_is_looked_at_once_while_the_ratio_stays_high() -> None:
    player = Player().started()
    player.play(moving(9, ratio=0.01))
    looks = player.play(moving(4, ratio=0.5))
    assert looks.count(Look.MOTION_SPIKE) == 1
    assert looks[0] is Look.MOTION_SPIKE
    assert Look.MOTION_SPIKE not in player.play(moving(30, ratio=0.5))


def test_a_second_rise_after_a_fall_is_a_second_spike() -> None:
    player = Player().started()
    rises = [*moving(8, ratio=0.01), *moving(2, ratio=0.5)]
    assert player.play(rises * 3).count(Look.MOTION_SPIKE) == 3


def test_twice_the_mean_of_the_last_second_is_a_spike_though_it_is_under_three_times_the_threshold() -> None:
    player = Player().started()
    player.play(moving(11, ratio=0.021))
    assert player.play(moving(1, ratio=0.045)) == [Look.MOTION_SPIKE]


def test_a_jump_that_stays_under_the_motion_threshold_is_no_spike() -> None:
    player = Player().started()
    player.play(moving(9, ratio=0.001))
    assert Look.MOTION_SPIKE not in player.play(moving(4, ratio=0.015))


def test_a_scene_change_is_looked_at_at_once_in_motion_and_without() -> None:
    player = Player().started()
    assert player.play([Step(scene=True)]) == [Look.SCENE_CHANGE]
    player.play(moving(8))
    assert player.play([Step(moving=True, ratio=0.01, scene=True)]) == [Look.SCENE_CHANGE]


@pytest.mark.parametrize("motion", [True, False], ids=["in motion", "without motion"])
def test_a_track_that_waits_for_confirmation_is_looked_at_on_the_next_frame(motion: bool) -> None:
    player = Player().started()
    player.play(moving(4))
    needs = TrackNeeds(confirm=True)
    assert player.play([Step(moving=motion, ratio=0.01, needs=needs)] * 2) == [Look.CONFIRM] * 2


def test_after_stillness_one_frame_is_looked_at_without_open_tracks_and_three_with_them() -> None:
    assert Player().started().play(moving(4)) == [Look.AFTER_STILLNESS, None, None, None]
    assert Player().started().play(moving(4, needs=OPEN)) == [Look.AFTER_STILLNESS] * 3 + [None]


def test_motion_that_pauses_for_less_than_a_second_is_no_new_beginning() -> None:
    player = Player().started()
    player.play(moving(5))
    assert Look.AFTER_STILLNESS not in player.play([*still(7), *moving(4)])


def test_frames_on_which_gate_one_is_closed_wait_for_the_motion_to_go_on() -> None:
    player = Player().started()
    player.play(moving(1))
    looks = player.play([*moving(2), *still(2), *moving(1)])
    assert looks == [None, None, None, None, Look.MOTION]


# Motion's end and after


def test_when_motion_ends_open_tracks_are_verified_once_if_they_are_seen() -> None:
    player = Player().started()
    player.play(moving(8, needs=OPEN))
    assert player.play(still(40, OPEN)) == [None] * 3 + [Look.MOTION_END] + [None] * 36


def test_when_motion_ends_a_missed_track_is_looked_for_on_three_frames_and_then_more_slowly() -> None:
    player = Player().started()
    needs = TrackNeeds(open_tracks=True, unseen=True)
    player.play(moving(8, needs=needs))
    looks = player.play(still(20, needs))
    assert looks[:6] == [None] * 3 + [Look.MOTION_END] * 3
    later = [i for i, look in enumerate(looks) if look is Look.LOST]
    assert later == [9, 13, 17]
    assert set(looks[6:]) == {None, Look.LOST}


def test_when_motion_ends_without_open_tracks_nothing_is_verified() -> None:
    player = Player().started()
    player.play(moving(8))
    assert player.play(still(40)) == [None] * 40


def test_a_still_track_is_looked_at_every_ten_seconds() -> None:
    player = Player().started()
    player.play([*moving(8, needs=OPEN), *still(5, OPEN)])
    looks = player.play([Step(dt=0.5, needs=OPEN)] * 70)
    assert [look for look in looks if look] == [Look.STILL] * 3
    assert gaps(looks) == [20, 20]


# Slower and quicker looks


def test_motion_around_settled_tracks_is_looked_at_half_as_often_once_it_is_two_seconds_old() -> None:
    player = Player().started()
    settled = TrackNeeds(open_tracks=True, settled=True)
    young = player.play(moving(20, needs=settled))
    assert max(gaps(young)) == 4
    old = player.play(moving(50, needs=settled))
    assert gaps(old)[1:] == [8] * len(gaps(old)[1:])
    assert len(gaps(old)) >= 4


def test_settled_motion_is_looked_at_as_usual_again_when_a_look_finds_something_new() -> None:
    player = Player().started()
    player.play(moving(60, needs=TrackNeeds(open_tracks=True, settled=True)))
    looks = player.play(moving(40, needs=OPEN))
    assert set(gaps(looks)[1:]) == {4}


def test_something_promising_is_looked_at_twice_as_often_while_it_lasts_and_no_longer() -> None:
    player = Player().started()
    player.play(moving(12))
    promising = gaps(player.play(moving(60, needs=TrackNeeds(promising=True))))
    assert len(promising) > 20
    assert set(promising[1:]) == {2}
    assert set(gaps(player.play(moving(40)))[1:]) == {4}


def test_new_motion_is_looked_at_at_once_and_the_stride_counts_from_there() -> None:
    player = Player().started()
    player.play(moving(5))
    looks = player.play([*moving(1), Step(moving=True, ratio=0.01, novel=True), *moving(8)])
    assert looks == [None, Look.NEW_MOTION, None, None, None, Look.MOTION, None, None, None, Look.MOTION]


def test_something_promising_in_new_motion_is_looked_at_on_the_next_frame_too_and_once() -> None:
    player = Player().started()
    player.play(moving(5))
    needs = TrackNeeds(promising=True)
    looks = player.play([Step(moving=True, ratio=0.01, novel=True, needs=needs), *moving(5, needs=needs)])
    assert looks[:3] == [Look.NEW_MOTION, Look.NEW_MOTION, None]
    assert looks[3:] == [Look.MOTION, None, Look.MOTION]


def test_motion_that_is_new_in_every_frame_is_soon_looked_at_as_often_as_any_other() -> None:
    player = Player().started()
    player.play(moving(5))
    leaves = [Step(moving=True, ratio=0.01, novel=True)] * 100
    looks = player.play(leaves)
    most = player.cadence.settings.new_most
    assert looks[:most] == [Look.NEW_MOTION] * most
    passed = sum(step.dt for step in leaves) / player.cadence.settings.new_interval
    assert looks.count(Look.NEW_MOTION) <= most + passed + 1
    assert looks.count(Look.MOTION) >= (100 - looks.count(Look.NEW_MOTION)) // 4 - 5


def test_new_motion_in_which_something_waits_to_be_confirmed_does_not_count() -> None:
    player = Player().started()
    player.play(moving(5))
    player.play([Step(moving=True, ratio=0.01, novel=True)] * 5)
    player.play([Step(moving=True, ratio=0.01, novel=True, needs=TrackNeeds(confirm=True))])
    assert player.play([Step(moving=True, ratio=0.01, novel=True)] * 6) == [Look.NEW_MOTION] * 6


def test_in_a_flicker_new_motion_is_not_looked_at() -> None:
    player = Player().started()
    player.play([*flood(3), *still(10)] * 3)
    assert player.play([Step(moving=True, ratio=0.01, novel=True)] * 5) == [None] * 5


def test_the_last_motion_is_the_last_time_that_gate_one_was_open() -> None:
    player = Player()
    assert player.cadence.last_motion == float("-inf")
    player.play(moving(3))
    last = player.time
    player.play(still(10))
    assert player.cadence.last_motion == last


# Floods


def flood(frames: int, needs: TrackNeeds = NO_NEEDS) -> list[Step]:
    return [Step(ratio=0.95, flood=True, needs=needs)] * frames


@given(st.integers(1, 90))
def test_a_flood_is_looked_at_once_on_the_first_calm_frame(frames: int) -> None:
    player = Player().started()
    assert player.play(flood(frames)) == [None] * frames
    assert player.play(still(30)) == [Look.SCENE_CHANGE] + [None] * 29


def test_gate_two_that_opens_while_the_light_settles_does_not_ask_for_another_look() -> None:
    player = Player().started()
    player.play([*flood(3), *still(1)])
    assert player.play([Step(scene=True)] * 15) == [None] * 15


def test_floods_less_than_two_seconds_apart_are_worth_one_look() -> None:
    player = Player().started()
    looks = player.play([*flood(3), *still(10)] * 6)
    assert [look for look in looks if look] == [Look.SCENE_CHANGE]


def test_floods_further_apart_are_worth_a_look_each() -> None:
    player = Player().started()
    looks = player.play([*flood(3), *still(25)] * 3)
    assert [look for look in looks if look] == [Look.SCENE_CHANGE] * 3


def test_motion_after_a_flood_is_looked_at_as_ever() -> None:
    player = Player().started()
    player.play([*flood(3), *still(8)])
    assert [look for look in player.play(moving(12)) if look] == [Look.AFTER_STILLNESS, Look.MOTION, Look.MOTION]


def test_a_flicker_with_motion_between_is_looked_at_every_ten_seconds_and_not_continuously() -> None:
    player = Player().started()
    looks = player.play([*flood(3), *moving(5, ratio=0.1)] * 40)
    assert [i for i, look in enumerate(looks) if look and i > 16] == [115, 215, 315]


def test_a_flood_without_end_does_not_blind_the_camera_for_good() -> None:
    player = Player().started()
    looks = player.play(flood(350))
    assert [i for i, look in enumerate(looks) if look] == pytest.approx([100, 200, 300], abs=3)


def test_a_look_that_waited_for_the_detector_when_the_light_changed_is_made_afterwards() -> None:
    player = Player().started()
    assert player.step(Step(scene=True)) is Look.SCENE_CHANGE
    assert player.play(flood(5)) == [None] * 5
    assert player.play(still(10)) == [Look.SCENE_CHANGE] + [None] * 9
