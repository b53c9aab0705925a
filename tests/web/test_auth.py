"""The doorkeeper: who is let in, and that a flood of guesses keeps nobody out who belongs in."""

from __future__ import annotations

import hmac

import pytest

from soteirad.web import auth
from soteirad.web.attempts import MOST, MOST_OF_ADDRESS, WINDOW_S
from soteirad.web.auth import Doorkeeper, Refused, cookie_header
from tests.web.test_sessions import Clock

TOKEN, WORDS = "t" * 43, "correct horse"
HERE, THERE = "10.0.0.7", "10.0.0.8"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokened(clock: Clock) -> Doorkeeper:
    return Doorkeeper(TOKEN, False, clock)


@pytest.fixture
def worded(clock: Clock) -> Doorkeeper:
    return Doorkeeper(WORDS, True, clock)


def flood(door: Doorkeeper, address: str, times: int = MOST_OF_ADDRESS) -> None:
    for _ in range(times):
        door.bearer("wrong", address)


def test_the_secret_begins_a_session_which_lasts_until_it_is_ended(tokened: Doorkeeper) -> None:
    cookie = tokened.login(TOKEN, HERE)
    assert isinstance(cookie, str) and tokened.session(cookie)
    tokened.logout(cookie)
    assert not tokened.session(cookie)


@pytest.mark.parametrize("wrong", ["", "x", TOKEN[:-1], TOKEN + "t", TOKEN.upper(), "tö", "\udcff"])
def test_nothing_else_does(tokened: Doorkeeper, wrong: str) -> None:
    assert tokened.login(wrong, HERE) == Refused() == tokened.bearer(wrong, HERE)


def test_an_address_that_guesses_too_often_is_told_to_wait(worded: Doorkeeper, clock: Clock) -> None:
    flood(worded, HERE)
    assert worded.login("wrong", HERE) == Refused(round(WINDOW_S))
    assert worded.login(WORDS, HERE) == Refused(round(WINDOW_S)), "a password may be guessed: it is not listened to"
    clock.now += WINDOW_S
    assert isinstance(worded.login(WORDS, HERE), str)


def test_an_address_that_has_to_wait_is_told_once_in_the_log(
    tokened: Doorkeeper, caplog: pytest.LogCaptureFixture
) -> None:
    flood(tokened, HERE, 100)
    assert [record.getMessage() for record in caplog.records] == [
        "10.0.0.7 gave a wrong token or password too often and has to wait"]  # fmt: skip


def test_a_token_is_let_in_from_an_address_that_guesses(tokened: Doorkeeper) -> None:
    flood(tokened, HERE, 1000)
    assert tokened.login("wrong", HERE) == Refused(round(WINDOW_S))
    assert tokened.bearer(TOKEN, HERE) is None and isinstance(tokened.login(TOKEN, HERE), str)


def test_a_flood_from_elsewhere_keeps_no_holder_of_the_password_or_a_session_out(worded: Doorkeeper) -> None:
    cookie = worded.login(WORDS, HERE)
    for number in range(MOST):
        worded.bearer("wrong", f"10.1.0.{number}")
    assert worded.bearer(WORDS, HERE) is None
    assert isinstance(cookie, str) and worded.session(cookie)
    assert worded.login(WORDS, THERE) == Refused(round(WINDOW_S)), "guesses from everywhere: no new sessions"


def test_secrets_are_compared_in_constant_time_and_as_digests_of_one_length(
    tokened: Doorkeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(auth.hmac, "compare_digest", compare)
    for given in ("", TOKEN, "x" * 1000):
        tokened.bearer(given, HERE)
    assert len(compared) == 3 and {len(side) for pair in compared for side in pair} == {32}
    assert len({other for _, other in compared}) == 1 and TOKEN.encode() not in compared[0]


def test_scripts_cannot_read_the_cookie_and_other_pages_cannot_send_it() -> None:
    parts = cookie_header("abc").split("; ")
    assert parts[0] == "soteira_session=abc" and {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(parts)
