"""Who hears about events in the configuration: the broker, Home Assistant, readers of Frigate's format, webhooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr
from pydantic_core import InitErrorDetails

from soteirad.config.messages import KEY, detail
from soteirad.config.section import Section
from soteirad.config.values import (
    NONE_IS_NO_ITEM,
    Discovery,
    Headers,
    Host,
    Int,
    MqttVersion,
    Name,
    Seconds,
    Switch,
    Title,
    TopicPath,
    WebAddress,
    raw_get,
)

Command = Literal["enabled", "detect", "motion_threshold", "min_score", "snapshot", "ask", "restart"]
EventName = Literal[
    "entered", "left", "present", "scene_changed", "source_lost", "source_restored", "answered", "recorded"
]
HARMLESS: tuple[Command, ...] = ("detect", "motion_threshold", "min_score", "snapshot")
"""Commands that neither stop the watch nor cost money."""


class TlsConfig(Section):
    """An encrypted connection to the broker."""

    ca: Path | None = Field(
        default=None, description="File with the certificate of who signed the broker's; none means the system's."
    )
    certificate: Path | None = Field(
        default=None, description="File with this box's own certificate, for brokers that ask."
    )
    key: Path | None = Field(default=None, description="File with the key of that certificate.")
    insecure: Switch = Field(
        default=False, description="Whether to accept any certificate: encrypted, but to whoever answers."
    )

    @classmethod
    def contradictions(cls, data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
        """A certificate and its key need each other."""
        certificate, key = data.get("certificate"), data.get("key")
        if certificate is not None and key is None:
            yield detail(("certificate",), "a certificate without its key: add mqtt.tls.key", KEY)
        if key is not None and certificate is None:
            yield detail(("key",), "a key without its certificate: add mqtt.tls.certificate", KEY)


class FrigateConfig(Section):
    """The same visits in the format of Frigate's `events` topic, for automations that were written for it."""

    enabled: Switch = Field(default=False, description="Whether to publish them.")
    topic_prefix: TopicPath = Field(
        default="frigate",
        description="First part of these topics. A real Frigate on the same broker needs another one than this.",
    )


def tls_on(data: Any) -> Any:
    """Return the data of a section in which an empty `tls:` is an empty section, and so turns it on."""
    if isinstance(data, Mapping) and "tls" in data and data["tls"] is None:
        return {**data, "tls": {}}
    return data


def lonely_password(data: Mapping[str, Any], user: str) -> Iterator[InitErrorDetails]:
    """Yield what is wrong with a broker's password that stands alone; `user` is the key that is missing."""
    if data.get("password") is not None and data.get("user") is None:
        yield detail(("password",), f"a password without a user: add {user} or leave the password out")


class MqttConfig(Section):
    """The broker that events are published to."""

    host: Host = Field(default="localhost", description="The name or address of the MQTT broker.")
    port: Int = Field(default=1883, ge=1, le=65535, description="TCP port of the MQTT broker; 8883 is usual with tls.")
    user: str | None = Field(default=None, description="The user name at the broker; none means no log-in.")
    password: SecretStr | None = Field(
        default=None,
        description='The password at the broker. Write "{SOTEIRA_MQTT_PASSWORD}" to keep it out of the file.'
    )
    topic_prefix: Name = Field(
        default="soteira",
        description="First part of every topic and this box's identity. Each box on a broker has its own.",
    )
    version: MqttVersion = Field(
        default="3.1.1", description="The version of MQTT: 3.1.1, which every broker speaks, or 5."
    )
    client_id: Title | None = Field(
        default=None,
        description="The name at the broker; none means soteirad- and the topic prefix."
    )
    keepalive: Int = Field(
        default=30, ge=5, le=3600,
        description="Seconds between signs of life; a broker that died is noticed within twice that."
    )
    tls: TlsConfig | None = Field(default=None, description="Encryption; an empty section {} is enough to turn it on.")
    commands: Annotated[tuple[Command, ...], NONE_IS_NO_ITEM] = Field(
        default=HARMLESS,
        description="What may be changed over MQTT. enabled and restart stop the watch, ask costs calls: they must be "
        "named.",
    )
    frigate_events: FrigateConfig = Field(
        default=FrigateConfig(), description="The same visits in Frigate's format as well."
    )

    @classmethod
    def prepare(cls, data: Any) -> Any:
        """An empty `tls:` turns it on."""
        return super().prepare(tls_on(data))

    @classmethod
    def contradictions(cls, data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
        """A password needs a user (MQTT 3.1.1 knows no password alone), and two formats need two prefixes."""
        yield from lonely_password(data, "mqtt.user")
        ours = data.get("topic_prefix", cls.model_fields["topic_prefix"].default)
        if raw_get(data.get("frigate_events"), "topic_prefix") == ours:
            yield detail(("frigate_events", "topic_prefix"), "the same as mqtt.topic_prefix: choose another")


class HomeAssistantConfig(Section):
    """What Home Assistant is told about this box, so that cameras appear there by themselves."""

    discovery: Discovery = Field(
        default="device",
        description="true (or device): a device for each camera. single: a message for each entity, for Home Assistant "
        "before 2024.11. false (or off): nothing.",
    )
    discovery_prefix: TopicPath = Field(
        default="homeassistant", description="The first part of discovery topics, as set in Home Assistant."
    )


class WebhookWhen(Section):
    """Which events a webhook is for; what is left out does not matter."""

    events: tuple[EventName, ...] = Field(default=("entered",), min_length=1, description="Kinds of events.")
    cameras: tuple[str, ...] | None = Field(default=None, min_length=1, description="Cameras, by their name here.")
    labels: tuple[str, ...] | None = Field(default=None, min_length=1, description="Labels, such as person.")
    zones: tuple[str, ...] | None = Field(default=None, min_length=1, description="Zones; one of them is enough.")


class WebhookConfig(Section):
    """An HTTP request for each event, for recorders that are started that way."""

    url: WebAddress = Field(
        repr=False,
        description="The address (http:// or https://). {camera}, {label} and other fields of the event are put in.",
    )
    method: Literal["GET", "POST", "PUT"] = Field(default="POST", description="The kind of request.")
    when: WebhookWhen = Field(default=WebhookWhen(), description="Which events it is for.")
    body: str | None = Field(
        default=None, repr=False,
        description="The text to send, with {label} and other fields; none sends the whole event as JSON.",
    )
    headers: Headers = Field(
        default_factory=dict, repr=False, description="Further headers, such as Authorization."
    )
    timeout: Seconds = Field(default=10.0, description="Seconds to wait for an answer.")
    insecure: Switch = Field(default=False, description="Whether to accept any certificate of an https:// address.")
