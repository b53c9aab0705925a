"""Reloading: the new configuration is read and its engines are proven beside the running daemon."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from soteirad.config import CameraConfig, Config
from soteirad.errors import ConfigError, SoteiraError, Stopped
from soteirad.hub.engines import Choices, choose_engines

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """A configuration that can be used, and the engines for its cameras."""

    config: Config
    choices: Choices


@dataclass(frozen=True)
class Refused:
    """A configuration that cannot be used: one line for each thing that is wrong."""

    problems: tuple[str, ...]


class Reload:
    """One reload on a thread of its own: a new model may take a minute to prove, and cameras go on meanwhile."""

    def __init__(self, load: Callable[[], Config], watched: Callable[[Config], Mapping[str, CameraConfig]],
                 known: Choices, stop: Callable[[], bool], on_wake: Callable[[], None]) -> None:  # fmt: skip
        self._load = load
        self._watched = watched
        self._known = known
        self._stop = stop
        self._on_wake = on_wake
        self._thread = threading.Thread(target=self._run, name="reload", daemon=True)
        self.doing = "reading the configuration again"
        """What it is at, in a few words."""
        self.result: Loaded | Refused | None = None
        """What came of it, when it is done."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _on_trial(self, what: str) -> None:
        self.doing = what

    def _run(self) -> None:
        try:
            config = self._load()
            self.result = Loaded(config, choose_engines(self._watched(config), self._known, self._stop,
                                                        self._on_trial))  # fmt: skip
        except Stopped:
            return
        except ConfigError as error:
            self.result = Refused(tuple(error.problems))
        except SoteiraError as error:
            self.result = Refused((str(error),))
        except Exception as error:
            logger.exception("the configuration could not be reloaded")
            self.result = Refused((f"a fault in Soteira ({type(error).__name__})",))
        finally:
            self._on_wake()
