"""Commands, and how those that arrive over MQTT are read and checked: pure. What comes from there may be anything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args

from soteirad.config import Config
from soteirad.config.broker import Command as Name
from soteirad.config.overrides import Value, limits
from soteirad.config.question import AD_HOC
from soteirad.mqtt.topics import Topics

BACK = "default"
"""As a setting's payload: what the configuration file says."""
MAX_PAYLOAD = 100
LONGEST_QUESTION = 1000
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?")
"""Narrower than what Python reads: no nan, no 1_000, no digits of other scripts."""
_ON, _OFF = ("on", "true", "1", "yes"), ("off", "false", "0", "no")


class CommandError(ValueError):
    """A command that is refused; the text says why and what is allowed."""


@dataclass(frozen=True)
class Change:
    """Set a camera's setting; None means back to the configuration file's value."""

    camera: str
    setting: str
    value: Value | None
    where: str = "over MQTT"
    """How somebody set it, for the log."""


@dataclass(frozen=True)
class Picture:
    """Publish a picture of what the camera sees now."""

    camera: str


@dataclass(frozen=True)
class Question:
    """Ask a question about what a camera sees now: the configured one of this name, or (`AD_HOC`) the one in `text`."""

    camera: str
    name: str
    text: str = ""


@dataclass(frozen=True)
class Restart:
    """Start the daemon anew."""


Command = Change | Picture | Question | Restart


def read_command(topics: Topics, topic: str, payload: bytes, size: int, config: Config) -> Command | None:
    """Return what a message on a command topic asks for; None for one that asks nothing: it has no payload.

    `size` is the true length of a payload that was too long to be kept. Raises CommandError.
    """
    if size == 0:  # what taking a retained message back looks like to those who listen
        return None
    camera, name = _address(topics, topic)
    if name not in get_args(Name) or (name == "restart") != (camera is None):
        raise CommandError("there is no such command")
    if camera is not None and camera not in config.cameras:
        raise CommandError(f"there is no camera of this name: there are {', '.join(config.cameras)}")
    if name not in config.mqtt.commands:
        raise CommandError(f"this command is not allowed: add {name} to mqtt.commands if it shall be")
    if camera is None:
        return Restart()
    if name == "snapshot":
        return Picture(camera)
    if name == "ask":
        return _question(config, camera, _text(payload, size, LONGEST_QUESTION))
    return Change(camera, name, _value(config, camera, name, _text(payload, size).lower()))


def _address(topics: Topics, topic: str) -> tuple[str | None, str]:
    """Return the camera (None: the daemon) and the name of the command."""
    own = f"{topics.prefix}/"
    parts = topic[len(own) :].split("/") if topic.startswith(own) else []
    if len(parts) == 2 and parts[0] == "set":
        return None, parts[1]
    if len(parts) == 3 and parts[1] == "set":
        return parts[0], parts[2]
    raise CommandError("there is no such command")


def _text(payload: bytes, size: int, longest: int = MAX_PAYLOAD) -> str:
    if size > longest:
        raise CommandError(f"its payload has {size} bytes: at most {longest} make sense")
    try:
        return payload.decode().strip()
    except UnicodeDecodeError:
        raise CommandError("its payload is not UTF-8 text") from None


def _question(config: Config, camera: str, text: str) -> Question:
    if config.llm is None:
        raise CommandError("nobody can answer: there is no llm section in the configuration")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if not text:
        raise CommandError("its payload is no question")
    standing = text in config.asked_of(camera) and text != AD_HOC
    return Question(camera, text) if standing else Question(camera, AD_HOC, text)


def _value(config: Config, camera: str, setting: str, text: str) -> Value | None:
    if text == BACK:
        return None
    if setting in ("enabled", "detect"):
        if text in _ON or text in _OFF:
            return text in _ON
        raise CommandError("its payload is neither ON nor OFF")
    low, high = limits(config.cameras[camera], setting)
    if not _NUMBER.fullmatch(text):
        raise CommandError(f"its payload is not a number: allowed is {low:g} to {high:g}")
    number = float(text)
    if not low <= number <= high:
        raise CommandError(f"this number is out of range: allowed is {low:g} to {high:g}")
    return number + 0.0  # zero without a sign
