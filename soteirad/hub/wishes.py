"""Wishes: what somebody wants to know over MQTT of what a camera sees now."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from soteirad.hub.answers import Answers
from soteirad.hub.commands import Command, Picture, Question
from soteirad.hub.fleet import Fleet
from soteirad.hub.minute import Minute
from soteirad.messages import Inquire, TakePicture

logger = logging.getLogger(__name__)


MOST_ASKED = 100
"""Questions in a minute that somebody may send: each leaves a record on the disk, whatever comes of it."""


class Wishes:
    """Hands wishes on to the camera processes; `online` says whether frames come from a camera."""

    def __init__(self, fleet: Fleet, online: Callable[[str], bool], answers: Answers,
                 monotonic: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self._fleet = fleet
        self._online = online
        self._answers = answers
        self._minute = Minute(MOST_ASKED, monotonic)

    def fulfil(self, commands: Iterable[Command | None]) -> None:
        """Ask for the pictures and answers among some commands; the same wish many times is one."""
        for command in dict.fromkeys(commands):
            if isinstance(command, Picture):
                problem = self._ask(command.camera, TakePicture())
                if problem:
                    logger.warning("%s: no picture: %s", command.camera, problem)
            elif isinstance(command, Question) and self._may_ask():
                problem = self._ask(command.camera, Inquire(command.name, command.text))
                if problem:
                    self._answers.refuse(command.camera, command.name, command.text, problem)

    def _may_ask(self) -> bool:
        """Somebody who sends questions without end must not fill the disk and the log."""
        allowed = self._minute.allows()
        if self._minute.just_full:
            logger.warning("over %d questions were sent in a minute: no more are taken until it is over", MOST_ASKED)
        return allowed

    def _ask(self, name: str, wish: TakePicture | Inquire) -> str:
        """Ask a camera's process; returns why that cannot be done."""
        camera = next((c for c in self._fleet if c.name == name and c.connection is not None), None)
        if camera is None:
            return "nobody watches this camera at the moment"
        if not self._online(name):
            return "no frames come from this camera at the moment"
        return "" if camera.wish(wish) else "too many wishes wait for this camera"
