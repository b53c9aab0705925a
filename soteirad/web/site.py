"""What all handlers work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from soteirad.web.auth import Doorkeeper
from soteirad.web.box import Box, VideoViewer
from soteirad.web.static import Static
from soteirad.web.workers import Workers


@dataclass(frozen=True)
class Site:
    """The box, the door, the page's files and the threads. `stopping` says that the server ends.

    `watching` are those who watch video now.
    """

    box: Box
    door: Doorkeeper
    static: Static
    workers: Workers
    stopping: Callable[[], bool]
    watching: set[VideoViewer] = field(default_factory=set)
