"""Retained state: what a subscriber finds when it comes, published on change and again on each connection."""

from __future__ import annotations

import json
from typing import Any

from soteirad.mqtt.client import MqttClient
from soteirad.mqtt.topics import Topics


class Retained:
    """Remembers each camera's status, state and snapshot, and publishes them retained."""

    def __init__(self, client: MqttClient, topics: Topics) -> None:
        self._client = client
        self._topics = topics
        self._known: dict[tuple[str, str], tuple[str | bytes, int]] = {}

    def camera_status(self, camera: str, online: bool) -> None:
        """Publish whether frames come from the camera."""
        self._set(camera, "status", "online" if online else "offline", 1)

    def online(self, camera: str) -> bool:
        """Return what `camera_status` was last told."""
        return self._known.get((camera, "status"), ("", 0))[0] == "online"

    def state(self, camera: str, state: dict[str, Any]) -> None:
        """Publish motion, counts and thresholds."""
        self._set(camera, "state", json.dumps(state, separators=(",", ":")), 1)

    def snapshot(self, camera: str, jpeg: bytes) -> None:
        """Publish the picture of the latest confirmed object."""
        self._set(camera, "snapshot", jpeg, 0)

    def forget(self, camera: str) -> None:
        """Take back all that is retained of a camera that is no more, now or when the broker is there again."""
        for known, kind in [key for key in self._known if key[0] == camera]:
            self._set(known, kind, b"", 1)

    def take_back(self) -> None:
        """Take everything back from the broker, which will not be used any more, but remember it."""
        for camera, kind in self._known:
            self._client.publish(self._topic(camera, kind), b"", qos=1, retain=True)

    def publish_all(self) -> None:
        """Publish everything again: the broker is new, or was restarted and may have forgotten."""
        for (camera, kind), (payload, qos) in self._known.items():
            self._client.publish(self._topic(camera, kind), payload, qos=qos, retain=True)

    def move(self, client: MqttClient, topics: Topics) -> None:
        """Publish to another broker or under another prefix from now on."""
        self._client, self._topics = client, topics

    def _set(self, camera: str, kind: str, payload: str | bytes, qos: int) -> None:
        if self._known.get((camera, kind)) != (payload, qos):
            self._known[camera, kind] = (payload, qos)
            self._client.publish(self._topic(camera, kind), payload, qos=qos, retain=True)

    def _topic(self, camera: str, kind: str) -> str:
        topics = {"status": self._topics.camera_status, "state": self._topics.state, "snapshot": self._topics.snapshot}
        return topics[kind](camera)
