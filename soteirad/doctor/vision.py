"""The vision models: do their servers answer, and with --llm, what do they make of known pictures?"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from soteirad.config import AnswerType, LlmConfig, ProviderConfig
from soteirad.doctor.finding import Finding, doubt, fault, told, well
from soteirad.doctor.patient import Patient
from soteirad.errors import SoteiraError
from soteirad.event import iso_time, spoken
from soteirad.llm.answer import Answer, AnswerError, answer_schema, read_answer
from soteirad.llm.picture import LONGEST_SIDE, QUALITY, Shot
from soteirad.llm.prompt import chat_messages
from soteirad.llm.provider import Provider, ProviderError
from soteirad.messages import Ask
from soteirad.resources import resource
from soteirad.snapshot import encode_jpeg

GOLDEN = "models/golden/golden-1.png"
QUESTION = "How many people can be seen? Count also those who are only partly in the picture."
_COLOURS = {"red": (40, 40, 200), "green": (60, 160, 60), "blue": (200, 90, 40)}
_SIZE = 256
LISTS_S = 15.0
MOST_NAMES = 5


def check(patient: Patient) -> Iterator[Finding]:
    """Yield whether the servers answer, which costs nothing; what their models see only if pictures are wished for."""
    llm = patient.configured.llm
    if llm is None:
        yield well("llm", "not configured: nothing is sent anywhere")
    elif patient.pictures:
        yield from see(llm)
    else:
        for config in llm.providers:
            provider = Provider(config, llm.local_only, llm.connect_timeout, min(llm.timeout, LISTS_S))
            try:
                yield _answers(provider, config)
            finally:
                provider.close()


def _answers(provider: Provider, config: ProviderConfig) -> Finding:
    """Ask a server for the names of its models."""
    began = time.monotonic()
    try:
        names = provider.models()
    except ProviderError as error:
        if error.alive:
            return doubt(provider.host, "it answers, and does not tell which models it has",
                         "soteirad doctor --llm asks it about pictures")  # fmt: skip
        return told(provider.host, error, "is it on, and is base_url right?")
    ms = (time.monotonic() - began) * 1000
    if names is None or any(config.model in (name, name.removesuffix(":latest")) for name in names):
        which = f"it has the model {config.model}" if names else f"it is asked for {config.model}"
        return well(provider.host, f"it answers; {which} (soteirad doctor --llm asks it about pictures)", ms)
    several = f"{', '.join(names[:MOST_NAMES])}{' ...' if len(names) > MOST_NAMES else ''}" if names else "none"
    return fault(provider.host, f"it has no model {config.model}; it has {several}", "load the model there, or correct "
                 "llm.providers")  # fmt: skip


def see(llm: LlmConfig) -> Generator[Finding, None, None]:
    """Yield what each provider is able to do; sends the golden picture and plain colours, nothing of a camera."""
    for config in llm.providers:
        provider = Provider(config, llm.local_only, llm.connect_timeout, llm.timeout)
        try:
            yield from _examine(provider, config)
        finally:
            provider.close()


def _examine(provider: Provider, config: ProviderConfig) -> Iterator[Finding]:
    golden = _golden()
    number, text = AnswerType("number"), AnswerType("text")
    first = _tried(provider, QUESTION, number, golden)
    yield _finding(provider, f"{config.model}, {QUESTION}", first, lambda a: a.value == 1,
                   "one is right: take a larger model if it errs in practice, too")  # fmt: skip
    if isinstance(first, ProviderError):  # nothing else would work
        return
    colours = AnswerType("choice", tuple(_COLOURS))
    red = _tried(provider, "Which colour fills the picture?", colours, _plain("red"))
    yield _finding(provider, "pictures", red, lambda a: a.value == "red",
                   "it does not see the picture: take a model with vision")  # fmt: skip
    two = _tried(provider, "Which colour fills the second picture?", colours, _plain("red"), _plain("blue"))
    yield _finding(provider, "several pictures", two, lambda a: a.value == "blue",
                   "it does not tell two pictures apart: leave frames at 1")  # fmt: skip
    yield _schema(provider, _tried(provider, "Say in three words what you see.", text, golden, bare=True))


@dataclass(frozen=True)
class _Tried:
    answer: Answer
    text: str
    ms: float
    tokens: int | None


def _tried(provider: Provider, question: str, answer: AnswerType, *shots: Shot,
           bare: bool = False) -> _Tried | SoteiraError:  # fmt: skip
    """Ask; `bare` leaves out the rules, so that only the schema asks for JSON."""
    shown = Ask("", "doctor", "command", iso_time(shots[0].captured), shots=shots, main=0)
    messages = chat_messages(question, answer, "a test", shown)
    began = time.monotonic()
    try:
        reply = provider.ask(messages[1:] if bare else messages, answer_schema(answer))
        ms = round((time.monotonic() - began) * 1000, 1)
        tokens = None if reply.sent_tokens is None else reply.sent_tokens + (reply.answered_tokens or 0)
        return _Tried(read_answer(reply.text, answer), reply.text, ms, tokens)
    except (ProviderError, AnswerError) as error:
        return error


def _finding(provider: Provider, what: str, tried: _Tried | SoteiraError, good: Callable[[Answer], bool],
             wrong: str) -> Finding:  # fmt: skip
    if isinstance(tried, SoteiraError):
        return told(f"{provider.host}, {what}", tried, "look at the server's own log")
    said = spoken(tried.answer.value)
    because = f" ({tried.answer.because})" if tried.answer.because else ""
    tokens = f", {tried.tokens} tokens" if tried.tokens is not None else ""
    fine = good(tried.answer)
    place = f"{provider.host}, {what}"
    if fine:
        return well(place, f"{said}{because}{tokens}", tried.ms)
    problem, _, remedy = wrong.partition(": ")
    return replace(doubt(place, f"{said}{because}; {problem}", remedy), ms=tried.ms)


def _schema(provider: Provider, tried: _Tried | SoteiraError) -> Finding:
    """Say whether the server makes the model answer in the form that is asked for."""
    what, words = f"{provider.host}, answers by a schema", "nothing to do: it is asked for JSON in words as well"
    if isinstance(tried, ProviderError):
        return doubt(what, str(tried), words)
    if not provider.takes_schema:
        return doubt(what, "the server refuses a schema", words)
    if isinstance(tried, SoteiraError) or not tried.text.lstrip().startswith("{"):
        return doubt(what, "the server takes a schema and does not keep to it",
                     "nothing to do: what the model says is read as well as can be")  # fmt: skip
    return well(what, "kept to", tried.ms)


def _golden() -> Shot:
    picture = cv2.imread(str(resource(GOLDEN)))
    if picture is None:
        raise SoteiraError(f"{resource(GOLDEN)}: this picture of the installation is missing: install soteirad again")
    scale = min(1.0, LONGEST_SIDE / max(picture.shape[:2]))
    return _shot(np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8))


def _plain(colour: str) -> Shot:
    return _shot(np.full((_SIZE, _SIZE, 3), _COLOURS[colour], np.uint8))


def _shot(picture: np.ndarray) -> Shot:
    return Shot(encode_jpeg(picture, QUALITY), picture.shape[1], picture.shape[0], time.time())
