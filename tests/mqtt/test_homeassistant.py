"""Discovery: from a configuration to the messages that announce it, compared with messages that were looked at.

`SOTEIRA_WRITE_SNAPSHOTS=1` writes the compared files anew; look at what changed before you keep them.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import jinja2
import pytest

from soteirad.config import Config
from soteirad.config.broker import Command
from soteirad.event import EVENT_TYPES
from soteirad.mqtt.homeassistant import Announcement, announcements, birth_topic
from soteirad.mqtt.topics import Topics

KEPT = Path(__file__).resolve().parent.parent / "data" / "homeassistant"
SETTINGS = ["enabled", "detect", "motion_threshold", "min_score", "snapshot", "restart"]
EVERYTHING = [*SETTINGS, "ask"]
CHOICES = ["dry", 'w"et', "{{ 1 }}", "a\\nb", "}}", "naß"]
QUESTIONS = [
    {"name": "parcel", "ask": "Is there a parcel?", "answer": "yes_no", "when": {"on": ["left", "command"]}},
    {"name": "cars", "ask": "How many cars?", "answer": "number"},
    {"name": "weather", "ask": "What is the weather like?", "answer": {"choice": CHOICES}},
    {"name": "summary", "ask": "What is there?", "answer": "text", "when": {"on": "command"}},
    {"name": "off", "ask": "Is it asked?", "answer": "text", "enabled": False},
]
LLM = {"providers": [{"base_url": "http://127.0.0.1:11434/v1", "model": "m"}]}
PLATFORM_KEYS = {  # Home Assistant's documentation of each platform, what we use of it
    "binary_sensor": {"state_topic", "value_template", "device_class", "payload_on", "payload_off"},
    "sensor": {"state_topic", "value_template", "device_class", "state_class", "unit_of_measurement", "expire_after",
               "options"},
    "event": {"state_topic", "event_types"},
    "image": {"image_topic", "content_type"},
    "camera": {"topic"},
    "switch": {"state_topic", "command_topic", "value_template"},
    "number": {"state_topic", "command_topic", "value_template", "min", "max", "step", "mode"},
    "button": {"command_topic", "device_class", "payload_press"},
    "text": {"command_topic", "state_topic", "value_template", "min", "max", "mode", "pattern"},
}  # fmt: skip
COMMON = {"name", "unique_id", "default_entity_id", "availability", "availability_mode", "entity_category", "icon",
          "enabled_by_default", "json_attributes_topic", "json_attributes_template", "qos", "platform"}  # fmt: skip

PORCH: dict[str, Any] = {
    "source": "rtsp://h/s", "name": "Haustür", "objects": {"track": ["person", "cell phone"]},
    "zones": {"step": {"coordinates": [0, 0, 1, 0, 1, 1]}},
}  # fmt: skip


def config(cameras: dict[str, Any] | None = None, **sections: Any) -> Config:
    return Config.model_validate({"cameras": {"porch": PORCH, **(cameras or {})}, **sections})


def asking(commands: list[str] | None = None, **sections: Any) -> Config:
    """A configuration with questions, and somebody to answer them."""
    return config(llm=LLM, questions=QUESTIONS, mqtt={"commands": [] if commands is None else commands}, **sections)


def told(loaded: Config) -> list[Announcement]:
    return announcements(loaded, Topics(loaded.mqtt.topic_prefix), "1.2.3")


def components(loaded: Config, camera: str = "porch") -> dict[str, dict[str, Any]]:
    (found,) = [a for a in told(loaded) if a.topic.endswith(f"_{camera}/config")]
    return dict(found.payload["components"])


def rendered(component: dict[str, Any], payload: Any) -> str:
    """What the template makes of a payload, as strictly as Home Assistant does it."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701
    return environment.from_string(component["value_template"]).render(value_json=payload)


@pytest.mark.parametrize(("name", "sections"), [
    ("device", {}),
    ("device_everything", {"mqtt": {"commands": EVERYTHING, "topic_prefix": "house-2"}, "llm": LLM,
                           "questions": QUESTIONS}),
    ("single", {"homeassistant": {"discovery": "single", "discovery_prefix": "ha"}, "llm": LLM,
                "questions": QUESTIONS}),
])  # fmt: skip
def test_the_messages_are_those_that_were_looked_at(name: str, sections: dict[str, Any]) -> None:
    made = {a.topic: a.payload for a in told(config(**sections))}
    path = KEPT / f"{name}.json"
    if os.environ.get("SOTEIRA_WRITE_SNAPSHOTS"):
        path.write_text(json.dumps(made, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    assert made == json.loads(path.read_text(encoding="utf-8"))


def test_each_message_keeps_home_assistants_rules() -> None:
    for announcement in told(asking(EVERYTHING)):
        payload = json.loads(announcement.text())
        assert payload.keys() == {"device", "origin", "components"}
        assert payload["origin"]["name"] and payload["device"]["identifiers"] and payload["device"]["name"]
        assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", announcement.topic)
        assert announcement.entities == {key: c["platform"] for key, c in payload["components"].items()}
        for key, component in payload["components"].items():
            assert re.fullmatch(r"[a-zA-Z0-9_-]+", key)
            assert component.keys() <= COMMON | PLATFORM_KEYS[component["platform"]], key
            assert component.keys() >= {"platform", "name", "unique_id", "default_entity_id"}, key
            assert re.fullmatch(rf"{component['platform']}\.[a-z0-9_]+", component["default_entity_id"])
            assert "topic" in " ".join(component), key
            for entry in component.get("availability", ()):
                assert entry.keys() == {"topic"}
            if component["platform"] == "binary_sensor":
                assert component.get("entity_category") != "config"
            if component.get("entity_category") == "diagnostic" and "expire_after" in component:
                assert component["enabled_by_default"] is False
            if "unit_of_measurement" in component or "state_class" in component:
                assert component.get("state_class") in ("measurement", "total_increasing"), key


def test_unique_ids_are_unique_and_come_from_the_key_and_never_from_the_name() -> None:
    def ids(loaded: Config) -> list[str]:
        return [c["unique_id"] for a in told(loaded) for c in a.payload["components"].values()]

    named, renamed = config(), config({"porch": {**PORCH, "name": "Back yard"}})
    assert ids(named) == ids(renamed)
    assert len(set(ids(named))) == len(ids(named))
    assert all(i.startswith(("soteira_porch_", "soteira_hub_")) for i in ids(named))
    devices = [a.payload["device"] for a in told(renamed)]
    assert [(d["identifiers"], d["name"], d.get("via_device")) for d in devices] == [
        (["soteira_hub"], "Soteira", None), (["soteira_porch"], "Back yard", "soteira_hub")
    ]  # fmt: skip


def test_the_event_entity_reads_one_topic_and_knows_every_kind_of_event() -> None:
    event = components(config())["event"]
    assert event["state_topic"] == "soteira/porch/event"
    assert [*event["event_types"], "recorded"] == [*EVENT_TYPES], "a clip is told of on a topic of its own"


@pytest.mark.parametrize("command", EVERYTHING)
def test_what_is_not_allowed_is_not_offered(command: Command) -> None:
    keys = {"snapshot": "take_picture"}.get(command, command)
    device = "hub" if command == "restart" else "porch"
    assert keys in components(asking([command]), device)
    others = [c for c in EVERYTHING if c != command]
    assert keys not in components(asking(others), device)


def test_settings_can_be_changed_while_the_camera_is_off_and_its_sensors_cannot_be_read_then() -> None:
    found = components(config(mqtt={"commands": EVERYTHING}))
    both = [{"topic": "soteira/status"}, {"topic": "soteira/porch/status"}]
    for key in ("motion", "person", "person_count", "zone_step", "view_changed", "preview", "take_picture", "fps"):
        assert found[key]["availability"] == both, key
    for key in ("enabled", "detect", "motion_threshold", "min_score", "event", "last_object", "connectivity"):
        assert found[key]["availability"] == both[:1], key


def test_a_camera_that_is_off_is_there_only_if_it_can_be_switched_on() -> None:
    off = {"yard": {"source": "rtsp://h/y", "enabled": False}}
    assert [a.topic for a in told(config(off))] == [
        "homeassistant/device/soteira_hub/config", "homeassistant/device/soteira_porch/config"
    ]  # fmt: skip
    assert len(told(config(off, mqtt={"commands": ["enabled"]}))) == 3


def test_previews_are_there_when_asked_for_and_shown_when_they_come_by_themselves() -> None:
    assert "preview" not in components(config(mqtt={"commands": []}))
    assert components(config())["preview"]["enabled_by_default"] is False
    regular = config({"porch": {**PORCH, "preview": 10}}, mqtt={"commands": []})
    assert components(regular)["preview"]["enabled_by_default"] is True
    assert "last_object" not in components(config(storage={"snapshots": False}))


def test_numbers_have_the_limits_that_the_daemon_keeps() -> None:
    found = components(config(motion={"threshold": 0.03, "ceiling": 0.5}))
    assert [found["motion_threshold"][key] for key in ("min", "max", "step")] == [0.001, 0.499, 0.001]
    assert [found["min_score"][key] for key in ("min", "max", "step")] == [0.0, 1.0, 0.01]
    assert components(config())["motion_threshold"]["min"] == 0.001, "the same whatever is set: state comes first"


def test_labels_in_other_scripts_or_with_the_name_of_something_else_get_keys_of_their_own() -> None:
    track = ["人", "😀", 'a"b\\c', "motion", "event"]
    found = components(config({"porch": {"source": "a.mp4", "objects": {"track": track}}}))
    state = {"objects": {label: {"present": True, "count": 2} for label in track}}
    keys = ("4eba", "1f600", "a_b_c", "motion_2", "event_2")
    for key, label in zip(keys, track, strict=True):
        assert rendered(found[key], state) == "ON", label
    assert rendered(found["4eba_count"], state) == "2"
    assert found["motion"]["name"] == found["motion_2"]["name"] == "Motion"


def test_labels_with_accents_keep_their_letters_and_stay_apart() -> None:
    found = components(config({"porch": {"source": "a.mp4", "objects": {"track": ["Tür", "Tor", "Tär", "人 a"]}}}))
    assert {"tur", "tor", "tar", "4eba_20_61"} <= found.keys()


def test_templates_read_what_the_daemon_says_of_a_camera() -> None:
    found = components(config(mqtt={"commands": EVERYTHING}))
    state = {
        "motion": True, "view": {"changed": True, "seen": "covered"}, "enabled": True, "detect": False,
        "objects": {"person": {"present": True, "count": 2}, "cell phone": {"present": False, "count": 0}},
        "zones": {"step": {"present": True, "count": 1}}, "motion_threshold": 0.02, "min_score": 0.4,
    }  # fmt: skip
    expected = {"motion": "ON", "view_changed": "ON", "person": "ON", "person_count": "2", "cell_phone": "OFF",
                "zone_step": "ON", "enabled": "ON", "detect": "OFF", "motion_threshold": "0.02", "min_score": "0.4"}
    assert {key: rendered(found[key], state) for key in expected} == expected


def test_figures_are_unknown_when_a_camera_process_died() -> None:
    found = components(config())
    alive = {"fps": 9.8, "stage_ms": {"detect": 31.2}, "skipped": 1, "dropped": 2, "late": 3, "corrupt": 4}
    dead = {"online": False, "reason": "it died"}
    for key, value in (("fps", "9.8"), ("inference", "31.2"), ("skipped_frames", "10")):
        assert rendered(found[key], alive) == value
        assert rendered(found[key], dead) == "None"
    assert rendered(found["inference"], {"fps": 9.8, "stage_ms": {}}) == "None"


def test_a_state_from_before_a_label_or_a_zone_was_there_says_nobody() -> None:
    found = components(config())
    for key, said in (("person", "OFF"), ("person_count", "0"), ("zone_step", "OFF")):
        assert rendered(found[key], {"objects": {}, "zones": {}}) == said


@pytest.mark.parametrize(("question", "answer", "shown"), [
    ("parcel", True, "ON"), ("parcel", False, "OFF"), ("parcel", None, "None"),
    ("cars", 3, "3"), ("cars", 0, "0"), ("cars", 2.5, "2.5"), ("cars", None, "None"),
    *(("weather", choice, choice) for choice in CHOICES), ("weather", "snow", "None"), ("weather", None, "None"),
    ("summary", "A parcel.", "A parcel."), ("summary", None, "None"), ("summary", "x" * 400, "x" * 254 + "…"),
    ("summary", "y" * 255, "y" * 255),
])  # fmt: skip
def test_answers_become_states_of_their_type_and_unsure_ones_are_unknown(
    question: str, answer: object, shown: str
) -> None:
    component = components(asking())[f"question_{question}"]
    assert rendered(component, {"answer": answer}) == shown
    assert component["json_attributes_topic"] == component["state_topic"] == f"soteira/porch/answer/{question}"
    platform = "binary_sensor" if question == "parcel" else "sensor"
    assert component["platform"] == platform and component["default_entity_id"].startswith(platform)


@pytest.mark.parametrize(("question", "answer"), [
    ("parcel", "open"), ("parcel", 2), ("cars", True), ("cars", "open"), ("weather", True), ("weather", 3),
])  # fmt: skip
def test_an_answer_of_another_kind_from_before_the_question_was_changed_is_unknown(
    question: str, answer: object
) -> None:
    assert rendered(components(asking())[f"question_{question}"], {"answer": answer}) == "None"


def test_questions_are_there_only_when_they_are_asked_and_there_is_somebody_to_answer() -> None:
    found = components(asking())
    assert [key for key in found if key.startswith("question_")] == [
        "question_parcel", "question_cars", "question_weather", "question_summary"
    ]  # fmt: skip
    assert found["question_weather"]["options"] == CHOICES and found["question_weather"]["device_class"] == "enum"
    assert found["question_cars"]["state_class"] == "measurement" and found["question_parcel"]["name"] == "Parcel"
    silent = config(questions=QUESTIONS, mqtt={"commands": ["ask"]})
    assert not [key for key in components(silent) if "question" in key or "ask" in key]
    assert not [key for key in components(silent, "hub") if "llm" in key]


def test_answers_are_there_while_the_camera_is_away_and_may_be_asked_for_only_while_it_is_there_to_see() -> None:
    found = components(asking(["ask"]))
    ours, both = [{"topic": "soteira/status"}], [{"topic": "soteira/status"}, {"topic": "soteira/porch/status"}]
    assert all(found[key]["availability"] == ours for key in found if key.startswith("question_"))
    assert all(found[key]["availability"] == both for key in ("ask", "ask_parcel", "ask_summary"))


def test_the_text_field_asks_and_shows_the_last_question_that_was_sent() -> None:
    found = components(asking(["ask"]))
    text = found["ask"]
    assert (text["command_topic"], text["state_topic"]) == ("soteira/porch/set/ask", "soteira/porch/answer/ask")
    assert text["platform"] == "text" and text["max"] == 255
    assert rendered(text, {"ask": "Who is there?", "answer": None}) == "Who is there?"
    assert rendered(text, {"ask": "w" * 1000}) == "w" * 254 + "…"
    answer = found["question_ask"]
    assert (answer["platform"], answer["name"], answer["state_topic"]) == ("sensor", "Answer", text["state_topic"])


def test_a_button_asks_a_question_that_may_be_asked_on_command() -> None:
    found = components(asking(["ask"]))
    buttons = {key: entity for key, entity in found.items() if key.startswith("ask_")}
    assert {key: entity["payload_press"] for key, entity in buttons.items()} == {
        "ask_parcel": "parcel", "ask_summary": "summary"
    }  # fmt: skip
    assert {entity["command_topic"] for entity in buttons.values()} == {"soteira/porch/set/ask"}
    assert buttons["ask_parcel"]["name"] == "Ask parcel"


def test_the_box_tells_what_is_left_of_the_budget_and_whether_the_models_answer() -> None:
    found = components(asking(), "hub")
    for state, shown in (("ok", "OFF"), ("failing", "ON"), ("spent", "ON")):
        assert rendered(found["llm_problem"], {"state": state, "left": {"per_day": 3}}) == shown
    for left, shown in ((3, "3"), (0, "0"), (None, "None")):
        assert rendered(found["llm_left"], {"state": "ok", "left": {"per_day": left}}) == shown
    assert found["llm_left"]["state_topic"] == found["llm_problem"]["state_topic"] == "soteira/llm"


def test_what_a_device_lost_is_removed_by_a_message_of_its_own() -> None:
    announcement = told(config())[1]
    removal = json.loads(announcement.without({"dog": "binary_sensor", "motion": "binary_sensor"}))
    assert removal["components"]["dog"] == {"platform": "binary_sensor"}
    assert removal["components"]["motion"] == announcement.payload["components"]["motion"]
    assert removal["components"].keys() - announcement.payload["components"].keys() == {"dog"}


def test_an_entity_that_is_on_another_platform_now_is_removed_from_the_former_one() -> None:
    announcement = told(asking())[1]
    removal = json.loads(announcement.without({"question_parcel": "sensor", "question_cars": "sensor"}))
    assert removal["components"]["question_parcel"] == {"platform": "sensor"}
    assert removal["components"]["question_cars"] == announcement.payload["components"]["question_cars"]
    assert announcement.lost({"question_parcel": "sensor", "question_cars": "sensor"}) == ["question_parcel"]
    assert announcement.lost(announcement.entities) == []


def test_old_installations_get_a_message_for_each_entity_with_the_same_ids() -> None:
    single = told(config(homeassistant={"discovery": "single"}))
    device = components(config())
    ours = {a.topic: a.payload for a in single if "/soteira_porch/" in a.topic}
    assert len(ours) == len(device)
    for key, component in device.items():
        payload = ours[f"homeassistant/{component['platform']}/soteira_porch/{key}/config"]
        assert payload["unique_id"] == component["unique_id"]
        assert f"{component['platform']}.{payload['object_id']}" == component["default_entity_id"]
        assert payload["device"]["identifiers"] == ["soteira_porch"] and "platform" not in payload


@pytest.mark.parametrize(("question", "answer", "shown"), [
    ("weather", "dry", "dry"), ("weather", None, "unknown"), ("weather", "snow", "unknown"),
    ("summary", None, "unknown"), ("summary", "A parcel.", "A parcel."),
    ("parcel", None, "None"), ("cars", None, "None"),
])  # fmt: skip
def test_old_installations_take_none_for_a_word_unless_it_is_a_number_or_on_and_off(
    question: str, answer: object, shown: str
) -> None:
    single = {a.topic.split("/")[-2]: a.payload for a in told(asking(homeassistant={"discovery": "single"}))}
    payload = single[f"question_{question}"]
    assert rendered(payload, {"answer": answer}) == shown
    assert "options" not in payload and "device_class" not in payload


def test_nothing_is_announced_when_it_is_off() -> None:
    off = config(homeassistant={"discovery": False})
    assert told(off) == [] and birth_topic(off) is None
    assert birth_topic(config(homeassistant={"discovery_prefix": "ha/x"})) == "ha/x/status"
