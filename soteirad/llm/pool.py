"""The pool: threads that take questions by urgency, ask the providers in order, and say what came of it."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from soteirad.config.llm import LlmConfig, PriceConfig, ProviderConfig
from soteirad.config.question import AnswerType, QuestionConfig
from soteirad.llm.answer import Answer, AnswerError, answer_schema, read_answer
from soteirad.llm.breaker import Breaker
from soteirad.llm.budget import Budget, Refused, Ticket
from soteirad.llm.picture import estimate_tokens
from soteirad.llm.prompt import chat_messages, length_of
from soteirad.llm.provider import BudgetSpent, Provider, ProviderError, Reply
from soteirad.llm.queue import AskQueue, Priority
from soteirad.messages import Ask

logger = logging.getLogger(__name__)

AskState = Literal["pending", "answered", "skipped_duplicate", "skipped_budget", "skipped_stale", "failed"]
_PRIORITIES = {"command": Priority.COMMAND, "interval": Priority.INTERVAL}
RETRY_S = (1.0, 4.0)
"""Waits between the three tries with one provider, unless it says how long (Retry-After)."""
LONGEST_WAIT_S = 30.0
"""A provider that wants to be left alone for longer gives way to the next one."""
IDLE_S = 1.0
STOPPED = "the daemon was stopped before there was an answer"


@dataclass(frozen=True)
class Request:
    """What one worker asks: `tokens` is the estimate, `at` when it was submitted (monotonic seconds)."""

    id: str
    priority: Priority
    messages: Sequence[Any]
    answer: AnswerType
    tokens: int
    at: float


def request_of(ask: Ask, question: QuestionConfig, title: str, at: float) -> Request:
    """Return what is to be asked for an `ask` about the camera that people call `title`."""
    messages = chat_messages(question.ask, question.answer, title, ask)
    tokens = estimate_tokens(ask.shots, length_of(messages))
    return Request(ask.id, _PRIORITIES.get(ask.on, Priority.VISIT), messages, question.answer, tokens, at)


@dataclass(frozen=True)
class Outcome:
    """What came of a request: answered, or skipped_budget, skipped_stale or failed with a `reason`. `calls` counts HTTP
    requests; tokens and `cost` (by the configured prices) are those of all of them, as far as servers tell."""

    id: str
    state: AskState
    answer: Answer | None = None
    reason: str | None = None
    model: str | None = None
    server: str | None = None
    latency_ms: float | None = None
    sent_tokens: int = 0
    answered_tokens: int = 0
    cost: float = 0.0
    calls: int = 0


class _Spend:
    """What one request has cost so far."""

    def __init__(self, budget: Budget, tokens: int, on_spent: Callable[[], None]) -> None:
        self._budget = budget
        self._on_spent = on_spent
        self._tokens = tokens
        self._ticket: Ticket | None = None
        self.calls = self.sent = self.answered = 0
        self.cost = 0.0
        self.refusal = ""

    def take(self) -> bool:
        """Pay for one more call, if there is budget for it."""
        taken = self._budget.take(self._tokens)
        if isinstance(taken, Refused):
            self.refusal = _refusal(taken)
            return False
        self._ticket = taken
        self.calls += 1
        self._on_spent()
        return True

    def settle(self, said: Reply | ProviderError, price: PriceConfig) -> None:
        """Put what the server says of the last call in the place of the estimate; a refusal has its price, too."""
        if self._ticket is None or said.sent_tokens is None:
            return
        answered = said.answered_tokens or 0
        self._budget.settle(self._ticket, said.sent_tokens + answered)
        self.sent += said.sent_tokens
        self.answered += answered
        self.cost += (said.sent_tokens * price.input + answered * price.output) / 1e6


def _refusal(refused: Refused) -> str:
    limit = f"the budget llm.budget.{refused.limit}"
    if math.isinf(refused.seconds):
        return f"{limit} is less than this question alone takes: raise it, or ask with fewer pictures"
    return f"{limit} is spent; there is more in {math.ceil(refused.seconds)} s"


@dataclass(frozen=True)
class _Link:
    """One provider of the chain."""

    provider: Provider
    breaker: Breaker
    config: ProviderConfig


class Pool:
    """Workers for one configuration. `on_done` is called from their threads, once for each request that was accepted
    and not given back by `submit`, `withdraw`, `retire` or `stop`; it has to be quick, and to call nothing here.
    `on_spent` is called whenever the budget was, which is to be on disk soon.
    """

    def __init__(self, config: LlmConfig, budget: Budget, on_done: Callable[[Outcome], None],
                 on_spent: Callable[[], None] = lambda: None, retries: Sequence[float] = RETRY_S,
                 monotonic: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self._config = config
        self._budget = budget
        self._on_done = on_done
        self._on_spent = on_spent
        self._monotonic = monotonic
        self._retries = tuple(retries)
        self._links = [
            _Link(Provider(p, config.local_only, config.connect_timeout, config.timeout),
                  Breaker(monotonic=monotonic), p)
            for p in config.providers
        ]
        self._queue: AskQueue[Request] = AskQueue(config.queue)
        self._lock = threading.Lock()
        self._active: dict[str, Request] = {}
        self._withdrawn: set[str] = set()
        self._ending = threading.Event()
        self._deaf = False
        self._threads = [
            threading.Thread(target=self._run, name=f"llm-{number}", daemon=True) for number in range(config.workers)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, request: Request) -> Request | None:
        """Let a request wait for a worker; returns the one that had to give way, maybe this one. Never waits."""
        return self._queue.put(request, request.priority)

    def withdraw(self, ids: Collection[str]) -> set[str]:
        """Ask none of these requests that wait, nor tell anything of them; returns which that are."""
        with self._lock:
            waiting = set(ids) - self._active.keys()
            self._withdrawn |= waiting
            return waiting

    def retire(self) -> list[Request]:
        """Take no more requests; returns those that wait. Calls under way are finished and told as ever, but those that
        fail are not made again."""
        return self._queue.close()

    def stop(self, timeout: float) -> list[Request]:
        """End within `timeout` seconds; returns the requests that came to nothing."""
        waiting = self._queue.close()
        self._ending.set()
        for link in self._links:
            link.provider.close()
        deadline = self._monotonic() + timeout
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - self._monotonic()))
        with self._lock:
            self._deaf = True
            return [*waiting, *self._active.values()]

    def status(self) -> dict[str, Any]:
        """Return what there is to tell: how many wait and are under way, how many gave way, and the providers."""
        links = [{"server": link.provider.host, "model": link.config.model, "state": link.breaker.state}
                 for link in self._links]  # fmt: skip
        return {"waiting": len(self._queue), "asking": len(self._active), "dropped": self._queue.dropped,
                "providers": links}  # fmt: skip

    def _run(self) -> None:
        while not self._ending.is_set():
            request = self._queue.get(IDLE_S)
            if request is None:
                if self._queue.closed:
                    return
                continue
            with self._lock:
                if request.id in self._withdrawn:
                    self._withdrawn.discard(request.id)
                    continue
                self._active[request.id] = request
            began = self._monotonic()
            try:
                outcome = self._ask(request)
            except Exception as error:  # a fault with one answer must not end all later ones; its text may hold secrets
                logger.error("a question could not be asked: a fault in Soteira (%s)", type(error).__name__)
                outcome = Outcome(request.id, "failed", reason=f"a fault in Soteira ({type(error).__name__})")
            self._tell(replace(outcome, latency_ms=round((self._monotonic() - began) * 1000, 1)))

    def _tell(self, outcome: Outcome) -> None:
        """Tell what came of a request, unless `stop` has given it back."""
        with self._lock:
            if self._deaf:
                return
            del self._active[outcome.id]
            try:
                self._on_done(outcome)
            except Exception as error:
                logger.error("an answer is lost: a fault in Soteira (%s)", type(error).__name__)

    def _ask(self, request: Request) -> Outcome:
        spend = _Spend(self._budget, request.tokens, self._on_spent)
        outcome: Outcome | None = None
        reasons: list[str] = []
        for link in self._links:
            found = self._ask_one(link, request, spend, reasons)
            if isinstance(found, Outcome):
                outcome = found
                break
            reasons.append(found)
            if self._queue.closed:  # the others may be what is not to be asked any more
                break
        if outcome is None:
            outcome = Outcome(request.id, "failed", reason=STOPPED if self._ending.is_set() else "; ".join(reasons))
        return replace(outcome, calls=spend.calls, sent_tokens=spend.sent, answered_tokens=spend.answered,
                       cost=spend.cost)  # fmt: skip

    def _ask_one(self, link: _Link, request: Request, spend: _Spend, before: Sequence[str]) -> Outcome | str:
        """Ask one provider, several times if that makes sense; returns why that failed. `before`: why others did."""
        reason = ""
        for planned in (*self._retries, None):
            hindrance = self._hindrance(link, request, reason, before)
            if hindrance is not None:
                return hindrance
            try:
                reply = link.provider.ask(request.messages, answer_schema(request.answer), on_call=spend.take)
            except BudgetSpent:
                link.breaker.withdrawn()
                return Outcome(request.id, "skipped_budget", reason=_after(spend.refusal, *before, reason))
            except ProviderError as error:
                if error.alive:
                    link.breaker.succeeded()
                else:
                    link.breaker.failed(error.retry_after or 0.0)
                spend.settle(error, link.config.price)
                reason = f"{link.provider.host}: {error}"
                wait = error.retry_after if error.retry_after is not None else planned
                if not error.again or planned is None or wait is None or wait > LONGEST_WAIT_S:
                    break
                self._ending.wait(wait)
            except BaseException:  # or the next ones would wait for what became of a probe
                link.breaker.withdrawn()
                raise
            else:
                link.breaker.succeeded()
                spend.settle(reply, link.config.price)
                return self._read(link, request, reply)
        return reason

    def _hindrance(self, link: _Link, request: Request, reason: str, before: Sequence[str]) -> Outcome | str | None:
        """Return what keeps a provider from being asked (again, after failing for `reason`)."""
        if self._ending.is_set():
            return Outcome(request.id, "failed", reason=STOPPED)
        age = self._monotonic() - request.at
        if age > self._config.stale_after:
            return Outcome(request.id, "skipped_stale", reason=_after(f"it waited for {age:.0f} s", *before, reason))
        if reason and self._queue.closed:  # retired: pictures may not be meant for this server any more
            return reason
        if not link.breaker.allow():
            pause = f"{link.provider.host} is left alone for {link.breaker.retry_in() or 0.0:.0f} s, after it failed"
            return reason or pause
        return None

    def _read(self, link: _Link, request: Request, reply: Reply) -> Outcome | str:
        host = link.provider.host
        try:
            answer = read_answer(reply.text, request.answer)
        except AnswerError as error:
            return f"{host}: {error}"
        return Outcome(request.id, "answered", answer, model=reply.model, server=host)


def _after(reason: str, *failures: str) -> str:
    """Return why it was given up, with what had been tried before."""
    failed = "; ".join(failure for failure in failures if failure)
    return f"{reason}, after: {failed}" if failed else reason
