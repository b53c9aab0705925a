"""The answers of `soteirad init` in a file, for machines that nobody sits at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr
from pydantic_core import InitErrorDetails

from soteirad.config.address import is_live
from soteirad.config.broker import TlsConfig, lonely_password, tls_on
from soteirad.config.loader import load_section
from soteirad.config.messages import KEY, detail
from soteirad.config.section import Section
from soteirad.config.values import (
    DEFAULT_LABELS,
    NONE_IS_EMPTY,
    Detail,
    Host,
    Int,
    Labels,
    Name,
    Source,
    Switch,
    Title,
    slug,
)
from soteirad.errors import ConfigError, SoteiraError
from soteirad.init.addresses import split_account
from soteirad.init.camera_talk import host_and_port
from soteirad.init.discovery import find_cameras
from soteirad.init.onvif import describe, service_at
from soteirad.init.plan import Plan, PlannedBroker, PlannedCamera, check_labels, check_name
from soteirad.init.soap import Account
from soteirad.init.trial import try_broker, try_stream

Say = Callable[[str], None]


class BrokerAnswers(Section):
    """The broker."""

    host: Host = Field(description="The name or address of the MQTT broker.")
    port: Int | None = Field(default=None, ge=1, le=65535, description="Its port; none means 1883, or 8883 with tls.")
    user: str | None = Field(default=None, description="The user name at the broker; none means no log-in.")
    password: SecretStr | None = Field(default=None, description="The password at the broker.")
    topic_prefix: Name | None = Field(default=None, description="First part of every topic; each box has its own.")
    tls: TlsConfig | None = Field(default=None, description="Encryption; an empty section {} is enough to turn it on.")

    @classmethod
    def prepare(cls, data: Any) -> Any:
        """An empty `tls:` turns it on."""
        return super().prepare(tls_on(data))

    @classmethod
    def contradictions(cls, data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
        """MQTT knows no password alone."""
        yield from lonely_password(data, "user")


class CameraAnswers(Section):
    """One camera, by its own address or by that of its video."""

    address: str | None = Field(
        default=None, min_length=1, description="The camera's host, or host:port: it is asked for its streams (ONVIF)."
    )
    source: Source | None = Field(default=None, repr=False, description="The address of its small stream, or a device.")
    detail: Detail | None = Field(default=None, repr=False, description="The address of its large stream.")
    name: Title | None = Field(default=None, description="What people call this camera.")
    user: str | None = Field(default=None, description="The user name at this camera.")
    password: SecretStr | None = Field(default=None, description="The password at this camera.")

    @classmethod
    def contradictions(cls, data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
        """A camera is named by one address."""
        if data.get("address") is None and data.get("source") is None:
            yield detail((), "this camera has no address: add address (ONVIF) or source (rtsp://...)", KEY)
        if data.get("address") is not None:
            for key in ("source", "detail"):
                if data.get(key) is not None:
                    yield detail((key,), f"both address and {key}: the camera at address is asked for its streams; "
                                 "keep one of them", KEY)  # fmt: skip


class Answers(Section):
    """All answers."""

    broker: BrokerAnswers = Field(description="The MQTT broker, such as broker: {host: 10.0.0.2}.")
    discover: Switch = Field(default=False, description="Whether to take all cameras that are found in the network.")
    user: str | None = Field(default=None, description="The user name at cameras that have none of their own here.")
    password: SecretStr | None = Field(default=None, description="The password that goes with it.")
    cameras: Annotated[dict[Name, CameraAnswers], NONE_IS_EMPTY] = Field(
        default_factory=dict, description="A section with a key for each camera."
    )
    labels: Labels = Field(default=DEFAULT_LABELS, description="What to report, such as [person, car].")
    test: Switch = Field(default=True, description="Whether to try streams and broker, and write nothing if one fails.")

    @classmethod
    def contradictions(cls, data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
        """Without a camera there is nothing to write."""
        if not data.get("cameras") and data.get("discover") is not True:
            yield detail(("cameras",), "there is no camera: name one, or write discover: true", KEY)


def plan_from(path: Path, say: Say, environ: Mapping[str, str] = os.environ) -> Plan:
    """Return the plan that a file with answers asks for, tried unless it says otherwise.

    Raises ConfigError with all that is wrong.
    """
    answers = load_section(Answers, path, environ)
    problems: list[str] = []
    with _collected(problems, f"{path}: labels"):
        check_labels(answers.labels)
    plan = Plan(_broker(answers.broker), tuple(_cameras(path, answers, say, problems)), answers.labels)
    if answers.test:
        problems += _tried(path, plan, say)
    if problems:
        raise ConfigError([*problems, "nothing was written"])
    return plan


@contextmanager
def _collected(problems: list[str], where: str) -> Iterator[None]:
    """Add what is written for the owner to the problems instead of ending with it."""
    try:
        yield
    except SoteiraError as error:
        problems += [f"{where}: {line}" for line in str(error).splitlines()]


def _broker(answers: BrokerAnswers) -> PlannedBroker:
    tls = None if answers.tls is None else answers.tls.model_dump(mode="json", exclude_unset=True)
    port = answers.port or (1883 if tls is None else 8883)
    return PlannedBroker(answers.host, port, tls, _account(answers.user, answers.password), answers.topic_prefix)


def _account(user: str | None, password: SecretStr | None) -> Account | None:
    return None if user is None else Account(user, password.get_secret_value() if password else "")


def _cameras(path: Path, answers: Answers, say: Say, problems: list[str]) -> Iterator[PlannedCamera]:
    shared = _account(answers.user, answers.password)
    taken: list[str] = []
    for name, camera in answers.cameras.items():
        with _collected(problems, f"{path}: cameras.{name}"):
            check_name(name, taken)
            taken.append(name)
            own = _account(camera.user, camera.password) or shared
            if camera.source is not None:
                yield _named(name, camera, own)
            else:
                host, port = host_and_port(camera.address or "")
                found = list(_onvif(name, service_at(host, port).url, own))
                yield from (replace(one, title=camera.name) for one in found) if len(found) == 1 else found
    if answers.discover:
        yield from _discovered(path, answers, shared, say, problems)


def _named(name: str, camera: CameraAnswers, account: Account | None) -> PlannedCamera:
    source, own = split_account(camera.source or "")
    large = None if camera.detail is None else split_account(camera.detail)[0]
    live = is_live(source)
    return PlannedCamera(name, source, large, own or (account if live else None), "", camera.name)


def _onvif(name: str, service: str, account: Account | None) -> Iterator[PlannedCamera]:
    """Yield what a camera's lenses see; nobody is there to allow another host, so none gets the password."""
    description = describe(service, account, lambda _host: False)
    for number, view in enumerate(description.views, 1):
        key = name if len(description.views) == 1 else f"{name}_{number}"
        yield PlannedCamera(key, view.source, view.detail, account, description.title)


def _discovered(path: Path, answers: Answers, account: Account | None, say: Say,
                problems: list[str]) -> Iterator[PlannedCamera]:  # fmt: skip
    known = {host_and_port(camera.address)[0] for camera in answers.cameras.values() if camera.address}
    known |= {urlsplit(camera.source).hostname or "" for camera in answers.cameras.values() if camera.source}
    found = find_cameras()
    if not found and not answers.cameras:
        problems.append(f"{path}: discover: no camera answered: is ONVIF switched on in them, and are they in the same "
                        "network as this machine?")  # fmt: skip
    for one in found:
        if one.elsewhere:
            say(f"{one.sender}: left out: it says that it is at {one.elsewhere}, and nobody is here to say that this "
                "is right; name it under cameras")  # fmt: skip
        elif one.sender not in known:
            known.add(one.sender)
            say(f"{one.sender}: found{f', {one.title}' if one.title else ''}")
            with _collected(problems, f"{path}: discover"):
                yield from _onvif(f"camera_{slug(one.sender)}", one.service, account)


def _tried(path: Path, plan: Plan, say: Say) -> list[str]:
    """Return what does not work of a plan."""
    problems: list[str] = []
    for camera in plan.cameras:
        with _collected(problems, f"{path}: cameras.{camera.name}"):
            say(f"{camera.name}: {try_stream(camera.config()).text}")
            if camera.detail is not None:
                say(f"{camera.name}: large stream: {try_stream(camera.config(of_detail=True), 0.5).text}")
    with _collected(problems, f"{path}: broker"):
        try_broker(plan.broker.config())
        say("broker: a message went there and came back")
    return problems
