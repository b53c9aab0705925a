"""Advice: the front, and what each goal takes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from soteirad.tune.advice import FEW_ENTRIES, GOALS, Goal, Score, front, recommend
from soteirad.tune.bounds import Bounds, within
from tests.tune.made import PRESENT, score

BOUNDS = Bounds.of(PRESENT, PRESENT)
NOW = score(8, looks=40)


def advise(*scores: Score, now: Score = NOW) -> dict[Goal, Score]:
    return recommend([now, *scores], now, BOUNDS)


def test_the_front_has_what_none_beats_in_missed_extra_and_looks() -> None:
    best, cheap, clean = score(10, 2, 60), score(5, 2, 10), score(9, 0, 70)
    assert front([score(9, 2, 61), best, cheap, clean, score(5, 3, 10)]) == [best, clean, cheap]


def test_miss_nothing_finds_most_then_has_fewest_extra_then_looks_least() -> None:
    wanted = score(10, 1, 50, stride=2)
    others = [score(10, 2, 20, stride=3), score(10, 1, 80, stride=1), score(9, 0, 10, stride=2, scene_interval=1.0)]
    assert advise(wanted, *others)["miss nothing"] == wanted


def test_miss_nothing_takes_none_that_reports_much_later_than_the_quickest() -> None:
    late, prompt = score(10, looks=20, delay=1.5, stride=3), score(10, looks=50, delay=0.3, stride=2)
    assert advise(late, prompt)["miss nothing"] == prompt


def test_a_lucky_clip_makes_no_key_more_careless_than_it_is_where_nothing_is_to_be_missed() -> None:
    lucky: list[dict[str, Any]] = [{"motion_threshold": 0.03}, {"stride": 6}, {"scene_distance": 0.35},
                                   {"scene_ssim": 0.65}, {"scene_interval": 4.0}, {"still_interval": 20.0},
                                   {"motion_threshold": 0.01, "stride": 6}, {"min_score": 0.5}]  # fmt: skip
    for knobs in lucky:
        assert advise(score(10, looks=5, **knobs))["miss nothing"] == NOW


def test_a_careless_owner_is_told_the_defaults_where_nothing_is_to_be_missed() -> None:
    present = Bounds.of(score(8, stride=14, motion_threshold=0.005, min_score=0.6).knobs, PRESENT)
    floor = score(8, motion_threshold=0.005, min_score=0.6).knobs
    assert present.nothing == floor, "the more careful of both, and the score as the owner has it"


def test_balanced_goes_to_twice_the_defaults_and_save_power_to_three_times() -> None:
    now = score(20, looks=95, entries=20)
    twice, thrice = score(20, looks=60, entries=20, stride=8), score(20, looks=40, entries=20, stride=12)
    never = score(20, looks=10, entries=20, stride=13)
    advice = advise(twice, thrice, never, now=now)
    assert [advice[g] for g in GOALS] == [now, twice, thrice]


def test_with_few_entries_save_power_goes_no_farther_than_balanced() -> None:
    for entries, stride in ((FEW_ENTRIES - 1, 8), (FEW_ENTRIES, 12)):
        now = score(8, looks=95, entries=entries)
        others = [score(8, looks=5.0 * (20 - n), entries=entries, stride=n) for n in (8, 12)]
        assert advise(*others, now=now)["save power"].knobs.stride == stride


def test_what_the_owner_has_set_may_stay_however_careless_it_is() -> None:
    now = score(20, looks=10, entries=20, stride=30)
    usual = score(20, looks=90, entries=20)
    advice = recommend([now, usual], now, Bounds.of(now.knobs, PRESENT))
    assert [advice[g] for g in GOALS] == [usual, now, now]


def test_no_saving_is_bought_with_a_gate_that_lets_more_through() -> None:
    odd = score(8, looks=5, motion_threshold=0.005, stride=8)
    assert advise(odd)["save power"] == NOW


def test_one_entry_of_few_opens_no_gate_wider_than_twice() -> None:
    for entries, found in ((FEW_ENTRIES - 1, 8), (FEW_ENTRIES, 9)):
        now = score(7, looks=40, entries=entries)
        twice = score(8, looks=60, entries=entries, motion_threshold=0.01)
        wide = score(9, looks=60, entries=entries, motion_threshold=0.005)
        assert advise(twice, wide, now=now)["miss nothing"].found == found


def test_a_gate_that_must_let_more_through_to_find_most_does_so_for_all_goals() -> None:
    wide = score(10, looks=60, motion_threshold=0.01)
    saving = score(10, looks=30, motion_threshold=0.01, stride=8)
    advice = advise(wide, saving)
    assert [advice[g] for g in GOALS] == [wide, saving, saving]


def test_miss_nothing_changes_no_more_than_finding_most_needs() -> None:
    little, much = score(10, looks=60, stride=3), score(10, looks=50, stride=2, motion_threshold=0.015)
    assert advise(little, much, now=score(9, looks=40))["miss nothing"] == little


def test_balanced_finds_all_but_a_twentieth_and_save_power_all_but_a_fifth() -> None:
    now = score(20, looks=95, entries=20)
    balanced, saving = (score(f, looks=n, entries=20, stride=s) for f, n, s in ((19, 60, 6), (16, 30, 8)))
    advice = advise(balanced, saving, score(15, looks=5, entries=20, stride=7), now=now)
    assert [advice[g] for g in GOALS] == [now, balanced, saving]


def test_no_goal_buys_its_savings_with_more_false_entries_than_there_are_now() -> None:
    assert advise(score(8, 5, 5, stride=8), score(8, 0, 30, stride=6))["save power"].extra == 0


def test_of_settings_that_cost_the_same_those_that_change_least_are_taken() -> None:
    little, much = score(8, looks=30.5, stride=5), score(8, looks=30, stride=6, still_interval=20.0)
    assert advise(little, much)["save power"] == little
    near, far = score(8, looks=32, stride=6), score(8, looks=30, stride=8)
    assert advise(near, far)["balanced"] == near


def test_present_settings_that_are_best_stay() -> None:
    advice = advise(score(7, looks=50, stride=3))
    assert all(advice[g] == NOW for g in GOALS)


KNOBS = st.fixed_dictionaries({"stride": st.integers(1, 20), "motion_threshold": st.sampled_from((0.005, 0.02, 0.06)),
                               "scene_ssim": st.sampled_from((0.9, 0.8, 0.3))})  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 3), st.floats(1, 99), st.floats(0, 3), KNOBS),
                max_size=12))  # fmt: skip
def test_each_goal_keeps_its_promise(rows: list[tuple[int, int, float, float, dict[str, Any]]]) -> None:
    scores = [NOW, *(score(f, e, n, d, **k) for f, e, n, d, k in rows)]
    advice = recommend(scores, NOW, BOUNDS)
    nothing = advice["miss nothing"]
    assert within(nothing.knobs, BOUNDS.nothing) and nothing.found >= NOW.found
    assert nothing.found == max(s.found for s in scores if within(s.knobs, BOUNDS.nothing)
                                and within(BOUNDS.wariest, s.knobs))  # fmt: skip
    assert advice["balanced"].found >= 0.95 * nothing.found and advice["save power"].found >= 0.8 * nothing.found
    for goal in ("balanced", "save power"):
        assert within(advice[goal].knobs, BOUNDS.saving) and within(nothing.knobs, advice[goal].knobs)
    assert advice["save power"].looks <= advice["balanced"].looks * 1.11
    assert all(any(k.found >= s.found and k.extra <= s.extra and k.looks <= s.looks for k in front(scores))
               for s in scores)  # fmt: skip
