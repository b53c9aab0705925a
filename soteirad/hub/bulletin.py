"""The bulletin: what the box says of itself and its cameras in retained messages, by the configuration in force."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from soteirad import __version__
from soteirad.assembly import zones
from soteirad.config import Config
from soteirad.config.overrides import SETTINGS, value_of
from soteirad.hub.retained import Retained
from soteirad.mqtt.client import MqttClient
from soteirad.mqtt.homeassistant import announcements, has_preview
from soteirad.mqtt.topics import Topics
from soteirad.state import camera_state


class Bulletin:
    """Knows what each camera last told, and keeps the retained messages true to it.

    `overridden` names the settings of a camera that are not those of its file.
    """

    def __init__(self, retained: Retained, topics: Topics, overridden: Callable[[str], Collection[str]]) -> None:
        self._retained = retained
        self._topics = topics
        self._overridden = overridden
        self._config: Config | None = None
        self._online: dict[str, bool] = {}
        self._states: dict[str, Mapping[str, Any]] = {}

    def configure(self, config: Config, leaving: Collection[str] = ()) -> None:
        """Go by another configuration; cameras that are `leaving` it still run, and are `removed` later."""
        self._config = config
        self._retained.set(self._topics.status(), "online")
        self._retained.set(self._topics.info(), json.dumps({"version": __version__}))
        for name in self._cameras():
            self.status(name, self.online(name))
            self._tell(name)
        self._retained.announce(announcements(config, self._topics, __version__))
        kept = [t for name in leaving for t in self._topics.retained(name)]
        for name in self._cameras():  # of an earlier run or of before: pictures that would come again
            kept += [self._topics.snapshot(name)] if config.storage.snapshots else []
            wanted = has_preview(config.cameras[name], config.mqtt.commands)
            kept += [self._topics.preview(name)] if wanted else []
        self._retained.keep(kept)

    def move(self, client: MqttClient, topics: Topics) -> None:
        """Go on at another broker or under another prefix; `configure` has to follow."""
        self._topics = topics
        self._retained.move(client)

    def status(self, camera: str, online: bool) -> None:
        """Tell whether frames come from a camera."""
        self._online[camera] = online
        self._retained.set(self._topics.camera_status(camera), "online" if online else "offline")

    def online(self, camera: str) -> bool:
        """Return what `status` was last told."""
        return self._online.get(camera, False)

    def state(self, camera: str, state: Mapping[str, Any]) -> None:
        """Tell what a camera process says that there is now."""
        self._states[camera] = state
        self._tell(camera)

    def again(self, camera: str) -> None:
        """Tell a camera's true state once more, to somebody who wished it otherwise."""
        self._tell(camera, again=True)

    def snapshot(self, camera: str, jpeg: bytes) -> None:
        """Tell the picture of the latest confirmed object."""
        self._retained.picture(self._topics.snapshot(camera), jpeg)

    def preview(self, camera: str, jpeg: bytes) -> None:
        """Tell what the camera sees now."""
        self._retained.picture(self._topics.preview(camera), jpeg)

    def ended(self, camera: str) -> None:
        """Tell that nobody watches a camera at the moment."""
        if self._config is not None and camera in self._states and camera in self._config.cameras:
            settings = self._config.cameras[camera]
            idle = camera_state(settings, zones(settings))
            self._states[camera] = {**idle, "snapshot": self._states[camera].get("snapshot")}
        self.status(camera, False)
        self._tell(camera)

    def removed(self, camera: str) -> None:
        """Take back what there was of a camera, unless it is one that may be switched on again."""
        if camera not in self._cameras():
            self._states.pop(camera, None)
            self._online.pop(camera, None)
            self._retained.take_back(self._topics.retained(camera))

    def _cameras(self) -> list[str]:
        """Return the cameras of which there is something to tell: watched, or to be switched on over MQTT."""
        if self._config is None:
            return []
        switchable = "enabled" in self._config.mqtt.commands
        return [name for name, camera in self._config.cameras.items() if camera.enabled or switchable]

    def _tell(self, name: str, again: bool = False) -> None:
        """Publish a state; settings are those in force, wherever they come from."""
        if self._config is None or name not in self._cameras():
            return
        camera = self._config.cameras[name]
        state = dict(self._states.get(name) or {**camera_state(camera, zones(camera)), "snapshot": None})
        state.update({setting: value_of(camera, setting) for setting in SETTINGS})
        state["overrides"] = [*self._overridden(name)]
        self._retained.set(self._topics.state(name), json.dumps(state, separators=(",", ":")), again=again)
