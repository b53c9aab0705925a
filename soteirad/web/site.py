"""What all handlers work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from soteirad.web.auth import Doorkeeper
from soteirad.web.box import Box
from soteirad.web.static import Static
from soteirad.web.workers import Workers


@dataclass(frozen=True)
class Site:
    """The box, the door, the page's files and the threads. `stopping` says that the server ends."""

    box: Box
    door: Doorkeeper
    static: Static
    workers: Workers
    stopping: Callable[[], bool]
