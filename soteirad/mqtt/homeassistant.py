"""Home Assistant's MQTT discovery: pure functions from a configuration to the messages that announce it.

A camera is a device, and so is the daemon. Since Home Assistant 2024.11 one message describes a device with all its
entities (`device`); older ones want a message for each entity (`single`). Unique ids derive from the topic prefix and
the camera's key, never from the name that people see, so that renaming leaves nothing behind.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from soteirad.config import CameraConfig, Config
from soteirad.config.overrides import limits
from soteirad.config.question import AD_HOC, AnswerType
from soteirad.config.values import slug
from soteirad.event import EVENT_TYPES
from soteirad.messages import DIAGNOSTICS_EVERY_S
from soteirad.mqtt.topics import Topics

EXPIRE_S = round(3.3 * DIAGNOSTICS_EVERY_S)
"""Figures that stayed away three times are unknown."""
LONGEST_STATE = 255
"""Home Assistant takes no longer state."""

ICONS = {"person": "account", "car": "car", "truck": "truck", "bus": "bus", "bicycle": "bicycle", "bird": "bird",
         "motorcycle": "motorbike", "cat": "cat", "dog": "dog"}  # fmt: skip
"""Common labels in Home Assistant's icon set; the others look like rooms that are occupied."""

ON_EVENT_TOPIC = [kind for kind in EVENT_TYPES if kind != "recorded"]
"""What an `event` entity hears of: clips are told of on a topic of their own."""

Details = dict[str, Any]


@dataclass(frozen=True)
class Entity:
    """One entity: its platform (`sensor`, `switch` ...), its key within the device, and its configuration."""

    platform: str
    key: str
    details: Details


@dataclass(frozen=True)
class Announcement:
    """One retained message to Home Assistant.

    `entities` are key and platform of what it announces; an entity that a device had before and lacks now, or has on
    another platform, is removed only by `without`.
    """

    topic: str
    payload: Details
    entities: Mapping[str, str]

    def lost(self, former: Mapping[str, str]) -> list[str]:
        """Return the keys in `former` (key -> platform) that are announced no more, or on another platform."""
        return [key for key, platform in former.items() if self.entities.get(key) != platform]

    def text(self) -> str:
        """Return the payload as JSON."""
        return _json(self.payload)

    def without(self, former: Mapping[str, str]) -> str:
        """Return the payload that removes what is in `former` (key -> platform) and is announced no more."""
        gone = {key: {"platform": former[key]} for key in self.lost(former)}
        return _json({**self.payload, "components": {**self.payload.get("components", {}), **gone}})


def announcements(config: Config, topics: Topics, version: str) -> list[Announcement]:
    """Return all messages for a configuration, the daemon's first: the cameras' devices refer to it.

    A camera that is switched off is announced if it may be switched on again over MQTT.
    """
    if config.homeassistant.discovery == "off":
        return []
    old = config.homeassistant.discovery == "single"
    make = _as_single if old else _as_device
    prefix, allowed = config.homeassistant.discovery_prefix, config.mqtt.commands
    hub = _Maker(topics, None, version, "Soteira" if topics.prefix == "soteira" else f"Soteira {topics.prefix}", old)
    found = list(make(prefix, hub, _unique(_hub_entities(hub, topics, config))))
    for name, camera in config.offered.items():
        maker = _Maker(topics, name, version, camera.name or name, old)
        entities = [*_seen(maker, camera), *_pictures(maker, camera, allowed, config.storage.snapshots),
                    *_settings(maker, camera, allowed), *_health(maker)]  # fmt: skip
        found += make(prefix, maker, _unique([*entities, *_questions(maker, camera, config)]))
    return found


def birth_topic(config: Config) -> str | None:
    """Return where Home Assistant says that it was started; None if it is not told anything."""
    told = config.homeassistant
    return None if told.discovery == "off" else f"{told.discovery_prefix}/status"


class _Maker:
    """What the entities of one device have in common; `camera` is None for the daemon's own."""

    def __init__(self, topics: Topics, camera: str | None, version: str, title: str, old: bool) -> None:
        self.topics = topics
        self.old = old
        """Whether it may be a Home Assistant of before 2024.11."""
        # An old one takes None for a word where a sensor is no number; the word unknown is what all of them mean by it.
        self.no_text = "unknown" if old else "None"
        self.camera = camera or ""
        self.node = f"{topics.prefix}_{camera or 'hub'}"
        own = "" if topics.prefix == "soteira" else f"{slug(topics.prefix)}_"
        self._start = f"{own}{slug(camera)}" if camera else slug(topics.prefix)
        self.device: Details = {
            "identifiers": [self.node], "name": title, "manufacturer": "Soteira",
            "model": "Camera" if camera else "Daemon", "sw_version": version,
            **({"via_device": f"{topics.prefix}_hub"} if camera else {}),
        }  # fmt: skip
        self.origin: Details = {"name": "Soteira", "sw_version": version}

    def entity(self, platform: str, key: str, name: str, watched: bool = True, **details: Any) -> Entity:
        """Return an entity; `watched` ones are unavailable while no frames come from the camera."""
        sources = [self.topics.status(), *([self.topics.camera_status(self.camera)] if watched else [])]
        availability = [{"topic": topic} for topic in sources]
        common = {"name": name, "availability": availability, "availability_mode": "all"}
        return Entity(platform, key, {**common, **details})

    def names(self, platform: str, key: str) -> Details:
        """Return what identifies an entity in Home Assistant."""
        return {"unique_id": f"{self.node}_{key}", "default_entity_id": f"{platform}.{self._start}_{key}"}


def _hub_entities(maker: _Maker, topics: Topics, config: Config) -> Iterator[Entity]:
    yield Entity("binary_sensor", "status", {
        "name": "Status", "state_topic": topics.status(), "payload_on": "online", "payload_off": "offline",
        "device_class": "connectivity", "entity_category": "diagnostic",
    })  # fmt: skip
    yield maker.entity("sensor", "version", "Version", watched=False, state_topic=topics.info(), icon="mdi:tag",
                       value_template="{{ value_json.version }}", entity_category="diagnostic")  # fmt: skip
    if config.llm is not None:
        yield maker.entity("binary_sensor", "llm_problem", "Vision model", watched=False, state_topic=topics.llm(),
                           value_template=_on("value_json.state != 'ok'"), device_class="problem",
                           entity_category="diagnostic", json_attributes_topic=topics.llm())  # fmt: skip
        left = "value_json.left.per_day"
        yield maker.entity("sensor", "llm_left", "Questions left today", watched=False, state_topic=topics.llm(),
                           value_template=f"{{{{ 'None' if {left} is none else {left} }}}}",
                           state_class="measurement", icon="mdi:message-question",
                           entity_category="diagnostic")  # fmt: skip
    if "restart" in config.mqtt.commands:
        yield maker.entity("button", "restart", "Restart", watched=False, device_class="restart",
                           command_topic=topics.daemon_command("restart"), entity_category="config")  # fmt: skip


def _seen(maker: _Maker, camera: CameraConfig) -> Iterator[Entity]:
    """What is there now, and what happened."""
    state = maker.topics.state(maker.camera)
    yield maker.entity("binary_sensor", "motion", "Motion", state_topic=state, device_class="motion",
                       value_template=_on("value_json.motion"))  # fmt: skip
    yield maker.entity("event", "event", "Event", watched=False, state_topic=maker.topics.event(maker.camera),
                       event_types=ON_EVENT_TOPIC, qos=1, icon="mdi:account-eye")  # fmt: skip
    yield maker.entity(
        "binary_sensor", "view_changed", "View changed", state_topic=state, device_class="problem",
        value_template=_on("value_json.view.changed"), json_attributes_topic=state,
        json_attributes_template="{{ {'seen': value_json.view.seen} | tojson }}",
    )  # fmt: skip
    for label in camera.objects.track:
        seen, title, key = _seen_there("objects", label), label[:1].upper() + label[1:], _key(label)
        icon: Details = {"icon": f"mdi:{ICONS[label]}"} if label in ICONS else {}
        yield maker.entity("binary_sensor", key, title, state_topic=state, device_class="occupancy",
                           value_template=_on(f"{seen}.present | default(false)"), **icon)  # fmt: skip
        yield maker.entity("sensor", f"{key}_count", f"{title} count", state_topic=state, state_class="measurement",
                           value_template=f"{{{{ {seen}.count | default(0) }}}}", icon="mdi:counter")  # fmt: skip
    for zone in camera.zones:
        yield maker.entity("binary_sensor", f"zone_{_key(zone)}", f"Zone {zone}", state_topic=state,
                           device_class="occupancy", icon="mdi:vector-polygon",
                           value_template=_on(f"{_seen_there('zones', zone)}.present | default(false)"))  # fmt: skip


def has_preview(camera: CameraConfig, allowed: tuple[str, ...]) -> bool:
    """Say whether there can be a small picture of what the camera sees now: regularly, or on command."""
    return bool(camera.preview) or "snapshot" in allowed


def _pictures(maker: _Maker, camera: CameraConfig, allowed: tuple[str, ...], snapshots: bool) -> Iterator[Entity]:
    if snapshots:
        yield maker.entity("image", "last_object", "Last object", watched=False, content_type="image/jpeg",
                           image_topic=maker.topics.snapshot(maker.camera))  # fmt: skip
    if has_preview(camera, allowed):
        yield maker.entity("camera", "preview", "Preview", topic=maker.topics.preview(maker.camera),
                           enabled_by_default=bool(camera.preview))  # fmt: skip
    if "snapshot" in allowed:
        yield maker.entity("button", "take_picture", "Take picture", icon="mdi:camera",
                           command_topic=maker.topics.command(maker.camera, "snapshot"))  # fmt: skip


def _settings(maker: _Maker, camera: CameraConfig, allowed: tuple[str, ...]) -> Iterator[Entity]:
    """What may be changed; available also while the camera is not."""
    state = maker.topics.state(maker.camera)
    for key, title, icon in (("enabled", "Enabled", "mdi:cctv"), ("detect", "Detection", "mdi:magnify-scan")):
        if key in allowed:
            yield maker.entity("switch", key, title, watched=False, state_topic=state, icon=icon,
                               command_topic=maker.topics.command(maker.camera, key),
                               value_template=_on(f"value_json.{key}"), entity_category="config")  # fmt: skip
    lowest, highest = limits(camera, "motion_threshold")
    for key, title, low, high, step in (("motion_threshold", "Motion threshold", lowest, highest, 0.001),
                                        ("min_score", "Minimum confidence", 0.0, 1.0, 0.01)):  # fmt: skip
        if key in allowed:
            yield maker.entity("number", key, title, watched=False, state_topic=state, min=low, max=high, step=step,
                               command_topic=maker.topics.command(maker.camera, key), mode="box",
                               value_template=f"{{{{ value_json.{key} }}}}", entity_category="config",
                               icon="mdi:tune-vertical")  # fmt: skip


def _health(maker: _Maker) -> Iterator[Entity]:
    yield maker.entity(
        "binary_sensor", "connectivity", "Connectivity", watched=False, payload_on="online", payload_off="offline",
        state_topic=maker.topics.camera_status(maker.camera), device_class="connectivity", entity_category="diagnostic",
    )  # fmt: skip
    # A camera process that died says only that: its figures are unknown then.
    skipped = " + ".join(f"value_json.{key} | default(0)" for key in ("skipped", "dropped", "late", "corrupt"))
    figures: list[tuple[str, str, str, Details]] = [
        ("fps", "Frame rate", "value_json.fps | default('None')",
         {"unit_of_measurement": "fps", "state_class": "measurement", "icon": "mdi:filmstrip"}),
        ("inference", "Inference", "(value_json.stage_ms | default({})).detect | default('None')",
         {"unit_of_measurement": "ms", "state_class": "measurement", "device_class": "duration"}),
        ("skipped_frames", "Skipped frames", f"({skipped}) if value_json.fps is defined else 'None'",
         {"state_class": "total_increasing", "icon": "mdi:debug-step-over"}),
    ]  # fmt: skip
    for key, title, template, details in figures:
        yield maker.entity("sensor", key, title, state_topic=maker.topics.diagnostics(maker.camera),
                           value_template=f"{{{{ {template} }}}}", expire_after=EXPIRE_S, enabled_by_default=False,
                           entity_category="diagnostic", **details)  # fmt: skip


def _questions(maker: _Maker, camera: CameraConfig, config: Config) -> Iterator[Entity]:
    """Return the entities for the questions that there is somebody to answer."""
    if config.llm is None:
        return
    may_ask = "ask" in config.mqtt.commands
    asks: Details = {"command_topic": maker.topics.command(maker.camera, "ask")}
    for question in (q for q in camera.questions if q.enabled):
        yield _answer(maker, question.name, question.answer)
        if may_ask and "command" in question.when.on:
            yield maker.entity("button", f"ask_{_key(question.name)}", f"Ask {question.name}", icon="mdi:chat-question",
                               payload_press=question.name, **asks)  # fmt: skip
    if may_ask:
        yield _answer(maker, AD_HOC, AnswerType("text"), "Answer")
        yield maker.entity("text", "ask", "Ask", max=LONGEST_STATE, icon="mdi:chat-question", **asks,
                           state_topic=maker.topics.answer(maker.camera, AD_HOC),
                           value_template=_cut("value_json.ask"))  # fmt: skip


def _answer(maker: _Maker, name: str, kind: AnswerType, title: str = "") -> Entity:
    """Return the entity for the answers to a question, which arrive on `<camera>/answer/<name>` as JSON with `answer`:
    a truth value, a number, a choice or text, null while it is unknown. The whole answer is in its attributes."""
    topic = maker.topics.answer(maker.camera, name)
    answer = "value_json.answer"
    platform, details = "sensor", Details()
    if kind.kind == "yes_no":
        platform = "binary_sensor"
        template = f"{{{{ 'ON' if {answer} == true else 'OFF' if {answer} == false else 'None' }}}}"
    elif kind.kind == "number":
        # A retained answer may be older than the question's kind; a word would be an error to Home Assistant.
        template = f"{{{{ {answer} if {answer} is number and {answer} is not boolean else 'None' }}}}"
        details = {"state_class": "measurement"}
    elif kind.kind == "choice":
        choices = json.dumps(kind.choices, ensure_ascii=False)
        template = f"{{{{ {answer} if {answer} in {choices} else '{maker.no_text}' }}}}"
        # 2024.3 knows no options over MQTT, and what is none of them in newer ones is a warning there.
        details = {} if maker.old else {"device_class": "enum", "options": [*kind.choices]}
    else:
        template = _cut(answer, maker.no_text)
    return maker.entity(platform, f"question_{_key(name)}", title or name[:1].upper() + name[1:], watched=False,
                        state_topic=topic, value_template=template, json_attributes_topic=topic, **details)  # fmt: skip


def _cut(text: str, nothing: str = "None") -> str:
    """Return the template of a text that is at most as long as Home Assistant takes; `nothing` where there is none."""
    return f"{{{{ '{nothing}' if {text} is none else {text} | string | truncate({LONGEST_STATE}, true, '…', 0) }}}}"


def _json(payload: Details) -> str:
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False)


def _on(expression: str) -> str:
    return f"{{{{ 'ON' if {expression} else 'OFF' }}}}"


def _seen_there(where: str, name: str) -> str:
    """Return the template of who is seen of a label, or in a zone; nobody in a state from before there was one."""
    # As it is: Jinja does not put together what JSON escapes as two halves (emoji, rare letters).
    return f"(value_json.{where}[{json.dumps(name, ensure_ascii=False)}] | default({{}}))"


def _key(text: str) -> str:
    """Return a key for what an owner or a model named: without accents, or in another script by its code points."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return (slug(plain) if plain.isascii() else "") or "_".join(f"{ord(c):x}" for c in text)


def _unique(entities: Any) -> list[Entity]:
    """Give each entity a key of its own: a label may be called as something else is."""
    found: dict[str, Entity] = {}
    for entity in entities:
        key, number = entity.key, 1
        while key in found:
            number += 1
            key = f"{entity.key}_{number}"
        found[key] = Entity(entity.platform, key, entity.details)
    return list(found.values())


def _as_device(prefix: str, maker: _Maker, entities: list[Entity]) -> Iterator[Announcement]:
    components = {e.key: {"platform": e.platform, **e.details, **maker.names(e.platform, e.key)} for e in entities}
    payload = {"device": maker.device, "origin": maker.origin, "components": components}
    yield Announcement(f"{prefix}/device/{maker.node}/config", payload, {e.key: e.platform for e in entities})


def _as_single(prefix: str, maker: _Maker, entities: list[Entity]) -> Iterator[Announcement]:
    for entity in entities:
        names = maker.names(entity.platform, entity.key)
        # Before 2025.10 the key was object_id, without the platform.
        names["object_id"] = names.pop("default_entity_id").partition(".")[2]
        payload = {**entity.details, **names, "device": maker.device, "origin": maker.origin}
        topic = f"{prefix}/{entity.platform}/{maker.node}/{entity.key}/config"
        yield Announcement(topic, payload, {entity.key: entity.platform})
