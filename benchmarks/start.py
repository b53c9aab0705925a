"""How long a start takes: to systemd's READY=1, and to the first frame that a camera has analysed."""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clips import CACHE, static_clip
from benchmarks.figure import Figure
from benchmarks.runs import Bench, cameras
from benchmarks.turns import tell
from tests.brokers import Mosquitto, Subscriber, free_port
from tests.daemon import Daemon, until, write_config

DEADLINE_S = 30.0
COMPILED = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": os.fspath(CACHE / "pycache")}
"""An installed Soteira has its modules compiled; where Python may not keep them, each process would do it again."""
PREVIEW_S = 60
"""How often a preview is sent: the first one as soon as a frame was analysed, and it is the last of a run."""


@dataclass(frozen=True)
class Start:
    """Seconds from the start of the process."""

    ready: float
    frame: float

    def __str__(self) -> str:
        return f"ready after {self.ready:.2f} s, a frame analysed after {self.frame:.2f} s"


def measure(bench: Bench) -> list[Figure]:
    """Start the daemon with one camera, and with four, all caches warm."""
    source, rounds = static_clip(), 4 if bench.quick else 8
    one = _starts(bench, cameras(source, 1, fps=10, preview=PREVIEW_S), rounds)
    four = _starts(bench, cameras(source, 4, fps=10, preview=PREVIEW_S), 2 if bench.quick else 4)
    note = f"median of {rounds} starts with one camera, warm caches (the first start is not counted)"
    detail = {name: [[round(s.ready, 3), round(s.frame, 3)] for s in starts]
              for name, starts in (("1 camera", one), ("4 cameras", four))}  # fmt: skip
    return [
        Figure("start_ready", "start: `soteirad run` to READY=1", statistics.median(s.ready for s in one), 2.0, "s",
               note=f"{note}, over a notification socket as systemd has it", detail=detail),
        Figure("start_frame", "start: to the first analysed frame", statistics.median(s.frame for s in one), 3.0, "s",
               note=f"{note}: when the broker's subscriber has the first preview, which is made of an analysed frame; "
                    f"with four cameras the last one's is there after "
                    f"{statistics.median(s.frame for s in four):.1f} s"),
    ]  # fmt: skip


def _starts(bench: Bench, watched: dict[str, dict[str, object]], rounds: int) -> list[Start]:
    folder = bench.place()
    with Mosquitto(folder / "broker") as broker:
        config = write_config(folder, broker.port, watched,
                              web={"enabled": True, "listen": f"127.0.0.1:{free_port()}"})  # fmt: skip
        found = [_start(config, broker, len(watched)) for _ in range(rounds + 1)]
    for start in found[1:]:
        tell(f"  {len(watched)} cameras: {start}")
    return found[1:]


def _start(config: Path, broker: Mosquitto, count: int) -> Start:
    """Start the daemon once, and end it."""
    address = config.parent / "notify"
    address.unlink(missing_ok=True)
    subscriber = Subscriber(broker, "soteira/+/preview", f"start-{time.monotonic_ns()}")
    subscriber.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, contextlib.ExitStack() as after:
        after.callback(subscriber.stop)
        systemd.bind(os.fspath(address))
        systemd.settimeout(DEADLINE_S)
        daemon = Daemon(config, environment={"NOTIFY_SOCKET": os.fspath(address), **COMPILED})
        after.callback(daemon.clean_up)
        began = time.monotonic()
        daemon.start()
        while "READY=1" not in systemd.recv(4096).decode().splitlines():
            pass
        ready = time.monotonic() - began
        until(lambda: len(_frames(subscriber)) == count, DEADLINE_S)
        frames = _frames(subscriber)
        assert len(frames) == count, daemon.log()
        daemon.stop()
    return Start(ready, max(frames.values()) - began)


def _frames(subscriber: Subscriber) -> dict[str, float]:
    """Return when (monotonic seconds) the first preview of each camera came."""
    return {m.topic: m.time for m in reversed(subscriber.messages()) if not m.retain}
