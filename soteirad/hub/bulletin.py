"""The bulletin: what the box says of itself and its cameras in retained messages, by the configuration in force."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from soteirad import __version__
from soteirad.assembly import zones
from soteirad.config import CameraConfig, Config
from soteirad.config.overrides import settings_of
from soteirad.event import Event
from soteirad.hub.mirror import FrigateMirror
from soteirad.hub.retained import Retained
from soteirad.messages import Picture
from soteirad.mqtt.client import MqttClient
from soteirad.mqtt.homeassistant import announcements, has_preview
from soteirad.mqtt.topics import Topics
from soteirad.state import camera_state


class Bulletin:
    """Knows what each camera last told, and keeps the retained messages true to it.

    `overridden` names the settings of a camera that are not those of its file. `make_mirror` makes what says the same
    in Frigate's format under a prefix. `on_state` hears of each camera's state, too.
    """

    def __init__(self, retained: Retained, topics: Topics, overridden: Callable[[str], Collection[str]],
                 make_mirror: Callable[[str], FrigateMirror],
                 on_state: Callable[[str, Mapping[str, Any]], None] = lambda *_: None) -> None:  # fmt: skip
        self._retained = retained
        self._topics = topics
        self._overridden = overridden
        self._make_mirror = make_mirror
        self._on_state = on_state
        self._mirror: FrigateMirror | None = None
        self._config: Config | None = None
        self._online: dict[str, bool] = {}
        self._states: dict[str, Mapping[str, Any]] = {}
        self._answers: set[tuple[str, str]] = set()

    def configure(self, config: Config, leaving: Collection[str] = ()) -> None:
        """Go by another configuration; cameras that are `leaving` it still run, and are `removed` later."""
        self._config = config
        frigate = config.mqtt.frigate_events
        if not frigate.enabled:
            self._mirror = None
        elif self._mirror is None or self._mirror.prefix != frigate.topic_prefix:
            self._mirror = self._make_mirror(frigate.topic_prefix)
        self._retained.set(self._topics.status(), "online")
        self._retained.set(self._topics.info(), json.dumps({"version": __version__}))
        for name in self._online.keys() - set(leaving):
            self.removed(name)
        for name in self._cameras:
            self.status(name, self.online(name))
            self._tell(name)
        self._retained.announce(announcements(config, self._topics, __version__))
        if self._mirror is not None:
            self._mirror.online(True)
        wanted = {(name, question) for name in self._cameras for question in config.asked_of(name)}
        gone = [self._topics.answer(*of) for of in self._answers - wanted]
        self._retained.take_back(gone if config.llm is not None else [*gone, self._topics.llm()])
        self._answers = wanted
        told = [self._topics.answer(*of) for of in wanted] + ([self._topics.llm()] if config.llm is not None else [])
        self._retained.keep([*self._pictures(config, leaving), *told])

    def answer(self, camera: str, question: str, payload: Mapping[str, Any]) -> None:
        """Tell the last answer to a question, and what became of the last asking."""
        if (camera, question) in self._answers:
            self._retained.set(self._topics.answer(camera, question), json.dumps(payload, separators=(",", ":")))

    def llm(self, payload: Mapping[str, Any]) -> None:
        """Tell how the models do that answer questions."""
        self._retained.set(self._topics.llm(), json.dumps(payload, separators=(",", ":")))

    def _pictures(self, config: Config, leaving: Collection[str]) -> list[str]:
        """Return the topics on which something may stay that this run did not publish."""
        kept = [t for name in leaving for t in self._topics.retained(name)]
        for name in self._cameras:  # of an earlier run or of before: pictures that would come again
            kept += [self._topics.snapshot(name)] if config.storage.snapshots else []
            kept += [self._topics.preview(name)] if self._previewed(name) else []
        if self._mirror is not None and config.storage.snapshots:
            kept += self._mirror.pictures({name: camera.objects.track for name, camera in self._cameras.items()})
        return kept

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

    def confirmed(self, event: Event) -> None:
        """Learn of an event that was just committed; its picture follows."""
        if self._mirror is not None:
            self._mirror.confirmed(event)

    def mirrored(self, event: Event) -> list[tuple[str, str]]:
        """Return what else is to be published with an event that is on time: (topic, payload)."""
        return [] if self._mirror is None else self._mirror.events(event)

    def snapshot(self, camera: str, picture: Picture) -> None:
        """Tell the picture of a confirmed object, or a better one in its place."""
        if self._config is None or not self._config.storage.snapshots:  # one under way may come after they ended
            return
        if picture.latest:
            self._retained.picture(self._topics.snapshot(camera), picture.jpeg)
        if self._mirror is not None:
            self._mirror.picture(picture)

    def preview(self, camera: str, jpeg: bytes) -> None:
        """Tell what the camera sees now."""
        if self._previewed(camera):
            self._retained.picture(self._topics.preview(camera), jpeg)

    def ended(self, camera: str) -> None:
        """Tell that nobody watches a camera at the moment."""
        if self._config is not None and camera in self._states and camera in self._config.cameras:
            self._states[camera] = _idle(self._config.cameras[camera], self._states[camera].get("snapshot"))
        self.status(camera, False)
        self._tell(camera)

    def removed(self, camera: str) -> None:
        """Take back what there was of a camera, unless it is one that may be switched on again."""
        if camera not in self._cameras:
            self._states.pop(camera, None)
            self._online.pop(camera, None)
            self._retained.take_back(self._topics.retained(camera))
            if self._mirror is not None:
                self._mirror.forget(camera)

    def stopping(self) -> None:
        """Tell that the daemon ends; its own status is the connection's last word."""
        if self._mirror is not None:
            self._mirror.online(False)

    def _previewed(self, camera: str) -> bool:
        """Say whether there is to be a small picture of what a camera sees."""
        config = self._config
        return (config is not None and camera in config.cameras
                and has_preview(config.cameras[camera], config.mqtt.commands))  # fmt: skip

    @property
    def _cameras(self) -> Mapping[str, CameraConfig]:
        """The cameras of which there is something to tell."""
        return {} if self._config is None else self._config.offered

    def _tell(self, name: str, again: bool = False) -> None:
        """Publish a state; settings are those in force, wherever they come from."""
        camera = self._cameras.get(name)
        if camera is None:
            return
        state = dict(self._states.get(name) or _idle(camera))
        state.update(settings_of(camera))
        state["overrides"] = [*self._overridden(name)]
        self._on_state(name, state)
        self._retained.set(self._topics.state(name), json.dumps(state, separators=(",", ":")), again=again)
        if self._mirror is not None:
            self._mirror.state(name, state)


def _idle(camera: CameraConfig, snapshot: Any = None) -> dict[str, Any]:
    """Return the state of a camera that nobody watches."""
    return {**camera_state(camera, zones(camera)), "snapshot": snapshot}
