"""Which sizes a broker takes: what it says itself (MQTT 5), and what its silence teaches (MQTT 3.1.1).

A broker that limits packets closes the connection when a larger one comes, and says nothing; a retained picture
would then break every connection for ever. But connections end for many reasons. So after each message that is
larger than what has passed before, the client asks a question that any broker answers in order (a probe). Only
when the broker closes the connection before the answer comes, soon after the message was written, is that message
suspected; and only when the next connection ends in the same way, with a message of about that size and no failed
attempt in between, is it a limit. Pure: times are the caller's, in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

LARGE = 10_000
"""Bytes; smaller messages (events, state) are never suspected and always go."""
SOON_S = 5.0
SAME_REGION = 2.0
"""Two pictures of one camera rarely differ more than by this factor."""
ENVELOPE = 512
"""Bytes that a packet may need beside its payload: topic, properties and header."""


@dataclass
class _Suspect:
    token: int
    size: int
    at: float
    accepted: bool
    probe: int | None = None
    written: bool = False


class SizeLimit:
    """Learns from connection to connection; `fits` tells what is worth publishing."""

    def __init__(self) -> None:
        self._told: int | None = None
        self._learned: int | None = None
        self._suspicion: int | None = None
        self._unproven: list[_Suspect] = []
        self._proven = LARGE

    def fits(self, size: int) -> bool:
        """Return whether a message of `size` payload bytes is worth publishing; small ones always are."""
        if size <= LARGE and self._told is None:
            return True
        if self._told is not None and size + ENVELOPE > self._told:
            return False
        return self._learned is None or size < self._learned

    def connected(self, packet_limit: int | None) -> None:
        """A connection begins; `packet_limit` is the largest packet in bytes that the broker says it takes."""
        self._told = packet_limit
        self._unproven = []
        self._proven = LARGE

    def sent(self, token: int, size: int, now: float, accepted: bool = True) -> bool:
        """A message was handed over. Returns whether it is watched: it wants a probe after it.

        `accepted` False says that the connection seemed to be gone. It may have gone because of this very message,
        which is suspected if it is `written` nevertheless.
        """
        if size <= self._proven:
            return False
        self._unproven.append(_Suspect(token, size, now, accepted))
        return True

    def written(self, token: int, now: float) -> bool:
        """A message was written to the socket or acknowledged: the broker has it, or will have it soon.

        Returns whether it is watched and has had no probe yet. Being acknowledged proves nothing: mosquitto 2.0
        acknowledges what exceeds its `message_size_limit`, and then closes the connection.
        """
        for suspect in self._unproven:
            if suspect.token == token:
                suspect.at, suspect.written = now, True
                return suspect.probe is None
        return False

    def probing(self, token: int, probe: int) -> None:
        """The probe of a message went out, under this number."""
        for suspect in self._unproven:
            if suspect.token == token:
                suspect.probe = probe

    def answered(self, probe: int) -> None:
        """The broker answered a probe: it has read the message before it, and lives."""
        for suspect in self._unproven:
            if suspect.probe == probe:
                self._proven = max(self._proven, suspect.size)
        self._unproven = [s for s in self._unproven if s.size > self._proven]

    def ended(self, now: float, closed: bool, too_large: bool) -> bool:
        """A connection ended; `closed` says that it was the broker's doing, `too_large` that it said why (MQTT 5).

        Returns whether the end points at a message's size. Look at `learned` for what follows from it.
        """
        # Brokers read in order: what comes first of the unproven is what it broke on.
        suspect = next((s for s in self._unproven if (now - s.at <= SOON_S if s.written else s.accepted)), None)
        previous, self._suspicion = self._suspicion, None
        self._unproven = []
        if suspect is None or not (closed or too_large):
            return False
        smaller, larger = sorted((suspect.size, previous or suspect.size))
        if too_large or (previous is not None and larger <= smaller * SAME_REGION):
            self._learned = min(smaller, self._learned or smaller)
        else:
            self._suspicion = suspect.size
        return True

    def failed(self) -> None:
        """An attempt to connect failed: the broker was away, and that is why the last connection ended."""
        self._suspicion = None

    @property
    def learned(self) -> int | None:
        """The size in bytes from which on messages broke connections; None if nothing is known."""
        return self._learned
