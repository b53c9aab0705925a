"""The circuit breaker: when a server that fails is left alone, and who tries it again."""

from __future__ import annotations

import threading
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from soteirad.llm.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def broken(clock: Clock) -> Breaker:
    breaker = Breaker(monotonic=clock)
    for _ in range(5):
        assert breaker.allow()
        breaker.failed()
    return breaker


def test_four_failures_in_a_row_change_nothing_and_a_success_forgets_them() -> None:
    breaker = Breaker(monotonic=Clock())
    for _ in range(3):
        for _ in range(4):
            breaker.failed()
        assert (breaker.state, breaker.retry_in(), breaker.allow()) == ("closed", None, True)
        breaker.succeeded()


def test_after_five_failures_nobody_may_call_for_half_a_minute() -> None:
    clock = Clock()
    breaker = broken(clock)
    assert (breaker.state, breaker.retry_in(), breaker.allow()) == ("open", 30, False)
    clock.now += 29.9
    assert (breaker.state, breaker.allow()) == ("open", False)
    clock.now += 0.1
    assert (breaker.state, breaker.retry_in()) == ("half_open", 0)


def test_then_exactly_one_may_try_and_its_success_lets_all_in_again() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += 30
    assert [breaker.allow() for _ in range(5)] == [True, False, False, False, False]
    assert breaker.state == "half_open"
    breaker.succeeded()
    assert (breaker.state, breaker.allow(), breaker.allow()) == ("closed", True, True)


def test_each_failure_of_the_one_who_tries_doubles_the_wait_up_to_ten_minutes() -> None:
    clock = Clock()
    breaker, waits = broken(clock), list[float | None]()
    for _ in range(7):
        waits.append(breaker.retry_in())
        clock.now += waits[-1] or 0
        assert breaker.allow()
        breaker.failed()
        assert breaker.state == "open"
    assert waits == [30, 60, 120, 240, 480, 600, 600]
    breaker.succeeded()
    for _ in range(5):
        breaker.failed()
    assert breaker.retry_in() == 30


def test_one_who_tries_and_never_reports_does_not_hold_the_others_for_ever() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += 30
    assert breaker.allow()
    assert breaker.retry_in() == 600
    clock.now += 599
    assert not breaker.allow()
    clock.now += 1
    assert [breaker.allow(), breaker.allow()] == [True, False]


def test_one_who_was_let_through_and_did_not_call_leaves_the_try_to_the_next() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += 30
    assert breaker.allow()
    breaker.withdrawn()
    assert (breaker.state, breaker.retry_in()) == ("half_open", 0)
    assert [breaker.allow(), breaker.allow()] == [True, False]
    breaker.succeeded()
    breaker.withdrawn()
    assert breaker.state == "closed"


def test_late_failures_of_calls_that_began_before_change_nothing_and_a_late_success_closes() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += 10
    breaker.failed()
    breaker.withdrawn()
    assert breaker.retry_in() == 20
    breaker.succeeded()
    assert breaker.state == "closed"


def test_a_wait_is_never_longer_than_the_last_one_even_if_the_first_would_be() -> None:
    breaker = Breaker(failures=1, first=60, last=20, monotonic=Clock())
    breaker.failed()
    assert breaker.retry_in() == 20


def test_of_many_threads_one_tries() -> None:
    clock = Clock()
    breaker, allowed, lock = broken(clock), list[bool](), threading.Lock()
    clock.now += 30

    def ask() -> None:
        answer = breaker.allow()
        with lock:
            allowed.append(answer)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (allowed.count(True), len(allowed)) == (1, 20)


@given(st.lists(st.sampled_from(["allow", "failed", "succeeded", "withdrawn"]) | st.integers(1, 700), max_size=60))
def test_whatever_happens_somebody_may_try_after_ten_minutes_and_one_at_a_time(steps: list[str | int]) -> None:
    clock = Clock()
    breaker, tried = Breaker(monotonic=clock), list[float]()
    for step in steps:
        if isinstance(step, int):
            clock.now += step
            continue
        closed = breaker.state == "closed"
        may = breaker.retry_in() in (None, 0)
        result = getattr(breaker, step)()
        if step == "allow":
            assert result is may
            if result and not closed:
                tried.append(clock.now)
        elif step in ("failed", "succeeded", "withdrawn"):
            tried = [] if step != "failed" or closed else tried
        wait = breaker.retry_in()
        assert (wait is None) == (breaker.state == "closed")
        assert wait is None or 0 <= wait <= 600
        if step == "failed" and not closed:
            tried = []
        assert all(later - earlier >= 600 for earlier, later in pairwise(tried))
    clock.now += 600
    assert breaker.allow()


def test_a_server_that_asks_to_be_left_alone_for_long_is_at_once_but_for_no_more_than_ten_minutes() -> None:
    clock = Clock()
    breaker = Breaker(monotonic=clock)
    breaker.failed(30.0)
    assert breaker.state == "closed", "it is tried again as ever"
    breaker.failed(120.0)
    assert (breaker.allow(), breaker.retry_in()) == (False, 120)
    clock.now += 120
    assert breaker.allow()
    breaker.failed(3600.0)
    assert breaker.retry_in() == 600
