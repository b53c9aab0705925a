"""Whether a stream and a broker work: both are used for a moment as the daemon would."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from soteirad.assembly import source_settings
from soteirad.capture.clock import SystemClock
from soteirad.capture.decoder import Decoder, StreamCounters
from soteirad.capture.source import ffmpeg_address
from soteirad.config import CameraConfig, MqttConfig
from soteirad.config.address import is_live
from soteirad.config.secrets import redact_url
from soteirad.errors import BrokerError, SourceEnded, SourceError
from soteirad.init.patience import TookTooLongError, within
from soteirad.mqtt.broker import broker_of
from soteirad.mqtt.client import Acknowledged, Disconnected, Message, MqttClient
from soteirad.mqtt.topics import Topics

WATCH_S = 3.0
"""Long enough to count pictures a second."""
MOST_FRAMES = 100
STREAM_PATIENCE_S = 30.0
BROKER_PATIENCE_S = 15.0
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
    try:
        return within(STREAM_PATIENCE_S, lambda: _look(camera, watch))
    except TookTooLongError:
        name = redact_url(camera.source)
        raise SourceError(f"{name}: no picture comes in {STREAM_PATIENCE_S:.0f} s: is it the right stream?") from None


def _look(camera: CameraConfig, watch: float) -> Seen:
    settings = source_settings(camera)
    decoder = Decoder(redact_url(camera.source), StreamCounters(), SystemClock(), stream=settings.stream,
                      patience=settings.connect_timeout + settings.read_timeout,
                      silence=settings.read_timeout)  # fmt: skip
    timeouts = (settings.connect_timeout, settings.read_timeout)
    try:
        if is_live(camera.source):
            url, options, format_ = ffmpeg_address(camera.source, settings)
            decoder.open(url, options, timeouts, format_)
        else:
            decoder.open(camera.source, {}, None)
        first = decoder.next()
        times, end = [first.stamp], time.monotonic() + watch
        try:
            while time.monotonic() < end and len(times) < MOST_FRAMES:
                times.append(decoder.next().stamp)
        except SourceEnded:
            pass  # a short file
        # What only counts frames tells no time.
        rate = None if decoder.counts_frames else _rate([stamp for stamp in times if stamp is not None])
        return Seen(first.video.width, first.video.height, rate, decoder.stream.codec_context.name)
    finally:
        decoder.close()


def _rate(stamps: list[float]) -> float | None:
    length = stamps[-1] - stamps[0] if stamps else 0.0
    return (len(stamps) - 1) / length if length > 0.2 else None


def try_broker(config: MqttConfig) -> None:
    """Connect, publish below our prefix, and read it back. Raises BrokerError.

    It goes by another name than the daemon, so that one that runs is not put out; nothing stays at the broker.
    """
    _Visit(config).make()


class _Visit:
    def __init__(self, config: MqttConfig) -> None:
        broker = broker_of(config)
        self._broker = replace(broker, client_id=f"{broker.client_id}-init")
        topics = Topics(config.topic_prefix)
        self._topic = f"{topics.prefix}/init"
        self._text = secrets.token_hex(8).encode()
        self._woken = threading.Event()
        self._client = MqttClient(self._broker, topics=topics, on_wake=self._woken.set, visitor=True,
                                  subscriptions=[self._topic])  # fmt: skip
        self._acknowledged: set[int] = set()
        self._back = False

    def make(self) -> None:
        """Go there and come back. Raises BrokerError."""
        self._client.start()
        try:
            self._until(lambda: self._client.connected, "it does not answer")
            token = self._client.publish(self._topic, self._text, qos=1)
            self._until(lambda: token in self._acknowledged, "it takes no message: is the user allowed to write to "
                        f"{self._topic.partition('/')[0]}/# ?")  # fmt: skip
            self._until(lambda: self._back, "it takes a message, but does not give it back: is the user allowed to "
                        f"write and read {self._topic.partition('/')[0]}/# ?")  # fmt: skip
        finally:
            self._client.stop(1.0)

    def _until(self, done: Callable[[], bool], problem: str) -> None:
        deadline = time.monotonic() + BROKER_PATIENCE_S
        while not done():
            if time.monotonic() > deadline:
                raise self._error(problem)
            self._woken.wait(0.1)
            self._woken.clear()
            for notice in self._client.step(time.monotonic()):
                if isinstance(notice, Disconnected):
                    raise self._error(notice.reason)
                if isinstance(notice, Acknowledged):
                    self._acknowledged.add(notice.token)
                elif isinstance(notice, Message):
                    self._back |= notice.payload == self._text

    def _error(self, reason: str) -> BrokerError:
        return BrokerError(f"the MQTT broker at {self._broker.host}:{self._broker.port}: {reason}")
