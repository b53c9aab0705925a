"""Runs of the daemon and of the floor, whose processor time is taken over a window in the middle."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import PeakMemory, cpu_seconds
from tests.brokers import Mosquitto
from tests.daemon import Daemon, write_config
from tests.shared_data import CHECKOUT

SETTLE_S = 4.0
"""From the first frame on: the looks at the start and the background's first seconds are no idling."""


@dataclass(frozen=True)
class Bench:
    """One run of the suite: `quick` takes fewer rounds and shorter windows; files lie in `folder`."""

    folder: Path
    quick: bool = False

    @property
    def rounds(self) -> int:
        """How often each of those that are compared has its turn."""
        return 2 if self.quick else 3

    @property
    def window_s(self) -> float:
        """How long processor time is counted."""
        return 6.0 if self.quick else 12.0

    def place(self) -> Path:
        """Return a new folder."""
        return Path(tempfile.mkdtemp(dir=self.folder))


@dataclass(frozen=True)
class Usage:
    """Processor seconds for each second of the window, and the largest memory (PSS, MB) of all its processes."""

    cpu: float
    mb: float

    def __str__(self) -> str:
        return f"{self.cpu * 100:.1f} % of a core, {self.mb:.0f} MB"


def window(pids: Any, seconds: float) -> Usage:
    """Return what the processes that `pids()` names use in the next seconds."""
    with PeakMemory(pids) as memory:
        began, before = time.monotonic(), cpu_seconds(pids())
        time.sleep(seconds)
        used, took = cpu_seconds(pids()) - before, time.monotonic() - began
    return Usage(used / took, memory.mb)


@contextmanager
def running(bench: Bench, cameras: Mapping[str, Mapping[str, Any]], *options: str,
            **sections: Any) -> Iterator[tuple[Daemon, Mosquitto]]:  # fmt: skip
    """A daemon with these cameras, all of them online, and its broker."""
    folder = bench.place()
    broker = Mosquitto(folder / "broker")
    broker.start()
    daemon = Daemon(write_config(folder, broker.port, cameras, **sections), *options).start()
    try:
        for name in cameras:
            daemon.wait_log(f"{name}: online")
        yield daemon, broker
        daemon.stop()
    finally:
        daemon.clean_up()
        broker.stop()


def daemon_usage(bench: Bench, cameras: Mapping[str, Mapping[str, Any]], **sections: Any) -> Usage:
    """Run the daemon and return what all its processes use while it watches."""
    with running(bench, cameras, **sections) as (daemon, _):
        time.sleep(SETTLE_S)
        return window(daemon.group, bench.window_s)


def floor_usage(bench: Bench, source: str, count: int = 1) -> Usage:
    """Run processes that only decode, and return what they use."""
    command = [sys.executable, "-m", "benchmarks.decode_only", source]
    children = [subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE) for _ in range(count)]
    try:
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        time.sleep(SETTLE_S)
        pids = [child.pid for child in children]
        return window(lambda: pids, bench.window_s)
    finally:
        for child in children:
            child.kill()
            child.wait()


def cameras(source: Path | str, count: int = 1, **keys: Any) -> dict[str, dict[str, Any]]:
    """Return `count` cameras that watch one source."""
    return {f"cam{number}": {"source": str(source), **keys} for number in itertools.islice(itertools.count(1), count)}


def share_engine_cache() -> None:
    """Let all daemons of the run find the engine that the first one chose."""
    os.environ["XDG_CACHE_HOME"] = str(CHECKOUT / ".cache" / "tests")
