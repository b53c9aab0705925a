"""Which events a webhook is for, and how an event becomes an HTTP request: pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from soteirad import __version__
from soteirad.config.address import split_user_info
from soteirad.config.broker import WebhookConfig, WebhookWhen
from soteirad.event import Event, spoken

FIELDS = ("id", "event_type", "camera", "label", "confidence", "time", "track_id", "snapshot", "clip", "question",
          "answer", "about")  # fmt: skip
_PLACEHOLDER = re.compile(rf"\{{({'|'.join(FIELDS)}|zones|json)\}}")
_JSON_STARTS = ("{", "[")


@dataclass(frozen=True)
class Request:
    """One HTTP request, ready to be sent; `body` is None for GET."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None


def wants(when: WebhookWhen, event: Event) -> bool:
    """Say whether a webhook with this `when` is for `event`; one of its zones is enough."""
    return (
        event.event_type in when.events
        and (when.cameras is None or event.camera in when.cameras)
        and (when.labels is None or event.label in when.labels)
        and (when.zones is None or not set(when.zones).isdisjoint(event.zones))
    )


def make_request(config: WebhookConfig, event: Event) -> Request:
    """Put `event` into a webhook's address and body.

    `{camera}` and the other known fields are replaced once, percent-encoded in the address and escaped in a body that
    is JSON or a form; `{json}` is the whole event and goes into a body as it is, but for a form. What does not apply to
    the event is empty. All other braces stay. User and password of the address become an Authorization header.
    """
    url, authorization = split_user_info(config.url)
    headers = {"User-Agent": f"soteirad/{__version__}", **authorization}
    text = "{json}" if config.body is None else config.body
    given = {name.lower(): value for name, value in config.headers.items()}
    content_type = given.get("content-type") or _content_type(text)
    body = None
    if config.method != "GET":
        headers["Content-Type"] = content_type
        body = _fill(text, event, *_escapes_for(content_type)).encode()
    for name in [name for name in headers if name.lower() in given]:
        del headers[name]
    return Request(config.method, _fill(url, event, _percent_encoded, _percent_encoded), {**headers, **config.headers},
                   body)  # fmt: skip


def _escapes_for(content_type: str) -> tuple[Callable[[str], str], Callable[[str], str]]:
    """Return how a value and the whole event are put into a body: a model's answer must not add keys of its own."""
    kind = content_type.lower()
    if "x-www-form-urlencoded" in kind:
        return _percent_encoded, _percent_encoded
    return _json_escaped if "json" in kind else str, str


def _content_type(body: str) -> str:
    """Return what a body is that comes without a Content-Type; `{label} came` begins with a brace and is no JSON."""
    text = body.lstrip()
    field = _PLACEHOLDER.match(text)
    if text.startswith(_JSON_STARTS) and (field is None or field[1] == "json"):
        return "application/json"
    return "text/plain; charset=utf-8"


def _fill(text: str, event: Event, escape: Callable[[str], str], escape_json: Callable[[str], str] = str) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name == "json":
            return escape_json(json.dumps(event.payload(), separators=(",", ":")))
        if name == "zones":
            return escape(",".join(event.zones))
        found = getattr(event, name)
        return "" if found is None else escape(spoken(found))

    return _PLACEHOLDER.sub(value, text)


def _percent_encoded(text: str) -> str:
    return quote(text, safe="")


def _json_escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
