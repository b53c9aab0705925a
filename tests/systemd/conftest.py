"""Leaves these tests out of ordinary runs, and gives them a house: an installed Soteira, a broker, two cameras."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.systemd.appliance import Appliance
from tests.systemd.house import House

INSIDE = "SOTEIRA_SYSTEMD"
"""Set where a machine of our own runs; ./scripts/test-systemd does it."""
_left_out = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get(INSIDE):
        return
    ours = [item for item in items if item.get_closest_marker("systemd")]
    items[:] = [item for item in items if item not in ours]
    config.stash[_left_out] = len(ours)
    config.hook.pytest_deselected(items=ours)


def pytest_report_collectionfinish(config: pytest.Config) -> str:
    left_out = config.stash.get(_left_out, 0)
    return f"{left_out} tests need a real systemd: ./scripts/test-systemd runs them" if left_out else ""


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for all tests, since a start takes seconds."""
    house = House(tmp_path_factory.mktemp("house"))
    house.start()
    yield house
    house.stop()


@pytest.fixture
def appliance(house: House) -> Appliance:
    """The service, running and watching, whatever the last test left."""
    house.settle()
    return house.appliance
