"""Leaves these tests out of ordinary runs, and gives a test a house: Home Assistant, a broker, a camera, the daemon."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests import clips
from tests.clips import jpegs
from tests.homeassistant.house import House
from tests.http_camera import HttpCamera

WHICH = "SOTEIRA_HOMEASSISTANT"
"""Which Home Assistant, old or new; ./scripts/test-homeassistant sets it."""
_left_out = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get(WHICH):
        return
    ours = [item for item in items if item.get_closest_marker("homeassistant")]
    items[:] = [item for item in items if item not in ours]
    config.stash[_left_out] = len(ours)
    config.hook.pytest_deselected(items=ours)


def pytest_report_collectionfinish(config: pytest.Config) -> str:
    left_out = config.stash.get(_left_out, 0)
    return f"{left_out} tests need a real Home Assistant: ./scripts/test-homeassistant runs them" if left_out else ""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A Home Assistant and a broker for a module; at its end nothing about us may be wrong in its log."""
    kind = os.environ[WHICH]
    assert kind in ("old", "new"), f"{WHICH} is {kind!r}, not old or new"
    house = House("old" if kind == "old" else "new", tmp_path_factory)
    try:
        house.start()
        yield house
    finally:
        house.stop()
    warnings = house.homeassistant.log_warnings()
    house.homeassistant.clean_up()
    assert warnings == []


@pytest.fixture
def quiet(house: House) -> Iterator[None]:
    """Fail a test after which Home Assistant's log has something about us."""
    yield
    warnings = house.homeassistant.log_warnings()
    house.homeassistant.forgive()  # the next test has no part in it
    assert warnings == []


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpCamera]:
    """A camera to which the same visit comes again and again, every 18 s, for ever."""
    clip = tmp_path_factory.mktemp("clips") / "visit.mp4"
    with HttpCamera(jpegs(clips.cut(clip, clips.VISIT))) as camera:
        yield camera
