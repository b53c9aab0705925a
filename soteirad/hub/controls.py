"""Controls: settings that were changed over MQTT or on the page, kept on disk, in force over the configuration file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from soteirad.config import Config
from soteirad.config.overrides import Value, effective, usable, value_of
from soteirad.hub.commands import Change, Command, CommandError, read_command
from soteirad.hub.guard import Guard
from soteirad.hub.journal import Journal
from soteirad.hub.minute import Minute
from soteirad.mqtt.client import Message
from soteirad.mqtt.topics import Topics

logger = logging.getLogger(__name__)

LONGEST_TOLD = 150
MOST_TOLD = 20
"""Commands in a minute that are told, obeyed or refused."""


class Controls:
    """The overrides of one box; for the hub's thread, but `effective` is for any."""

    def __init__(self, journal: Journal, guard: Guard, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._journal = journal
        self._guard = guard
        self._minute = Minute(MOST_TOLD - 1, monotonic)
        self._overrides: dict[tuple[str, str], Value] = {}
        self._saved = True

    def load(self) -> None:
        """Take over what the journal holds."""
        self._guard(lambda: self._take(self._journal.overrides()))

    def effective(self, config: Config) -> Config:
        """Return a configuration, as it is in the file, with what was changed."""
        return effective(config, usable(config, self._overrides))

    def settle(self, config: Config) -> None:
        """Forget what means nothing any more under the file's configuration, and tell what differs from it."""
        kept = usable(config, self._overrides)
        for name, setting in self._overrides.keys() - kept.keys():
            logger.info("%s: what was set for %s is not in force any more", name, setting)
        for (name, setting), value in kept.items():
            logger.info("%s: %s is %s, set over MQTT or on the page; the file says %s", name, setting, _text(value),
                        _text(value_of(config.cameras[name], setting)))  # fmt: skip
        if kept != self._overrides:
            self._keep(kept)
            self.save()

    def change(self, config: Config, change: Change) -> None:
        """Set one setting, or take it back, until `save` only in memory; `config` is that of the file."""
        overrides = {key: v for key, v in self._overrides.items() if key != (change.camera, change.setting)}
        if change.value is not None:
            overrides[change.camera, change.setting] = change.value
        kept = usable(config, overrides)
        if kept == self._overrides:
            return
        self._keep(kept)
        if self._may_tell():
            value = _text(change.value) if change.value is not None else "what the file says"
            logger.info("%s: %s is %s now, set %s", change.camera, change.setting, value, change.where)

    def read(self, topics: Topics, message: Message, config: Config) -> Command | None:
        """Return the command in a message; one that is refused is told, and is None."""
        where = "".join(c if c.isprintable() else "?" for c in message.topic[:LONGEST_TOLD])
        if message.retain:
            if self._may_tell():
                logger.info("%s: a command that lies retained at the broker is ignored", where)
            return None
        try:
            return read_command(topics, message.topic, message.payload, message.size, config)
        except CommandError as error:
            if self._may_tell():
                logger.warning("%s: refused: %s", where, error)
            return None

    def save(self) -> None:
        """Put on disk what is not there yet; if the disk fails, the next call tries again."""
        if not self._saved:
            self._saved = self._guard(lambda: self._journal.replace_overrides(self._overrides))

    def write_again(self) -> None:
        """Put all that was set on disk once more: the journal has lost it."""
        self._saved = False

    def of(self, camera: str) -> list[str]:
        """Return which settings of a camera are changed."""
        return sorted(setting for name, setting in self._overrides if name == camera)

    def _may_tell(self) -> bool:
        """Somebody who sends nonsense without end must not fill the log."""
        allowed = self._minute.allows()
        if self._minute.just_full:
            logger.warning("commands come again and again: no more of them are told for a minute")
        return allowed

    def _take(self, overrides: dict[tuple[str, str], Value]) -> None:
        self._overrides = overrides

    def _keep(self, overrides: dict[tuple[str, str], Value]) -> None:
        self._take(overrides)
        self._saved = False


def _text(value: Value) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else f"{value:g}"
