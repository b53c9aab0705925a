"""Work with a limit of time that whatever answers over the network cannot stretch, and that Ctrl-C can leave."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class TookTooLongError(Exception):
    """The work was not done in time; its thread is left to itself, and ends with the process at the latest."""


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise what it raises. Raises TookTooLongError after `seconds`."""
    done: queue.SimpleQueue[tuple[T, None] | tuple[None, BaseException]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((work(), None))
        except BaseException as error:
            done.put((None, error))

    threading.Thread(target=run, name="init", daemon=True).start()
    try:
        result, error = done.get(timeout=seconds)
    except queue.Empty:
        raise TookTooLongError from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # there is no error, so this is what was returned
