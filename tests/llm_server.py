"""A real HTTP server that speaks OpenAI's chat API, strict about every request, and misbehaves as told.

    with LlmServer(answer("yes"), status(500)) as server: ...

answers with "yes", then with 500, then always as `reply_with` says, by default with something that fits the schema.
What it was asked is in `asked()`. A request that the real API would refuse gets 400, and an AssertionError at the end.
"""

from __future__ import annotations

import functools
import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests import http_receiver
from tests.http_receiver import Answer, Receiver, hang_up
from tests.llm_request import Asked, ViolationError, read

LlmAnswer = Callable[[Asked, "LlmServer"], Answer]
"""How one question is answered."""


class LlmServer:
    """Answers in turn as `script` says, then always as `always`, or else with what `reply_with` makes of a question.

    With `key` it wants that as a bearer. `released` ends what hangs and waits.
    """

    def __init__(self, *script: LlmAnswer, reply_with: Callable[[Asked], Any] | None = None,
                 always: LlmAnswer | None = None, key: str | None = None,
                 context: ssl.SSLContext | None = None) -> None:  # fmt: skip
        self.reply_with = reply_with or (lambda asked: fitting(asked.schema))
        self.violations: list[str] = []
        self._script = list(script)
        self._always = always or _by_reply_with
        self._key = key
        self._asked: list[Asked] = []
        self._changed = threading.Condition()
        self._receiver = Receiver(context=context, otherwise=self._answer)
        self.released = self._receiver.released
        self.host = self._receiver.host
        self.url = f"{self._receiver.url}/v1"

    def __enter__(self) -> LlmServer:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop()
        if kind is None:
            self.check()

    def start(self) -> LlmServer:
        self._receiver.start()
        return self

    def stop(self) -> None:
        self._receiver.stop()

    def check(self) -> None:
        """Raise an AssertionError with all that was wrong in requests so far."""
        with self._changed:
            violations = list(self.violations)
        if violations:
            raise AssertionError("requests that the API refuses:\n" + "\n".join(violations))

    def then(self, *answers: LlmAnswer) -> None:
        """Answer like this next."""
        with self._changed:
            self._script += answers

    def asked(self) -> list[Asked]:
        """Return all good questions so far."""
        with self._changed:
            return list(self._asked)

    def wait_for(self, count: int, timeout: float = 30.0) -> list[Asked]:
        """Wait until so many good questions have come; fail after `timeout`."""
        with self._changed:
            good = self._changed.wait_for(lambda: len(self._asked) >= count, timeout)
            seen = len(self._asked)
        if not good:
            pytest.fail(f"{seen} questions within {timeout} s, not {count}; violations: {self.violations}")
        return self.asked()

    def _answer(self, http: http_receiver.Asked) -> Answer:
        try:
            asked = read(http, self._key)
        except ViolationError as violation:
            with self._changed:
                self.violations.append(str(violation))
            return _error(violation.status, f"violation: {violation}")
        with self._changed:
            self._asked.append(asked)
            self._changed.notify_all()
            scripted = self._script.pop(0) if self._script else self._always
        return scripted(asked, self)


# What it may answer.


def answer(value: Any, confidence: float = 0.9, because: str = "it can be seen") -> LlmAnswer:
    """Answer in the form that our questions ask for."""
    return prose(json.dumps({"answer": value, "confidence": confidence, "because": because}))


def prose(text: Any, finish_reason: str = "stop", **message: Any) -> LlmAnswer:
    """Answer with this content, whatever the schema says."""
    return lambda asked, _: _completion(asked, {"role": "assistant", "content": text, **message}, finish_reason)


def refusal(text: str = "I cannot help with that.") -> LlmAnswer:
    """Refuse, as OpenAI's models do."""
    return prose(None, refusal=text)


def no_choice() -> LlmAnswer:
    """Answer with an empty list of choices."""
    return raw_json({"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": []})


def raw_json(data: Any, code: int = 200) -> LlmAnswer:
    """Answer with this JSON."""
    return raw(json.dumps(data).encode(), code=code)


def raw(body: bytes, content_type: str = "application/json", code: int = 200, **headers: str) -> LlmAnswer:
    """Answer with this body; `Retry_After` stands for the header Retry-After."""
    return lambda *_: http_receiver.status(code, body, Content_Type=content_type, **headers)


def status(http: int, retry_after: str | float | None = None, message: str = "something is wrong",
           **error: Any) -> LlmAnswer:  # fmt: skip
    """Answer with an error as OpenAI wraps one; `error` has more of its keys (code, type, param)."""
    return lambda *_: _error(http, message, retry_after, **error)


def redirect(url: str, code: int = 307) -> LlmAnswer:
    """Send the client elsewhere."""
    return lambda *_: http_receiver.status(code, b"", Location=url)


def delay(seconds: float, then: LlmAnswer | None = None) -> LlmAnswer:
    """Answer after so many seconds; the end of the test ends them."""

    def late(asked: Asked, server: LlmServer) -> Answer:
        def wait(handler: BaseHTTPRequestHandler) -> None:
            server.released.wait(seconds)
            (then or _by_reply_with)(asked, server)(handler)

        return wait

    return late


def hang() -> LlmAnswer:
    """Give no answer until the server is released."""
    return lambda _, server: server._receiver.hang


def hangs_up() -> LlmAnswer:
    """Close the connection without an answer."""
    return lambda *_: hang_up


def cut_body() -> LlmAnswer:
    """Promise more than comes."""

    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"choices": [')
        handler.close_connection = True

    return lambda *_: cut


def invalid_json() -> LlmAnswer:
    """Answer with what says that it is JSON."""
    return raw(b'{"choices": [')


def html() -> LlmAnswer:
    """Answer with a web page."""
    return raw(b"<!DOCTYPE html><html><body>Welcome</body></html>", "text/html; charset=utf-8")


def huge(size: int = 1_000_000) -> LlmAnswer:
    """Answer with a content of so many bytes."""
    return prose("x" * size)


def dribble(every: float = 0.05, headers: bool = False, code: int = 200) -> LlmAnswer:
    """Send a byte of the body (or of a header) now and then, until the server is released."""

    def drop_by_drop(server: LlmServer, handler: BaseHTTPRequestHandler) -> None:
        start = f"HTTP/1.1 {code} OK\r\n".encode()
        handler.wfile.write(start + (b"X-Slow: " if headers else b"Content-Length: 100000\r\n\r\n"))
        handler.close_connection = True
        while not server.released.wait(every):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    return lambda _, server: functools.partial(drop_by_drop, server)


def refuse(option: str, message: str, code: int = 400, then: LlmAnswer | None = None) -> LlmAnswer:
    """Refuse every question that has this option, and answer the others."""

    def judge(asked: Asked, server: LlmServer) -> Answer:
        return _error(code, message) if option in asked.body else (then or _by_reply_with)(asked, server)

    return judge


def reject_schema(then: LlmAnswer | None = None) -> LlmAnswer:
    """Know no response_format, like an old server."""
    return refuse("response_format", "response_format json_schema is not supported by this server", then=then)


def fitting(schema: dict[str, Any] | None) -> Any:
    """Return something that fits a JSON schema: what is certain is 0.9, what may be true is."""
    return "There is nothing." if schema is None else _fitting(schema, schema, "")


def _fitting(schema: dict[str, Any], root: dict[str, Any], name: str) -> Any:
    if "$ref" in schema:
        return _fitting(root["$defs"][schema["$ref"].rpartition("/")[2]], root, name)
    if "const" in schema or "enum" in schema:
        return schema.get("const", next(iter(schema.get("enum", ())), None))
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return _fitting(choices[0], root, name)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {key: _fitting(each, root, key) for key, each in schema.get("properties", {}).items()}
    if kind == "array":
        return [_fitting(schema["items"], root, name)] * schema.get("minItems", 0)
    lowest = schema.get("minimum", 0)
    plain = {"boolean": True, "integer": lowest, "number": 0.9 if name == "confidence" else lowest, "null": None}
    return plain.get(kind, "it can be seen")


def _by_reply_with(asked: Asked, server: LlmServer) -> Answer:
    content = server.reply_with(asked)
    return prose(content if isinstance(content, str) else json.dumps(content))(asked, server)


def _completion(asked: Asked, message: dict[str, Any], finish_reason: str) -> Answer:
    sent, answered = 100 + len(asked.text) // 4, 20
    data = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": f"{asked.model}-served",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}],
        "usage": {"prompt_tokens": sent, "completion_tokens": answered, "total_tokens": sent + answered},
    }  # fmt: skip
    return http_receiver.status(200, json.dumps(data).encode(), Content_Type="application/json")


def _error(http: int, message: str, retry_after: str | float | None = None, **error: Any) -> Answer:
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **error}}
    headers = {} if retry_after is None else {"Retry_After": str(retry_after)}
    return http_receiver.status(http, json.dumps(body).encode(), Content_Type="application/json", **headers)
