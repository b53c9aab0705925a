"""Fixtures of tests of answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.asking import Desk
from tests.llm_server import LlmServer


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with LlmServer() as server:
        yield server
