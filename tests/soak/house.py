"""The house of the soak: a broker, cameras that show the same visit again and again, the daemon, and what it says."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from soteirad.event import epoch_time
from tests import clips
from tests.brokers import Mosquitto, Received, Subscriber
from tests.daemon import STOP_WITHIN_S, Daemon, until, write_config
from tests.rtsp_server import RtspServer, length_ns, read_packets
from tests.soak.vitals import Vitals

FPS, OTHER_FPS = 10, 8
ENTRY_S = 5.8
"""When the person of the clip enters (`clips.VISIT`)."""
START_WITHIN_S = 120.0


@dataclass
class Story:
    """What was published of one camera. All times are monotonic."""

    status: list[tuple[float, str]] = field(default_factory=list)
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    diagnostics: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    @property
    def online(self) -> bool:
        return bool(self.status) and self.status[-1][1] == "online"

    def kinds(self, kind: str) -> list[float]:
        """Return when the events of a kind were captured, in order."""
        return sorted(e["at"] for e in self.events.values() if e["event_type"] == kind)


class Listener:
    """Reads on in what the subscriber got and sorts it by camera."""

    def __init__(self, subscriber: Subscriber, cameras: list[str]) -> None:
        self._subscriber = subscriber
        self._read = 0
        self._wall = time.time() - time.monotonic()
        self.stories = {name: Story() for name in cameras}
        self.daemon: list[tuple[float, str]] = []

    def read(self) -> Listener:
        messages = self._subscriber.messages()
        for message in messages[self._read :]:
            self._take(message)
        self._read = len(messages)
        return self

    def _take(self, message: Received) -> None:
        if message.retain:  # what a broker that was killed still had on disk: it may be old
            return
        _prefix, _, rest = message.topic.partition("/")
        if rest == "status":
            self.daemon.append((message.time, message.payload.decode()))
        camera, _, kind = rest.partition("/")
        story = self.stories.get(camera)
        if story is None:
            return
        if kind == "status":
            said = message.payload.decode()
            if not story.status or story.status[-1][1] != said:  # all is published again on each connection
                story.status.append((message.time, said))
        elif kind in ("event", "event/late"):
            event = json.loads(message.payload)
            story.events.setdefault(event["id"], event | {"at": epoch_time(event["time"]) - self._wall})
        elif kind == "diagnostics":
            story.diagnostics.append((message.time, json.loads(message.payload)))


class House:
    """Everything that runs. `close` ends it all, whatever state it is in."""

    def __init__(self, folder: Path, cameras: int) -> None:
        self._folder = folder
        self.names = [f"camera{number}" for number in range(1, cameras + 1)]
        self.control, self.others = self.names[0], self.names[1:]
        self.clip = clips.cut(folder / "visit.mp4", clips.VISIT)
        self.lap_s = length_ns(read_packets(self.clip)[1]) / 1e9
        self.servers = {name: RtspServer() for name in self.names}
        self.began: dict[str, list[float]] = {name: [] for name in self.names}
        """When each camera's server began to play the clip, each time."""
        self.broker = Mosquitto(folder / "broker")
        self.fps = dict.fromkeys(self.names, FPS)
        self._ends = contextlib.ExitStack()

    def open(self) -> None:
        """Start it all, and return when every camera is online."""
        self._ends.callback(self.broker.stop)
        self.broker.start()
        self._subscriber = Subscriber(self.broker)
        self._ends.callback(self._subscriber.stop)
        self._subscriber.start()
        self.listener = Listener(self._subscriber, self.names)
        for name in self.names:
            self._ends.callback(self.servers[name].kill)
            self.serve(name)
        self.daemon = Daemon(self.configure())
        self._ends.callback(self.daemon.clean_up)
        self.daemon.start()
        ports = {name: int(urlsplit(server.url).port or 0) for name, server in self.servers.items()}
        self.vitals = Vitals(self.daemon, ports)
        self.vitals.start()
        self._ends.callback(self.vitals.stop)
        if not self.wait(lambda: all(self.story(name).online for name in self.names), START_WITHIN_S):
            raise SystemExit(f"soak: not all cameras came online; the daemon's log:\n{self.daemon.log()}")

    def stop(self) -> bool:
        """Ask the daemon to end; returns whether it did, and left no process, in its time."""
        self.daemon.signal(signal.SIGTERM)
        return until(lambda: not self.daemon.running and not self.daemon.group(), STOP_WITHIN_S)

    def close(self) -> None:
        """End it all, the last one first; what cannot be ended keeps nothing else."""
        self._ends.close()

    def serve(self, name: str) -> float:
        """Start a camera's server; returns when it listened."""
        self.servers[name].start(self.clip, loop=True)
        self.began[name].append(time.monotonic())
        return self.began[name][-1]

    def configure(self) -> Path:
        """Write the configuration as it is to be now. All time limits are the defaults."""
        cameras = {name: {"source": server.url, "fps": self.fps[name]} for name, server in self.servers.items()}
        return write_config(self._folder, self.broker.port, cameras)

    def story(self, name: str) -> Story:
        """Return what was published of a camera up to now."""
        return self.listener.read().stories[name]

    def wait(self, holds: Any, timeout: float) -> bool:
        """Wait for something; a daemon that has ended is no reason to wait."""
        return until(lambda: bool(holds()) or not self.daemon.running, timeout) and self.daemon.running

    def reconnect_subscriber(self, times: int) -> None:
        """Wait until the subscriber is back after `times` connections."""
        self._subscriber.wait_subscribed(times)
