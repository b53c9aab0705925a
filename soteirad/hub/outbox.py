"""The outbox: publishes the journal in journal order, and notes what the broker has acknowledged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from soteirad.event import Event
from soteirad.hub.journal import Journal
from soteirad.mqtt.client import Acknowledged, Disconnected, MqttClient, MqttNotice
from soteirad.mqtt.topics import Topics, event_topic, is_late

MAX_IN_FLIGHT = 20
ACK_TIMEOUT_S = 90.0

Mirror = Callable[[Event], Iterable[tuple[str, str]]]
"""Returns the further messages, (topic, payload), that say the same as an event that was just published on time."""


@dataclass(frozen=True)
class _Sent:
    seq: int
    topic: str
    at: float


class Outbox:
    """Moves events from journal to broker, at least once, in order, to the topic that is right by then.

    `clock` gives seconds since the epoch and decides what is late; `monotonic` gives seconds that never jump
    and decides when an acknowledgement is overdue.

    What `mirror` returns follows its event at once, at QoS 1; it is not kept and nobody waits for its
    acknowledgement. It comes again when the event does, and never for a late one.
    """

    def __init__(
        self,
        journal: Journal,
        client: MqttClient,
        topics: Topics,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        mirror: Mirror | None = None,
    ) -> None:
        self._journal = journal
        self._client = client
        self._topics = topics
        self._clock = clock
        self._monotonic = monotonic
        self._mirror = mirror
        self._in_flight: dict[int, _Sent] = {}
        self._acknowledged: dict[int, str] = {}
        self._sent_up_to = 0

    def pump(self) -> None:
        """Note what was acknowledged since the last call, then publish what there is room for.

        Call it after each `append` and each batch of notices. Raises StorageError if the journal cannot be
        written or read; the acknowledgements are then kept for the next call.
        """
        if self._acknowledged:
            self._journal.mark_published(self._acknowledged)
            self._acknowledged = {}
        if not self._client.connected:
            return
        self._check_overdue()
        room = MAX_IN_FLIGHT - len(self._in_flight)
        if room <= 0:
            return
        for entry in self._journal.pending(room, after_seq=self._sent_up_to):
            now = self._clock()
            topic = event_topic(self._topics, entry.event, now)
            payload = json.dumps(entry.event.payload(), separators=(",", ":"))
            token = self._client.publish(topic, payload, qos=1, retain=False)
            if token is None:
                return
            self._in_flight[token] = _Sent(entry.seq, topic, self._monotonic())
            self._sent_up_to = entry.seq
            if self._mirror is not None and not is_late(entry.event, now):
                for mirrored_topic, mirrored in self._mirror(entry.event):
                    self._client.publish(mirrored_topic, mirrored, qos=1, retain=False)

    def on_notice(self, notice: MqttNotice) -> None:
        """Take one notice from `MqttClient.step` or `MqttClient.stop`; others than ours are ignored."""
        if isinstance(notice, Acknowledged):
            sent = self._in_flight.pop(notice.token, None)
            if sent is not None:
                self._acknowledged[sent.seq] = sent.topic
        elif isinstance(notice, Disconnected):
            # What was not acknowledged is unpublished in the journal: the next pump begins there again.
            self._in_flight.clear()
            self._sent_up_to = 0

    def _check_overdue(self) -> None:
        """Break a connection that answers pings but not events: 20 lost answers would end publishing."""
        oldest = next(iter(self._in_flight.values()), None)
        if oldest is not None and self._monotonic() - oldest.at > ACK_TIMEOUT_S:
            self._client.drop(f"the broker did not acknowledge an event within {ACK_TIMEOUT_S:.0f} s")
