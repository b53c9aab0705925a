"""What may be spent on vision models: calls in sliding windows and tokens in 24 hours, over restarts too."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ulid import ULID

from soteirad.config.llm import MOST_CALLS, BudgetConfig

Limit = Literal["per_minute", "per_hour", "per_day", "tokens_per_day"]
DAY = 86_400.0
WINDOWS: dict[Limit, float] = {"per_minute": 60.0, "per_hour": 3600.0, "per_day": DAY}
CLOCK_SET = 2.0
"""Seconds by which the wall clock has to jump before the times of calls are corrected."""


class Spent(NamedTuple):
    """One call for the disk: its id, when it began (epoch seconds) and its tokens, estimated until they are known."""

    id: str
    at: float
    tokens: int


@dataclass(frozen=True)
class Ticket:
    """The right to make one call, of which `settle` is told what it cost."""

    id: str


@dataclass(frozen=True)
class Refused:
    """Why there may be no call now, and for how many seconds; infinite if the tokens are more than a whole day's."""

    limit: Limit
    seconds: float


@dataclass
class _Call:
    at: float
    """Monotonic seconds."""
    tokens: int
    id: str | None = None
    """None for what an earlier run spent."""


class Budget:
    """Counts what was spent in the last 60 s, 3600 s and 24 h; midnight means nothing. May be used by any threads.

    Within a run ages come from the monotonic clock, so that clock changes mean nothing. Over a restart they come from
    the wall clock: if it was set back, calls of the future count as made just now, and are free after one window. If it
    was set forward, calls look older than they are and the budget is free too early: that cannot be told from a long
    pause.
    """

    def __init__(
        self,
        config: BudgetConfig,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._monotonic = monotonic
        self._wall = wall
        self._lock = threading.Lock()
        self._calls: list[_Call] = []
        self._by_id: dict[str, _Call] = {}
        self._unsaved: dict[str, None] = {}
        self._tokens = 0
        self._offset: float | None = None

    def load(self, calls: Sequence[tuple[float, int]]) -> None:
        """Add what an earlier run spent: the wall time (epoch seconds) and the tokens of each call."""
        with self._lock:
            now, wall = self._monotonic(), self._wall()
            for at, tokens in calls:
                self._calls.append(_Call(now - max(0.0, wall - at), max(0, tokens)))
                self._tokens += max(0, tokens)
            self._calls.sort(key=_began)
            self._forget(now)

    def take(self, estimated_tokens: int) -> Ticket | Refused:
        """Spend one call and so many tokens, or say which limit is in the way the longest."""
        with self._lock:
            now, tokens = self._monotonic(), max(0, estimated_tokens)
            self._forget(now)
            waits = self._waits(tokens, now)
            if waits:
                ends, limit = max(waits)
                return Refused(limit, max(0.001, ends - now))  # rounding may leave nothing
            call = _Call(now, tokens, str(ULID()))
            self._calls.append(call)
            self._tokens += tokens
            self._by_id[call.id] = call  # type: ignore[index]
            self._unsaved[call.id] = None  # type: ignore[index]
            self._forget(now)
            return Ticket(str(call.id))

    def settle(self, ticket: Ticket, tokens: int) -> None:
        """Put the true number of tokens in place of the estimate, or of what was said before."""
        with self._lock:
            call = self._by_id.get(ticket.id)
            if call is not None:
                self._tokens += max(0, tokens) - call.tokens
                call.tokens = max(0, tokens)
                self._unsaved[ticket.id] = None

    def pop_unsaved(self) -> list[Spent]:
        """Return the calls that are new or changed since the last time; the same id replaces what was said before.

        Times are by the clock as it is now: after it was set, all calls of this run are told again.
        """
        with self._lock:
            now = self._monotonic()
            self._forget(now)
            offset = self._wall() - now
            if self._offset is None or abs(offset - self._offset) > CLOCK_SET:
                self._offset = offset
                self._unsaved = dict.fromkeys(self._by_id)
            changed = [self._by_id[name] for name in self._unsaved]
            self._unsaved = {}
            return [Spent(str(call.id), call.at + self._offset, call.tokens) for call in changed]

    def not_saved(self, calls: Sequence[Spent]) -> None:
        """Take back what `pop_unsaved` gave, as it could not be written; it is told again as it is then."""
        with self._lock:
            self._unsaved.update(dict.fromkeys(spent.id for spent in calls if spent.id in self._by_id))

    def remaining(self) -> dict[Limit, int | None]:
        """Return what is left of each limit now; None for what is not limited."""
        with self._lock:
            now = self._monotonic()
            self._forget(now)
            left: dict[Limit, int | None] = {}
            for limit, window in WINDOWS.items():
                most = self._most(limit)
                left[limit] = None if most is None else max(0, most - self._made_since(now - window))
            most = self._config.tokens_per_day
            left["tokens_per_day"] = None if most is None else max(0, most - self._tokens)
            return left

    def configure(self, config: BudgetConfig) -> None:
        """Take other limits; what was spent stays spent."""
        with self._lock:
            self._config = config

    def _most(self, limit: Limit) -> int | None:
        most: int | None = getattr(self._config, limit)
        return most

    def _made_since(self, moment: float) -> int:
        return len(self._calls) - bisect_right(self._calls, moment, key=_began)

    def _waits(self, tokens: int, now: float) -> list[tuple[float, Limit]]:
        """Return each limit that is in the way, with the monotonic time at which it no longer is."""
        waits: list[tuple[float, Limit]] = []
        for limit, window in WINDOWS.items():
            most = self._most(limit)
            if most is not None and self._made_since(now - window) >= most:
                waits.append((self._calls[-most].at + window, limit))
        most = self._config.tokens_per_day
        if most is not None and self._tokens + tokens > most:
            waits.append((self._tokens_free_at(self._tokens + tokens - most), "tokens_per_day"))
        return waits

    def _tokens_free_at(self, excess: int) -> float:
        for call in self._calls:
            excess -= call.tokens
            if excess <= 0:
                return call.at + DAY
        return float("inf")

    def _forget(self, now: float) -> None:
        """Drop what is older than a day. Beyond the largest limit the tokens of the oldest go to the next one."""
        old = bisect_right(self._calls, now - DAY, key=_began)
        self._tokens -= sum(call.tokens for call in self._calls[:old])
        surplus = max(old, len(self._calls) - MOST_CALLS)
        if surplus > old:
            self._calls[surplus].tokens += sum(call.tokens for call in self._calls[old:surplus])
            self._changed(self._calls[surplus])
        for call in self._calls[:surplus]:
            if call.id is not None:
                del self._by_id[call.id]
                self._unsaved.pop(call.id, None)
        del self._calls[:surplus]

    def _changed(self, call: _Call) -> None:
        if call.id is not None:
            self._unsaved[call.id] = None


def _began(call: _Call) -> float:
    return call.at
