"""Why a question got no answer, in an owner's words: what, and what to do. Pure."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from soteirad.config.secrets import redact
from soteirad.errors import SoteiraError

LONGEST_QUOTE = 200
"""Characters of a server's own words that are told."""
_PICTURES = ("image", "vision", "multimodal", "mmproj")
_FOR_A_WHILE = (408, 409, 425, 429)
_NOT_THIS = (400, 413, 422)
"""What is wrong with one question need not be wrong with the next."""


class ProviderError(SoteiraError):
    """A server gave no answer to a question.

    `reason` never holds a key or an address; `again` says whether it may be otherwise soon, and `retry_after` how many
    seconds the server asks to be left alone. `alive` says that the server works, and only this question has no answer.
    What was spent is told as in a `Reply`.
    """

    def __init__(self, reason: str, again: bool = False, retry_after: float | None = None,
                 sent_tokens: int | None = None, answered_tokens: int | None = None,
                 alive: bool = False) -> None:  # fmt: skip
        self.alive = alive
        self.reason = reason
        self.again = again
        self.retry_after = retry_after
        self.sent_tokens = sent_tokens
        self.answered_tokens = answered_tokens
        super().__init__(reason)


class BudgetSpent(ProviderError):  # noqa: N818 - a state that passes
    """The request was not made: whoever counts the calls said no."""

    def __init__(self) -> None:
        super().__init__("llm.budget allows no more calls at the moment")


@dataclass(frozen=True)
class Asker:
    """What is known of the one who asks: which model, whether with a key, and what must never be told."""

    model: str
    has_key: bool = False
    has_v1: bool = True
    secrets: tuple[str, ...] = field(default=(), repr=False)


def refused_status(status: int, body: bytes, retry_after: str | None, asker: Asker) -> ProviderError:
    """Say what an HTTP status that is no success means; `body` and the header `retry_after` came with it."""
    again = status in _FOR_A_WHILE or status >= 500
    if status == 429 and b"insufficient_quota" in body:
        return ProviderError("the quota of the account there is used up (HTTP 429): look at its plan and its bills")
    wait = seconds_of(retry_after) if again else None
    reason = _reason(status, own_words(body, asker.secrets), asker)
    return ProviderError(reason, again, wait, alive=status in _NOT_THIS)


def _reason(status: int, words: str, asker: Asker) -> str:
    says = f'; it says "{words}"' if words else ""
    where = "base_url" if asker.has_v1 else "base_url (is /v1 missing?)"
    nothing = f"no model {asker.model!r}, or nothing at all at this address (HTTP {status}): check model and {where}"
    known = {
        # Such a server often quotes a part of the key.
        401: f"it refuses us (HTTP 401): {'check' if asker.has_key else 'set'} api_key",
        402: f"it wants to be paid (HTTP 402): look at the account there{says}",
        403: f"it refuses us (HTTP 403): check api_key, and whether it may use the model {asker.model!r}{says}",
        404: f"it has {nothing}{says}",
        405: f"it has {nothing}{says}",
        429: f"it has too many requests (HTTP 429){says}",
    }
    if status in known:
        return known[status]
    if 300 <= status < 400:
        return f"it sends us elsewhere (HTTP {status}), which is not followed: put the final address into base_url"
    blind = any(word in words.lower() for word in _PICTURES)
    hint = f": does the model {asker.model!r} see pictures?" if blind else ""
    if status < 500:
        return f"it refuses the request (HTTP {status}){hint}{says}"
    return f"it fails (HTTP {status}){hint or ': look at its own log'}{says}"


def own_words(body: bytes, secrets: Iterable[str] = ()) -> str:
    """Return what a server says of an error, on one line, short, without `secrets`; empty when it says nothing."""
    text = body.decode("utf-8", "replace")
    if text.lstrip().startswith("<"):
        return ""
    with suppress(ValueError, RecursionError):  # plain text, or what is left of JSON
        text = _message(json.loads(text))
    return quotable(text, secrets)


def quotable(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text of somebody else's fit for one line of a log."""
    # Before it is cut: half a key is one, too.
    text = redact(text, secrets)
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split()).replace('"', "'")
    return text if len(text) <= LONGEST_QUOTE else text[: LONGEST_QUOTE - 3] + "..."


def _message(data: Any) -> str:
    """Return the message in the ways that servers wrap one: OpenAI's, Ollama's, FastAPI's, Google's in a list."""
    for _ in range(5):
        if isinstance(data, list) and data:
            data = data[0]
        elif isinstance(data, dict):
            data = next((data[name] for name in ("error", "message", "detail", "msg") if data.get(name)), None)
        else:
            break
    return data if isinstance(data, str) else ""


def seconds_of(retry_after: str | None) -> float | None:
    """Return the seconds that a header Retry-After asks for, in either of its forms; None when it says nothing."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
