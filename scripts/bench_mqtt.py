"""Two figures of the MQTT side: how many events a second get through, and what a broker that is away costs in memory.

    python scripts/bench_mqtt.py events --seconds 60 --rate 100
    python scripts/bench_mqtt.py memory CLIP

`events` runs the real hub with its journal and a real mosquitto; camera processes that confirm events at a fixed rate
take the place of cameras. `memory` runs the daemon on a clip as fast as it goes, with nobody listening at the
broker's port, and looks at what all its processes hold.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from soteirad.camera import CameraJob  # noqa: E402
from soteirad.config import load_config  # noqa: E402
from soteirad.detect.choice import Choice  # noqa: E402
from soteirad.detect.detector import REFERENCE  # noqa: E402
from soteirad.event import Event, iso_time, new_id  # noqa: E402
from soteirad.hub import hub as hub_module  # noqa: E402
from soteirad.hub import supervisor  # noqa: E402
from soteirad.messages import CameraStatus, Heartbeat  # noqa: E402
from soteirad.spool import Spool  # noqa: E402
from soteirad.uplink import Uplink  # noqa: E402

CAMERAS = 4


def confirm_events(job: CameraJob, connection: Connection) -> None:
    """A camera process that sees nothing and confirms a visit's begin or end at a fixed rate, over the real uplink."""
    stop = threading.Event()
    spool = Spool(job.spool)
    spool.hold()
    uplink = Uplink(connection, stop, spool)
    uplink.start()
    uplink.send(CameraStatus(True))
    rate, seconds = map(float, os.environ["BENCH_MQTT"].split())
    began, count = time.monotonic(), 0
    while not stop.is_set() and count < rate * seconds / CAMERAS:
        due = began + count * CAMERAS / rate
        if stop.wait(max(0.0, due - time.monotonic())):
            break
        now = time.time()
        kind: Any = "left" if count % 2 else "entered"
        uplink.confirm(Event(id=new_id(now), event_type=kind, camera=job.name, time=iso_time(now), label="person",
                             track_id=count // 2, confidence=0.8, box=(1, 2, 3, 4), frame_size=(640, 360),
                             why={"trigger": "motion", "motion_ratio": 0.02}))  # fmt: skip
        count += 1
        if count % 50 == 0:
            uplink.send(Heartbeat(count))
    while not stop.wait(1.0):
        uplink.send(Heartbeat(count := count + 1))
    uplink.close(1.0)


def bench_events(rate: float, seconds: float) -> dict[str, Any]:
    from tests.brokers import Mosquitto, Subscriber

    os.environ["BENCH_MQTT"] = f"{rate} {seconds}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Mosquitto(folder / "broker")
        broker.start()
        subscriber = Subscriber(broker, "soteira/+/event")
        subscriber.start()
        cameras = {f"cam{n}": {"source": "rtsp://127.0.0.1:1/none"} for n in range(CAMERAS)}
        config = folder / "soteira.yaml"
        config.write_text(yaml.safe_dump({
            "mqtt": {"host": broker.host, "port": broker.port, "frigate_events": {"enabled": True}},
            "storage": {"path": str(folder / "state")}, "cameras": cameras,
        }))  # fmt: skip
        supervisor.camera_main = confirm_events  # type: ignore[assignment]
        hub_module.choose_engines = lambda watched, *_: {  # type: ignore[assignment]
            camera.detector: Choice(REFERENCE, 0.0, None, ()) for camera in watched.values()
        }
        hub = hub_module.Hub(lambda: load_config(config), config, "warning")
        wanted = int(rate * seconds / CAMERAS) * CAMERAS
        arrived: list[float] = []

        def watch() -> None:
            deadline = time.monotonic() + seconds + 60
            while len(subscriber.messages()) < wanted and time.monotonic() < deadline:
                time.sleep(0.2)
            offset = time.time() - time.monotonic()
            arrived.extend(m.time + offset for m in subscriber.messages())
            os.kill(os.getpid(), 15)

        before = resource.getrusage(resource.RUSAGE_SELF)
        threading.Thread(target=watch, daemon=True).start()
        hub.run()
        after = resource.getrusage(resource.RUSAGE_SELF)
        events = [json.loads(m.payload) for m in subscriber.messages()]
        subscriber.stop()
        broker.stop()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _judged(events, arrived, wanted, rate, cpu)


def _judged(events: list[dict[str, Any]], arrived: list[float], wanted: int, rate: float, cpu: float) -> dict[str, Any]:
    from soteirad.event import epoch_time

    ids = [e["id"] for e in events]
    order = {}
    for event in events:
        order.setdefault(event["camera"], []).append((event["track_id"], event["event_type"] == "left"))
    late = [1000 * (at - epoch_time(e["time"])) for e, at in zip(events, arrived, strict=True)]
    return {
        "rate": rate, "sent": wanted, "received": len(set(ids)), "duplicates": len(ids) - len(set(ids)),
        "in_order": all(found == sorted(found) for found in order.values()),
        "latency_ms": dict(zip(("p50", "p95", "max"), np.round([*np.percentile(late, (50, 95)), max(late)], 1).tolist(),
                               strict=True)),
        "hub_cpu_share": round(cpu / (wanted / rate), 3),
    }  # fmt: skip


def bench_memory(clip: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "soteira.yaml"
        config.write_text(yaml.safe_dump({
            "mqtt": {"host": "127.0.0.1", "port": 1}, "storage": {"path": f"{name}/state"},
            "objects": {"track": ["person", "car"], "min_area": 0.002},
            "cameras": {"busy": {"source": str(clip), "speed": "max", "fps": 0}},
        }))  # fmt: skip
        command = [sys.executable, "-m", "soteirad", "run", "-c", str(config), "--until-end", "--log-level", "info"]
        with (Path(name) / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        samples: list[dict[str, float]] = []
        began = time.monotonic()
        while process.poll() is None and b"the file has ended" not in (Path(name) / "log").read_bytes():
            samples.append(_memory_of_group(process.pid))
            time.sleep(1.0)
        took = time.monotonic() - began
        process.terminate()
        process.wait()
        events = (Path(name) / "log").read_bytes().count(b"INFO    hub: busy: ")
    rows = [s for s in samples if s.get("camera")]
    third = max(1, len(rows) // 3)
    return {"seconds": round(took, 1), "events": events, "samples": len(rows), **{
        f"{part}_mb": {when: round(float(np.median([row[part] for row in chosen])), 1)
                       for when, chosen in (("first_third", rows[:third]), ("last_third", rows[-third:]))}
        for part in ("hub", "camera")
    }}  # fmt: skip


def _memory_of_group(group: int) -> dict[str, float]:
    """Return the proportional set size in MB of the hub and of the largest of its children."""
    found: dict[str, float] = {"hub": 0.0, "camera": 0.0}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.getpgid(int(entry.name)) != group:
                continue
            lines = (entry / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        size = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
        part = "hub" if int(entry.name) == group else "camera"
        found[part] = max(found[part], size)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    events = commands.add_parser("events")
    events.add_argument("--seconds", type=float, default=60)
    events.add_argument("--rate", type=float, default=100)
    memory = commands.add_parser("memory")
    memory.add_argument("clip", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "events":
        print(json.dumps(bench_events(arguments.rate, arguments.seconds), indent=1))
    else:
        print(json.dumps(bench_memory(arguments.clip), indent=1))


if __name__ == "__main__":
    main()
