"""The pool against real servers: what comes of a question, whatever they do, and what it costs."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

import pytest

from soteirad.config.llm import BudgetConfig, LlmConfig
from soteirad.config.question import AnswerType
from soteirad.llm import pool as pool_module
from soteirad.llm.budget import Budget
from soteirad.llm.pool import STOPPED, Outcome, Pool, Request
from soteirad.llm.queue import Priority
from tests.llm.asking import KEY, messages
from tests.llm_request import Asked
from tests.llm_server import (
    LlmAnswer,
    LlmServer,
    answer,
    cut_body,
    delay,
    hang,
    hangs_up,
    html,
    huge,
    invalid_json,
    no_choice,
    prose,
    raw_json,
    redirect,
    refusal,
    reject_schema,
    status,
)

YES_NO = AnswerType("yes_no")
UNLIMITED = BudgetConfig(per_minute=None, per_hour=None, per_day=None)
PATIENCE_S = 30.0


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Rig:
    """A pool that asks servers in order, with retries that do not wait long."""

    def __init__(self, *servers: LlmServer, budget: BudgetConfig = UNLIMITED, start: bool = True,
                 on_done: Callable[[Outcome], None] | None = None, monotonic: Callable[[], float] = time.monotonic,
                 price: dict[str, float] | None = None, **keys: Any) -> None:  # fmt: skip
        providers = [{"base_url": server.url, "model": f"m{number}", "api_key": KEY, "price": price or {}}
                     for number, server in enumerate(servers)]  # fmt: skip
        config = LlmConfig.model_validate({"providers": providers, "timeout": 20, "workers": 1, **keys})
        self.budget = Budget(budget)
        self.told: queue.Queue[Outcome] = queue.Queue()
        self.clock = monotonic
        self._count = 0
        self.pool = Pool(config, self.budget, on_done or self.told.put, retries=(0.01, 0.02), monotonic=monotonic)
        if start:
            self.pool.start()

    def submit(self, priority: Priority = Priority.VISIT, kind: AnswerType = YES_NO, tokens: int = 100,
               name: str = "", age: float = 0.0) -> Request:  # fmt: skip
        self._count += 1
        request = Request(name or f"ask{self._count}", priority, messages(), kind, tokens, self.clock() - age)
        assert self.pool.submit(request) is None
        return request

    def wait(self) -> Outcome:
        return self.told.get(timeout=PATIENCE_S)

    def ask(self, **keys: Any) -> Outcome:
        """Put one question and wait for what comes of it."""
        request = self.submit(**keys)
        outcome = self.wait()
        assert outcome.id == request.id
        return outcome

    def states(self) -> list[str]:
        return [provider["state"] for provider in self.pool.status()["providers"]]


@pytest.fixture
def rig() -> Iterator[Callable[..., Rig]]:
    """Make rigs that are stopped at the end."""
    made: list[Rig] = []

    def make(*servers: LlmServer, **keys: Any) -> Rig:
        made.append(Rig(*servers, **keys))
        return made[-1]

    yield make
    for one in made:
        one.pool.stop(5.0)


Make = Callable[..., Rig]


def test_an_answer_comes_with_who_gave_it_how_long_it_took_and_what_it_cost(rig: Make) -> None:
    with LlmServer(answer("yes", 0.8, "a box"), key=KEY) as server:
        outcome = rig(server, price={"input": 2.0, "output": 10.0}).ask()
    assert outcome.state == "answered" and outcome.answer is not None and outcome.reason is None
    assert (outcome.answer.value, outcome.answer.confidence, outcome.answer.because) == (True, 0.8, "a box")
    assert (outcome.model, outcome.server, outcome.calls) == ("m0-served", server.host, 1)
    assert outcome.sent_tokens > 100 and outcome.answered_tokens == 20
    assert outcome.cost == pytest.approx((2.0 * outcome.sent_tokens + 10.0 * 20) / 1e6)
    assert outcome.latency_ms is not None and outcome.latency_ms > 0


def test_an_unsure_model_has_answered(rig: Make) -> None:
    with LlmServer(answer("unsure")) as server:
        outcome = rig(server).ask()
    assert outcome.state == "answered" and outcome.answer is not None and outcome.answer.value is None


FINAL = {  # what is not tried again for the same question, and what is said of it
    "a wrong key": (status(401), "refuses us (HTTP 401)"),
    "no money": (status(402), "wants to be paid (HTTP 402)"),
    "not allowed": (status(403), "refuses us (HTTP 403)"),
    "an unknown model": (status(404), "no model 'm0'"),
    "a bad request": (status(400, message="bad image"), 'it says "bad image"'),
    "Retry-After beyond patience": (status(429, 3600), "too many requests (HTTP 429)"),
    "Retry-After with a date far away": (status(429, formatdate(time.time() + 9999, usegmt=True)), "(HTTP 429)"),
    "quota": (status(429, code="insufficient_quota"), "quota of the account there is used up"),
    "a web page": (html(), "it answers with a web page"),
    "a refusal": (refusal("I do not look at people."), "I do not look at people."),
    "another kind of answer": (answer("a lot"), "answer"),
    "an answer of another shape": (prose('{"reply": 1}'), "no JSON object with the key answer"),
    "a megabyte of text": (huge(), "far"),
    "a redirect": (redirect("http://127.0.0.1:9/v1/chat/completions"), "it sends us elsewhere (HTTP 307)"),
    "no API": (raw_json({"hello": "world"}), "no OpenAI-compatible API"),
    "cut off in thought": (prose(None, "length"), "raise max_tokens"),
}  # fmt: skip
PASSING = {  # what may be otherwise a moment later
    "busy": (status(429), "(HTTP 429)"),
    "busy for a moment": (status(429, 0), "(HTTP 429)"),
    "busy until now": (status(503, formatdate(time.time() - 5, usegmt=True)), "it fails (HTTP 503)"),
    "a fault": (status(500), "it fails (HTTP 500)"),
    "an answer that is cut": (cut_body(), ""),
    "no JSON": (invalid_json(), "this one is no JSON"),
    "no choice": (no_choice(), "its answer holds nothing"),
    "an empty answer": (prose(""), "its answer is empty"),
    "a hang-up": (hangs_up(), ""),
}  # fmt: skip


@pytest.mark.parametrize("what", FINAL)
def test_what_will_not_change_is_not_tried_again_and_the_next_provider_answers(rig: Make, what: str) -> None:
    with LlmServer(always=FINAL[what][0]) as first, LlmServer(answer("no")) as second:
        outcome = rig(first, second).ask()
        assert len(first.asked()) == len(second.asked()) == 1
    assert outcome.state == "answered" and outcome.answer is not None and outcome.answer.value is False
    assert (outcome.server, outcome.calls, outcome.reason) == (second.host, 2, None)


@pytest.mark.parametrize("what", FINAL)
def test_without_another_provider_it_failed_at_once_with_the_reason(rig: Make, what: str) -> None:
    with LlmServer(always=FINAL[what][0]) as server:
        outcome = rig(server).ask()
        assert len(server.asked()) == 1
    assert (outcome.state, outcome.answer, outcome.calls, outcome.server) == ("failed", None, 1, None)
    assert outcome.reason is not None and outcome.reason.startswith(f"{server.host}: ")
    if what != "a megabyte of text":
        assert FINAL[what][1] in outcome.reason
    assert KEY not in outcome.reason and len(outcome.reason) < 500 and outcome.reason.isprintable()


@pytest.mark.parametrize("what", PASSING)
def test_what_may_change_is_tried_three_times_and_then_the_next_provider_answers(rig: Make, what: str) -> None:
    with LlmServer(always=PASSING[what][0]) as first, LlmServer(answer("no")) as second:
        outcome = rig(first, second).ask()
        assert (len(first.asked()), len(second.asked())) == (3, 1)
    assert (outcome.state, outcome.server, outcome.calls) == ("answered", second.host, 4)


@pytest.mark.parametrize("what", PASSING)
def test_what_does_not_change_in_three_tries_failed_with_the_last_reason(rig: Make, what: str) -> None:
    with LlmServer(always=PASSING[what][0]) as server:
        outcome = rig(server).ask()
        assert len(server.asked()) == 3
    assert (outcome.state, outcome.calls) == ("failed", 3)
    assert outcome.reason is not None and PASSING[what][1] in outcome.reason and KEY not in outcome.reason


@pytest.mark.parametrize("what", PASSING)
def test_the_second_or_third_try_may_work(rig: Make, what: str) -> None:
    with LlmServer(PASSING[what][0], PASSING[what][0], answer("yes")) as server:
        outcome = rig(server).ask()
    assert (outcome.state, outcome.calls) == ("answered", 3)


def test_retry_after_is_waited_for_in_the_place_of_our_own_pause(rig: Make) -> None:
    with LlmServer(status(429, 0.3), answer("yes")) as server:
        assert rig(server).ask().state == "answered"
        one, two = server.asked()
    assert two.received_at - one.received_at >= 0.3


def test_a_server_that_hangs_is_left_after_the_time_limit_of_a_call_each_time(rig: Make) -> None:
    with LlmServer(always=hang()) as first, LlmServer(answer("yes")) as second:
        outcome = rig(first, second, timeout=0.2).ask()
        assert len(first.asked()) == 3
    assert (outcome.state, outcome.server, outcome.calls) == ("answered", second.host, 4)


def test_a_server_that_is_not_there_costs_calls_and_the_next_one_answers(rig: Make) -> None:
    gone = LlmServer().start()
    gone.stop()
    with LlmServer(answer("yes")) as second:
        outcome = rig(gone, second).ask()
    assert (outcome.state, outcome.server, outcome.calls) == ("answered", second.host, 4)


def test_a_server_that_takes_no_schema_is_asked_without_it_from_then_on(rig: Make) -> None:
    with LlmServer(always=reject_schema(answer("yes"))) as server:
        made = rig(server)
        assert (made.ask().calls, made.ask().calls) == (2, 1)
        assert [asked.schema is None for asked in server.asked()] == [False, True, True]
        assert made.states() == ["closed"]


def test_when_nobody_can_answer_the_reason_has_what_each_of_them_said(rig: Make) -> None:
    with LlmServer(always=status(401)) as first, LlmServer(always=status(404)) as second:
        outcome = rig(first, second).ask()
    assert outcome.reason is not None
    one, two = outcome.reason.split("; ", 1)
    assert one.startswith(f"{first.host}: it refuses us") and two.startswith(f"{second.host}: it has no model")


def test_after_five_failures_a_server_is_left_alone_and_then_asked_by_one_only() -> None:
    clock = Clock()
    with LlmServer(*[status(401)] * 5) as server:
        made = Rig(server, monotonic=clock, workers=4)
        for _ in range(5):
            assert made.ask().state == "failed"
        assert made.states() == ["open"]
        outcome = made.ask()
        assert (outcome.state, outcome.calls) == ("failed", 0) and "is left alone for 30 s" in (outcome.reason or "")
        assert len(server.asked()) == 5
        clock.now += 31.0
        server.then(delay(30.0, answer("yes")))
        probe = made.submit()
        server.wait_for(6)
        assert made.states() == ["half_open"]
        assert [made.ask().calls for _ in range(3)] == [0, 0, 0]
        server.released.set()
        assert (told := made.wait()).state == "answered" and told.id == probe.id
        assert made.states() == ["closed"] and made.ask().state == "answered"
        made.pool.stop(5.0)


def test_a_probe_that_fails_is_one_call_and_opens_for_twice_as_long() -> None:
    clock = Clock()
    with LlmServer(always=status(500)) as server:
        made = Rig(server, monotonic=clock)
        assert [made.ask().calls for _ in range(3)] == [3, 2, 0], "the fifth failure ends it in the middle of the tries"
        for pause, calls in ((31.0, 1), (31.0, 0), (31.0, 1)):
            clock.now += pause
            assert made.ask().calls == calls
        made.pool.stop(5.0)


def test_a_probe_for_which_there_is_no_budget_does_not_use_up_the_turn() -> None:
    clock = Clock()
    with LlmServer(*[status(401)] * 5, answer("yes")) as server:
        made = Rig(server, monotonic=clock)
        for _ in range(5):
            made.ask()
        clock.now += 31.0
        made.budget.configure(BudgetConfig(per_minute=5))
        assert made.ask().state == "skipped_budget"
        made.budget.configure(UNLIMITED)
        assert made.ask().state == "answered"
        made.pool.stop(5.0)


def test_a_call_that_ends_in_a_fault_of_ours_does_not_hold_up_the_next_ones(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    with LlmServer(*[status(401)] * 5, answer("yes")) as server:
        made = Rig(server, monotonic=clock)
        for _ in range(5):
            made.ask()
        clock.now += 31.0

        def broken(_: AnswerType) -> Any:
            raise KeyError(KEY)

        with monkeypatch.context() as patch:
            patch.setattr(pool_module, "answer_schema", broken)
            outcome = made.ask()
        assert (outcome.state, outcome.reason) == ("failed", "a fault in Soteira (KeyError)")
        assert KEY not in caplog.text and "a fault in Soteira (KeyError)" in caplog.text
        assert made.ask().state == "answered"
        made.pool.stop(5.0)


def test_a_budget_that_ends_between_tries_ends_the_question_and_says_what_had_failed(rig: Make) -> None:
    with LlmServer(always=status(500)) as first, LlmServer() as second:
        outcome = rig(first, second, budget=BudgetConfig(per_minute=2)).ask()
        assert (len(first.asked()), len(second.asked())) == (2, 0)
    assert (outcome.state, outcome.calls) == ("skipped_budget", 2) and outcome.reason is not None
    assert outcome.reason.startswith("the budget llm.budget.per_minute is spent; there is more in ")
    assert f", after: {first.host}: it fails (HTTP 500)" in outcome.reason


def test_a_budget_that_ends_between_providers_says_what_the_first_one_had_said(rig: Make) -> None:
    with LlmServer(always=status(401)) as first, LlmServer() as second:
        outcome = rig(first, second, budget=BudgetConfig(per_minute=1)).ask()
    assert outcome.state == "skipped_budget" and f"after: {first.host}: it refuses us" in (outcome.reason or "")


def test_a_question_that_is_more_than_a_whole_days_tokens_says_so(rig: Make) -> None:
    with LlmServer() as server:
        outcome = rig(server, budget=BudgetConfig(tokens_per_day=1000)).ask(tokens=1001)
        assert server.asked() == []
    assert outcome.state == "skipped_budget" and "tokens_per_day is less than this question alone" in (
        outcome.reason or "")  # fmt: skip


def test_the_true_number_of_tokens_takes_the_place_of_the_estimate(rig: Make) -> None:
    with LlmServer(answer("yes")) as server:
        made = rig(server, budget=BudgetConfig(tokens_per_day=10_000))
        outcome = made.ask(tokens=9000)
    assert made.budget.remaining()["tokens_per_day"] == 10_000 - outcome.sent_tokens - outcome.answered_tokens


@pytest.mark.parametrize("one", [refusal(), prose(None, "length"), answer("maybe so")], ids=["no", "length", "other"])
def test_an_answer_of_no_use_has_cost_what_the_server_says(rig: Make, one: LlmAnswer) -> None:
    with LlmServer(one, answer("yes")) as server, LlmServer(answer("yes")) as second:
        made = rig(server, second, budget=BudgetConfig(tokens_per_day=10_000), price={"input": 1.0, "output": 1.0})
        outcome = made.ask(tokens=4000)
    assert outcome.state == "answered" and outcome.calls == 2 and outcome.answered_tokens == 40
    spent = outcome.sent_tokens + outcome.answered_tokens
    assert made.budget.remaining()["tokens_per_day"] == 10_000 - spent and outcome.cost == pytest.approx(spent / 1e6)


def test_what_waited_too_long_is_not_asked(rig: Make) -> None:
    with LlmServer() as server:
        outcome = rig(server, stale_after=10).ask(age=11.4)
        assert server.asked() == []
    assert (outcome.state, outcome.reason, outcome.calls) == ("skipped_stale", "it waited for 11 s", 0)


def test_what_becomes_too_old_between_tries_is_given_up_with_what_had_failed(rig: Make) -> None:
    clock = Clock()

    def slow(asked: Asked, server: LlmServer) -> Any:
        clock.now += 11.0
        return status(503)(asked, server)

    with LlmServer(slow) as first, LlmServer() as second:
        outcome = rig(first, second, stale_after=10, monotonic=clock).ask()
        assert (len(first.asked()), len(second.asked())) == (1, 0)
    assert outcome.state == "skipped_stale" and outcome.calls == 1 and outcome.reason is not None
    assert outcome.reason.startswith(f"it waited for 11 s, after: {first.host}: it fails (HTTP 503)")


def test_the_most_urgent_are_asked_first_and_among_equals_the_first(rig: Make) -> None:
    with LlmServer(always=answer("yes")) as server:
        made = rig(server, start=False)
        urgency = {"i": Priority.INTERVAL, "v": Priority.VISIT, "c": Priority.COMMAND}
        for name in ("i1", "v1", "c1", "v2", "c2", "i2"):
            made.submit(urgency[name[0]], name=name)
        assert made.pool.status()["waiting"] == 6
        made.pool.start()
        assert [made.wait().id for _ in range(6)] == ["c1", "c2", "v1", "v2", "i1", "i2"]


def test_a_full_queue_gives_up_the_oldest_of_the_least_urgent(rig: Make) -> None:
    with LlmServer(always=answer("yes")) as server:
        made = rig(server, start=False, queue=2)
        made.submit(Priority.INTERVAL, name="i1")
        made.submit(Priority.INTERVAL, name="i2")
        visit = Request("v1", Priority.VISIT, messages(), YES_NO, 1, time.monotonic())
        dropped = made.pool.submit(visit)
        assert dropped is not None and dropped.id == "i1"
        made.pool.submit(Request("v2", Priority.VISIT, messages(), YES_NO, 1, time.monotonic()))
        late = Request("i3", Priority.INTERVAL, messages(), YES_NO, 1, time.monotonic())
        assert made.pool.submit(late) is late
        made.pool.start()
        assert [made.wait().id for _ in range(2)] == ["v1", "v2"]
        assert made.pool.status()["dropped"] == 3


def test_who_retires_gives_back_what_waits_and_finishes_what_is_under_way(rig: Make) -> None:
    with LlmServer(delay(30.0, answer("yes"))) as server:
        made = rig(server)
        made.submit(name="under way")
        server.wait_for(1)
        made.submit(name="waits")
        made.submit(Priority.COMMAND, name="urgent")
        assert [request.id for request in made.pool.retire()] == ["urgent", "waits"]
        late = Request("late", Priority.COMMAND, messages(), YES_NO, 1, time.monotonic())
        assert made.pool.submit(late) is late
        assert made.pool.status()["asking"] == 1
        server.released.set()
        outcome = made.wait()
        assert (outcome.id, outcome.state) == ("under way", "answered")
        assert made.pool.stop(5.0) == [] and made.told.empty() and len(server.asked()) == 1


def test_after_retiring_a_call_that_fails_is_neither_made_again_nor_at_the_next_provider(rig: Make) -> None:
    with LlmServer(delay(30.0, status(500))) as first, LlmServer() as second:
        made = rig(first, second)
        made.submit()
        first.wait_for(1)
        assert made.pool.retire() == []
        first.released.set()
        outcome = made.wait()
        assert (outcome.state, outcome.calls) == ("failed", 1) and "HTTP 500" in (outcome.reason or "")
        assert (len(first.asked()), len(second.asked())) == (1, 0)


def test_what_is_withdrawn_while_it_waits_is_neither_asked_nor_told(rig: Make) -> None:
    with LlmServer(delay(30.0, answer("yes")), answer("no")) as server:
        made = rig(server)
        made.submit(name="under way")
        server.wait_for(1)
        made.submit(name="gone")
        made.submit(name="stays")
        assert made.pool.withdraw(["under way", "gone"]) == {"gone"}
        server.released.set()
        assert [made.wait().id for _ in range(2)] == ["under way", "stays"]
        assert len(server.asked()) == 2 and made.told.empty()


def test_a_stop_with_servers_that_hang_gives_everything_back_or_tells_that_it_was_stopped(rig: Make) -> None:
    with LlmServer(always=hang()) as server:
        made = rig(server, workers=2)
        for name in ("one", "two", "waits"):
            made.submit(name=name)
        server.wait_for(2)
        given_back = {request.id for request in made.pool.stop(10.0)}
        told = {made.told.get_nowait() for _ in range(made.told.qsize())}
        assert given_back | {outcome.id for outcome in told} == {"one", "two", "waits"}
        assert len(given_back) + len(told) == 3 and "waits" in given_back
        assert {(outcome.state, outcome.reason) for outcome in told} == {("failed", STOPPED)}
        assert not any(thread.is_alive() for thread in made.pool._threads), "their connections were broken off"


def test_a_stop_without_patience_gives_back_what_is_under_way_and_nothing_is_told_of_it_later() -> None:
    entered, free, told = threading.Event(), threading.Event(), list[str]()
    with LlmServer(always=answer("yes")) as server:
        made = Rig(server, on_done=lambda outcome: told.append(outcome.id))
        take = made.budget.take

        def held(tokens: int) -> Any:
            entered.set()
            free.wait(PATIENCE_S)
            return take(tokens)

        made.budget.take = held  # type: ignore[method-assign]
        request = made.submit()
        assert entered.wait(PATIENCE_S)
        assert made.pool.stop(0.0) == [request]
        free.set()
        for thread in made.pool._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
    assert told == []


def test_a_stop_in_the_pause_before_another_try_does_not_wait_for_its_end(rig: Make) -> None:
    with LlmServer(always=status(429, 25)) as server:
        made = rig(server)
        made.submit()
        server.wait_for(1)
        assert made.pool.stop(20.0) == []
        outcome = made.told.get_nowait()
        assert (outcome.state, outcome.reason, outcome.calls) == ("failed", STOPPED, 1)
        assert len(server.asked()) == 1


def test_a_pool_that_was_never_started_can_be_stopped(rig: Make) -> None:
    with LlmServer() as server:
        made = rig(server, start=False)
        request = made.submit()
        assert made.pool.stop(1.0) == [request]


def test_a_listener_with_a_fault_does_not_end_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    told: queue.Queue[str] = queue.Queue()

    def listen(outcome: Outcome) -> None:
        told.put(outcome.id)
        if outcome.id == "ask1":
            raise ValueError(KEY)

    with LlmServer() as server:
        made = Rig(server, on_done=listen)
        made.submit()
        made.submit()
        assert [told.get(timeout=PATIENCE_S) for _ in range(2)] == ["ask1", "ask2"]
        made.pool.stop(5.0)
    assert "a fault in Soteira (ValueError)" in caplog.text and KEY not in caplog.text


def test_what_waits_and_what_is_under_way_can_be_seen(rig: Make) -> None:
    with LlmServer(delay(30.0)) as server:
        made = rig(server)
        for _ in range(3):
            made.submit()
        server.wait_for(1)
        assert made.pool.status() == {
            "waiting": 2, "asking": 1, "dropped": 0,
            "providers": [{"server": server.host, "model": "m0", "state": "closed"}],
        }  # fmt: skip
        server.released.set()
        for _ in range(3):
            made.wait()
        assert (made.pool.status()["waiting"], made.pool.status()["asking"]) == (0, 0)


def test_keys_are_in_no_log_and_no_reason_whatever_a_server_says(
    rig: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    leaks = [status(code, message=f"the key {KEY} is wrong") for code in (400, 401, 403, 404, 429, 500)]
    leaks += [refusal(f"not with {KEY}"), answer(f"{KEY}"), prose(f"<p>{KEY}"), raw_json({"error": KEY})]
    with LlmServer(*leaks) as server:
        made = rig(server, workers=1)
        for _ in leaks:
            outcome = made.ask()
            assert KEY not in repr(outcome) and KEY[:12] not in repr(outcome)
    text = "\n".join(record.getMessage() + str(record.args) + str(record.exc_info) for record in caplog.records)
    assert KEY not in text and KEY[:12] not in text
    assert "data:image" not in text and "/9j/" not in text, "no picture, either"
