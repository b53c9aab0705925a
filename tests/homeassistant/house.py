"""The house of these tests: a real Home Assistant, a real broker, and daemons that come and go."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.brokers import Mosquitto, Subscriber, retained_at
from tests.daemon import Daemon, write_config
from tests.homeassistant.rig import HomeAssistant, Kind

PATIENCE_S = 20.0


class House:
    """A Home Assistant of a kind and a broker, in folders that `folders` makes."""

    def __init__(self, kind: Kind, folders: pytest.TempPathFactory) -> None:
        self.broker = Mosquitto(folders.mktemp("broker"))
        self.homeassistant = HomeAssistant(kind, folders.mktemp("homeassistant"))
        self._folder = folders.mktemp("daemon")
        self._daemons: list[Daemon] = []

    def start(self) -> None:
        """Start the broker and Home Assistant."""
        self.broker.start()
        self.homeassistant.start(self.broker.host, self.broker.port)

    def stop(self) -> None:
        """End everything."""
        self._end_daemons()
        self.homeassistant.stop()
        self.broker.stop()

    def config(
        self, cameras: Mapping[str, Mapping[str, Any]], commands: list[str] | None = None, **sections: Any
    ) -> Path:
        """Write the daemon's configuration, with the form of discovery that this Home Assistant understands."""
        path = write_config(self._folder, self.broker.port, cameras, **sections)
        text = json.dumps(commands) if commands is not None else None
        form = "single" if self.homeassistant.kind == "old" else "device"
        written = path.read_text(encoding="utf-8") + f"homeassistant: {{discovery: {form}}}\n"
        if text is not None:
            written = written.replace("mqtt:\n", f"mqtt:\n  commands: {text}\n", 1)
        path.write_text(written, encoding="utf-8")
        return path

    def run(self, config: Path) -> Daemon:
        """Start a daemon."""
        self._daemons.append(Daemon(config))
        return self._daemons[-1].start()

    def publish(self, messages: Mapping[str, str | bytes], retain: bool = True) -> None:
        """Publish on the broker, in order, and return when it has acknowledged all."""
        client = self._client()
        try:
            for topic, payload in messages.items():
                client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(PATIENCE_S)
        finally:
            _end(client)

    @contextlib.contextmanager
    def heard(self, topic: str = "#") -> Iterator[Subscriber]:
        """Hear what is published on a topic meanwhile, and what is retained there."""
        subscriber = Subscriber(self.broker, topic, client_id=f"house-{time.monotonic_ns()}")
        subscriber.start()
        try:
            yield subscriber
        finally:
            subscriber.stop()

    def retained(self) -> dict[str, bytes]:
        """Return what a subscriber finds that comes now, by topic."""
        return retained_at(self.broker)

    def saved_state(self, camera: str = "porch") -> dict[str, Any]:
        """Return a camera's retained state."""
        return dict(json.loads(self.retained().get(f"soteira/{camera}/state", b"{}")))

    def clear(self) -> None:
        """End the daemons, wait until Home Assistant has forgotten its devices, and take back all that is retained."""
        self._end_daemons()
        shutil.rmtree(self._folder / "state", ignore_errors=True)  # it remembers what lies at the broker
        # In this order: a template that is given nothing is an error in Home Assistant's log.
        self.publish(dict.fromkeys((topic for topic in self.retained() if topic.startswith("homeassistant/")), b""))
        self.homeassistant.wait(lambda ha: not ha.entities() and not ha.devices(), "its devices are forgotten")
        self.publish(dict.fromkeys(self.retained(), b""))

    def _end_daemons(self) -> None:
        while self._daemons:
            self._daemons.pop().clean_up()

    def _client(self) -> paho.Client:
        connected = threading.Event()
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.on_connect = lambda *_: connected.set()
        client.connect(self.broker.host, self.broker.port)
        client.loop_start()
        assert connected.wait(PATIENCE_S), "the broker does not answer"
        return client


def _end(client: paho.Client) -> None:
    client.disconnect()
    client.loop_stop()
