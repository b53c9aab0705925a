"""What /proc tells of processes: processor time and memory. Linux only."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return user and system time of processes, and of those of their children that have ended."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended meanwhile: its parent counts it
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15])) * TICK_S
    return total


def running_seconds(pids: Iterable[int]) -> float:
    """Return how long the threads of processes that live now have run: as the scheduler counts it, finer than ticks."""
    total = 0
    for pid in pids:
        for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(stat.read_text().split()[0])
    return total / 1e9


def connected_to(pids: Iterable[int], port: int) -> list[int]:
    """Return those processes that have a connection to a TCP port (IPv4)."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in lines]
    sockets = {f"socket:[{row[9]}]" for row in rows if int(row[2].partition(":")[2], 16) == port}
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if any(str(link.readlink()) in sockets for link in Path(f"/proc/{pid}/fd").iterdir()):
                found.append(pid)
    return found


def cpu_by_thread(pid: int) -> dict[str, float]:
    """Return user and system time of a process's threads, summed by their names."""
    found: dict[str, float] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            name, _, rest = (task / "stat").read_text().rpartition(")")
            fields = rest.split()
            name = name.partition("(")[2]
            found[name] = found.get(name, 0.0) + (int(fields[11]) + int(fields[12])) * TICK_S
    return found


def pss_mb(pid: int) -> float:
    """Return the proportional set size of a process: its own memory, and its share of what it shares."""
    return _rollup_mb(pid, "Pss")


def private_mb(pid: int) -> float:
    """Return the memory that a process shares with nobody, which is free when it ends."""
    return _rollup_mb(pid, "Private_Clean") + _rollup_mb(pid, "Private_Dirty")


def _rollup_mb(pid: int, name: str) -> float:
    with contextlib.suppress(OSError, AttributeError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(re.findall(rf"^{name}: +(\d+) kB", text, re.MULTILINE)[0]) / 1024
    return 0.0


def read_positions(pids: Iterable[int], file: Path) -> dict[int, int]:
    """Return how far (bytes) each process that has `file` open has read it."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                if link.readlink() == file:
                    found[pid] = int(Path(f"/proc/{pid}/fdinfo/{link.name}").read_text().split()[1])
    return found


class PeakMemory:
    """Samples the memory of processes on a thread of its own, and keeps the largest sum that it saw (MB)."""

    EVERY_S = 0.5

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self.mb = 0.0

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.look()

    def look(self) -> None:
        """Take one sample."""
        self.mb = max(self.mb, sum(pss_mb(pid) for pid in self._pids()))

    def _run(self) -> None:
        while not self._stop.wait(self.EVERY_S):
            self.look()
