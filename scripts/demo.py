#!/usr/bin/env python3
"""Run the real daemon on the demonstration clip and show what it publishes.

An embedded broker (amqtt, MQTT 3.1.1) stands in for the one in the owner's house. The daemon is started as
`soteirad run`, in its own processes; this script only listens, like any MQTT client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import yaml
from amqtt.broker import Broker
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
CLIP = ROOT / "tests" / "data" / "demo.mp4"
PASSWORD = "demonstration"
TIME_LIMIT_S = 55


class EmbeddedBroker:
    """amqtt on loopback, on its own thread and event loop."""

    def __init__(self, port: int) -> None:
        self._config = {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None

    def start(self) -> None:
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.CRITICAL)
        threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True).start()
        if not self._ready.wait(10):
            raise SystemExit("the embedded MQTT broker did not start")

    def stop(self) -> None:
        if self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        broker = Broker(self._config)
        await broker.start()
        self._ready.set()
        await self._stop.wait()
        await broker.shutdown()


def choose_port(wanted: int | None) -> int:
    """Return a free loopback port, or the wanted one if it is free."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted or 0))
        except OSError as error:
            print(f"demo: port {wanted} cannot be used ({error.strerror}): another program listens there; "
                  f"choose another with --port, or leave the option out", file=sys.stderr)
            raise SystemExit(1) from None
        return int(probe.getsockname()[1])


def write_config(folder: Path, port: int, speed: float, page: int) -> Path:
    """Write the configuration that an owner would write for this camera; any free port will do for the page."""
    config = {
        "mqtt": {"host": "127.0.0.1", "port": port},
        "storage": {"path": str(folder / "state")},
        "objects": {"track": ["person", "cat"]},
        "web": {"listen": f"127.0.0.1:{page}", "password": PASSWORD},
        "cameras": {"hallway": {"source": str(CLIP), "speed": speed}},
    }
    path = folder / "soteira.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def listen(port: int, messages: queue.SimpleQueue[tuple[str, bytes]]) -> mqtt.Client:
    """Subscribe to everything Soteira publishes."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="demo-listener")
    client.on_connect = lambda c, *_: c.subscribe("soteira/#", 1)
    client.on_message = lambda _c, _u, m: messages.put((m.topic, m.payload))
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def describe(topic: str, payload: bytes) -> str:
    """Return one line for a message: pictures by size, events in words, the rest as it is."""
    if topic.endswith("/snapshot"):
        return f"JPEG, {len(payload) / 1000:.0f} kB"
    text = payload.decode("utf-8", "replace")
    if topic.endswith(("/event", "/event/late")):
        event: dict[str, Any] = json.loads(text)
        label, why = event.get("label") or "", event.get("why", {})
        line = f"[bold green]{event['event_type']} {label}[/] at {event['media_time']:.1f} s of the clip"
        if "dwell" in event:
            return f"{line} after {event['dwell']:.1f} s"
        total = event.get("latency_ms", {}).get("total")
        return f"{line}, {event['confidence']:.0%} sure, because of {why.get('trigger')}, {total} ms after capture"
    if topic.endswith("/state"):
        state = json.loads(text)
        here = [f"{v['count']} {k}" for k, v in state["objects"].items() if v["present"]]
        return f"motion {'on' if state['motion'] else 'off'}, {', '.join(here) or 'nobody here'}"
    return text if len(text) <= 120 else f"{text[:117]}..."


def show_summary(console: Console, numbers: dict[str, Any], events: list[dict[str, Any]]) -> None:
    """Print what the daemon said of itself at the end."""
    table = Table(title="What the gates let through", show_header=False, title_style="bold")
    analysed = max(1, numbers["analysed"])
    table.add_row("frames seen", str(numbers["frames"]), "")
    for text, key in (("gate 1: motion", "motion"), ("gate 2: the picture differs", "scene"),
                      ("gate 3: detector runs", "detector_runs")):
        table.add_row(text, str(numbers[key]), f"{numbers[key] / analysed:.1%} of the frames")
    table.add_row("events", str(len(events)), ", ".join(f"{e['event_type']} {e.get('label', '')}" for e in events))
    latency = numbers.get("latency_ms") or {"p50": 0, "p95": 0}
    table.add_row("frame to detector result", f"p50 {latency['p50']} ms", f"p95 {latency['p95']} ms")
    console.print(table)


def follow(console: Console, daemon: subprocess.Popen[bytes],
           messages: queue.SimpleQueue[tuple[str, bytes]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Print messages until the daemon has ended; returns its last diagnostics and its events."""
    numbers: dict[str, Any] = {}
    events: list[dict[str, Any]] = []
    counts = {"messages": 0, "events": 0}
    deadline = time.monotonic() + TIME_LIMIT_S
    with console.status("waiting for the first message") as status:
        while daemon.poll() is None or not messages.empty():
            if time.monotonic() > deadline:
                raise SystemExit("demo: the daemon did not end in time")
            try:
                topic, payload = messages.get(timeout=0.2)
            except queue.Empty:
                continue
            counts["messages"] += 1
            if topic.endswith("/diagnostics"):
                numbers = json.loads(payload)
            if topic.endswith(("/event", "/event/late")):
                counts["events"] += 1
                events.append(json.loads(payload))
            console.print(f"[cyan]{topic:<27}[/] {describe(topic, payload)}", highlight=False, soft_wrap=True)
            status.update(f"{counts['messages']} messages, {counts['events']} events")
    return numbers, events


def main() -> int:
    parser = argparse.ArgumentParser(description="Soteira on its demonstration clip.")
    parser.add_argument("--port", type=int, help="port of the embedded broker (default: a free one)")
    parser.add_argument("--speed", type=float, default=3.0, help="times real time (default 3)")
    arguments = parser.parse_args()
    console = Console()
    port = choose_port(arguments.port)
    broker = EmbeddedBroker(port)
    broker.start()
    messages: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    listener = listen(port, messages)
    page = choose_port(None)
    console.print(f"A minute of video at {arguments.speed:g} times its speed; an MQTT broker on 127.0.0.1:{port}.\n"
                  f"The page, as long as it plays: http://127.0.0.1:{page} (password: {PASSWORD})\n")
    with tempfile.TemporaryDirectory(prefix="soteira-demo-") as folder:
        config = write_config(Path(folder), port, arguments.speed, page)
        command = [sys.executable, "-m", "soteirad", "run", "--config", str(config), "--until-end",
                   "--log-level", "warning"]
        daemon = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            numbers, events = follow(console, daemon, messages)
        finally:
            if daemon.poll() is None:
                daemon.terminate()
            complaints = daemon.communicate(timeout=10)[1].decode()
    listener.loop_stop()
    broker.stop()
    if daemon.returncode or not numbers:
        print(complaints, file=sys.stderr)
        print(f"demo: the daemon ended with code {daemon.returncode}", file=sys.stderr)
        return 1
    console.print()
    show_summary(console, numbers, events)
    return 0


if __name__ == "__main__":
    sys.exit(main())
