"""Who answers questions in the configuration: the servers of vision models, and what may be spent on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field
from pydantic_core import InitErrorDetails

from soteirad.config.address import names_public_host
from soteirad.config.messages import detail
from soteirad.config.section import Section
from soteirad.config.values import ApiKey, Count, Float, Fraction, Int, Seconds, Switch, WebAddress, raw_get

MOST_CALLS = 100_000


class PriceConfig(Section):
    """What a server asks for, in any currency; only used to say what questions cost."""

    input: Float = Field(default=0, ge=0, le=10_000, description="Price of a million tokens that are sent.")
    output: Float = Field(default=0, ge=0, le=10_000, description="Price of a million tokens that are answered.")


class ProviderConfig(Section):
    """One server that speaks OpenAI's chat API, and a vision model on it."""

    base_url: WebAddress = Field(
        repr=False, description='The address up to /v1, such as "http://127.0.0.1:11434/v1" for Ollama.'
    )
    model: str = Field(min_length=1, max_length=200, description="The model's name there; it has to see pictures.")
    api_key: ApiKey | None = Field(
        default=None,
        description='The key, if the server wants one. Write "{SOTEIRA_LLM_KEY}" to keep it out of the file.',
    )
    max_tokens: Int = Field(
        default=400, ge=50, le=32_000,
        description="Longest answer in tokens; models that think aloud first need thousands.",
    )
    price: PriceConfig = Field(default=PriceConfig(), description="What a million tokens cost.")


class BudgetConfig(Section):
    """How often a server may be called, tries that fail among them; none means no limit."""

    per_minute: Annotated[Int, Field(ge=1, le=MOST_CALLS)] | None = Field(default=10, description="Calls in a minute.")
    per_hour: Annotated[Int, Field(ge=1, le=MOST_CALLS)] | None = Field(default=100, description="Calls in an hour.")
    per_day: Annotated[Int, Field(ge=1, le=MOST_CALLS)] | None = Field(default=300, description="Calls in 24 hours.")
    tokens_per_day: Annotated[Int, Field(ge=1000, le=10**12)] | None = Field(
        default=None, description="Tokens in 24 hours, sent and answered."
    )


class DuplicatesConfig(Section):
    """When a picture is too much like the last one to ask the same question again."""

    similarity: Fraction = Field(
        default=0.94, description="Likeness on a 32 x 32 picture, 0 to 1, from which nobody is asked again."
    )
    window: Float = Field(
        default=60, ge=0, le=86_400, description="Seconds for which an answer stands for such pictures; 0 means never."
    )


class LlmConfig(Section):
    """The vision language models that answer questions. Without this section nothing is ever sent anywhere."""

    providers: tuple[ProviderConfig, ...] = Field(
        min_length=1, max_length=10, description="Servers, the first choice first; the others answer when it cannot."
    )
    local_only: Switch = Field(
        default=False, description="Whether to refuse every server that is not in this network (private addresses)."
    )
    workers: Int = Field(default=4, ge=1, le=32, description="Questions that are asked at the same time (S).")
    queue: Count = Field(default=50, description="Questions that may wait; beyond that the least urgent go.")
    stale_after: Seconds = Field(default=120.0, description="Seconds after which a question is not worth asking.")
    connect_timeout: Seconds = Field(default=5.0, description="Seconds to wait for a connection.")
    timeout: Seconds = Field(default=60.0, description="Seconds that one call may take altogether.")
    budget: BudgetConfig = Field(default=BudgetConfig(), description="What may be spent.")
    duplicates: DuplicatesConfig = Field(default=DuplicatesConfig(), description="Pictures that are alike.")

    @classmethod
    def contradictions(cls, data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
        """An address of the internet would never be reached with `local_only`."""
        providers = data.get("providers")
        if data.get("local_only") is not True or not isinstance(providers, (list, tuple)):
            return
        for index, provider in enumerate(providers):
            if names_public_host(str(raw_get(provider, "base_url"))):
                yield detail(("providers", index, "base_url"), "an address of the internet, which llm.local_only "
                             "refuses: take a server in your own network, or set local_only to false")  # fmt: skip
