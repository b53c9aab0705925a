"""A real Home Assistant in the hands of a test: what it knows, what it shows, and what its owner can do."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.daemon import until
from tests.homeassistant.browser import save_page
from tests.homeassistant.client import Changes, RefusedError
from tests.homeassistant.cores import Core, OldCore, ToolCore

Kind = Literal["old", "new"]
State = dict[str, Any]
PATIENCE_S = 30.0
RELOAD_WITHIN_S = 75.0
"""Home Assistant begins with an entity that was enabled after 30 s."""

_ENTRY = re.compile(r"\d{4}-\d\d-\d\d [\d:.+Z-]+ ([A-Z]+) ")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OURS = re.compile(r"mqtt|soteira|template", re.IGNORECASE)
_GRAVE = ("WARNING", "ERROR", "CRITICAL")
_NO_MATCH = "No matching payload"
"""Only an INFO for Home Assistant, but a payload that we should not have sent."""


def number(state: State) -> float:
    """Return a state as a number, not-a-number where it is none (yet)."""
    try:
        return float(state["state"])
    except ValueError:
        return math.nan


@dataclass(frozen=True)
class Entity:
    """What the registry of entities says of one that came over MQTT."""

    entity_id: str
    unique_id: str
    name: str | None
    category: str | None
    disabled_by: str | None
    device_id: str | None
    platform: str


@dataclass(frozen=True)
class Device:
    """What the registry of devices says of one that came over MQTT; `identifier` is the part after "mqtt"."""

    identifier: str
    id: str
    name: str
    manufacturer: str | None
    model: str | None
    version: str | None
    via: str | None


class HomeAssistant:
    """One Home Assistant of a kind, with its configuration in `folder` (or where the tool keeps it)."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind = kind
        self._forgiven = 0
        self._core: Core = OldCore(folder) if kind == "old" else ToolCore(f"soteira-{os.getpid()}-{folder.name}")

    def start(self, host: str, port: int) -> None:
        """Begin with an empty configuration and this broker; return when it runs."""
        self._core.start(host, port)

    def stop(self) -> None:
        """End it; does nothing if it does not run."""
        self._core.stop()

    def restart(self) -> None:
        """Restart it with what it knows; it greets the broker again."""
        self._core.restart()

    def clean_up(self) -> None:
        """Remove what is not in `folder`; nothing can be asked of it any more."""
        if isinstance(self._core, ToolCore):
            self._core.clean_up()

    @property
    def url(self) -> str:
        """The address of its pages."""
        return self._core.client.url

    @property
    def version(self) -> str:
        """Its own version."""
        return str(self._core.client.get("/api/config")["version"])

    def states(self) -> dict[str, State]:
        """Return all states, with their attributes, by entity id."""
        return {state["entity_id"]: state for state in self._core.client.get("/api/states")}

    def state(self, entity_id: str) -> State | None:
        """Return one state, None where there is none: the entity is unknown or disabled."""
        try:
            return dict(self._core.client.get(f"/api/states/{entity_id}"))
        except RefusedError:
            return None

    def value(self, entity_id: str) -> str | None:
        """Return only what `state` says the state is."""
        return (self.state(entity_id) or {}).get("state")

    def wait_state(
        self, entity_id: str, wanted: str | Callable[[State], object], timeout: float = PATIENCE_S
    ) -> State:
        """Wait until an entity is in a state, or in one that fits; return it, and fail after `timeout` seconds."""
        seen: list[State | None] = []

        def fits() -> bool:
            seen[:] = [state := self.state(entity_id)]
            if state is None:
                return False
            return state["state"] == wanted if isinstance(wanted, str) else bool(wanted(state))

        if not until(fits, timeout):
            pytest.fail(f"not within {timeout} s; {entity_id} is {seen[0] or 'not known'}")
        assert seen[0] is not None
        return seen[0]

    def wait(self, holds: Callable[[HomeAssistant], object], what: str, timeout: float = PATIENCE_S) -> None:
        """Wait until something holds of this Home Assistant; fail after `timeout` seconds."""
        if not until(lambda: bool(holds(self)), timeout):
            states = self.states()
            lines = [f"  {entity_id} {states.get(entity_id, {}).get('state')}" for entity_id in sorted(self.entities())]
            pytest.fail("\n".join([f"not within {timeout} s: {what}; its entities:", *lines]))

    def changes(self) -> Changes:
        """Return a context in which every state that is written is kept."""
        return Changes(self._core.client)

    def call(self, action: str, entity_id: str, **data: Any) -> None:
        """Call an action such as `switch.turn_on`. Raises `RefusedError` when Home Assistant does not want to."""
        domain, _, service = action.partition(".")
        self._core.client.post(f"/api/services/{domain}/{service}", {"entity_id": entity_id, **data})

    def picture(self, entity_id: str) -> bytes:
        """Return the picture of an entity of the kind image or camera, nothing where Home Assistant has none."""
        kind = entity_id.partition(".")[0]
        try:
            return self._core.client.raw("GET", f"/api/{kind}_proxy/{entity_id}")
        except RefusedError:
            return b""

    def entities(self) -> dict[str, Entity]:
        """Return the registered entities that came over MQTT, by entity id."""
        found = self._core.client.command("config/entity_registry/list")
        return {
            e["entity_id"]: Entity(e["entity_id"], e["unique_id"], e["name"] or e["original_name"],
                                   e["entity_category"], e["disabled_by"], e["device_id"], e["platform"])
            for e in found if e["platform"] == "mqtt"
        }  # fmt: skip

    def device_class(self, entity_id: str) -> str | None:
        """Return the device class that discovery gave an entity, which may be disabled."""
        found = self._core.client.command("config/entity_registry/get", entity_id=entity_id)
        return found["original_device_class"] or (self.state(entity_id) or {}).get("attributes", {}).get("device_class")

    def devices(self) -> dict[str, Device]:
        """Return the registered devices that came over MQTT, by identifier."""
        listed = self._core.client.command("config/device_registry/list")
        found = {}
        for device in listed:
            for domain, identifier in device["identifiers"]:
                if domain == "mqtt":
                    found[identifier] = Device(
                        identifier, device["id"], device["name_by_user"] or device["name"], device["manufacturer"],
                        device["model"], device["sw_version"], device["via_device_id"],
                    )  # fmt: skip
        return found

    def enable(self, *entity_ids: str) -> None:
        """Enable entities that are disabled, and return when Home Assistant has begun with them."""
        for entity_id in entity_ids:
            self._core.client.command("config/entity_registry/update", entity_id=entity_id, disabled_by=None)
        for entity_id in entity_ids:  # until it has begun they have a state of the time before
            self.wait_state(entity_id, lambda state: not state["attributes"].get("restored"), RELOAD_WITHIN_S)

    def log_warnings(self) -> list[str]:
        """Return what its log has about us that is not good, with tracebacks, since the last `forgive`."""
        return self._bad_entries()[self._forgiven :]

    def forgive(self) -> None:
        """Leave what is in the log so far out of `log_warnings`."""
        self._forgiven = len(self._bad_entries())

    def _bad_entries(self) -> list[str]:
        entries: list[tuple[str, list[str]]] = []
        for line in _COLOUR.sub("", self._core.log()).splitlines():
            if begins := _ENTRY.match(line):
                entries.append((begins[1], [line]))
            elif entries:
                entries[-1][1].append(line)
        texts = [(level, "\n".join(lines)) for level, lines in entries]
        return [text for level, text in texts if (level in _GRAVE and _OURS.search(text)) or _NO_MATCH in text]

    def screenshot(self, path: str, file: Path, width: int = 1180, height: int = 1000, shows: str = "") -> None:
        """Save a page of the owner, light, as PNG, when it shows a text; skips the test where there is no browser."""
        client = self._core.client
        save_page(client.url, client.token, path, file, (width, height), shows)
