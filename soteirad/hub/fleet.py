"""The fleet: all camera processes, and which of them a new configuration touches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.context import BaseContext
from pathlib import Path

from soteirad.config import CameraConfig, Config
from soteirad.config.overrides import alike
from soteirad.detect.engine import BackendName
from soteirad.hub.engines import Choices
from soteirad.hub.fork_server import ForkServer
from soteirad.hub.supervisor import CameraProcess
from soteirad.runner import CameraJob

LIBRARIES: Mapping[BackendName, str] = {
    "onnx": "soteirad.detect.backends.onnx",
    "openvino": "soteirad.detect.backends.openvino_library",
    "litert": "ai_edge_litert.interpreter",
}
"""What cameras import for a backend. Importing these starts no thread: a process that has threads must not fork."""


def camera_jobs(config: Config, choices: Choices, spool: Path, log_level: str) -> dict[str, CameraJob]:
    """Return what each camera that is watched is told: its own section and engine, and nothing of the others.

    Questions that nobody could answer are not asked. A camera whose engine is not chosen yet has to wait.
    """
    return {
        name: CameraJob(name, camera, choices[camera.detector], spool, config.storage.snapshots, log_level,
                        config.storage.clips)
        for name, camera in _asking(config).items()
        if camera.detector in choices
    }


def _asking(config: Config) -> Mapping[str, CameraConfig]:
    if config.llm is not None:
        return config.watched
    return {name: camera.model_copy(update={"questions": ()}) for name, camera in config.watched.items()}


@dataclass(frozen=True)
class Changes:
    """Names of cameras that a new configuration starts, restarts, adjusts while they watch, and stops."""

    started: Sequence[str]
    restarted: Sequence[str]
    adjusted: Sequence[str]
    stopped: Sequence[str]

    def __str__(self) -> str:
        parts = [(verb, names) for verb, names in vars(self).items() if names]
        return "; ".join(f"{verb} {', '.join(names)}" for verb, names in parts) or "nothing changes for the cameras"


class Fleet:
    """The camera processes by name. Its hub starts them and takes their messages."""

    QUIET_S = 5.0
    """A loop that turns more rarely than this hears no heartbeats, and must not judge by them."""

    def __init__(self, on_wake: Callable[[], None], fork_server: ForkServer) -> None:
        self._on_wake = on_wake
        self._fork_server = fork_server
        self._context: BaseContext | None = None
        self._cameras: dict[str, CameraProcess] = {}
        self._turned = float("inf")

    def __iter__(self) -> Iterator[CameraProcess]:
        return iter(tuple(self._cameras.values()))

    def __len__(self) -> int:
        return len(self._cameras)

    def found(self, jobs: Mapping[str, CameraJob]) -> None:
        """Take in the cameras of the daemon's start. For the main thread."""
        self._context = self._fork_server.context(_libraries(jobs.values()))
        self._cameras = {name: self._process(job, founding=True) for name, job in jobs.items()}

    def apply(self, jobs: Mapping[str, CameraJob]) -> Changes:
        """Tell each camera whose job changed to end, and plan its successor; returns what changes.

        A new camera is due at once. The ones that are `stopped` are there until they have ended.
        """
        started: list[str] = []
        restarted: list[str] = []
        adjusted: list[str] = []
        stopped: list[str] = []
        for name, camera in self._cameras.items():
            wanted = jobs.get(name)
            current = camera.successor if camera.closing else camera.job
            if wanted == current:
                continue
            if wanted is not None and not camera.closing and _alike(wanted, camera.job):
                camera.adjust(wanted)
                adjusted.append(name)
                continue
            (stopped if wanted is None else started if current is None else restarted).append(name)
            camera.replace(wanted)
        for name, job in jobs.items():
            if name not in self._cameras:
                self._cameras[name] = camera = self._process(job, founding=False)
                camera.start_at(time.monotonic())
                started.append(name)
        return Changes(started, restarted, adjusted, stopped)

    def drop(self, camera: CameraProcess) -> None:
        """Forget a camera that has ended for good."""
        self._cameras.pop(camera.name, None)

    def check(self, now: float) -> None:
        """Kill processes that hang, unless it was the hub that did not listen."""
        silent = now - self._turned
        self._turned = now
        for camera in self:
            if silent > self.QUIET_S:
                camera.excuse(now, silent)
            camera.check(now)

    def due(self) -> list[float]:
        """Return when (monotonic seconds) processes are to be started."""
        return [at for at in (camera.due() for camera in self) if at is not None]

    def _process(self, job: CameraJob, founding: bool) -> CameraProcess:
        if self._context is None:
            raise RuntimeError("the fleet was not founded")
        return CameraProcess(job, self._context, self._on_wake, founding)


def _libraries(jobs: Iterable[CameraJob]) -> list[str]:
    """Return the modules that the engines of these cameras import."""
    backends = {job.choice.engine.backend for job in jobs if job.choice is not None}
    return [LIBRARIES[backend] for backend in sorted(backends) if backend in LIBRARIES]


def _alike(wanted: CameraJob, current: CameraJob) -> bool:
    """Say whether a process can go from one job to the other while it lives."""
    return replace(wanted, camera=current.camera) == current and alike(wanted.camera, current.camera)
