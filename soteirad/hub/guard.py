"""A failing disk: told once for each reason, and never a reason to stop watching."""

from __future__ import annotations

import logging
from collections.abc import Callable

from soteirad.errors import StorageError

logger = logging.getLogger(__name__)


class Guard:
    """Runs actions that touch the disk; each kind of action has a guard of its own, or the success of one would make
    the failure of another news again and again."""

    def __init__(self) -> None:
        self._told = ""

    def __call__(self, action: Callable[[], object]) -> bool:
        """Run an action and say whether it worked."""
        try:
            action()
        except StorageError as error:
            if str(error) != self._told:
                self._told = str(error)
                logger.error("%s", error)
            return False
        self._told = ""
        return True
