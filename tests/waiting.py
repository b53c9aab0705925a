"""Waiting for what another thread or process does, with a deadline."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.daemon import until

PATIENCE_S = 20.0


def wait_until(true: Callable[[], object], patience: float = PATIENCE_S) -> None:
    """Wait until `true` says so; fail after `patience` seconds."""
    if not until(lambda: bool(true()), patience):
        pytest.fail("it did not happen")
