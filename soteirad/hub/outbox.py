"""The outbox: publishes the journal in journal order, then what is ahead of it, and notes what the broker has
acknowledged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from soteirad.errors import StorageError
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
    event_id: str
    topic: str
    at: float


class Outbox:
    """Moves events from journal to broker, at least once, in order, to the topic that is right by then.

    `clock` gives seconds since the epoch and decides what is late; `monotonic` gives seconds that never jump
    and decides when an acknowledgement is overdue.

    What `mirror` returns follows its event at once, at QoS 1; it is not kept and nobody waits for its
    acknowledgement. It comes again when the event does, and never for a late one.

    `ahead` returns the events that the journal refuses, in order: they are published behind all that it has. What the
    broker has of them is remembered until the journal has them too, and then noted there, so that none is published
    twice. `acknowledged` (id -> topic) is what a former outbox could not note.
    """

    def __init__(
        self,
        journal: Journal,
        client: MqttClient,
        topics: Topics,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        mirror: Mirror | None = None,
        ahead: Callable[[], Sequence[Event]] = lambda: (),
        acknowledged: Mapping[str, str] | None = None,
    ) -> None:
        self._journal = journal
        self._client = client
        self._topics = topics
        self._clock = clock
        self._monotonic = monotonic
        self._mirror = mirror
        self._in_flight: dict[int, _Sent] = {}
        self._ahead = ahead
        self._acknowledged = dict(acknowledged or {})
        self._sent_up_to = 0

    @property
    def acknowledged(self) -> Mapping[str, str]:
        """What the broker has and the journal does not say so yet: id -> topic."""
        return self._acknowledged

    def waiting(self) -> int:
        """Return how many events the broker does not have yet. Raises StorageError."""
        return self._journal.count_pending() + self.waiting_ahead()

    def waiting_ahead(self) -> int:
        """Return how many of those the journal refuses."""
        return sum(event.id not in self._acknowledged for event in self._ahead())

    def pump(self) -> None:
        """Note what was acknowledged since the last call, then publish what there is room for.

        Call it after each `append` and each batch of notices. Raises StorageError if the journal cannot be
        written or read, after what can be done without it; the acknowledgements are then kept for the next call.
        """
        ahead, problems = self._ahead(), []
        try:
            self._note({event.id for event in ahead})
        except StorageError as error:
            problems.append(error)
        if self._client.connected:
            self._check_overdue()
            try:
                self._publish(self._unpublished())
            except StorageError as error:
                problems.append(error)
            self._publish((event, None) for event in ahead)
        if problems:
            raise problems[0]

    def _note(self, ahead: set[str]) -> None:
        """Put into the journal what the broker has; what is ahead of the journal has to wait."""
        noted = {event_id: topic for event_id, topic in self._acknowledged.items() if event_id not in ahead}
        if noted:
            self._journal.mark_published(noted)
            for event_id in noted:
                del self._acknowledged[event_id]

    def _unpublished(self) -> Iterator[tuple[Event, int]]:
        """Yield what the journal has to be published, with its place there."""
        room = MAX_IN_FLIGHT - len(self._in_flight)
        if room > 0:
            # What was published before it was journaled may be among them.
            known = len(self._in_flight) + len(self._acknowledged)
            for entry in self._journal.pending(room + known, after_seq=self._sent_up_to):
                yield entry.event, entry.seq

    def _publish(self, events: Iterable[tuple[Event, int | None]]) -> None:
        """Publish what is not published or under way, as long as there is room."""
        under_way = {sent.event_id for sent in self._in_flight.values()}
        for event, seq in events:
            if event.id not in under_way and event.id not in self._acknowledged:
                if len(self._in_flight) >= MAX_IN_FLIGHT:
                    return
                now = self._clock()
                topic = event_topic(self._topics, event, now)
                payload = json.dumps(event.payload(), separators=(",", ":"))
                token = self._client.publish(topic, payload, qos=1, retain=False)
                if token is None:
                    return
                self._in_flight[token] = _Sent(event.id, topic, self._monotonic())
                self._follow(event, now)
            if seq is not None:
                self._sent_up_to = seq

    def _follow(self, event: Event, now: float) -> None:
        """Say the same in other words, if it is on time."""
        if self._mirror is not None and not is_late(event, now):
            for topic, payload in self._mirror(event):
                self._client.publish(topic, payload, qos=1, retain=False)

    def on_notice(self, notice: MqttNotice) -> None:
        """Take one notice from `MqttClient.step` or `MqttClient.stop`; others than ours are ignored."""
        if isinstance(notice, Acknowledged):
            sent = self._in_flight.pop(notice.token, None)
            if sent is not None:
                self._acknowledged[sent.event_id] = sent.topic
        elif isinstance(notice, Disconnected):
            # What was not acknowledged is unpublished in the journal: the next pump begins there again.
            self._in_flight.clear()
            self._sent_up_to = 0

    def _check_overdue(self) -> None:
        """Break a connection that answers pings but not events: 20 lost answers would end publishing."""
        oldest = next(iter(self._in_flight.values()), None)
        if oldest is not None and self._monotonic() - oldest.at > ACK_TIMEOUT_S:
            self._client.drop(f"the broker did not acknowledge an event within {ACK_TIMEOUT_S:.0f} s")
