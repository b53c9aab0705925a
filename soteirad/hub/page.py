"""The page's place in the hub: its web server, what lies on the desk for it, and what it wishes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from soteirad.config import Config, known_secrets
from soteirad.config.edit import diff, edited, lines_as_changes
from soteirad.errors import ConfigError, SoteiraError
from soteirad.hub.commands import Change
from soteirad.hub.desk import Desk, Facts
from soteirad.hub.supervisor import CameraProcess

if TYPE_CHECKING:
    from soteirad.web.server import WebServer

logger = logging.getLogger(__name__)


class Page:
    """For the hub's thread. `file` is the configuration's path, of which the page shows what it would change."""

    def __init__(self, config: Config, file: Path, on_wake: Callable[[], None]) -> None:
        self._file = file
        self._config = config
        self._server: WebServer | None = None
        self.desk = Desk(config.storage.path, on_wake, self._diff)

    def bind(self) -> None:
        """Take the port. Raises SoteiraError if it is not to be had."""
        self._server = _make_server(self._config)
        if self._server is not None:
            self._server.bind()

    def start(self) -> None:
        """Begin to answer; without a place for the token there is no page, which is told: it is a guest."""
        if self._server is None:
            return
        try:
            self._server.start(self.desk)
        except SoteiraError as error:
            self._do_without(error)

    def step(self, cameras: Iterable[CameraProcess], facts: Facts) -> list[Change]:
        """Show what is looked at, and nothing else; returns what was wished."""
        self.desk.know(facts)
        new = self.desk.take_newcomers()
        for camera in cameras:
            camera.show(self.desk.looked_at(camera.name), camera.name in new)
            shown = camera.show_video(self.desk.watched(camera.name))
            self.desk.videos.forget_unwatched(camera.name, shown)
        return self.desk.take_wishes()

    def move(self, config: Config, timeout: float) -> None:
        """Go by another configuration file; who cannot have the new port goes without a page, and says so."""
        old, self._config = self._config, config
        missing = config.web.enabled and self._server is None  # the port was not to be had the last time
        if config.web == old.web and not missing:
            return
        self.stop(timeout)
        try:
            self.bind()
            self.start()
        except SoteiraError as error:
            self._do_without(error)

    def stop(self, timeout: float) -> None:
        """Send all away and free the port."""
        self.desk.close()
        if self._server is not None:
            self._server.stop(timeout)
            self._server = None

    def _do_without(self, error: SoteiraError) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None
        logger.error("there is no page now: %s", error)

    def _diff(self, lines: str) -> str:
        try:
            before = self._file.read_text(encoding="utf-8")
            return diff(before, edited(before, lines_as_changes(lines)), known_secrets(self._config))
        except (ConfigError, OSError, UnicodeDecodeError) as error:
            return f"{self._file}: these lines cannot be put in by themselves: {error}"


def _make_server(config: Config) -> WebServer | None:
    if not config.web.enabled:
        return None
    from soteirad.web.server import WebServer

    return WebServer(config.web, config.storage.path)
