"""What a server answers to a question: read with care, since every server has its own idea of the format. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from soteirad.config.secrets import redact
from soteirad.llm.reasons import Asker, ProviderError, own_words, quotable, refused_status

NO_API = "this is no OpenAI-compatible API"
_MOST_TOKENS = 10**9
"""Beyond that a count is nonsense."""
_SHORTEST_SECRET = 8
"""Characters; what is shorter (`ollama`, `none`) is for servers that want no key, and may be a word of an answer."""


@dataclass(frozen=True)
class Reply:
    """An answer as the model gave it. Model and tokens are what the server says; None is what it does not say."""

    text: str
    model: str
    sent_tokens: int | None
    answered_tokens: int | None


def read_reply(body: bytes, content_type: str, asker: Asker) -> Reply:
    """Return what the body of a successful answer holds; raises `ProviderError`."""
    data = _json(body, content_type)
    if isinstance(data, dict) and data.get("error") and not data.get("choices"):
        raise _disguised(data["error"], body, asker)
    choices = data.get("choices") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(choices, list):
        raise ProviderError(f"{NO_API}, or not one that we know: its answer has no choices; check base_url")
    sent, answered = (_tokens(data.get("usage"), name) for name in ("prompt_tokens", "completion_tokens"))
    try:
        text = _text(choices, asker)
    except ProviderError as error:
        error.sent_tokens, error.answered_tokens, error.alive = sent, answered, True
        raise
    model = data.get("model")
    # Who has the key could say it: in an answer it would go to the journal, to MQTT and to a phone.
    secrets = [secret for secret in asker.secrets if len(secret) >= _SHORTEST_SECRET]
    named = quotable(model, secrets) if isinstance(model, str) and model else asker.model
    return Reply(redact(text, secrets), named, sent, answered)


def _json(body: bytes, content_type: str) -> Any:
    start = body.lstrip()[:1]
    if start == b"<" or (content_type.lower().startswith("text/html") and start != b"{"):
        raise ProviderError(f"{NO_API}, it answers with a web page: is /v1 missing in base_url?")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ProviderError(f"{NO_API}, or something in between spoils its answers: this one is no JSON",
                            again=True) from None  # fmt: skip


def _disguised(error: Any, body: bytes, asker: Asker) -> ProviderError:
    """Return the error that came with a status of success, as some gateways do it."""
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, int) and 400 <= code < 600:
        return refused_status(code, body, None, asker)
    words = own_words(body, asker.secrets)
    return ProviderError("it answers with an error" + (f'; it says "{words}"' if words else ""), again=True)


def _text(choices: list[Any], asker: Asker) -> str:
    choice = choices[0] if choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    if not isinstance(message, dict):
        raise ProviderError("its answer holds nothing: look at its own log", again=True)
    text = _content(message.get("content"))
    if text.strip():
        # Half a pair of UTF-16 in JSON is a character to Python, and to nobody else.
        return text.encode("utf-8", "replace").decode("utf-8")
    refusal = message.get("refusal") or _refusal_part(message.get("content"))
    reason = choice.get("finish_reason")
    if isinstance(refusal, str) and refusal.strip():
        raise ProviderError(f'the model refuses to answer; it says "{quotable(refusal, asker.secrets)}"')
    if reason == "content_filter":
        raise ProviderError("a filter there keeps the answer back")
    if reason == "length":
        raise ProviderError("the answer was cut off before it began: raise max_tokens (a model that thinks first needs "
                            "thousands)")  # fmt: skip
    raise ProviderError(f"its answer is empty: does the model {asker.model!r} see pictures?", again=True)


def _content(content: Any) -> str:
    """Return the text of a message, which may be in parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") if isinstance(part, dict) else part for part in parts)
    return "".join(text for text in texts if isinstance(text, str))


def _refusal_part(content: Any) -> Any:
    parts = content if isinstance(content, list) else []
    return next((part["refusal"] for part in parts if isinstance(part, dict) and part.get("refusal")), None)


def _tokens(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS
    return value if good else None
