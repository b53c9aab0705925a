"""What tests of a provider share: a question with a picture, and somebody to put it to."""

from __future__ import annotations

import base64
import ssl
from typing import Any

import cv2
import numpy as np
import pytest

from soteirad.config.llm import ProviderConfig
from soteirad.llm.provider import Provider, ProviderError, Reply
from tests.certificates import Pair
from tests.llm_server import LlmAnswer, LlmServer

KEY = "sk-" + "s3cret" * 4
SCHEMA = {
    "type": "object", "additionalProperties": False, "required": ["answer", "confidence", "because"],
    "properties": {"answer": {"enum": ["yes", "no", "unsure"]}, "confidence": {"type": "number"},
                   "because": {"type": "string"}},
}  # fmt: skip


def jpeg(width: int = 64, height: int = 48) -> str:
    picture = np.full((height, width, 3), (0, 0, 200), np.uint8)
    return "data:image/jpeg;base64," + base64.b64encode(cv2.imencode(".jpg", picture)[1].tobytes()).decode()


def messages(url: str | None = None) -> list[Any]:
    parts = [{"type": "text", "text": "Is there a parcel?"},
             {"type": "image_url", "image_url": {"url": url or jpeg(), "detail": "auto"}}]  # fmt: skip
    return [{"role": "system", "content": "Answer in JSON."}, {"role": "user", "content": parts}]


def provider(url: str, timeout: float = 30.0, local_only: bool = False, connect_timeout: float = 5.0,
             context: Any = None, **config: Any) -> Provider:  # fmt: skip
    found = ProviderConfig.model_validate({"base_url": url, "model": "qwen", "api_key": KEY, **config})
    return Provider(found, local_only, connect_timeout, timeout, context)


def ask(url: str, schema: dict[str, Any] | None = SCHEMA, **options: Any) -> Reply:
    return provider(url, **options).ask(messages(), schema)


def failure(one: LlmAnswer, schema: dict[str, Any] | None = SCHEMA, **options: Any) -> ProviderError:
    with LlmServer(always=one) as server, pytest.raises(ProviderError) as caught:
        ask(server.url, schema, **options)
    return caught.value


def server_context(pair: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context
