"""One server with a vision model: asks it, adapts to what it takes, and says in an owner's words why it fails."""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from soteirad import __version__
from soteirad.config.address import split_user_info, told_host
from soteirad.config.llm import ProviderConfig
from soteirad.llm.reasons import Asker, BudgetSpent, ProviderError, quotable, refused_status
from soteirad.llm.reply import Reply, read_reply

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

    from soteirad.llm.client import Answer, Client

__all__ = ["BudgetSpent", "Provider", "ProviderError", "Reply"]

MOST_ADAPTATIONS = 3
"""How often one question is put in another way; there are no more options to do without."""
_REFUSED = (400, 422)
_NO_LIST = (404, 405, 501)
_SERVES_ONE = "llamacpp"
"""How llama.cpp's server signs its list; it answers for any name."""
_OPTIONS = {
    "response_format": r"response_format|json_schema|schema",
    "max_tokens": r"max_tokens",
    "temperature": r"temperature",
}
"""What a server may not take, and how it names that."""


class Provider:
    """Asks one server, from any number of threads at once.

    `connect_timeout` and `timeout` are seconds, for a connection and for one request altogether; with `local_only` only
    private addresses are connected to. `context` replaces the certificates that this system trusts. The first question
    loads the openai package.
    """

    def __init__(self, config: ProviderConfig, local_only: bool, connect_timeout: float, timeout: float,
                 context: ssl.SSLContext | None = None) -> None:  # fmt: skip
        self.host = told_host(config.base_url)
        """Host and port, all of the address that is ever told."""
        self._config = config
        self._local_only = local_only
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._context = context
        self._asker = _asker(config)
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._refused: frozenset[str] = frozenset()
        self._closed = False

    def ask(self, messages: Sequence[ChatCompletionMessageParam], schema: dict[str, Any] | None,
            on_call: Callable[[], bool] | None = None) -> Reply:  # fmt: skip
        """Put a question and wait for the answer, which is to fit the JSON `schema`.

        `timeout` is the time for all of it. `on_call` is called before every HTTP request;
        when it returns False that is not made and `BudgetSpent` is raised. A server that does not take an option is
        asked again without it, at most three times, and that is remembered. Raises `ProviderError`.
        """
        client = self._connected()
        deadline = time.monotonic() + self._timeout
        refused = self._refused
        for adapted in range(MOST_ADAPTATIONS + 1):
            options = self._options(messages, schema, refused)
            answer = self._call(client, options, deadline, on_call, refused)
            option = _refused_option(answer, refused, schema is not None) if adapted < MOST_ADAPTATIONS else None
            if option is None:
                break
            refused |= {option}
        if answer.status not in _REFUSED:
            self._remember(refused)
        if not 200 <= answer.status < 300:
            raise refused_status(answer.status, answer.body, answer.retry_after, self._asker)
        return read_reply(answer.body, answer.content_type, self._asker)

    def models(self) -> list[str] | None:
        """Return the names of the models that the server has; None where it serves one whatever it is called.

        Nothing is spent. Raises `ProviderError`, which is `alive` when the server answers and has no such list.
        """
        answer = self._connected().models(self._timeout)
        if answer.status in _NO_LIST:
            raise ProviderError("it has no list of its models", alive=True)
        if not 200 <= answer.status < 300:
            raise refused_status(answer.status, answer.body, answer.retry_after, self._asker)
        try:
            found = json.loads(answer.body)["data"]
            if any(model.get("owned_by") == _SERVES_ONE for model in found):
                return None
            return [quotable(str(model["id"])) for model in found]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ProviderError("it has no list of its models", alive=True) from None

    @property
    def takes_schema(self) -> bool:
        """Whether the server has not refused to be told the form of an answer."""
        return "response_format" not in self._refused

    def close(self) -> None:
        """Break off what is under way; who asks later gets a `ProviderError`."""
        with self._lock:
            self._closed = True
            client = self._client
        if client is not None:
            client.close()

    def _connected(self) -> Client:
        # Not under the lock: on a slow disk it takes longer than a daemon that is told to stop may wait.
        from soteirad.llm.client import Client

        with self._lock:
            if self._closed:
                raise ProviderError("it is not asked any more, since we stop")
            if self._client is None:
                base_url, headers = split_user_info(self._config.base_url)
                if self._config.api_key is not None:
                    headers = {"Authorization": f"Bearer {self._config.api_key.get_secret_value()}"}
                self._client = Client(
                    base_url, {"User-Agent": f"soteirad/{__version__}", **headers}, local_only=self._local_only,
                    connect_timeout=self._connect_timeout, timeout=self._timeout, context=self._context,
                )  # fmt: skip
            return self._client

    def _call(self, client: Client, options: dict[str, Any], deadline: float,
              on_call: Callable[[], bool] | None, refused: frozenset[str]) -> Answer:  # fmt: skip
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            raise ProviderError(f"no answer within {self._timeout:g} s", again=True)
        if on_call is not None and not on_call():
            raise BudgetSpent
        try:
            return client.ask(options, seconds)
        except ProviderError:
            # It refused in words what was left out since, and did not refuse the rest.
            self._remember(refused)
            raise

    def _options(self, messages: Sequence[ChatCompletionMessageParam], schema: dict[str, Any] | None,
                 refused: frozenset[str]) -> dict[str, Any]:  # fmt: skip
        longest = "max_completion_tokens" if "max_tokens" in refused else "max_tokens"
        options: dict[str, Any] = {
            "model": self._config.model, "messages": list(messages), longest: self._config.max_tokens
        }  # fmt: skip
        if "temperature" not in refused:
            options["temperature"] = 0
        if schema is not None and "response_format" not in refused:
            shape = {"name": "answer", "strict": True, "schema": schema}
            options["response_format"] = {"type": "json_schema", "json_schema": shape}
        return options

    def _remember(self, refused: frozenset[str]) -> None:
        with self._lock:
            self._refused |= refused


def _refused_option(answer: Answer, refused: frozenset[str], has_schema: bool) -> str | None:
    """Return which option a server does not take: the one that its refusal names first."""
    if answer.status not in _REFUSED:
        return None
    text = answer.body.decode("utf-8", "replace")
    left = [name for name in _OPTIONS if name not in refused and (has_schema or name != "response_format")]
    places = {name: found.start() for name in left if (found := re.search(_OPTIONS[name], text, re.IGNORECASE))}
    return min(places, key=places.__getitem__, default=None)


def _asker(config: ProviderConfig) -> Asker:
    key = config.api_key.get_secret_value() if config.api_key is not None else ""
    address, headers = split_user_info(config.base_url)
    password = urlsplit(config.base_url).password or ""
    token = headers.get("Authorization", "").rpartition(" ")[2]
    forms = ((text, quote(text, ""), json.dumps(text)[1:-1]) for text in (key, password, unquote(password), token))
    secrets = {form for several in forms for form in several if form}
    return Asker(config.model, bool(key), urlsplit(address).path.rstrip("/").endswith("/v1"), tuple(secrets))
