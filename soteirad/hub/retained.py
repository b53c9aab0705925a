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
        self._known: dict[str, tuple[str | bytes, int]] = {}

    def camera_status(self, camera: str, online: bool) -> None:
        """Publish whether frames come from the camera."""
        self._set(self._topics.camera_status(camera), "online" if online else "offline", 1)

    def online(self, camera: str) -> bool:
        """Return what `camera_status` was last told."""
        return self._known.get(self._topics.camera_status(camera), ("", 0))[0] == "online"

    def state(self, camera: str, state: dict[str, Any]) -> None:
        """Publish motion, counts and thresholds."""
        self._set(self._topics.state(camera), json.dumps(state, separators=(",", ":")), 1)

    def snapshot(self, camera: str, jpeg: bytes) -> None:
        """Publish the picture of the latest confirmed object."""
        self._set(self._topics.snapshot(camera), jpeg, 0)

    def publish_all(self) -> None:
        """Publish everything again: the broker is new, or was restarted and may have forgotten."""
        for topic, (payload, qos) in self._known.items():
            self._client.publish(topic, payload, qos=qos, retain=True)

    def _set(self, topic: str, payload: str | bytes, qos: int) -> None:
        if self._known.get(topic) != (payload, qos):
            self._known[topic] = (payload, qos)
            self._client.publish(topic, payload, qos=qos, retain=True)
