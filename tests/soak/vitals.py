"""What /proc tells of the daemon's processes: memory, descriptors, threads, and which camera a process watches."""

from __future__ import annotations

import contextlib
import re
import statistics
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.daemon import Daemon

EVERY_S = 10.0
HUB, FORK_SERVER = "hub", "fork server"
_ESTABLISHED = "01"


@dataclass(frozen=True)
class Sample:
    """One process at one time (monotonic); memory in MB."""

    time: float
    who: str
    pid: int
    rss: float
    pss: float
    fds: int
    threads: int


class Vitals:
    """Samples all processes of a daemon on a thread of its own. `ports` says where each camera's server listens."""

    def __init__(self, daemon: Daemon, ports: Mapping[str, int]) -> None:
        self._daemon = daemon
        self._cameras = {port: name for name, port in ports.items()}
        self._names: dict[int, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vitals", daemon=True)
        self.samples: list[Sample] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def pid_of(self, camera: str) -> int | None:
        """Return the process that is connected to the camera's server."""
        for pid in self._daemon.group():
            if self._camera_of(pid) == camera:
                return pid
        return None

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            for pid, command in self._daemon.group().items():
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    self.samples.append(_sample(pid, self._name(pid, command)))

    def _name(self, pid: int, command: str) -> str:
        """Say who a process is; a camera that is offline is known by the connection it had."""
        if pid == self._daemon.process.pid:
            return HUB
        if pid not in self._names:
            camera = self._camera_of(pid)
            if camera is None:
                return FORK_SERVER if _parent(pid) == self._daemon.process.pid and "forkserver" in command else "other"
            self._names[pid] = camera
        return self._names[pid]

    def _camera_of(self, pid: int) -> str | None:
        proc = Path("/proc") / str(pid)
        with contextlib.suppress(OSError):
            mine = {link.readlink().name for link in (proc / "fd").iterdir()}
            for line in (proc / "net" / "tcp").read_text().splitlines()[1:]:
                fields = line.split()
                port, inode = int(fields[2].rpartition(":")[2], 16), fields[9]
                if fields[3] == _ESTABLISHED and port in self._cameras and f"socket:[{inode}]" in mine:
                    return self._cameras[port]
        return None


def _sample(pid: int, who: str) -> Sample:
    proc = Path("/proc") / str(pid)
    memory = {name: int(kb) / 1024 for name, kb in re.findall(r"(\w+): +(\d+) kB", (proc / "smaps_rollup").read_text())}
    threads = int(re.findall(r"Threads:\s+(\d+)", (proc / "status").read_text())[0])
    fds = len(list((proc / "fd").iterdir()))
    return Sample(time.monotonic(), who, pid, memory["Rss"], memory["Pss"], fds, threads)


def _parent(pid: int) -> int:
    return int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])


def typical(samples: Iterable[Sample], what: str) -> float:
    """Return the median of one figure."""
    return statistics.median([float(getattr(sample, what)) for sample in samples])
