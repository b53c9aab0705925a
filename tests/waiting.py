"""Waiting for what another thread or process does, with a deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

PATIENCE_S = 20.0


def wait_until(true: Callable[[], object], patience: float = PATIENCE_S) -> None:
    """Wait until `true` says so; fail after `patience` seconds."""
    never = threading.Event()
    for _ in range(round(patience / 0.02)):
        if true():
            return
        never.wait(0.02)
    pytest.fail("it did not happen")
