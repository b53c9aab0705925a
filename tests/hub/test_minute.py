"""What may be done in a minute."""

from __future__ import annotations

from soteirad.hub.minute import Minute


def test_only_the_first_in_a_minute_are_let_through_and_the_first_too_many_is_known_as_such() -> None:
    now = 100.0
    minute = Minute(3, lambda: now)
    assert [(minute.allows(), minute.just_full) for _ in range(5)] == [
        (True, False), (True, False), (True, False), (False, True), (False, False)]  # fmt: skip
    now += 59.9
    assert not minute.allows()
    now += 0.1
    assert minute.allows() and not minute.just_full
