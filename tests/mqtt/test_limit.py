"""The size that a broker takes, from how connections end: twice in a row, and only with evidence."""

from __future__ import annotations

import pytest

from soteirad.mqtt.limit import ENVELOPE, LARGE, SAME_REGION, SOON_S, SizeLimit

BIG = 100_000


def hand_over(limit: SizeLimit, size: int, token: int = 1, now: float = 100.0) -> None:
    """A message with QoS 0 goes out at once, and its probe after it."""
    if limit.sent(token, size, now):
        limit.probing(token, token + 1000)
    assert not limit.written(token, now)


def broken_by(limit: SizeLimit, size: int, after: float = 0.1) -> bool:
    """A connection that the broker closes, `after` seconds after a message of this size was written."""
    limit.connected(None)
    hand_over(limit, size)
    return limit.ended(100.0 + after, closed=True, too_large=False)


def test_without_experience_everything_fits() -> None:
    assert SizeLimit().fits(10**9)


def test_the_second_end_in_a_row_after_a_message_of_one_size_is_a_limit_for_it_and_all_larger() -> None:
    limit = SizeLimit()
    assert broken_by(limit, BIG)
    assert limit.fits(BIG) and limit.learned is None
    assert broken_by(limit, BIG)
    assert limit.learned == BIG
    assert not limit.fits(BIG) and not limit.fits(2 * BIG)
    assert limit.fits(BIG - 1)


def test_sizes_of_one_region_are_one_and_the_smaller_is_the_limit() -> None:
    limit = SizeLimit()
    broken_by(limit, int(BIG * SAME_REGION))
    broken_by(limit, BIG)
    assert limit.learned == BIG


def test_sizes_of_different_regions_are_two_stories() -> None:
    limit = SizeLimit()
    for size in (BIG, 3 * BIG, BIG, 3 * BIG):
        broken_by(limit, size)
    assert limit.learned is None


@pytest.mark.parametrize("size", [1, LARGE])
def test_small_messages_are_never_suspected(size: int) -> None:
    limit = SizeLimit()
    for _ in range(5):
        assert not broken_by(limit, size)
    assert limit.fits(size)


def test_an_end_long_after_the_message_was_written_is_no_sign() -> None:
    limit = SizeLimit()
    for _ in range(5):
        assert not broken_by(limit, BIG, after=SOON_S + 0.1)
    assert limit.fits(BIG)


def test_a_message_that_was_not_written_yet_is_suspected_however_long_it_waited() -> None:
    limit = SizeLimit()
    for _ in range(2):
        limit.connected(None)
        assert limit.sent(1, BIG, 100.0)
        assert limit.ended(200.0, closed=True, too_large=False)
    assert limit.learned == BIG


def test_a_message_whose_probe_was_answered_is_no_suspect() -> None:
    limit = SizeLimit()
    for _ in range(5):
        limit.connected(None)
        hand_over(limit, BIG)
        limit.answered(1001)
        hand_over(limit, BIG // 2, token=2)
        assert not limit.ended(100.1, closed=True, too_large=False)
    assert limit.fits(BIG)


def test_the_first_that_is_larger_than_what_passed_is_the_suspect() -> None:
    limit = SizeLimit()
    for _ in range(2):
        limit.connected(None)
        for token, size in enumerate((50_000, 300_000, 70_000, 900_000)):
            hand_over(limit, size, token)
        limit.answered(1000)
        assert limit.ended(100.1, closed=True, too_large=False)
    assert limit.learned == 300_000


@pytest.mark.parametrize("between", ["a failed attempt", "another end", "our own doing", "it passed"])
def test_what_lies_between_two_ends_makes_them_chance(between: str) -> None:
    limit = SizeLimit()
    for _ in range(5):
        broken_by(limit, BIG)
        if between == "a failed attempt":
            limit.failed()
            continue
        limit.connected(None)
        if between != "another end":
            hand_over(limit, BIG)
        if between == "it passed":
            limit.answered(1001)
        limit.ended(100.1, closed=between != "our own doing", too_large=False)
    assert limit.learned is None and limit.fits(BIG)


def test_a_limit_is_kept_through_a_long_life_and_lowered_by_two_more_ends_only() -> None:
    limit = SizeLimit()
    for _ in range(2):
        broken_by(limit, BIG)
    limit.connected(None)
    hand_over(limit, BIG // 2)
    limit.answered(1001)
    assert not limit.ended(10**6, closed=True, too_large=False)
    assert limit.learned == BIG
    broken_by(limit, BIG // 2)
    assert limit.learned == BIG
    broken_by(limit, BIG // 2)
    assert limit.learned == BIG // 2


def test_a_broker_that_says_too_large_is_believed_at_once() -> None:
    limit = SizeLimit()
    limit.connected(None)
    hand_over(limit, BIG)
    assert limit.ended(100.1, closed=False, too_large=True)
    assert limit.learned == BIG


def test_the_packet_size_that_a_broker_names_is_heeded_while_it_says_so() -> None:
    limit = SizeLimit()
    limit.connected(50_000)
    assert limit.fits(50_000 - ENVELOPE) and not limit.fits(50_000 - ENVELOPE + 1)
    limit.connected(None)
    assert limit.fits(BIG)


def test_only_what_is_larger_than_what_passed_needs_a_probe() -> None:
    limit = SizeLimit()
    limit.connected(None)
    assert not limit.sent(1, LARGE, 1.0)
    hand_over(limit, BIG, token=2)
    assert limit.sent(3, BIG, 1.0), "not answered yet"
    limit.answered(1002)
    assert not limit.sent(4, BIG, 1.0)
    assert limit.sent(5, BIG + 1, 1.0)


def test_a_message_that_was_acknowledged_is_suspected_until_its_probe_is_answered() -> None:
    limit = SizeLimit()
    for _ in range(2):
        limit.connected(None)
        assert limit.sent(1, BIG, 1.0)
        assert limit.written(1, 50.0), "it wants a probe now"
        limit.probing(1, 2)
        assert not limit.written(1, 50.0)
        assert limit.ended(50.1, closed=True, too_large=False)
    assert limit.learned == BIG


@pytest.mark.parametrize("was_written", [True, False])
def test_a_message_for_which_there_was_no_connection_any_more_is_suspected_if_it_was_written_nevertheless(
    was_written: bool,
) -> None:
    limit = SizeLimit()
    for _ in range(2):
        limit.connected(None)
        assert limit.sent(1, BIG, 1.0, accepted=False)
        if was_written:
            limit.written(1, 1.0)
        assert limit.ended(1.0, closed=True, too_large=False) == was_written
    assert limit.learned == (BIG if was_written else None)
