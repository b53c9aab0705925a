"""Advice: the front, and what each goal takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from soteirad.tune.advice import GOALS, front, recommend
from tests.tune.made import PRESENT, score

PLAIN = score(8, looks=40, stride=PRESENT.stride)


def test_the_front_has_what_none_beats_in_missed_extra_and_looks() -> None:
    best, cheap, clean = score(10, 2, 60), score(5, 2, 10), score(9, 0, 70)
    assert front([score(9, 2, 61), best, cheap, clean, score(5, 3, 10)]) == [best, clean, cheap]


def test_miss_nothing_finds_most_then_has_fewest_extra_then_looks_least() -> None:
    wanted = score(10, 1, 50)
    scores = [PLAIN, score(10, 2, 20), score(10, 1, 80), wanted, score(9, 0, 10)]
    assert recommend(scores, PLAIN)["miss nothing"] == wanted


def test_miss_nothing_takes_none_that_reports_much_later_than_the_quickest() -> None:
    late, prompt = score(10, looks=20, delay=1.5), score(10, looks=50, delay=0.3)
    assert recommend([PLAIN, late, prompt], PLAIN)["miss nothing"] == prompt
    assert recommend([PLAIN, late, prompt], PLAIN)["balanced"] == late


def test_miss_nothing_changes_no_more_than_finding_most_needs() -> None:
    little, much = score(10, looks=60, stride=3), score(10, looks=20, stride=9, still_interval=60.0)
    assert recommend([PLAIN, little, much], PLAIN)["miss nothing"] == little
    assert recommend([PLAIN, little, much], PLAIN)["balanced"] == much


def test_balanced_finds_all_but_a_twentieth_and_save_power_all_but_a_fifth() -> None:
    best, balanced, saving = (score(f, looks=n, entries=20) for f, n in ((20, 90), (19, 60), (16, 30)))
    present = score(18, looks=95, entries=20, stride=PRESENT.stride)
    advice = recommend([present, best, balanced, saving, score(15, looks=5, entries=20)], present)
    assert [advice[g] for g in GOALS] == [best, balanced, saving]


def test_no_goal_buys_its_savings_with_more_false_entries_than_there_are_now() -> None:
    assert recommend([PLAIN, score(8, 5, 5), score(8, 0, 30)], PLAIN)["save power"].extra == 0


def test_of_settings_that_cost_the_same_those_with_fewest_changes_are_taken() -> None:
    little, much = score(8, looks=30.5, stride=5), score(8, looks=30, stride=6, still_interval=60.0)
    assert recommend([PLAIN, little, much], PLAIN)["save power"] == little


def test_present_settings_that_are_best_stay() -> None:
    advice = recommend([PLAIN, score(7, looks=50)], PLAIN)
    assert all(advice[g] == PLAIN for g in GOALS)


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 3), st.floats(1, 99), st.floats(0, 3)), max_size=12))
def test_each_goal_keeps_its_promise(rows: list[tuple[int, int, float, float]]) -> None:
    scores = [PLAIN, *(score(f, e, n, d) for f, e, n, d in rows)]
    advice, most = recommend(scores, PLAIN), max(s.found for s in scores)
    assert advice["miss nothing"].found == most
    assert advice["balanced"].found >= 0.95 * most and advice["save power"].found >= 0.8 * most
    assert advice["save power"].looks <= advice["balanced"].looks * 1.06
    assert all(any(k.found >= s.found and k.extra <= s.extra and k.looks <= s.looks for k in front(scores))
               for s in scores)  # fmt: skip
