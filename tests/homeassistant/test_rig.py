"""The rig itself, on a device that is made by hand: one entity of each kind that a camera has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clips import DEMO, jpegs
from tests.homeassistant.client import RefusedError
from tests.homeassistant.house import House

pytestmark = [pytest.mark.homeassistant, pytest.mark.timeout(600), pytest.mark.usefixtures("quiet")]

DEVICE = {"identifiers": ["hand_made"], "name": "Hand made", "manufacturer": "tests", "sw_version": "1.2"}
ENTITIES: dict[str, dict[str, Any]] = {
    "lamp": {"platform": "switch", "name": "Lamp", "state_topic": "hand/lamp", "command_topic": "hand/lamp/set"},
    "level": {"platform": "number", "name": "Level", "state_topic": "hand/level", "command_topic": "hand/level/set",
              "min": 0.1, "max": 0.9, "step": 0.01, "entity_category": "config"},
    "bell": {"platform": "event", "name": "Bell", "state_topic": "hand/bell", "event_types": ["rung", "knocked"]},
    "last": {"platform": "image", "name": "Last", "image_topic": "hand/last", "content_type": "image/jpeg"},
    "view": {"platform": "camera", "name": "View", "topic": "hand/view", "enabled_by_default": False},
    "moves": {"platform": "binary_sensor", "name": "Moves", "state_topic": "hand/moves", "device_class": "motion"},
}  # fmt: skip
IDS = {"switch.hand_made_lamp", "number.hand_made_level", "event.hand_made_bell", "image.hand_made_last",
       "camera.hand_made_view", "binary_sensor.hand_made_moves"}  # fmt: skip


def discovery(house: House, entities: dict[str, dict[str, Any]], name: str = "Hand made") -> dict[str, str]:
    """Return the messages that announce the device, in the form that this Home Assistant knows."""
    common = {"device": {**DEVICE, "name": name}, "origin": {"name": "tests"}, "availability_topic": "hand/status"}
    parts = {key: {**entity, "unique_id": f"hand_{key}"} for key, entity in entities.items()}
    if house.homeassistant.kind == "new":
        return {"homeassistant/device/hand/config": json.dumps({**common, "components": parts})}
    return {
        f"homeassistant/{part.pop('platform')}/hand/{key}/config": json.dumps({**common, **part})
        for key, part in parts.items()
    }


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    return jpegs(DEMO)[:2]


@pytest.fixture
def announced(quiet: None, house: House, pictures: list[bytes]) -> Iterator[None]:
    house.publish({"hand/status": "online", "hand/lamp": "OFF", "hand/level": "0.5", "hand/moves": "OFF",
                   "hand/last": pictures[0], "hand/view": pictures[0], **discovery(house, ENTITIES)})  # fmt: skip
    house.homeassistant.wait(lambda ha: ha.entities().keys() >= IDS, "the device is there")
    house.homeassistant.wait_state("switch.hand_made_lamp", "off")
    yield
    house.clear()


@pytest.mark.usefixtures("announced")
def test_the_registries_say_what_was_announced(house: House) -> None:
    ha = house.homeassistant
    assert ha.version.startswith("2024.3" if ha.kind == "old" else "20") and not ha.version.startswith("2024.4")
    entities, devices = ha.entities(), ha.devices()
    assert entities.keys() == IDS and devices.keys() == {"hand_made"}
    device = devices["hand_made"]
    assert (device.name, device.manufacturer, device.version, device.via) == ("Hand made", "tests", "1.2", None)
    assert {entity.device_id for entity in entities.values()} == {device.id}
    level, view = entities["number.hand_made_level"], entities["camera.hand_made_view"]
    assert (level.unique_id, level.category, level.disabled_by) == ("hand_level", "config", None)
    assert (view.unique_id, view.category, view.disabled_by) == ("hand_view", None, "integration")
    assert ha.device_class("binary_sensor.hand_made_moves") == "motion"
    assert ha.state("camera.hand_made_view") is None
    assert ha.states().keys() >= IDS - {"camera.hand_made_view"}


@pytest.mark.usefixtures("announced")
def test_what_is_published_is_seen_in_the_order_in_which_it_came(house: House) -> None:
    ha = house.homeassistant
    with ha.changes() as changes:
        for event in ("rung", "knocked"):
            house.publish({"hand/bell": json.dumps({"event_type": event, "by": "a guest"})}, retain=False)
        for moves in ("ON", "OFF"):
            house.publish({"hand/moves": moves})
        rings = changes.wait("event.hand_made_bell", lambda seen: len(seen) == 2)
        changes.wait("binary_sensor.hand_made_moves", lambda seen: len(seen) == 2)
        said = [(ring.attributes["event_type"], ring.attributes["by"]) for ring in rings]
        assert said == [("rung", "a guest"), ("knocked", "a guest")]
        assert changes.states("binary_sensor.hand_made_moves") == ["on", "off"]


@pytest.mark.usefixtures("announced")
def test_actions_reach_the_broker_and_wrong_ones_are_refused(house: House) -> None:
    ha = house.homeassistant
    with house.heard("hand/+/set") as heard:
        ha.call("switch.turn_on", "switch.hand_made_lamp")
        ha.call("number.set_value", "number.hand_made_level", value=0.35)
        heard.wait_for(lambda seen: len(seen) == 2)
        with pytest.raises(RefusedError, match="number"):
            ha.call("number.set_value", "number.hand_made_level", value=7)
        said = [(message.topic, message.payload) for message in heard.messages()]
        assert said == [("hand/lamp/set", b"ON"), ("hand/level/set", b"0.35")]
    house.publish({"hand/level": "0.35"})
    assert ha.wait_state("number.hand_made_level", "0.35")["attributes"]["max"] == 0.9


@pytest.mark.usefixtures("announced")
def test_pictures_come_through_as_they_were_sent(house: House, pictures: list[bytes]) -> None:
    ha = house.homeassistant
    assert ha.picture("image.hand_made_last") == pictures[0]
    with ha.changes() as changes:
        house.publish({"hand/last": pictures[1]})
        changes.wait("image.hand_made_last", lambda seen: seen)
    assert ha.picture("image.hand_made_last") == pictures[1]


@pytest.mark.usefixtures("announced")
def test_a_disabled_entity_has_a_state_and_a_picture_when_it_is_enabled(house: House, pictures: list[bytes]) -> None:
    ha = house.homeassistant
    ha.enable("camera.hand_made_view")
    assert ha.entities()["camera.hand_made_view"].disabled_by is None
    ha.wait(lambda ha: ha.picture("camera.hand_made_view") == pictures[0], "the camera shows its picture")


@pytest.mark.usefixtures("announced")
def test_a_restarted_home_assistant_greets_the_broker_and_has_everything_again(house: House) -> None:
    ha = house.homeassistant
    with house.heard("homeassistant/status") as heard:
        ha.restart()
        ha.wait_state("binary_sensor.hand_made_moves", "off")
        heard.wait_for(lambda seen: [m.payload for m in seen if not m.retain][-1:] == [b"online"])
    assert ha.entities().keys() == IDS


@pytest.mark.usefixtures("announced")
def test_a_page_of_the_device_is_saved_as_a_picture(house: House, tmp_path: Path) -> None:
    ha, file = house.homeassistant, tmp_path / "device.png"
    ha.screenshot(f"/config/devices/device/{ha.devices()['hand_made'].id}", file, 1180, 900, shows="Lamp")
    content = file.read_bytes()
    assert content.startswith(b"\x89PNG") and int.from_bytes(content[16:20], "big") == 1180


def test_what_home_assistant_cannot_use_is_found_in_its_log(house: House) -> None:
    ha = house.homeassistant
    size = {"platform": "sensor", "name": "Size", "state_topic": "hand/size", "unit_of_measurement": "m"}
    wrong = {"moves": ENTITIES["moves"], "size": size}
    house.publish({"hand/status": "online", **discovery(house, wrong)})
    ha.wait(lambda ha: len(ha.entities()) == 2, "the device is there")
    house.publish({"hand/moves": "PERHAPS", "hand/size": "large"})
    ha.wait(lambda ha: len(ha.log_warnings()) >= 2, "both are in the log")
    text = "\n".join(ha.log_warnings())
    assert "No matching payload" in text and "large" in text
    house.clear()
    ha.forgive()
