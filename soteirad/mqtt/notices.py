"""What the client tells its owner from `step`; `client` hands them on by these names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Connected:
    """The broker accepted us: publish `online`, all retained state and the outbox."""


@dataclass(frozen=True)
class Disconnected:
    """The connection was lost, or an attempt failed for a new `reason`; tokens handed out before are void."""

    reason: str


@dataclass(frozen=True)
class Acknowledged:
    """The broker has the message of this token (QoS 1), or it was written to the socket (QoS 0)."""

    token: int


@dataclass(frozen=True)
class Message:
    """A message came on a subscription. A payload over `LONGEST_PAYLOAD` bytes is empty here, but `size` is true."""

    topic: str
    payload: bytes
    retain: bool
    size: int


MqttNotice = Connected | Disconnected | Acknowledged | Message
