"""Attempts: wrong guesses are counted by household and in total, and forgotten."""

from __future__ import annotations

import pytest

from soteirad.web.attempts import MOST, MOST_ADDRESSES, MOST_OF_ADDRESS, WINDOW_S, Attempts, origin_of
from tests.web.test_sessions import Clock


def test_who_guessed_wrong_too_often_waits_and_others_do_not() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(MOST_OF_ADDRESS):
        assert attempts.wait_of("10.0.0.7") == 0
        attempts.wrong("10.0.0.7")
    clock.now += 10
    assert attempts.wait_of("10.0.0.7") == WINDOW_S - 10
    assert attempts.wait_of("10.0.0.8") == attempts.wait() == 0


def test_guesses_are_forgotten_one_by_one() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(MOST_OF_ADDRESS):
        attempts.wrong("10.0.0.7")
        clock.now += 1
    clock.now += WINDOW_S - MOST_OF_ADDRESS
    assert attempts.wait_of("10.0.0.7") == 0
    attempts.wrong("10.0.0.7")
    assert attempts.wait_of("10.0.0.7") == 1


def test_many_addresses_together_are_counted_too() -> None:
    attempts = Attempts(Clock())
    for number in range(MOST):
        assert attempts.wait() == 0
        attempts.wrong(f"10.0.0.{number}")
    assert attempts.wait() == WINDOW_S


def test_they_take_no_more_memory_than_they_may() -> None:
    attempts = Attempts(Clock())
    for number in range(MOST_ADDRESSES + 500):
        attempts.wrong(f"10.{number // 256}.{number % 256}.1")
    assert len(attempts._by_address) == MOST_ADDRESSES


@pytest.mark.parametrize(
    ("address", "origin"),
    [("10.0.0.7", "10.0.0.7"), ("::ffff:10.0.0.7", "10.0.0.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
     ("fe80::1%eth0", "fe80::/64"), ("", ""), ("somebody", "somebody")],
)  # fmt: skip
def test_a_household_is_one_address_of_ipv4_or_one_network_of_ipv6(address: str, origin: str) -> None:
    assert origin_of(address) == origin
