"""Answers: what cameras ask goes to the vision models, and what came of it to the journal and to MQTT."""

from __future__ import annotations

import itertools
import logging
import queue
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from soteirad.config import Config, DuplicatesConfig, LlmConfig, QuestionConfig
from soteirad.config.question import AD_HOC
from soteirad.event import Event, iso_time, new_id, spoken
from soteirad.hub.album import drop_others, keep_pictures
from soteirad.hub.answer_book import AnswerBook
from soteirad.hub.ask_record import (
    AskRecord,
    answer_payload,
    answered_event,
    as_told_by,
    unanswered,
    unasked_payload,
)
from soteirad.hub.catalogue import Catalogue, View
from soteirad.hub.guard import Guard
from soteirad.llm.budget import Budget
from soteirad.llm.duplicates import Duplicates
from soteirad.llm.pool import STOPPED, Outcome, Pool, Request, request_of
from soteirad.messages import Ask

logger = logging.getLogger(__name__)

STATUS_EVERY_S = 30.0
"""What is left of a budget changes with every second; so often it is told ..."""
NEWS_EVERY_S = 5.0
"""... and so often while questions come."""
MOST_UNSAVED = 1000
"""Records that wait for a disk that fails; the oldest go."""
GONE = "the configuration has no such question about such pictures any more"
_COUNTED = ("answered", "skipped_duplicate", "skipped_budget", "skipped_stale", "failed")

Tell = Callable[[str, str, Mapping[str, Any]], None]
"""Publishes what there is to say of (camera, question)."""


@dataclass(frozen=True)
class _Open:
    """A question that is being asked: the number is its place in the order of asking."""

    number: int
    record: AskRecord
    ask: Ask
    question: QuestionConfig
    view: View | None
    followers: list[tuple[AskRecord, int]] = field(default_factory=list)
    """Askings with the same picture that were left out meanwhile, and their numbers."""

    @property
    def likeness_key(self) -> tuple[str, str]:
        """What has to be the same besides the picture; another text is another question, whatever its name."""
        return self.record.camera, f"{self.record.question}: {self.question.answer}: {self.record.ask}"


@dataclass
class _Known:
    """What there is to tell of a question: the last asking and the last answer, and which askings these were; those of
    earlier runs are number 0. Not their times: the clock may have been set back."""

    newest: AskRecord | None = None
    answered: AskRecord | None = None
    newest_number: int = 0
    answered_number: int = 0

    def learn(self, record: AskRecord, number: int) -> None:
        """Take what came of an asking; workers overtake each other, and what is about an older picture is no news."""
        if number >= self.newest_number:
            self.newest, self.newest_number = record, number
        if record.state == "answered" and number >= self.answered_number:
            self.answered, self.answered_number = record, number


class Answers:
    """For the hub's thread; the asking is done by the threads of a pool, which call `on_wake`.

    `tell` publishes the state of a question, `tell_status` that of the whole; `has_room` says whether pictures may be
    written.
    """

    def __init__(self, book: AnswerBook, guard: Guard, tell: Tell, tell_status: Callable[[Mapping[str, Any]], None],
                 on_wake: Callable[[], None], has_room: Callable[[], bool] = lambda: True) -> None:  # fmt: skip
        self._book = book
        self._has_room = has_room
        self._guard = guard
        self._pictures_guard = Guard()
        self._tell = tell
        self._tell_status = tell_status
        self._on_wake = on_wake
        self._config: Config | None = None
        self._catalogue = Catalogue()
        self._llm: LlmConfig | None = None
        self._pool: Pool | None = None
        self._budget: Budget | None = None
        self._duplicates = Duplicates(DuplicatesConfig())
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._open: dict[str, _Open] = {}
        self._unsaved: dict[str, AskRecord] = {}
        self._known: dict[tuple[str, str], _Known] = {}
        self._events: list[Event] = []
        self._counts: Counter[str] = Counter()
        self._told_at = float("-inf")
        self._news = False
        self._said = ""
        self._stopped = False

    def recover(self) -> None:
        """End what an earlier run left without an answer."""
        self._guard(self._recover)

    def configure(self, config: Config) -> None:
        """Go by another configuration; what waits is asked under the new one, if it still is a question about such
        pictures there. What is under way is finished."""
        first, self._config, self._catalogue = self._config is None, config, Catalogue(config)
        if first and config.llm is None and any(camera.questions for camera in config.cameras.values()):
            logger.warning("there are questions, but no llm section: nobody is asked")
        if config.llm != self._llm:
            waiting = self._pool.retire() if self._pool is not None else []
            self._llm, self._pool = config.llm, None
            if config.llm is not None:
                self._start(config.llm)
            for request in waiting:
                item = self._open.get(request.id)
                if item is not None and self._is_wanted(item):
                    self._submit(request)
                else:  # what was withdrawn before is finished already
                    self._finish(Outcome(request.id, "skipped_stale", reason=GONE))
        self._tell_hosts()
        self._withdraw()
        for camera, question in self._catalogue.asked:
            self._publish_known(camera, question)
        self._told_at = float("-inf")

    def take(self, camera: str, ask: Ask) -> None:
        """Take a camera's question: it is asked, unless it was just answered for such a picture."""
        question = self._catalogue.question(camera, ask.question, ask.text)
        if question is None or (camera, question.name) not in self._catalogue.asked or self._stopped:
            return  # a reload took it away meanwhile
        record = AskRecord(ask.id, camera, question.name, question.ask, ask.on, ask.time, kind=question.answer.kind,
                           event_id=ask.event_id, label=ask.label, zones=ask.zones)  # fmt: skip
        item = _Open(next(self._numbers), record, ask, question, self._catalogue.view(camera))
        now = time.monotonic()
        if ask.on != "command" and self._is_duplicate(item, now):
            return
        self._duplicates.remember(item.likeness_key, ask.id, ask.signature, now)
        request = request_of(ask, question, self._catalogue.title(camera), now)
        size = sum(len(shot.jpeg) for shot in ask.shots)
        logger.info("%s: %s is asked on %s: pictures: %d of %d kB together, about %d tokens", camera, question.name,
                    ask.on, len(ask.shots), size // 1000, request.tokens)  # fmt: skip
        self._open[ask.id] = item
        self._note(record, item.number)
        self._submit(request)

    def _is_duplicate(self, item: _Open, now: float) -> bool:
        """Leave out a question whose picture is like the last one that was sent, and say whether that is so."""
        found = self._duplicates.likeness(item.likeness_key, item.ask.signature, now)
        if found is None:
            return False
        first_id, likeness = found
        record = replace(item.record, state="skipped_duplicate", similarity=round(likeness, 3),
                         reason="the picture is like the last one that was sent")  # fmt: skip
        logger.info("%s: %s is not asked again: the picture is the same (%.3f)", record.camera, record.question,
                    likeness)  # fmt: skip
        if first_id in self._open:
            self._open[first_id].followers.append((record, item.number))
        self._note(record, item.number)
        return True

    def refuse(self, camera: str, name: str, text: str, reason: str) -> None:
        """Note that a question could not even be asked: there is no picture."""
        logger.warning("%s: %s is not asked: %s", camera, name, reason)
        now = time.time()
        question = self._catalogue.question(camera, name, text)
        if question is not None:
            self._note(AskRecord(new_id(now), camera, name, question.ask, "command", iso_time(now), "failed",
                                 kind=question.answer.kind, reason=reason), next(self._numbers))  # fmt: skip

    def step(self, now: float) -> list[Event]:
        """Take what came of questions; returns the events to be journaled. `now` is monotonic seconds."""
        self._take_outcomes()
        self._save()
        pause = NEWS_EVERY_S if self._news else STATUS_EVERY_S
        if self._pool is not None and now >= self._told_at + pause:
            self._told_at, self._news = now, False
            self._tell_status(self.status())
        events, self._events = self._events, []
        return events

    def stop(self, timeout: float) -> list[Event]:
        """End within `timeout` seconds; what has no answer by then failed. Returns the events to be journaled."""
        self._stopped = True
        if self._pool is not None:
            self._pool.stop(timeout)
        self._take_outcomes()
        for ask_id in [*self._open]:
            self._finish(Outcome(ask_id, "failed", reason=STOPPED))
        return self.step(float("-inf"))

    @property
    def waiting(self) -> int:
        """How many questions have no answer yet."""
        return len(self._open)

    def status(self) -> dict[str, Any]:
        """Return the `<prefix>/llm` payload."""
        pool = self._pool.status() if self._pool is not None else {}
        left = self._budget.remaining() if self._budget is not None else {}
        failing = all(provider["state"] != "closed" for provider in pool.get("providers", ()))
        # What a busy minute has spent is there again before anybody looks.
        spent = any(value == 0 for limit, value in left.items() if limit != "per_minute")
        state = "failing" if failing else "spent" if spent else "ok"
        return {"state": state, "left": left, **{name: self._counts[name] for name in _COUNTED}, **pool}

    def prune(self, days: float) -> None:
        """Forget what is older than `days`, but for the last answers, and the pictures of questions that are gone."""
        self._guard(lambda: self._book.prune(days, time.time()))
        if self._config is not None:
            folder, asked = self._config.storage.path / "answers", {*self._catalogue.asked}
            self._pictures_guard(lambda: drop_others(folder, asked))

    def _start(self, llm: LlmConfig) -> None:
        if self._budget is None:
            self._budget = Budget(llm.budget)
            calls: list[tuple[float, int]] = []
            self._guard(lambda: calls.extend(self._book.calls()))
            self._budget.load(calls)
        self._budget.configure(llm.budget)
        self._duplicates = Duplicates(llm.duplicates)
        self._pool = Pool(llm, self._budget, self._done, self._on_wake)
        self._pool.start()

    def _tell_hosts(self) -> None:
        """Tell who receives pictures of which cameras; once, and again when that is no longer so."""
        if self._pool is None:
            return
        hosts = ", ".join(f"{p['server']} ({p['model']})" for p in self._pool.status()["providers"])
        asked = ", ".join(sorted({camera for camera, _ in self._catalogue.asked})) or "no camera yet"
        said = f"pictures of {asked} are sent to {hosts} when there is a question"
        if said != self._said:
            self._said = said
            logger.info("%s", said)

    def _done(self, outcome: Outcome) -> None:
        """Take what a worker found; called from its thread."""
        self._outcomes.put(outcome)
        self._on_wake()

    def _take_outcomes(self) -> None:
        while not self._outcomes.empty():  # this thread is the only one that takes from it
            self._finish(self._outcomes.get())

    def _submit(self, request: Request) -> None:
        dropped = request if self._pool is None else self._pool.submit(request)
        if dropped is not None:
            self._finish(Outcome(dropped.id, "skipped_stale", reason="more urgent questions waited"))

    def _is_asked(self, item: _Open) -> bool:
        """Say whether what is being asked still is a question in the configuration, with these words."""
        record = item.record
        now = self._catalogue.question(record.camera, record.question, record.ask)
        same = now is not None and (now.ask, now.answer) == (item.question.ask, item.question.answer)
        return same and (record.camera, record.question) in self._catalogue.asked

    def _is_wanted(self, item: _Open) -> bool:
        """Say whether such pictures may still be sent for it, and an answer is news."""
        return self._is_asked(item) and self._catalogue.view(item.record.camera) == item.view

    def _withdraw(self) -> None:
        """Send no picture for a question that is one no more, or that shows what is not to be seen any more."""
        gone = [ask_id for ask_id, item in self._open.items() if not self._is_wanted(item)]
        for ask_id in self._pool.withdraw(gone) if self._pool is not None else ():
            self._finish(Outcome(ask_id, "skipped_stale", reason=GONE))

    def _finish(self, outcome: Outcome) -> None:
        """Note what came of a question; an answer is an event, if it still is one of a question."""
        item = self._open.pop(outcome.id, None)
        if item is None:
            return
        record = replace(
            item.record, state=outcome.state, reason=outcome.reason, model=outcome.model, server=outcome.server,
            latency_ms=outcome.latency_ms, calls=outcome.calls, sent_tokens=outcome.sent_tokens,
            answered_tokens=outcome.answered_tokens,
        )  # fmt: skip
        if outcome.answer is None:
            self._duplicates.forget(item.likeness_key, record.id)
            logger.warning("%s: %s: %s: %s", record.camera, record.question, outcome.state, outcome.reason)
        else:
            answer = outcome.answer
            record = replace(record, answer=answer.value, confidence=answer.confidence, because=answer.because)
            logger.info("%s: %s: %s (%.0f ms)", record.camera, record.question, spoken(answer.value),
                        outcome.latency_ms)  # fmt: skip
            if self._is_wanted(item):
                self._events.append(answered_event(record, time.time()))
                self._keep(record, item.ask)
        self._note(record, item.number, self._is_asked(item))
        for follower, number in item.followers if outcome.answer is None else ():
            self._note(replace(follower, state=outcome.state, reason=f"as the one before: {outcome.reason}"), number)

    def _note(self, record: AskRecord, number: int, tell: bool = True) -> None:
        """Put a record into the journal, soon, and (if it is to be told) on MQTT, at once."""
        self._unsaved[record.id] = record
        if record.state != "pending":
            self._counts[record.state] += 1
        self._news = True
        if not tell:
            return
        known = self._known.setdefault((record.camera, record.question), _Known())
        known.learn(record, number)
        if known.newest is not record:  # every end is told, but what stays is about the newest picture
            self._tell(record.camera, record.question, answer_payload(record, known.answered))
        self._tell_known(record.camera, record.question)

    def _tell_known(self, camera: str, question: str) -> None:
        known = self._known.get((camera, question))
        if known is not None and known.newest is not None:
            self._tell(camera, question, answer_payload(known.newest, known.answered))

    def _save(self) -> None:
        """Write what is not on disk yet; if the disk fails, the next call tries again.

        An answer whose event is not handed over yet is still pending: a crash in between would lose the event, and no
        later run would know.
        """
        calls = self._budget.pop_unsaved() if self._budget is not None else []
        ahead = {event.id for event in self._events}
        records = [unanswered(record) if ask_id in ahead else record for ask_id, record in self._unsaved.items()]
        if not records and not calls:
            return
        if self._guard(lambda: self._book.write(records, calls, time.time())):
            self._unsaved = {ask_id: record for ask_id, record in self._unsaved.items() if ask_id in ahead}
            return
        if self._budget is not None:
            self._budget.not_saved(calls)
        for ask_id in [*self._unsaved][:-MOST_UNSAVED]:
            del self._unsaved[ask_id]

    def _recover(self) -> None:
        left = self._book.pending()
        events = self._book.events([record.id for record in left])
        for record in left:
            if record.id in events:  # only the record of it was not written any more
                self._unsaved[record.id] = as_told_by(events[record.id], record)
            else:
                self._unsaved[record.id] = replace(record, state="failed", reason=STOPPED)

    def _publish_known(self, camera: str, question: str) -> None:
        """Tell what was last said of a question; an earlier run may have said it."""
        key = (camera, question)
        if key not in self._known:
            found: list[AskRecord | None] = []
            if not self._guard(lambda: found.extend(self._book.latest(camera, question))):
                return
            newest, answered = (self._unsaved.get(r.id, r) if r is not None else None for r in found)
            if newest is not None and newest.state == "answered":
                answered = newest
            self._known[key] = _Known(newest, answered)
        newest = self._known[key].newest
        now = None if question == AD_HOC else self._catalogue.question(camera, question, "")
        if newest is None or now is None or (newest.ask, newest.kind) == (now.ask, now.answer.kind):
            self._tell_known(camera, question)
        else:  # an answer to other words would be wrong under these
            self._known[key] = _Known()
            self._tell(camera, question, unasked_payload(camera, now))

    def _keep(self, record: AskRecord, ask: Ask) -> None:
        """Keep the pictures of the last answers."""
        question = self._catalogue.question(record.camera, record.question, record.ask)
        if question is None or self._config is None or not self._has_room():
            return
        folder = self._config.storage.path / "answers" / record.camera / record.question
        jpegs = [shot.jpeg for shot in ask.shots]
        self._pictures_guard(lambda: keep_pictures(folder, record.id, jpegs, question.keep))
