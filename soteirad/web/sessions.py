"""Sessions: who has shown the token. In memory, bounded, and they end."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MOST = 64
"""Sessions at once; one more ends the one that was longest unused."""
IDLE_S = 7 * 86400.0
LIFE_S = 30 * 86400.0


@dataclass
class _Session:
    began: float
    used: float


class Sessions:
    """All sessions, for one thread. `clock` gives monotonic seconds.

    Only digests of the cookies are kept: what is read out of the memory opens nothing, and looking one up says nothing
    about another by the time it takes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self) -> str:
        """Begin a session and return its cookie."""
        now = self._clock()
        while len(self._sessions) >= MOST:
            self._sessions.popitem(last=False)
        cookie = secrets.token_urlsafe(32)
        self._sessions[_digest(cookie)] = _Session(now, now)
        return cookie

    def holds(self, cookie: str) -> bool:
        """Say whether a cookie is that of a session, which counts as used then."""
        digest, now = _digest(cookie), self._clock()
        session = self._sessions.get(digest)
        if session is None:
            return False
        if now - session.began > LIFE_S or now - session.used > IDLE_S:
            del self._sessions[digest]
            return False
        session.used = now
        self._sessions.move_to_end(digest)
        return True

    def end(self, cookie: str) -> None:
        """End a session, if there is one."""
        self._sessions.pop(_digest(cookie), None)


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).digest()
