"""The openai package, held so that nothing but the configuration decides what it sends, and where.

Importing it costs 40 MB and a second or two: only `provider.py` does, when a question is asked for the first time.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import openai

from soteirad.llm.reasons import ProviderError
from soteirad.llm.transport import Transport, TransportFailure


@dataclass(frozen=True)
class Answer:
    """What came over HTTP, of any status."""

    status: int
    content_type: str
    retry_after: str | None
    body: bytes


class _Bare(openai.OpenAI):
    """The package's client without the headers that it takes from the environment; `Transport` sends our own."""

    @property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        return {"Authorization": "here only because it is looked for"}


class Client:
    """Makes single requests. `headers` are sent with each; see `Transport` for the rest. Raises `ProviderError`."""

    def __init__(self, base_url: str, headers: Mapping[str, str], *, local_only: bool, connect_timeout: float,
                 timeout: float, context: ssl.SSLContext | None) -> None:  # fmt: skip
        # They tell addresses, which may hold secrets, and OPENAI_LOG makes them talk.
        for name in ("openai", "httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._transport = Transport(headers, local_only=local_only, connect_timeout=connect_timeout, timeout=timeout,
                                    context=context)  # fmt: skip
        try:
            self._openai = _Bare(
                # What is left out would be looked for in the environment.
                base_url=base_url, api_key="none", admin_api_key="", organization="", project="", webhook_secret="",
                max_retries=0,
                http_client=httpx2.Client(transport=self._transport, trust_env=False, follow_redirects=False),
            )  # fmt: skip
        except (httpx2.InvalidURL, openai.OpenAIError):
            raise ProviderError("this address cannot be used: check base_url") from None

    def ask(self, options: Mapping[str, Any], seconds: float) -> Answer:
        """Make one request for a chat completion that may last `seconds`, and return whatever comes."""
        completions = self._openai.chat.completions.with_raw_response
        return self._made(lambda: completions.create(**options, timeout=seconds).http_response)

    def models(self, seconds: float) -> Answer:
        """Ask which models there are, which costs nothing, and return whatever comes."""
        return self._made(lambda: self._openai.models.with_raw_response.list(timeout=seconds).http_response)

    @staticmethod
    def _made(request: Callable[[], httpx2.Response]) -> Answer:
        try:
            response = request()
        except openai.APIStatusError as error:
            response = error.response
        except (openai.APIConnectionError, httpx2.InvalidURL) as error:
            failure = error.__cause__
            if isinstance(failure, TransportFailure):
                raise ProviderError(failure.reason, failure.again) from None
            raise ProviderError("this address cannot be used: check base_url") from None
        headers = response.headers
        return Answer(response.status_code, headers.get("content-type", ""), headers.get("retry-after"),
                      response.content)  # fmt: skip

    def close(self) -> None:
        """Break off what is under way and refuse what comes later."""
        self._transport.close()
