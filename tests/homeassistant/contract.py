"""What Home Assistant is to have of a camera and of the box: the one place to change when discovery does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from soteirad.event import EVENT_TYPES

ANY = "any"
"""A matter of taste that may change without a test's leave."""
ALL_COMMANDS = ("enabled", "detect", "motion_threshold", "min_score", "snapshot", "restart")
HUB = "soteira_hub"


@dataclass(frozen=True)
class Wanted:
    """What the registries say of one entity; the unit is in its state, so that only enabled entities show one."""

    unique_id: str
    device_class: str | None = ANY
    category: str | None = None
    enabled: bool = True
    unit: str | None = None


def camera(
    name: str, labels: Iterable[str], zones: Iterable[str] = (), commands: Iterable[str] = ALL_COMMANDS
) -> dict[str, Wanted]:
    """Return a camera's entities by entity id, for a camera that publishes no preview by itself."""
    hidden = Wanted("", category="diagnostic", enabled=False, unit=ANY)
    found = {
        "binary_sensor.motion": Wanted("", "motion"),
        "event.event": Wanted(""),
        "image.last_object": Wanted(""),
        "binary_sensor.connectivity": Wanted("", "connectivity", "diagnostic"),
        "binary_sensor.view_changed": Wanted("", "problem", ANY),
        "sensor.fps": hidden,
        "sensor.inference": hidden,
        "sensor.skipped_frames": hidden,
    }
    for label in labels:
        found |= {f"binary_sensor.{label}": Wanted("", "occupancy"), f"sensor.{label}_count": Wanted("", unit=ANY)}
    for zone in zones:
        found[f"binary_sensor.zone_{zone}"] = Wanted("")
    offered = {
        "enabled": {"switch.enabled": Wanted("", category=ANY)},
        "detect": {"switch.detect": Wanted("", category=ANY)},
        "motion_threshold": {"number.motion_threshold": Wanted("", category=ANY, unit=ANY)},
        "min_score": {"number.min_score": Wanted("", category=ANY, unit=ANY)},
        "snapshot": {"button.take_picture": Wanted(""), "camera.preview": Wanted("", enabled=False)},
    }
    for command in commands:
        found |= offered.get(command, {})
    return _named(found, name, f"soteira_{name}")


def questions(name: str, kinds: Mapping[str, str], buttons: Iterable[str] = (), ask: bool = True) -> dict[str, Wanted]:
    """Return what questions add to a camera: `kinds` are name and kind of answer, `buttons` those asked by command."""
    classes = {"yes_no": None, "number": None, "text": None, "choice": "enum"}
    found = {f"{'binary_' if kind == 'yes_no' else ''}sensor.question_{question}": Wanted("", classes[kind])
             for question, kind in kinds.items()}  # fmt: skip
    if ask:
        found |= {f"button.ask_{question}": Wanted("") for question in buttons}
        found |= {"text.ask": Wanted(""), "sensor.question_ask": Wanted("", None)}
    return _named(found, name, f"soteira_{name}")


def models() -> dict[str, Wanted]:
    """Return what the box tells of the models that answer questions."""
    return _named({
        "binary_sensor.llm_problem": Wanted("", "problem", "diagnostic"),
        "sensor.llm_left": Wanted("", category="diagnostic"),
    }, "soteira", HUB)  # fmt: skip


def box(commands: Iterable[str] = ALL_COMMANDS) -> dict[str, Wanted]:
    """Return the box's own entities by entity id."""
    found = {"binary_sensor.status": Wanted("", "connectivity", ANY), "sensor.version": Wanted("", category=ANY)}
    if "restart" in commands:
        found["button.restart"] = Wanted("", category=ANY)
    return _named(found, "soteira", HUB)


STANDING_ALONE = ("switch.porch_enabled", "binary_sensor.porch_connectivity")
"""What may say something while nobody watches the camera: the switch that wakes it, and whether it is connected."""
WHILE_OFF = (*STANDING_ALONE, "switch.porch_detect", "number.porch_motion_threshold", "number.porch_min_score",
             "event.porch_event", "image.porch_last_object")  # fmt: skip
"""What is there while the camera is off and the daemon lives: settings, and what was last seen."""
EVENTS = set(EVENT_TYPES) - {"recorded"}


def _named(found: dict[str, Wanted], name: str, device: str) -> dict[str, Wanted]:
    named = {}
    for key, wanted in found.items():
        kind, _, rest = key.partition(".")
        named[f"{kind}.{name}_{rest}"] = replace(wanted, unique_id=f"{device}_{rest}")
    return named
