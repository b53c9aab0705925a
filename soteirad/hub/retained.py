"""Retained messages: what a subscriber finds when it comes.

Published on change and again on each connection, in an order and at a pace that suit those who read them: what is,
then what Home Assistant is told, then what is no more, then pictures. Which topics hold something is remembered on
disk, so that what is no longer wanted is taken back, even if an earlier run published it under another configuration.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from soteirad.mqtt.client import Acknowledged, Disconnected, MqttClient, MqttNotice
from soteirad.mqtt.homeassistant import Announcement

logger = logging.getLogger(__name__)

PACE_S = 0.1
"""Between two announcements, or two pictures: a burst of large messages makes small brokers stumble."""
BACKLOG_BYTES = 1_000_000
"""While so much waits for a slow broker, pictures wait for their turn, and newer ones take their place."""
PICTURE_EXPIRY_S = 7 * 86400
"""With MQTT 5 the broker forgets a picture after this long; who is there after a week is no news."""
SETTLE_S = 1.0
"""Home Assistant's time to take entities out before others come in their place."""


class Ledger(Protocol):
    """Remembers topics over restarts; the journal does."""

    def retained(self) -> Mapping[str, Mapping[str, str]]:
        """Return topic -> note."""

    def note_retained(self, notes: Mapping[str, Mapping[str, str]]) -> None:
        """Remember topics."""

    def forget_retained(self, topics: Sequence[str]) -> None:
        """Forget topics."""


class Rank(IntEnum):
    """The order of publication on a new connection."""

    STATE = 0
    WITHDRAWN = 1
    """An announcement that is taken back."""
    ANNOUNCEMENT = 2
    GONE = 3
    """What is no more: after all announcements, or Home Assistant reads nothing where a state was."""
    PICTURE = 4


_OUT = (Rank.ANNOUNCEMENT, Rank.GONE)
"""Announcements take entities out, too."""


@dataclass
class _Item:
    """What is to lie on one topic. Before an announcement `first` is published, which removes what a device had."""

    payload: str | bytes
    rank: Rank
    first: str | None = None
    entities: Mapping[str, str] = field(default_factory=dict)


class Retained:
    """All retained messages of one box, for the hub's thread.

    `guarded` runs what touches the disk and says whether it worked: a ledger that fails must not keep anything from
    being published.
    """

    def __init__(self, client: MqttClient, ledger: Ledger, guarded: Callable[[Callable[[], object]], bool]) -> None:
        self._client = client
        self._ledger = ledger
        self._guarded = guarded
        self._items: dict[str, _Item] = {}
        self._noted: dict[str, Mapping[str, str]] = {}
        self._queue: dict[str, None] = {}  # in the order of their coming
        self._due_at = 0.0
        self._last = Rank.STATE
        self._sent: dict[int, tuple[str, _Item]] = {}
        self._told_large: set[str] = set()
        self._unwritten: dict[str, Mapping[str, str]] = {}

    def load(self) -> None:
        """Learn from the ledger what an earlier run left at the broker. Raises StorageError."""
        self._noted = dict(self._ledger.retained())

    def write_again(self) -> None:
        """Put all that is known on disk: the ledger has lost it."""
        self._unwritten.update(self._noted)

    def picture(self, topic: str, jpeg: bytes) -> None:
        """Publish a picture as soon as the broker is ready for it; one that still waits gives way to a newer one."""
        self.set(topic, jpeg, Rank.PICTURE)

    def set(self, topic: str, payload: str | bytes, rank: Rank = Rank.STATE, again: bool = False) -> None:
        """Let a payload lie on a topic; it is published if it is another one, or if `again`."""
        known = self._items.get(topic)
        if known is not None and known.payload == payload and not again:
            return
        self._items[topic] = _Item(payload, rank)
        if topic not in self._noted:
            self._note({topic: {}})
        if rank is Rank.STATE:
            self._publish(topic)
        else:
            self._queue[topic] = None

    def announce(self, announcements: Sequence[Announcement]) -> None:
        """Tell Home Assistant what there is; what this run announced before and does not now is taken back."""
        wanted = {a.topic: a for a in announcements}
        for topic in [t for t, item in self._items.items() if item.rank is Rank.ANNOUNCEMENT and t not in wanted]:
            self._take_back(topic)
        notes: dict[str, Mapping[str, str]] = {}
        for topic, announcement in wanted.items():
            text, known = announcement.text(), self._items.get(topic)
            if known is not None and known.payload == text:
                continue
            former, entities = self._noted.get(topic, {}), announcement.entities
            first = announcement.without(former) if announcement.lost(former) else None
            self._items[topic] = _Item(text, Rank.ANNOUNCEMENT, first=first, entities=entities)
            notes[topic] = {**former, **entities}  # what is gone stays noted until the broker has its removal
            self._queue[topic] = None
        self._note(notes)  # at once: each note of its own would wait for the disk

    def keep(self, topics: Collection[str]) -> None:
        """Take back whatever lies at the broker beside these topics and what was set (pictures apart)."""
        pictures = {topic for topic, item in self._items.items() if item.rank is Rank.PICTURE}
        for topic in self._noted.keys() - set(topics) - (self._items.keys() - pictures):
            self._take_back(topic)

    def take_back(self, topics: Collection[str]) -> None:
        """Take back what lies on these topics."""
        for topic in topics:
            if topic in self._noted:
                self._take_back(topic)

    def take_back_all(self) -> None:
        """Take everything back from a broker that will not be used any more, but remember that it was there."""
        for topic in self._noted:
            self._client.publish(topic, b"", qos=1, retain=True)

    def publish_all(self, now: float, delay: float = 0.0) -> None:
        """Publish everything again, `delay` seconds from now (monotonic): somebody may have forgotten it."""
        # What waits already does not wait longer, or somebody who is started again and again would end all of it.
        self._due_at = min(self._due_at, now + delay) if self._queue else now + delay
        self._queue.update(dict.fromkeys(self._items))

    def move(self, client: MqttClient) -> None:
        """Publish through another client from now on; what is to be retained has to be set anew."""
        self._client = client
        self._items, self._queue, self._sent = {}, {}, {}

    def on_notice(self, notice: MqttNotice) -> None:
        """Learn what the broker has."""
        if isinstance(notice, Disconnected):
            self._sent.clear()
        elif isinstance(notice, Acknowledged) and notice.token in self._sent:
            topic, item = self._sent.pop(notice.token)
            if item is self._items.get(topic):  # nothing else was to lie there meanwhile
                self._arrived(topic, item)

    def step(self, now: float) -> None:
        """Publish what is due; `now` is monotonic seconds."""
        self._write()
        while self._queue and now >= self._due_at and self._client.connected:
            topic = min(self._queue, key=lambda t: self._items[t].rank)
            rank = self._items[topic].rank
            if rank is Rank.PICTURE and self._client.backlog > BACKLOG_BYTES:
                self._due_at = now + PACE_S
            elif rank > self._last and (self._last is Rank.WITHDRAWN or (self._last, rank) == _OUT):
                self._due_at, self._last = now + SETTLE_S, rank
            else:
                del self._queue[topic]
                self._publish(topic)
                self._last = rank
                if rank in (Rank.ANNOUNCEMENT, Rank.PICTURE):
                    self._due_at = now + PACE_S

    def due(self) -> float | None:
        """Return when `step` has something to do (monotonic seconds), or None."""
        return self._due_at if self._queue and self._client.connected else None

    def _publish(self, topic: str) -> None:
        item = self._items[topic]
        if item.rank is Rank.PICTURE:
            if self._client.fits(len(item.payload)):
                self._client.publish(topic, item.payload, qos=0, retain=True, expiry=PICTURE_EXPIRY_S)
            return
        if not self._fits(topic, item):  # it would break this connection and all that follow
            return
        if item.first is not None:
            self._client.publish(topic, item.first, qos=1, retain=True)
        token = self._client.publish(topic, item.payload, qos=1, retain=True)
        if token is not None and item.rank is not Rank.STATE:
            self._sent[token] = topic, item

    def _fits(self, topic: str, item: _Item) -> bool:
        """Say whether the broker takes a message; one that it does not take is told once."""
        size = max(len(text.encode() if isinstance(text, str) else text) for text in (item.payload, item.first or b""))
        if self._client.fits(size):
            return True
        if topic not in self._told_large:
            self._told_large.add(topic)
            way_out = " or set homeassistant.discovery to single" if item.rank is Rank.ANNOUNCEMENT else ""
            logger.warning("%s is left out: it has %d bytes, and the MQTT broker takes less; raise max_packet_size at "
                           "the broker%s, then restart soteirad", topic, size, way_out)  # fmt: skip
        return False

    def _arrived(self, topic: str, item: _Item) -> None:
        if item.rank in (Rank.WITHDRAWN, Rank.GONE):
            del self._items[topic], self._noted[topic]
            self._queue.pop(topic, None)
            self._guarded(lambda: self._ledger.forget_retained([topic]))
        else:
            item.first = None
            self._note({topic: item.entities})

    def _take_back(self, topic: str) -> None:
        rank = Rank.WITHDRAWN if self._noted[topic] else Rank.GONE  # only announcements have a note
        self._items[topic] = _Item(b"", rank)
        self._queue[topic] = None

    def _note(self, notes: Mapping[str, Mapping[str, str]]) -> None:
        new = {topic: note for topic, note in notes.items() if self._noted.get(topic) != note}
        self._noted.update(new)
        self._unwritten.update(new)
        self._write()

    def _write(self) -> None:
        """Put on disk what is not there yet; if the disk fails, the next call tries again."""
        notes = {topic: note for topic, note in self._unwritten.items() if topic in self._noted}
        if not notes or self._guarded(lambda: self._ledger.note_retained(notes)):
            self._unwritten.clear()
