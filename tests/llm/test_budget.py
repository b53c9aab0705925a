"""The budget: never more than its limits in any window, whatever the clock does, nor locked for longer than one."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.config.llm import BudgetConfig
from soteirad.llm import budget as module
from soteirad.llm.budget import Budget, Refused, Spent, Ticket

WINDOWS = {"per_minute": 60, "per_hour": 3600, "per_day": 86_400}
MIDNIGHT = 20_000 * 86_400


class Box:
    """A machine whose clocks can be set, its disk, and what it truly spent."""

    def __init__(self, **limits: Any) -> None:
        self.config = BudgetConfig(**{**dict.fromkeys([*WINDOWS, "tokens_per_day"]), **limits})
        self.true, self.skew, self.booted = float(MIDNIGHT), 0.0, 0.0
        self.disk: dict[str, Spent] = {}
        self.made: list[tuple[float, int]] = []
        self.budget = self._started()

    def _started(self) -> Budget:
        budget = Budget(self.config, monotonic=lambda: self.true - self.booted, wall=lambda: self.true + self.skew)
        budget.load([(spent.at, spent.tokens) for spent in self.disk.values()])
        return budget

    def save(self) -> None:
        self.disk.update({spent.id: spent for spent in self.budget.pop_unsaved()})

    def restart(self, set_back: float = 0) -> None:
        self.save()
        self.skew -= set_back
        self.booted = self.true - 7
        self.budget = self._started()

    def call(self, estimate: int = 0, tokens: int | None = None) -> Ticket | Refused:
        got = self.budget.take(estimate)
        if isinstance(got, Ticket):
            if tokens is not None:
                self.budget.settle(got, tokens)
            self.made.append((self.true, estimate if tokens is None else tokens))
        return got

    def check(self) -> None:
        """Compare what was truly spent with the limits, and what is said to be left with both."""
        for limit, left in self.budget.remaining().items():
            most = getattr(self.config, limit)
            if most is None:
                assert left is None
                continue
            window = WINDOWS.get(limit, 86_400)
            spent = [t if limit == "tokens_per_day" else 1 for at, t in self.made if at > self.true - window]
            assert sum(spent) <= most
            assert left is not None
            assert 0 <= left <= most - sum(spent)


STEPS = st.lists(
    st.tuples(st.just("wait"), st.integers(0, 100) | st.sampled_from([59, 60, 61, 3599, 3600, 86_399, 86_400]))
    | st.tuples(st.just("call"), st.integers(0, 1500))
    | st.tuples(st.just("burst"), st.integers(1, 6))
    | st.tuples(st.just("save"), st.just(0)),
    max_size=30,
)
JUMPS = st.tuples(st.just("jump"), st.integers(-400_000, 400_000))
RESTARTS = st.tuples(st.just("restart"), st.just(0))
SET_BACK = st.tuples(st.just("restart"), st.integers(0, 10) | st.integers(0, 400_000))
LIMITS = st.fixed_dictionaries({
    "per_minute": st.none() | st.integers(1, 4), "per_hour": st.none() | st.integers(1, 6),
    "per_day": st.none() | st.integers(1, 8), "tokens_per_day": st.none() | st.integers(1000, 4000),
})  # fmt: skip


def run(box: Box, steps: list[tuple[str, int]]) -> None:
    for what, amount in steps:
        if what == "wait":
            box.true += amount
        elif what == "jump":
            box.skew += amount
        elif what == "restart":
            box.restart(amount)
        elif what == "save":
            box.save()
        elif what == "burst":
            for _ in range(amount):
                box.call(100)
        else:
            box.call(amount, amount * 2 // 3)
        box.check()


def mixed(*others: st.SearchStrategy[tuple[str, int]]) -> st.SearchStrategy[list[tuple[str, int]]]:
    more = st.lists(st.one_of(*others), max_size=6)
    return st.tuples(STEPS, more).flatmap(lambda both: st.permutations([*both[0], *both[1]]))


@given(LIMITS, mixed(JUMPS))
def test_in_a_run_no_window_ever_has_more_than_its_limit_whatever_the_clock_does(
    limits: dict[str, int | None], steps: list[tuple[str, int]]
) -> None:
    run(Box(**limits), steps)


@given(LIMITS, mixed(RESTARTS))
def test_over_restarts_with_a_good_clock_nothing_is_forgotten_and_nothing_counted_twice(
    limits: dict[str, int | None], steps: list[tuple[str, int]]
) -> None:
    box = Box(**limits)
    run(box, steps)
    for limit, window in WINDOWS.items():
        most = getattr(box.config, limit)
        spent = sum(at > box.true - window for at, _ in box.made)
        assert box.budget.remaining()[limit] == (None if most is None else most - spent)  # type: ignore[index]


@given(LIMITS, mixed(SET_BACK))
def test_with_the_clock_set_back_at_a_restart_no_more_is_spent_and_all_is_free_one_window_later(
    limits: dict[str, int | None], steps: list[tuple[str, int]]
) -> None:
    box = Box(**limits)
    run(box, steps)
    box.restart(5000)
    left = box.budget.remaining()
    for limit, window in WINDOWS.items():
        if left[limit] is not None:  # type: ignore[index]
            later = Box(**limits)
            later.true, later.disk, later.skew = box.true, dict(box.disk), box.skew
            later.restart()
            later.true += window
            assert later.budget.remaining()[limit] == getattr(box.config, limit)  # type: ignore[index]
    box.true += 86_400
    assert box.budget.remaining() == box.config.model_dump()


@given(st.integers(-400_000, 400_000), st.lists(st.integers(0, 5000), max_size=8))
def test_a_clock_that_is_set_right_in_a_run_corrects_the_times_of_its_calls(wrong: int, waits: list[int]) -> None:
    box = Box(per_day=10)
    box.skew = wrong
    for wait in waits:
        box.call()
        box.save()
        box.true += wait
    box.skew = 0
    box.restart()
    spent = sum(at > box.true - 86_400 for at, _ in box.made)
    assert box.budget.remaining()["per_day"] == pytest.approx(10 - spent, abs=0 if abs(wrong) > 2 or wrong == 0 else 8)


@given(LIMITS, STEPS, st.integers(0, 2000))
def test_after_the_seconds_that_a_refusal_names_there_is_a_call_and_not_before(
    limits: dict[str, int | None], steps: list[tuple[str, int]], estimate: int
) -> None:
    box = Box(**limits)
    run(box, steps)
    refused = box.budget.take(estimate)
    if isinstance(refused, Ticket):
        return
    assert getattr(box.config, refused.limit) is not None
    if refused.seconds == float("inf"):
        assert estimate > limits["tokens_per_day"]  # type: ignore[operator]
        return
    box.true += refused.seconds - 1
    assert isinstance(box.budget.take(estimate), Refused)
    box.true += 1
    assert isinstance(box.budget.take(estimate), Ticket)


def test_a_refusal_names_the_limit_that_is_in_the_way_the_longest() -> None:
    box = Box(per_minute=1, per_hour=2, per_day=3)
    assert isinstance(box.call(), Ticket)
    assert box.call() == Refused("per_minute", 60)
    box.true += 60
    box.call()
    assert box.call() == Refused("per_hour", 3540)
    box.true += 3600
    box.call()
    assert box.call() == Refused("per_day", 86_400 - 3660)


def test_midnight_means_nothing() -> None:
    box = Box(per_day=2)
    box.true -= 30
    box.call()
    box.call()
    box.true += 60
    assert box.call() == Refused("per_day", 86_340)


def test_the_true_tokens_take_the_place_of_the_estimate() -> None:
    box = Box(tokens_per_day=1000)
    first = box.budget.take(900)
    assert isinstance(first, Ticket)
    assert box.budget.take(101) == Refused("tokens_per_day", 86_400)
    box.budget.settle(first, 300)
    assert box.budget.remaining()["tokens_per_day"] == 700
    box.budget.settle(first, 1500)
    assert box.budget.remaining()["tokens_per_day"] == 0
    box.budget.settle(first, -5)
    assert box.budget.remaining()["tokens_per_day"] == 1000


def test_more_tokens_than_a_whole_day_has_are_never_free() -> None:
    assert Box(tokens_per_day=1000).call(1001) == Refused("tokens_per_day", float("inf"))


def test_a_call_is_told_to_the_disk_when_it_is_made_and_again_when_it_is_settled() -> None:
    box = Box()
    ticket = box.budget.take(100)
    assert isinstance(ticket, Ticket)
    assert box.budget.pop_unsaved() == [Spent(ticket.id, float(MIDNIGHT), 100)]
    assert box.budget.pop_unsaved() == []
    box.true += 5
    box.budget.settle(ticket, 70)
    changed = box.budget.pop_unsaved()
    assert changed == [Spent(ticket.id, float(MIDNIGHT), 70)]
    box.budget.not_saved(changed)
    box.budget.settle(ticket, 60)
    assert box.budget.pop_unsaved() == [Spent(ticket.id, float(MIDNIGHT), 60)]


def test_what_was_spent_by_an_earlier_run_is_not_told_again() -> None:
    box = Box(per_day=5)
    box.call()
    box.restart()
    assert box.budget.pop_unsaved() == []
    assert box.budget.remaining()["per_day"] == 4


def test_what_is_loaded_may_be_in_any_order_and_may_come_after_the_first_call() -> None:
    box = Box(per_hour=3)
    box.call()
    box.budget.load([(MIDNIGHT - 100, 5), (MIDNIGHT - 3000, 5), (MIDNIGHT - 90_000, 5)])
    assert box.call() == Refused("per_hour", 600)


def test_a_call_that_is_settled_after_a_day_changes_nothing() -> None:
    box = Box(tokens_per_day=1000)
    ticket = box.budget.take(500)
    assert isinstance(ticket, Ticket)
    box.true += 86_400
    box.budget.not_saved(box.budget.pop_unsaved())
    box.budget.settle(ticket, 900)
    assert box.budget.remaining()["tokens_per_day"] == 1000
    assert box.budget.pop_unsaved() == []


def test_other_limits_keep_what_was_spent() -> None:
    box = Box(per_day=5)
    for _ in range(4):
        box.call()
    box.budget.configure(BudgetConfig(per_minute=None, per_hour=None, per_day=2))
    assert box.budget.remaining() == {"per_minute": None, "per_hour": None, "per_day": 0, "tokens_per_day": None}
    assert box.call() == Refused("per_day", 86_400)
    box.budget.configure(BudgetConfig(per_minute=None, per_hour=None, per_day=6))
    assert box.budget.remaining()["per_day"] == 2


def test_memory_is_bounded_and_tokens_are_not_lost_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CALLS", 10)
    box = Box(tokens_per_day=100_000)
    for _ in range(100):
        box.call(10)
        box.true += 1
    assert box.budget.remaining()["tokens_per_day"] == 99_000
    assert len(box.budget.pop_unsaved()) == 10
    box.true += 86_400
    assert box.budget.remaining()["tokens_per_day"] == 100_000


def test_threads_together_spend_no_more_than_the_limit() -> None:
    box, tickets, lock = Box(per_minute=50), list[Ticket](), threading.Lock()

    def spend() -> None:
        for _ in range(20):
            got = box.budget.take(1)
            if isinstance(got, Ticket):
                with lock:
                    tickets.append(got)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({ticket.id for ticket in tickets}) == len(tickets) == 50
    ids = sorted(spent.id for spent in box.budget.pop_unsaved())
    assert all(one < other for one, other in pairwise(ids))
