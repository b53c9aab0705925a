"""`soteirad ask`: a question tried on the events of a recorded clip, before it is asked about a camera."""

from __future__ import annotations

import math
import os
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from soteirad.config import AnswerType, BudgetConfig, CameraConfig, LlmConfig, QuestionConfig, load_config
from soteirad.config.section import from_plain
from soteirad.errors import ConfigError, SoteiraError
from soteirad.event import epoch_time
from soteirad.llm.budget import Budget
from soteirad.llm.pool import Outcome, Pool, request_of
from soteirad.messages import Ask
from soteirad.tools.replay import replay

NEAR_S = 3.0
"""A label counts for the question that is asked within this many seconds of it."""

Value = bool | float | str | None


@dataclass(frozen=True)
class Label:
    """What the owner says the answer is at `time` (media seconds)."""

    time: float
    answer: Value


@dataclass(frozen=True)
class Row:
    """One question that was asked about a clip; `agrees` is None without a label nearby."""

    time: float
    on: str
    label: str | None
    state: str
    answer: Value
    confidence: float | None
    because: str | None
    expected: Value
    agrees: bool | None
    reason: str | None
    latency_ms: float | None


@dataclass(frozen=True)
class Evaluation:
    """All that was asked about a clip, and what it cost. `cost` is in the currency of `llm.providers[].price`."""

    rows: Sequence[Row]
    calls: int
    sent_tokens: int
    answered_tokens: int
    cost: float
    unused: Sequence[Label] = ()
    """Labels that no question was asked near."""

    @property
    def agreement(self) -> tuple[int, int]:
        """How many answers agree with their label, and how many have one."""
        judged = [row for row in self.rows if row.agrees is not None]
        return sum(bool(row.agrees) for row in judged), len(judged)

    def document(self) -> dict[str, Any]:
        """Return what `ask --json` prints."""
        agree, judged = self.agreement
        return {"asked": [asdict(row) for row in self.rows], "agree": agree, "labelled": judged,
                "unused_labels": [label.time for label in self.unused], "calls": self.calls,
                "sent_tokens": self.sent_tokens, "answered_tokens": self.answered_tokens,
                "cost": round(self.cost, 6)}  # fmt: skip


KEY_VARIABLE = "SOTEIRA_LLM_KEY"


def llm_of(config: Path | None, base_url: str | None, model: str | None) -> LlmConfig:
    """Return the models to ask: those of a configuration file, or one server. Raises SoteiraError.

    A server's key is taken from the environment: what is on a command line, everybody on the machine can read.
    """
    if base_url is not None:
        if model is None:
            raise SoteiraError("--base-url names a server: say which of its models with --model")
        provider = {"base_url": base_url, "model": model, "api_key": os.environ.get(KEY_VARIABLE)}
        try:
            return LlmConfig.model_validate({"providers": [provider]})
        except ValueError as error:
            texts = [line["msg"] for line in error.errors(include_input=False)]  # type: ignore[attr-defined]
            raise ConfigError(texts) from None
    if config is None:
        raise SoteiraError("who shall answer? give a configuration with an llm section (--config), or --base-url and "
                           "--model")  # fmt: skip
    found = load_config(config).llm
    if found is None:
        raise SoteiraError(f"{config}: there is no llm section, so nobody can answer: add one, or give --base-url and "
                           "--model")  # fmt: skip
    return found


def question_of(text: str, answer: str, choices: str | None, **keys: Any) -> QuestionConfig:
    """Return the question of a command line. Raises ConfigError or SoteiraError."""
    if "command" in keys.get("when", {}).get("on", ()):
        raise SoteiraError("nobody sends a command while a clip is played: ask --on entered, left, scene_changed or "
                           "interval")  # fmt: skip
    kind: Any = answer
    if answer == "choice":
        kind = {"choice": [choice.strip() for choice in (choices or "").split(",") if choice.strip()]}
    return from_plain(QuestionConfig, {"name": "question", "ask": text, "answer": kind, **keys})


def read_labels(path: Path, answer: AnswerType) -> list[Label]:
    """Read what the answers are: a line for each, with the seconds into the clip and the answer. Raises ConfigError."""
    if answer.kind == "text":
        raise SoteiraError(f"{path}: texts cannot be compared: labels are for yes_no, number and choice")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SoteiraError(f"{path}: the labels cannot be read: {error}") from None
    labels, problems = [], []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split(maxsplit=1)
        if not words:
            continue
        try:
            labels.append(Label(_number(words[0]), _expected(words[1].strip() if len(words) > 1 else "", answer)))
        except ValueError as error:
            problems.append(f"{path}:{number}:1: {error}: write the seconds and the answer, such as 12.5 yes")
    if problems:
        raise ConfigError(problems)
    return labels


def evaluate_question(name: str, camera: CameraConfig, question: QuestionConfig, llm: LlmConfig,
                      labels: Sequence[Label], limit: int, on_row: Callable[[Row], None] = lambda _: None
                      ) -> Evaluation:  # fmt: skip
    """Play a clip, ask the question as it would be asked of a camera, at most `limit` times, and compare."""
    asks: list[Ask] = []

    def take(ask: Ask) -> None:
        if len(asks) < limit:  # the pictures of a long clip would fill the memory
            asks.append(ask)

    replay(name, camera.model_copy(update={"questions": (question,)}), on_ask=take)
    rows: list[Row] = []
    calls = sent = answered = 0
    cost = 0.0
    for ask, outcome in _asked(asks, name, question, llm):
        row = _row(ask, outcome, labels)
        rows.append(row)
        on_row(row)
        calls += outcome.calls
        sent += outcome.sent_tokens
        answered += outcome.answered_tokens
        cost += outcome.cost
    unused = [label for label in labels if not any(abs(label.time - row.time) <= NEAR_S for row in rows)]
    return Evaluation(sorted(rows, key=lambda row: row.time), calls, sent, answered, cost, unused)


def _asked(asks: Sequence[Ask], camera: str, question: QuestionConfig, llm: LlmConfig) -> Iterator[tuple[Ask, Outcome]]:
    """Yield each ask with what came of it, as they come. The budget is the limit of the command itself."""
    free = BudgetConfig(per_minute=None, per_hour=None, per_day=None, tokens_per_day=None)
    patient = llm.model_copy(update={"queue": max(1, len(asks)), "stale_after": float("inf")})
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    pool = Pool(patient, Budget(free), outcomes.put)
    pool.start()
    by_id = {ask.id: ask for ask in asks}
    try:
        for ask in asks:
            pool.submit(request_of(ask, question, camera, time.monotonic()))
        for _ in asks:
            outcome = outcomes.get()
            yield by_id[outcome.id], outcome
    finally:
        pool.stop(0.0)


def _row(ask: Ask, outcome: Outcome, labels: Sequence[Label]) -> Row:
    at = epoch_time(ask.time)  # a replayed clip's times count from its own zero
    near = [label for label in labels if abs(label.time - at) <= NEAR_S]
    expected = min(near, key=lambda label: abs(label.time - at)).answer if near else None
    found = outcome.answer
    agrees = None if not near or found is None else _same(found.value, expected)
    return Row(round(at, 2), ask.on, ask.label, outcome.state, found.value if found else None,
               found.confidence if found else None, found.because if found else None, expected, agrees,
               outcome.reason, outcome.latency_ms)  # fmt: skip


def _same(found: Value, expected: Value) -> bool:
    if isinstance(found, str) and isinstance(expected, str):
        return found.lower() == expected.lower()
    return found == expected


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{text or 'nothing'} is no number")
    return number


def _expected(text: str, answer: AnswerType) -> Value:
    if answer.kind == "number":
        return _number(text)
    if answer.kind == "yes_no":
        if text.lower() not in ("yes", "no"):
            raise ValueError(f"{text or 'nothing'} is neither yes nor no")
        return text.lower() == "yes"
    for choice in answer.choices:
        if choice.lower() == text.lower():
            return choice
    raise ValueError(f"{text or 'nothing'} is none of {', '.join(answer.choices)}")
