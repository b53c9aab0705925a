"""The real daemon in a process group of its own: start it, read its log, end it, see that nothing is left of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.brokers import Received

ROOT = Path(__file__).resolve().parent.parent
DEADLINE_S = 60.0
UNSEEN = ("restart", "camera_restart", "reload", "removed", "switched_off", "detection_off", "source_lost",
          "source_ended", "gap", "scene_changed", "superseded")  # fmt: skip
STOP_WITHIN_S = 5.0
"""A requirement: a signal ends the daemon and all its processes within this time."""


def soteirad(*arguments: str | Path, timeout: float = DEADLINE_S) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    command = [sys.executable, "-m", "soteirad", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


def write_config(folder: Path, port: int, cameras: Mapping[str, Mapping[str, Any]], **sections: Any) -> Path:
    """Write a configuration whose state folder is `folder`/state and return its path."""
    document = {
        "mqtt": {"host": "127.0.0.1", "port": port},
        "storage": {"path": str(folder / "state")},
        "objects": {"track": ["person", "cat"]},
        "web": {"enabled": False},  # many daemons on one machine, and one port
        "cameras": {name: dict(camera) for name, camera in cameras.items()},
        **sections,
    }
    path = folder / "soteira.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


class Daemon:
    """One run of `soteirad run`."""

    def __init__(self, config: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self._environment = {**os.environ, **(environment or {})}
        self._command = [sys.executable, "-m", "soteirad", "run", "-c", str(config), *options]
        self._log = config.parent / "daemon.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._skip = 0

    def start(self) -> Daemon:
        """Start it; the log begins anew."""
        with self._log.open("ab") as log:
            self._skip = log.tell()
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "start it first"
        return self._process

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def log(self) -> str:
        """Return what this run wrote."""
        return self._log.read_bytes()[self._skip :].decode(errors="replace")

    def wait_log(self, text: str, times: int = 1, timeout: float = DEADLINE_S) -> None:
        """Wait until the log holds `text`, `times` times."""
        self.wait_until(lambda: self.log().count(text) >= times, f"{text!r} {times} times in the log", timeout)

    def wait_until(self, holds: Callable[[], bool], what: str, timeout: float = DEADLINE_S) -> None:
        """Wait until `holds()`; fail with the log if it never does."""
        if not until(holds, timeout):
            pytest.fail(f"not within {timeout} s: {what}; the daemon's log:\n{self.log()}")

    def wait_exit(self, timeout: float = DEADLINE_S) -> int:
        """Wait until it ends by itself and return its exit code."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after {timeout} s; its log:\n{self.log()}")

    def signal(self, number: int) -> None:
        """Send a signal to the hub."""
        self.process.send_signal(number)

    def signal_group(self, number: int) -> None:
        """Send a signal to the hub and everything it started, as Ctrl-C and systemd do."""
        os.killpg(self.process.pid, number)

    def stop(self) -> None:
        """End it with SIGTERM and see that it obeys."""
        self.signal(signal.SIGTERM)
        self.wait_exit(STOP_WITHIN_S)

    def kill(self) -> None:
        """Kill the hub, and wait until the camera processes ended by themselves."""
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.wait_until(lambda: not self.group(), "the processes of a killed hub end")

    def group(self) -> dict[int, str]:
        """Return the living processes of this run: pid -> command line."""
        return {pid: _command_line(pid) for pid in _pids_of_group(self.process.pid)}

    def camera_pid(self, clip: Path) -> int:
        """Return the pid of the camera process that has `clip` open."""
        found = [pid for pid in _pids_of_group(self.process.pid) if _has_open(pid, clip)]
        assert len(found) == 1, f"{clip.name} is open in {found}, not in one process; the log:\n{self.log()}"
        return found[0]

    def clean_up(self) -> None:
        """End whatever a failed test left."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def until(holds: Callable[[], bool], timeout: float) -> bool:
    """Wait until `holds()`; return whether it did within `timeout` seconds."""
    deadline, pause = time.monotonic() + timeout, threading.Event()
    while not holds():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.02)
    return True


def events(messages: Iterable[Received], camera: str = "porch", box: str = "soteira") -> list[dict[str, Any]]:
    """Return the events of a camera in order of arrival, the late ones too; `box` is the topic prefix."""
    topics = (f"{box}/{camera}/event", f"{box}/{camera}/event/late")
    return [json.loads(m.payload) for m in messages if m.topic in topics]


def clips_told(messages: Iterable[Received], camera: str = "porch") -> list[dict[str, Any]]:
    """Return what was published of a camera's complete clips, late or not."""
    topics = (f"soteira/{camera}/clip", f"soteira/{camera}/clip/late")
    return [json.loads(m.payload) for m in messages if m.topic in topics]


def kinds(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return `type label` of each event, and why for a `left` of which nobody saw that it was one."""
    return [" ".join(filter(None, (e["event_type"], e.get("label"), _unseen(e)))) for e in found]


def epoch(text: str) -> float:
    """Return the seconds since the epoch of an event's time."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def payloads(messages: Iterable[Received], topic: str) -> list[str]:
    """Return what was published on `topic`, as text."""
    return [m.payload.decode() for m in messages if m.topic == topic]


def _unseen(event: Mapping[str, Any]) -> str | None:
    reason = event.get("why", {}).get("reason")
    return str(reason) if event["event_type"] == "left" and reason in UNSEEN else None


def _proc() -> Path:
    proc = Path("/proc")
    if not (proc / "self" / "stat").exists():
        pytest.skip("there is no /proc: nothing was learned about the daemon's processes (use Linux)")
    return proc


def _pids_of_group(group: int) -> list[int]:
    found = []
    for stat in _proc().glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            state, _parent, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(int(stat.parent.name))
    return found


def _command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return (_proc() / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return ""


def _has_open(pid: int, file: Path) -> bool:
    with contextlib.suppress(OSError):
        for link in (_proc() / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):
                if link.readlink() == file:
                    return True
    return False
