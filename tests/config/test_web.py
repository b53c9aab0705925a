"""The page's section: where it may listen, and which passwords are good enough."""

from __future__ import annotations

import pytest

from soteirad.config import Config, known_secrets
from soteirad.config.section import from_plain
from soteirad.config.web import WebConfig
from soteirad.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:8765", ("127.0.0.1", 8765)), ("localhost:80", ("127.0.0.1", 80)), ("[::1]:1", ("::1", 1)),
     ("0.0.0.0:65535", ("0.0.0.0", 65535)), ("[::]:9000", ("::", 9000))],
)  # fmt: skip
def test_an_address_to_listen_on_is_an_ip_address_and_a_port(text: str, address: tuple[str, int]) -> None:
    assert from_plain(WebConfig, {"listen": text}).address == address


@pytest.mark.parametrize(
    "text", ["8765", "127.0.0.1", ":8765", "127.0.0.1:0", "127.0.0.1:65536", "999.1.1.1:80", "::1:80", "porch:80",
             "127.0.0.1:80 ", "http://127.0.0.1:80", "[127.0.0.1]:80x"]
)  # fmt: skip
def test_what_is_no_such_address_is_told_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"listen: this is no address to listen on: write 127\.0\.0\.1:8765"):
        from_plain(WebConfig, {"listen": text})


def test_this_machine_alone_is_the_default() -> None:
    assert WebConfig().address == ("127.0.0.1", 8765)
    assert WebConfig().password is None and WebConfig().hosts == ()


def test_a_short_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="at least 8 characters") as caught:
        from_plain(WebConfig, {"password": "seven77"})
    assert "seven77" not in str(caught.value)


def test_the_password_is_a_known_secret_and_no_part_of_what_is_printed() -> None:
    config = Config.model_validate({"web": {"password": "open sesame"}, "cameras": {"a": {"source": "rtsp://h/s"}}})
    assert "open sesame" in known_secrets(config) and "open sesame" not in repr(config)


def test_names_of_the_machine_are_hosts() -> None:
    assert from_plain(WebConfig, {"hosts": ["soteira.lan"]}).hosts == ("soteira.lan",)
    with pytest.raises(ConfigError, match="this is not a host"):
        from_plain(WebConfig, {"hosts": ["http://soteira.lan/"]})
