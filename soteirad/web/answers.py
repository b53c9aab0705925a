"""What the application answers: JSON, errors in one sentence, pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

TOO_MANY = "there are too many open pages: close one and try again"


class JsonAnswer(Response):
    """A JSON document; numbers that JSON does not know become null."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the document's bytes."""
        return as_json(content).encode()


class Failure(Exception):  # noqa: N818 - an answer like others
    """A request that is answered with an error: one sentence that says what, why and what to do."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.text = text
        self.headers = dict(headers or {})
        super().__init__(text)

    def answer(self) -> Response:
        """Return it as an answer."""
        return JsonAnswer({"error": self.text}, self.status, self.headers)


def as_json(data: Any) -> str:
    """Return data as JSON on one line; not-a-number and infinities become null."""
    try:
        return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_finite(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def jpeg(data: bytes, cache: str = "no-store") -> Response:
    """Return a picture as an answer."""
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": cache})


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return data
