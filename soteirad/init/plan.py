"""What the first configuration is to say, however it was found out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from soteirad.config import CameraConfig, DetectorConfig, MqttConfig
from soteirad.config.messages import NAME_PATTERN
from soteirad.config.schema import RESERVED, camera_from
from soteirad.config.section import from_plain
from soteirad.config.values import DEFAULT_LABELS, LONGEST_NAME, slug
from soteirad.detect.card import load_card
from soteirad.errors import SoteiraError
from soteirad.init.addresses import takes_account, with_account
from soteirad.init.soap import Account


@dataclass(frozen=True)
class PlannedBroker:
    """The broker; `tls` holds the section's keys, and None means no encryption."""

    host: str
    port: int = 1883
    tls: dict[str, Any] | None = None
    account: Account | None = None
    topic_prefix: str | None = None

    def section(self, password: str | None) -> dict[str, Any]:
        """Return the configuration's section, with a password that may be a reference."""
        found: dict[str, Any] = {"host": self.host, "port": self.port}
        if self.account is not None:
            found["user"] = self.account.user
            if password is not None:
                found["password"] = password
        if self.topic_prefix is not None:
            found["topic_prefix"] = self.topic_prefix
        if self.tls is not None:
            found["tls"] = self.tls
        return found

    def config(self) -> MqttConfig:
        """Return the section as the daemon has it. Raises ConfigError."""
        return from_plain(MqttConfig, self.section(self.account.password if self.account else None))


@dataclass(frozen=True)
class PlannedCamera:
    """One camera. The addresses are without the account; `note` says what it is, for a comment (fit to be shown)."""

    name: str
    source: str
    detail: str | None = None
    account: Account | None = None
    note: str = ""
    title: str | None = None

    def config(self, *, of_detail: bool = False) -> CameraConfig:
        """Return the camera's section, to open its source or its detail. Raises ConfigError."""
        url = self.detail if of_detail and self.detail is not None else self.source
        return camera_from({"source": with_account(url, self.account) if takes_account(url) else url})


@dataclass(frozen=True)
class Plan:
    """The whole first configuration."""

    broker: PlannedBroker
    cameras: tuple[PlannedCamera, ...]
    labels: tuple[str, ...] = field(default=DEFAULT_LABELS)


def known_labels() -> tuple[str, ...]:
    """Return the words that the detector knows. Raises ModelError."""
    return load_card(DetectorConfig().model).class_names


def check_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Return labels without repetitions. Raises SoteiraError for one that the detector does not know."""
    card = load_card(DetectorConfig().model)
    wanted = tuple(dict.fromkeys(labels))
    for label in wanted:
        card.class_index(label)
    if not wanted:
        raise SoteiraError("name at least one, such as person")
    return wanted


def check_name(name: str, taken: Iterable[str]) -> str:
    """Return a camera's name if it can be one beside those that are taken. Raises SoteiraError."""
    if not re.fullmatch(NAME_PATTERN, name) or len(name) > LONGEST_NAME:
        raise SoteiraError(f"a name has only letters a-z, digits, _ and -, and at most {LONGEST_NAME} of them")
    if name in RESERVED:
        raise SoteiraError("this name is taken by Soteira itself: choose another")
    if slug(name) in map(slug, taken):
        raise SoteiraError("another camera has this name, or one too like it: choose another")
    return name
