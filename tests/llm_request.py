"""What OpenAI's chat API takes, by the openai package's own types: a request to it, judged and taken apart."""

from __future__ import annotations

import base64
import functools
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from pydantic import TypeAdapter
from pydantic_core import SchemaValidator, ValidationError

from tests import http_receiver

PATH = "/v1/chat/completions"
LONGEST_SIDE = 768
JPEG = "data:image/jpeg;base64,"


@dataclass(frozen=True)
class Asked:
    """One good question as it arrived; `received_at` is of `time.monotonic`."""

    messages: list[dict[str, Any]]
    model: str
    schema: dict[str, Any] | None
    pictures: list[np.ndarray]
    text: str
    received_at: float
    body: dict[str, Any] = field(repr=False, default_factory=dict)
    headers: dict[str, str] = field(repr=False, default_factory=dict)


class ViolationError(Exception):
    """What is wrong with a request, and the status that it gets."""

    def __init__(self, text: str, status: int = 400) -> None:
        self.status = status
        super().__init__(text)


def read(http: http_receiver.Asked, key: str | None) -> Asked:
    """Return the question in a request; raises `ViolationError` for what the real API would refuse."""
    received_at = time.monotonic()
    headers = {name.lower(): value for name, value in http.headers.items()}
    if (http.method, http.path) != ("POST", PATH):
        raise ViolationError(f"{http.method} {http.path} instead of POST {PATH}", 404)
    if headers.get("content-type", "").partition(";")[0] != "application/json":
        raise ViolationError(f"Content-Type {headers.get('content-type')!r}")
    if key is not None and headers.get("authorization") != f"Bearer {key}":
        raise ViolationError("no Authorization, or another one", 401)
    try:
        _validator().validate_json(http.body, strict=True)
    except ValidationError as error:
        places = ("; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5]))
        raise ViolationError(f"not of the API's types: {places}") from None
    body = json.loads(http.body)
    if {"max_tokens", "max_completion_tokens"} <= body.keys():
        raise ViolationError("max_tokens and max_completion_tokens exclude each other")
    parts = [part for message in body["messages"] for part in _parts(message)]
    if not parts:
        raise ViolationError("no messages")
    pictures = [_picture(part["image_url"]["url"]) for part in parts if part["type"] == "image_url"]
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    return Asked(body["messages"], body["model"], _schema(body), pictures, text, received_at, body, headers)


@functools.lru_cache(maxsize=1)
def _validator() -> SchemaValidator:
    """Return the openai package's own types of a request, with unknown keys forbidden and lists read at once."""
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

    return SchemaValidator(_strict(TypeAdapter(CompletionCreateParamsNonStreaming).core_schema))


def _strict(schema: Any) -> Any:
    if isinstance(schema, (list, tuple)):
        return type(schema)(_strict(each) for each in schema)
    if not isinstance(schema, dict):
        return schema
    found = {key: _strict(each) for key, each in schema.items()}
    if found.get("type") == "typed-dict":
        found["extra_behavior"] = "forbid"
    if found.get("type") == "generator":
        found["type"] = "list"
    return found


def _parts(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    else:
        yield from content or ()


def _picture(url: str) -> np.ndarray:
    if not url.startswith(JPEG):
        raise ViolationError(f"a picture that is no {JPEG}: {url[:40]!r}")
    try:
        data = base64.b64decode(url[len(JPEG) :], validate=True)
    except ValueError:
        raise ViolationError("a picture that is no base64") from None
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data[:2] == b"\xff\xd8" else None
    if picture is None:
        raise ViolationError("a picture that is no JPEG")
    if max(picture.shape[:2]) > LONGEST_SIDE:
        size = f"{picture.shape[1]} x {picture.shape[0]}"
        raise ViolationError(f"a picture of {size}: its long side is over {LONGEST_SIDE}")
    return picture


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    wanted = body.get("response_format", {}).get("json_schema")
    if wanted is None:
        return None
    schema: dict[str, Any] = wanted["schema"]
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", wanted["name"]):
        raise ViolationError(f"a schema called {wanted['name']!r}")
    if wanted.get("strict"):
        if schema.get("type") != "object":
            raise ViolationError("a strict schema has to be an object")
        for each in _objects(schema):
            if each.get("additionalProperties") is not False or {*each.get("required", ())} != {*each["properties"]}:
                raise ViolationError("a strict schema has additionalProperties: false and requires all its properties")
    return schema


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects with properties in a JSON schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield schema
        for each in schema.values():
            yield from _objects(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _objects(each)
