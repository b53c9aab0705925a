"""A failing disk: told once for each reason, and never a reason to stop watching."""

from __future__ import annotations

import logging
from collections.abc import Callable

from soteirad.errors import StorageError

logger = logging.getLogger(__name__)


class Guard:
    """Runs actions that touch the disk; each kind of action has a guard of its own, or the success of one would make
    the failure of another news again and again.

    What another guard of the same `family` has told, and still holds, is not told again.
    """

    def __init__(self, family: list[Guard] | None = None) -> None:
        self.problem = ""
        """Why the last action failed; empty if it worked."""
        self._family = [] if family is None else family
        self._family.append(self)

    def __call__(self, action: Callable[[], object]) -> bool:
        """Run an action and say whether it worked."""
        try:
            action()
        except StorageError as error:
            if all(str(error) != guard.problem for guard in self._family):
                logger.error("%s", error)
            self.problem = str(error)
            return False
        self.problem = ""
        return True
