"""Who may see the page: the holder of the token or the password, and sessions that began with it."""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from soteirad.web.attempts import Attempts
from soteirad.web.sessions import LIFE_S, Sessions

logger = logging.getLogger(__name__)

COOKIE = "soteira_session"


@dataclass(frozen=True)
class Refused:
    """Somebody may not enter. `wait_s` is None for a wrong secret, else the seconds until the next guess counts."""

    wait_s: int | None = None


class Doorkeeper:
    """Knows the secret, and who has shown it. For one thread; `clock` gives monotonic seconds.

    `guessable` says that a person made the secret up: then an address that guessed wrong too often is not even listened
    to. A token of 256 bits cannot be guessed, so whoever has it is let in whatever else comes from that address.
    """

    def __init__(self, secret: str, guessable: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = secrets.token_bytes(32)
        self._secret = self._digest(secret)
        self._guessable = guessable
        self._sessions = Sessions(clock)
        self._attempts = Attempts(clock)

    def login(self, given: str, address: str) -> str | Refused:
        """Return the cookie of a new session for the secret.

        In a flood of guesses from everywhere nobody begins a session with a password; who has one keeps it.
        """
        if self._guessable and (wait := self._attempts.wait()):
            return Refused(math.ceil(wait))
        refused = self.bearer(given, address)
        return refused or self._sessions.open()

    def bearer(self, given: str, address: str) -> Refused | None:
        """Return why whoever gives this secret with a request is refused, or None."""
        wait = self._attempts.wait_of(address)
        if wait and self._guessable:
            return Refused(math.ceil(wait))
        if hmac.compare_digest(self._digest(given), self._secret):
            return None
        self._attempts.wrong(address)
        if not wait and self._attempts.wait_of(address):
            logger.warning("%s gave a wrong token or password too often and has to wait", address)
        return Refused(math.ceil(wait) if wait else None)

    def session(self, cookie: str) -> bool:
        """Say whether a cookie belongs to a session."""
        return self._sessions.holds(cookie)

    def logout(self, cookie: str) -> None:
        """End the session of a cookie."""
        self._sessions.end(cookie)

    def _digest(self, text: str) -> bytes:
        """Digests of one length, under a key that nobody knows: comparing them says nothing about the secret."""
        return hmac.digest(self._key, text.encode("utf-8", "surrogateescape"), hashlib.sha256)


def cookie_header(cookie: str) -> str:
    """Return the header that gives a browser a session's cookie."""
    return f"{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age={round(LIFE_S)}"


FORGET_COOKIE = f"{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
