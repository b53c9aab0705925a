"""The section llm: defaults, limits, which servers are in the own network, and keys that are never shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from soteirad.config import Config, json_schema, load_config
from soteirad.config.address import is_private, names_public_host
from soteirad.config.llm import LlmConfig
from soteirad.config.secrets import known_secrets
from soteirad.errors import ConfigError

SERVER = {"base_url": "http://127.0.0.1:11434/v1", "model": "qwen2.5vl:7b"}
OUTSIDE = "this number is out of range: allowed is a"
INTERNET = (
    "an address of the internet, which llm.local_only refuses: take a server in your own network, or set local_only to "
    "false"
)
PUBLIC = ["8.8.8.8", "172.32.0.1", "192.169.0.1", "100.64.0.1", "2001:4860:4860::8888", "::ffff:8.8.8.8", "0.0.0.0",
         "::"]  # fmt: skip
PRIVATE = ["127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.9", "169.254.1.1", "::1",
           "fd00::1", "fe80::1", "fe80::1%eth0", "::ffff:192.168.0.9"]  # fmt: skip


def config(llm: Any) -> Config:
    return Config.model_validate({"llm": llm, "cameras": {"porch": {"source": "rtsp://u:camera-pass@h/s"}}})


def section(**keys: Any) -> LlmConfig:
    loaded = config({"providers": [SERVER], **keys}).llm
    assert loaded is not None
    return loaded


def problems(llm: Any) -> dict[tuple[int | str, ...], str]:
    with pytest.raises(ValidationError) as caught:
        config(llm)
    return {line["loc"][1:]: line["msg"] for line in caught.value.errors()}


def test_without_the_section_nobody_is_asked() -> None:
    assert config(None).llm is None


def test_a_server_needs_an_address_and_a_model_and_the_rest_has_the_documented_defaults() -> None:
    assert section().model_dump() == {
        "providers": ({**SERVER, "api_key": None, "max_tokens": 400, "price": {"input": 0, "output": 0}},),
        "local_only": False, "workers": 4, "queue": 50, "stale_after": 120, "connect_timeout": 5, "timeout": 60,
        "budget": {"per_minute": 10, "per_hour": 100, "per_day": 300, "tokens_per_day": None},
        "duplicates": {"similarity": 0.94, "window": 60},
    }  # fmt: skip


def test_each_limit_of_the_budget_can_be_switched_off() -> None:
    unlimited = dict.fromkeys(["per_minute", "per_hour", "per_day", "tokens_per_day"])
    assert section(budget=unlimited).budget.model_dump() == unlimited


@pytest.mark.parametrize(
    ("keys", "place", "text"),
    [
        ({"providers": []}, ("providers",), "this list is empty: "
         "allowed is servers, the first choice first; the others answer when it cannot"),
        ({"providers": None}, ("providers",), "nothing where a list is needed: "
         "write it in brackets, such as [first, second]"),
        ({"providers": [SERVER] * 11}, ("providers",), "this list is too long: at most 10 items fit"),
        ({"providers": [{"model": "m"}]}, ("providers", 0, "base_url"), "is missing: add it; allowed is the address up "
         'to /v1, such as "http://127.0.0.1:11434/v1" for Ollama'),
        ({"providers": [{**SERVER, "model": ""}]}, ("providers", 0, "model"),
         "this text is empty: allowed is the model's name there; it has to see pictures"),
        ({"providers": [{**SERVER, "base_url": "127.0.0.1:11434"}]}, ("providers", 0, "base_url"),
         "this is no address for a request: write http://host:port/path or https://host/path"),
        ({"providers": [{**SERVER, "max_tokens": 10}]}, ("providers", 0, "max_tokens"),
         f"{OUTSIDE} whole number from 50 to 32000"),
        ({"providers": [{**SERVER, "price": {"input": -1}}]}, ("providers", 0, "price", "input"),
         f"{OUTSIDE} number from 0 to 10000"),
        ({"workers": 0}, ("workers",), f"{OUTSIDE} whole number from 1 to 32"),
        ({"queue": 0}, ("queue",), f"{OUTSIDE} whole number from 1 to 10000"),
        ({"timeout": 0}, ("timeout",), f"{OUTSIDE} number more than 0 and at most 3600"),
        ({"budget": {"per_minute": 0}}, ("budget", "per_minute"), f"{OUTSIDE} whole number from 1 to 100000"),
        ({"budget": {"per_day": True}}, ("budget", "per_day"), "true or false where a whole number is needed: "
         "allowed is a whole number from 1 to 100000"),
        ({"budget": {"tokens_per_day": 999}}, ("budget", "tokens_per_day"),
         f"{OUTSIDE} whole number from 1000 to 1000000000000"),
        ({"duplicates": {"similarity": 2}}, ("duplicates", "similarity"), f"{OUTSIDE} number from 0 to 1"),
        ({"budgets": {}}, ("budgets",), "this key is not known, did you mean 'budget'?: allowed here are providers, "
         "local_only, workers, queue, stale_after, connect_timeout, timeout, budget, duplicates"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_with_what_is_allowed(
    keys: dict[str, Any], place: tuple[int | str, ...], text: str
) -> None:
    assert problems({"providers": [SERVER], **keys}) == {place: text}


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_of_this_machine_and_of_private_networks_are_private(address: str) -> None:
    assert is_private(address)
    host = f"[{address}]" if ":" in address else address
    assert not names_public_host(f"http://user:pass@{host}:8080/v1")


@pytest.mark.parametrize("address", PUBLIC)
def test_any_other_address_is_not(address: str) -> None:
    assert not is_private(address)
    host = f"[{address}]" if ":" in address else address
    assert names_public_host(f"https://{host}/v1")


@pytest.mark.parametrize("text", ["localhost", "api.openai.com", "", "10.0.0", "10.0.0.1/8", "10.0.0.256"])
def test_a_name_is_no_private_address_and_names_no_public_host_either(text: str) -> None:
    assert not is_private(text)
    assert not names_public_host(f"http://{text}/v1")


@pytest.mark.parametrize("url", ["", "None", "http://", "http://[::1", "8.8.8.8", "http://[v1.x]/"])
def test_what_is_no_address_names_no_public_host(url: str) -> None:
    assert not names_public_host(url)


def test_with_local_only_each_address_of_the_internet_is_refused_where_it_stands() -> None:
    urls = ["http://8.8.8.8/v1", "http://10.0.0.2:8000/v1", "https://api.openai.com/v1", "http://[2001:db8::1]/v1"]
    servers = [{**SERVER, "base_url": url} for url in urls]
    assert problems({"local_only": True, "providers": servers}) == {
        ("providers", 0, "base_url"): INTERNET, ("providers", 3, "base_url"): INTERNET,
    }  # fmt: skip
    assert len(section(providers=servers).providers) == 4


def test_keys_and_addresses_are_not_shown() -> None:
    server = {**SERVER, "base_url": "http://u:hunter22@h/v1?api-key=query99", "api_key": "sk-secret-1"}
    loaded = config({"providers": [server]})
    for text in (repr(loaded), str(loaded), repr(loaded.llm), str(loaded.model_dump(exclude={"cameras", "llm"}))):
        assert not any(secret in text for secret in ("sk-secret-1", "hunter22", "query99"))
    assert known_secrets(loaded) == {"camera-pass", "sk-secret-1", "hunter22", "query99"}
    assert known_secrets(config(None)) == {"camera-pass"}
    assert known_secrets(config({"providers": [SERVER]})) == {"camera-pass"}


@pytest.mark.parametrize("key", ["", "two words", "schlüssel-geheim", "line\nbreak-geheim", " geheim"])
def test_what_is_no_key_is_told_without_it(key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        config({"providers": [{**SERVER, "api_key": key}]})
    text = "this is no key: give the letters and digits that the server's owner gave you"
    found = {line["loc"]: line["msg"] for line in caught.value.errors()}
    assert found == {("llm", "providers", 0, "api_key"): text}
    assert "geheim" not in str(caught.value)
    assert "two words" not in str(caught.value)


def test_a_key_comes_from_the_environment_and_a_wrong_one_is_told_with_its_place_and_without_it(tmp_path: Path) -> None:
    file = tmp_path / "soteira.yaml"
    file.write_text(
        'llm:\n  providers:\n    - {base_url: "http://u:hunter22@h/v1", model: m, api_key: "{SOTEIRA_LLM_KEY}"}\n'
        "cameras: {porch: {source: rtsp://h/s}}\n"
    )
    loaded = load_config(file, {"SOTEIRA_LLM_KEY": "sk-secret-1"}).llm
    assert loaded is not None
    assert loaded.providers[0].api_key is not None
    assert loaded.providers[0].api_key.get_secret_value() == "sk-secret-1"
    with pytest.raises(ConfigError) as caught:
        load_config(file, {"SOTEIRA_LLM_KEY": "sk secret-1"})
    text = "llm.providers[0].api_key: this is no key: give the letters and digits that the server's owner gave you"
    assert caught.value.problems == [f"{file}:3:63: {text}"]
    with pytest.raises(ConfigError, match="SOTEIRA_LLM_KEY is not set") as caught:
        load_config(file, {})
    assert "hunter22" not in str(caught.value)


def test_the_schema_for_editors_knows_questions_and_servers() -> None:
    definitions = json_schema()["$defs"]
    assert {"LlmConfig", "ProviderConfig", "BudgetConfig", "QuestionConfig", "WhenConfig"} <= {*definitions}
    assert definitions["LlmConfig"]["required"] == ["providers"]
