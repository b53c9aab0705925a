"""What becomes of devices and entities in a real Home Assistant when the configuration or the daemon's life changes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon, soteirad
from tests.homeassistant import contract
from tests.homeassistant.contract import HUB, STANDING_ALONE
from tests.homeassistant.house import House
from tests.http_camera import HttpCamera

pytestmark = [pytest.mark.homeassistant, pytest.mark.timeout(600)]

HARMLESS = ("detect", "motion_threshold", "min_score", "snapshot")
START_S = 60.0
Run = Callable[..., tuple[Daemon, Path]]


@pytest.fixture
def run(quiet: None, house: House, visits: HttpCamera) -> Iterator[Run]:
    """Start a daemon whose cameras all show the visits, and wait until Home Assistant has them."""

    def start(cameras: Mapping[str, Mapping[str, Any]], *labels: str, commands: list[str] | None = None) -> Any:
        path = configure(house, visits, cameras, *labels, commands=commands)
        daemon = house.run(path)
        for camera in cameras:
            house.homeassistant.wait_state(f"binary_sensor.{camera}_connectivity", "on", START_S)
        return daemon, path

    yield start
    house.clear()


def configure(
    house: House, visits: HttpCamera, cameras: Mapping[str, Mapping[str, Any]], *labels: str,
    commands: list[str] | None = None,
) -> Path:  # fmt: skip
    """Write the configuration anew."""
    full = {name: {"source": visits.url, **camera} for name, camera in cameras.items()}
    return house.config(full, commands, objects={"track": list(labels or ("person",))})


def wanted(*cameras: str, labels: tuple[str, ...] = ("person",), commands: tuple[str, ...] = HARMLESS) -> set[str]:
    """The ids of all entities that there are to be."""
    found = set(contract.box(commands))
    for camera in cameras:
        found |= set(contract.camera(camera, labels, commands=commands))
    return found


def test_what_is_not_a_command_is_not_offered(house: House, run: Run) -> None:
    run({"porch": {}}, commands=[])
    house.homeassistant.wait(lambda ha: ha.entities().keys() == wanted("porch", commands=()), "no control is there")


def test_a_removed_label_and_a_removed_camera_are_gone_after_a_reload(
    house: House, run: Run, visits: HttpCamera
) -> None:
    ha = house.homeassistant
    daemon, _ = run({"porch": {}, "yard": {}}, "person", "cat")
    everything = wanted("porch", "yard", labels=("person", "cat"))
    ha.wait(lambda ha: ha.entities().keys() == everything, "all are there")
    configure(house, visits, {"porch": {}}, "person")
    daemon.signal(signal.SIGHUP)
    ha.wait(lambda ha: ha.entities().keys() == wanted("porch"), "only one camera with one label is there", START_S)
    ha.wait(lambda ha: ha.devices().keys() == {"soteira_porch", HUB}, "only one camera is a device")
    ha.wait(lambda _: not any("yard" in topic for topic in house.retained()), "nothing of it is retained", START_S)
    ha.wait_state("binary_sensor.porch_connectivity", "on")


def test_a_camera_that_is_added_appears_after_a_reload(house: House, run: Run, visits: HttpCamera) -> None:
    ha = house.homeassistant
    daemon, _ = run({"porch": {}})
    configure(house, visits, {"porch": {}, "yard": {"name": "Back yard"}})
    daemon.signal(signal.SIGHUP)
    ha.wait_state("binary_sensor.yard_connectivity", "on", START_S)
    ha.wait(lambda ha: ha.entities().keys() == wanted("porch", "yard"), "all of both are there")
    assert ha.devices()["soteira_yard"].name == "Back yard"


def test_a_camera_that_is_renamed_keeps_its_entities(house: House, run: Run, visits: HttpCamera) -> None:
    ha = house.homeassistant
    daemon, _ = run({"porch": {"name": "Front porch"}})
    ha.wait(lambda ha: ha.entities().keys() == wanted("porch"), "all are there")
    before = {entity_id: entity.unique_id for entity_id, entity in ha.entities().items()}
    device = ha.devices()["soteira_porch"].id
    configure(house, visits, {"porch": {"name": "Haustür"}})
    daemon.signal(signal.SIGHUP)
    ha.wait(lambda ha: ha.devices()["soteira_porch"].name == "Haustür", "the device has its new name", START_S)
    assert {entity_id: entity.unique_id for entity_id, entity in ha.entities().items()} == before
    assert ha.devices().keys() == {"soteira_porch", HUB} and ha.devices()["soteira_porch"].id == device
    ha.wait_state("binary_sensor.porch_connectivity", "on")


def test_a_killed_daemon_leaves_nothing_available_and_comes_back(house: House, run: Run) -> None:
    ha = house.homeassistant
    daemon, path = run({"porch": {}})
    daemon.kill()
    ha.wait_state("binary_sensor.soteira_status", "off")
    shown = [e for e, w in contract.camera("porch", ["person"], commands=HARMLESS).items() if w.enabled]
    depend = [entity_id for entity_id in shown if entity_id not in STANDING_ALONE]
    ha.wait(lambda ha: {ha.value(e) for e in depend} == {"unavailable"}, "nothing is available")
    house.run(path)
    ha.wait(lambda ha: "unavailable" not in {ha.value(e) for e in shown}, "all is back", START_S)
    ha.wait_state("binary_sensor.soteira_status", "on")


def test_a_daemon_that_was_stopped_and_forgotten_leaves_nothing(house: House, run: Run) -> None:
    ha = house.homeassistant
    daemon, path = run({"porch": {}})
    daemon.stop()
    ha.wait_state("binary_sensor.soteira_status", "off")
    assert {"soteira_porch", HUB} == ha.devices().keys()
    done = soteirad("forget", "-c", path)
    assert done.returncode == 0, done.stdout + done.stderr
    ha.wait(lambda ha: not ha.devices() and not ha.entities(), "no device of ours is left")
    assert [topic for topic in house.retained() if "soteira" in topic] == []
