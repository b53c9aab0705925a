"""Sessions: they begin, last, and end."""

from __future__ import annotations

from soteirad.web.sessions import IDLE_S, LIFE_S, MOST, Sessions


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_each_session_has_a_cookie_of_its_own_that_nobody_can_guess() -> None:
    sessions = Sessions(Clock())
    cookies = {sessions.open() for _ in range(20)}
    assert len(cookies) == 20 and all(len(cookie) >= 43 for cookie in cookies)
    assert all(map(sessions.holds, cookies)) and not sessions.holds("x") and not sessions.holds("")


def test_one_that_is_used_lasts_until_its_life_is_over() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    cookie = sessions.open()
    end = clock.now + LIFE_S
    while clock.now + IDLE_S < end:
        clock.now += IDLE_S - 1
        assert sessions.holds(cookie)
    clock.now = end + 1
    assert not sessions.holds(cookie) and len(sessions) == 0


def test_one_that_is_not_used_ends_sooner() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    cookie = sessions.open()
    clock.now += IDLE_S + 1
    assert not sessions.holds(cookie)


def test_one_more_than_there_may_be_ends_the_one_that_was_longest_unused() -> None:
    sessions = Sessions(Clock())
    first, second = sessions.open(), sessions.open()
    assert sessions.holds(first)
    for _ in range(MOST - 1):
        sessions.open()
    assert len(sessions) == MOST and sessions.holds(first) and not sessions.holds(second)


def test_who_logs_out_ends_that_session_alone() -> None:
    sessions = Sessions(Clock())
    first, second = sessions.open(), sessions.open()
    sessions.end(first)
    sessions.end("unknown")
    assert not sessions.holds(first) and sessions.holds(second)
