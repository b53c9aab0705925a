"""Whether a stream and a broker work: both are used for a moment as the daemon would."""

from __future__ import annotations

from dataclasses import dataclass

from soteirad.config import CameraConfig, MqttConfig
from soteirad.errors import BrokerError, SourceError
from soteirad.mqtt.round_trip import travel
from soteirad.mqtt.topics import Topics
from soteirad.mqtt.visit import Visit, visitor
from soteirad.sight import look_apart

WATCH_S = 3.0
"""Long enough to count pictures a second."""
TOO_LARGE = 1280 * 960
"""Pixels; a stream that is larger only costs decoding."""


@dataclass(frozen=True)
class Seen:
    """What a stream gave: the size of its pictures, how many in a second (None if that cannot be said), its codec."""

    width: int
    height: int
    rate: float | None
    codec: str

    @property
    def text(self) -> str:
        """As it is shown."""
        rate = "" if self.rate is None else f", {self.rate:.0f} pictures a second"
        return f"{self.width}x{self.height}{rate}, {self.codec}"

    @property
    def large(self) -> bool:
        """Whether it is more than the gates and the detector need."""
        return self.width * self.height > TOO_LARGE


def try_stream(camera: CameraConfig, watch: float = WATCH_S) -> Seen:
    """Open a camera's source and look at it for `watch` seconds. Raises SourceError."""
    sight = look_apart(camera, watch)
    if sight.problem:
        raise SourceError(sight.problem)
    return Seen(sight.width, sight.height, sight.fps, sight.codec)


def try_broker(config: MqttConfig) -> None:
    """Connect, publish below our prefix, and read it back. Raises BrokerError.

    It goes by another name than the daemon, so that one that runs is not put out; nothing stays at the broker.
    """
    broker, topics = visitor(config), Topics(config.topic_prefix)
    topic = f"{topics.prefix}/init"  # the daemon hears only what ends in set/...
    try:
        with Visit(broker, [topic]) as visit:
            trip = travel(visit, broker, topic)
        if trip.refused:
            raise BrokerError(f"it takes no message ({trip.refused.lower()}): is the user allowed to write to "
                              f"{topics.prefix}/# ?")  # fmt: skip
        if not trip.back:
            raise BrokerError("it takes a message, but does not give it back: is the user allowed to write and read "
                              f"{topics.prefix}/# ?")  # fmt: skip
    except BrokerError as error:
        raise BrokerError(f"the MQTT broker at {broker.host}:{broker.port}: {error}") from None
