"""The page: where it listens, and who may open it."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from soteirad.config.messages import value_problem
from soteirad.config.section import Section
from soteirad.config.values import NONE_IS_NO_ITEM, Host, Switch

SHORTEST_PASSWORD = 8
_LISTEN = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[0-9.]+|localhost):(?P<port>[0-9]{1,5})")
_EXAMPLE = "write 127.0.0.1:8765 for this machine alone, or 0.0.0.0:8765 for the network"


def split_listen(text: str) -> tuple[str, int]:
    """Return host and port of an address to listen on. Raises ValueError."""
    match = _LISTEN.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ValueError(text)
    host = match["host"].strip("[]")
    return ("127.0.0.1" if host == "localhost" else str(ipaddress.ip_address(host))), int(match["port"])


def _check_listen(value: str) -> str:
    try:
        split_listen(value)
    except ValueError:
        raise value_problem(f"this is no address to listen on: {_EXAMPLE}") from None
    return value


def _check_password(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < SHORTEST_PASSWORD:
        raise value_problem(f"this password is too short: take at least {SHORTEST_PASSWORD} characters")
    return value


class WebConfig(Section):
    """The page in a browser, its API, and what monitoring reads."""

    enabled: Switch = Field(default=True, description="Whether there is a page at all.")
    listen: Annotated[str, AfterValidator(_check_listen)] = Field(
        default="127.0.0.1:8765", description="Address and port of the page; 127.0.0.1 is this machine alone."
    )
    hosts: Annotated[tuple[Host, ...], NONE_IS_NO_ITEM] = Field(
        default=(), description="Names by which browsers may ask for the page, beside its addresses and this machine's."
    )
    password: Annotated[SecretStr, AfterValidator(_check_password)] | None = Field(
        default=None, description="A password of your own; without one, the token that `soteirad config` prints."
    )

    @property
    def address(self) -> tuple[str, int]:
        """The host and port to listen on."""
        return split_listen(self.listen)
