"""Duplicates: pictures so much like the last one that nobody is asked the same question again. Pure."""

from __future__ import annotations

from soteirad.config.llm import DuplicatesConfig
from soteirad.llm.picture import similarity


class Duplicates:
    """Remembers, for each key (camera and question), the last picture that was sent.

    Times are monotonic seconds. An ask that comes to nothing is forgotten: its picture was not judged.
    """

    def __init__(self, config: DuplicatesConfig) -> None:
        self._config = config
        self._last: dict[tuple[str, str], tuple[str, bytes, float]] = {}

    def likeness(self, key: tuple[str, str], signature: bytes, now: float) -> tuple[str, float] | None:
        """Return the ask whose picture this one is like, and how like it is, if that is enough to leave it."""
        if key not in self._last:
            return None
        ask_id, last, at = self._last[key]
        if now - at >= self._config.window:
            return None
        found = similarity(last, signature)
        return (ask_id, found) if found >= self._config.similarity else None

    def remember(self, key: tuple[str, str], ask_id: str, signature: bytes, now: float) -> None:
        """Note that a picture is sent, and forget those whose time is over."""
        self._last = {k: kept for k, kept in self._last.items() if now - kept[2] < self._config.window}
        self._last[key] = ask_id, signature, now

    def forget(self, key: tuple[str, str], ask_id: str) -> None:
        """Note that the ask of this id came to nothing."""
        if key in self._last and self._last[key][0] == ask_id:
            del self._last[key]
