"""The fleet: what a new configuration touches, and what it leaves alone; with pipes, but without camera processes."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from soteirad.config import Config
from soteirad.detect.choice import Choice
from soteirad.detect.engine import Engine
from soteirad.hub.fleet import Changes, Fleet, camera_jobs
from soteirad.hub.fork_server import ForkServer
from soteirad.hub.supervisor import CameraProcess
from soteirad.messages import Adjust, Heartbeat, Stop, TakePicture
from soteirad.runner import CameraJob
from tests.waiting import wait_until


class FakeProcess:
    """A process that only holds its end of the pipe."""

    pid = None
    exitcode = 0

    def __init__(self, target: object, args: tuple[CameraJob, Connection], name: str, daemon: bool) -> None:
        assert callable(target) and name == f"soteirad-{args[0].name}" and daemon
        self.job, self._theirs = args
        self.end: Connection | None = None
        self.started = 0

    def start(self) -> None:
        self.started += 1
        self.end = Connection(os.dup(self._theirs.fileno()))

    def join(self, timeout: float | None = None) -> None:
        pass

    def is_alive(self) -> bool:
        return False


class FakeContext:
    """Makes such processes, and nothing else."""

    def __init__(self) -> None:
        self.processes: list[FakeProcess] = []
        self.imported: list[str] = []

    def importing(self, libraries: Sequence[str]) -> FakeContext:
        self.imported = list(libraries)
        return self

    def Pipe(self) -> tuple[Connection, Connection]:  # noqa: N802 - multiprocessing's name
        return multiprocessing.Pipe()

    def Process(self, **arguments: Any) -> FakeProcess:  # noqa: N802 - multiprocessing's name
        self.processes.append(FakeProcess(**arguments))
        return self.processes[-1]


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeContext]:
    context = FakeContext()
    monkeypatch.setattr(ForkServer, "context", lambda _, libraries: context.importing(libraries))
    yield context
    for process in context.processes:
        if process.end is not None:
            process.end.close()


def config(**cameras: dict[str, Any]) -> Config:
    return Config.model_validate({"cameras": {name: {"source": f"rtsp://h/{name}", **keys} for name, keys in
                                              cameras.items()}})  # fmt: skip


def jobs(loaded: Config, log_level: str = "info") -> dict[str, CameraJob]:
    choices = {camera.detector: None for camera in loaded.cameras.values()}
    return camera_jobs(loaded, choices, Path("spool"), log_level)


def running(**cameras: dict[str, Any]) -> Fleet:
    """A fleet whose cameras were all started."""
    fleet = Fleet(lambda: None, ForkServer())
    fleet.found(jobs(config(**cameras)))
    for camera in fleet:
        camera.start(False)
    return fleet


def named(fleet: Fleet, name: str) -> CameraProcess:
    return next(camera for camera in fleet if camera.name == name)


def told(context: FakeContext, index: int) -> list[object]:
    """What a camera process was told so far."""
    end, found = context.processes[index].end, []
    while end is not None and end.poll(0):
        found.append(end.recv())
    return found


def end(camera: CameraProcess, process: FakeProcess) -> None:
    """Let a process end, and do what the hub then does."""
    assert process.end is not None
    process.end.close()
    process.end = None
    wait_until(lambda: camera.receive()[1])
    camera.ended(restart=False)


def test_each_camera_that_is_watched_is_told_its_own_section_and_engine() -> None:
    loaded = config(porch={}, yard={"enabled": False}, gate={"detector": {"threads": 2}})
    made = jobs(loaded, "debug")
    assert list(made) == ["porch", "gate"]
    assert made["gate"].camera == loaded.cameras["gate"]
    assert (made["gate"].name, made["gate"].spool, made["gate"].log_level) == ("gate", Path("spool"), "debug")
    assert made["porch"].snapshots == loaded.storage.snapshots


def test_the_same_configuration_changes_nothing(context: FakeContext) -> None:
    fleet = running(porch={}, yard={})
    changes = fleet.apply(jobs(config(porch={}, yard={})))
    assert (changes, str(changes)) == (Changes([], [], [], []), "nothing changes for the cameras")
    assert fleet.due() == [] and [told(context, n) for n in (0, 1)] == [[], []]
    assert not any(camera.closing for camera in fleet)


def test_only_the_camera_that_changed_is_restarted_with_its_new_section(context: FakeContext) -> None:
    fleet = running(porch={}, yard={})
    changes = fleet.apply(jobs(config(porch={"fps": 3}, yard={})))
    assert str(changes) == "restarted porch"
    assert [told(context, n) for n in (0, 1)] == [[Stop()], []]
    porch = named(fleet, "porch")
    assert fleet.due() == [], "its process has not ended yet"
    end(porch, context.processes[0])
    assert porch.succeed() and len(fleet.due()) == 1
    porch.start(False)
    assert context.processes[-1].job.camera.fps == 3
    assert (porch.restart_reason, porch.closing, fleet.due()) == ("reload", False, [])


def test_what_can_change_while_a_camera_watches_is_told_to_its_process_which_goes_on(context: FakeContext) -> None:
    fleet = running(porch={}, yard={})
    sections = {"motion": {"threshold": 0.1}, "objects": {"min_score": 0.7}}
    loaded = config(porch={"name": "Haustür", "detect": False, "preview": 5, **sections}, yard={})
    assert str(fleet.apply(jobs(loaded))) == "adjusted porch"
    assert [told(context, n) for n in (0, 1)] == [[Adjust(loaded.cameras["porch"])], []]
    assert str(fleet.apply(jobs(loaded))) == "nothing changes for the cameras"
    end(named(fleet, "porch"), context.processes[0])
    named(fleet, "porch").start(False)
    assert context.processes[-1].job.camera == loaded.cameras["porch"], "if it dies, its successor knows"


def test_a_camera_that_is_ending_is_not_told_of_changes_but_its_successor_is(context: FakeContext) -> None:
    fleet = running(porch={})
    fleet.apply(jobs(config(porch={"fps": 3})))
    assert str(fleet.apply(jobs(config(porch={"fps": 3, "detect": False})))) == "restarted porch"
    assert told(context, 0) == [Stop()], "the time that it has to end does not begin anew"
    end(named(fleet, "porch"), context.processes[0])
    assert named(fleet, "porch").succeed() and not named(fleet, "porch").job.camera.detect


def test_a_new_camera_is_due_at_once_and_is_none_of_the_first(context: FakeContext) -> None:
    fleet = running(porch={})
    changes = fleet.apply(jobs(config(porch={}, yard={}, gate={})))
    assert str(changes) == "started yard, gate"
    assert len(fleet) == 3 and len(fleet.due()) == 2
    assert not named(fleet, "yard").founding and named(fleet, "porch").founding
    assert len(context.processes) == 1, "its hub starts it"


@pytest.mark.parametrize("without", [{}, {"porch": {"enabled": False}}])
def test_a_camera_that_is_gone_or_switched_off_is_there_until_it_has_ended(
    context: FakeContext, without: dict[str, Any]
) -> None:
    fleet = running(porch={}, yard={})
    changes = fleet.apply(jobs(config(yard={}, **without)))
    assert str(changes) == "stopped porch" and told(context, 0) == [Stop()]
    porch = named(fleet, "porch")
    end(porch, context.processes[0])
    assert not porch.succeed() and fleet.due() == []
    fleet.drop(porch)
    fleet.drop(porch)
    assert [camera.name for camera in fleet] == ["yard"]


def test_a_camera_that_comes_back_before_its_process_has_ended_is_started_again(context: FakeContext) -> None:
    fleet = running(porch={}, yard={})
    fleet.apply(jobs(config(yard={})))
    assert str(fleet.apply(jobs(config(porch={}, yard={})))) == "started porch"
    assert len(fleet) == 2
    end(named(fleet, "porch"), context.processes[0])
    assert named(fleet, "porch").succeed()


def test_of_two_changes_in_a_row_the_last_one_counts(context: FakeContext) -> None:
    fleet = running(porch={})
    for fps in (3, 4, 4):
        changes = fleet.apply(jobs(config(porch={"fps": fps})))
    assert changes == Changes([], [], [], []), "the last one is on its way already"
    porch = named(fleet, "porch")
    end(porch, context.processes[0])
    assert porch.succeed() and porch.job.camera.fps == 4


def test_everything_at_once_is_told_in_one_line() -> None:
    assert str(Changes(["a", "b"], ["c"], ["e"], ["d"])) == "started a, b; restarted c; adjusted e; stopped d"


def test_another_log_level_or_engine_restarts_what_it_touches(context: FakeContext) -> None:
    fleet = running(porch={}, yard={})
    assert str(fleet.apply(jobs(config(porch={}, yard={}), "debug"))) == "restarted porch, yard"
    assert [told(context, n) for n in (0, 1)] == [[Stop()], [Stop()]]


@pytest.mark.usefixtures("context")
def test_a_camera_that_waits_for_its_restart_takes_up_its_new_section() -> None:
    fleet = Fleet(lambda: None, ForkServer())
    fleet.found(jobs(config(porch={})))
    porch = named(fleet, "porch")
    porch.start_at(1e9)
    assert str(fleet.apply(jobs(config(porch={"fps": 3})))) == "restarted porch"
    assert porch.connection is None and porch.closing
    porch.ended(restart=False)
    assert porch.succeed() and porch.job.camera.fps == 3
    assert all(at < 1e9 for at in fleet.due())


def test_a_fleet_must_be_founded_before_cameras_are_added() -> None:
    with pytest.raises(RuntimeError, match="the fleet was not founded"):
        Fleet(lambda: None, ForkServer()).apply(jobs(config(porch={})))


def killed(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr(CameraProcess, "_kill", lambda self: names.append(self.name))
    return names


def test_a_process_that_hangs_is_killed_once_and_no_other(
    context: FakeContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = running(porch={}, yard={})
    names = killed(fleet, monkeypatch)
    porch, yard = fleet
    began = time.monotonic()
    assert context.processes[0].end is not None
    context.processes[0].end.send(Heartbeat(1))
    wait_until(lambda: porch.receive()[0])
    for now in range(0, 100, 2):
        fleet.check(began + now)
    assert names == ["porch"] and yard.connection is not None
    (line,) = [r.getMessage() for r in caplog.records if "killed" in r.getMessage()]
    assert line.startswith("porch: the camera process gave no sign of life for ")


def test_a_hub_that_stood_still_kills_nobody_for_its_own_silence(
    context: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = running(porch={})
    names = killed(fleet, monkeypatch)
    (porch,) = fleet
    assert context.processes[0].end is not None
    context.processes[0].end.send(Heartbeat(1))
    wait_until(lambda: porch.receive()[0])
    began = time.monotonic()
    fleet.check(began)
    fleet.check(began + 300)
    assert names == []
    for now in range(300, 330, 2):
        fleet.check(began + now)
    assert names == ["porch"], "but who stays silent is killed then"


def test_a_process_that_does_not_end_when_told_to_is_killed(
    context: FakeContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = running(porch={})
    names = killed(fleet, monkeypatch)
    fleet.apply({})
    began = time.monotonic()
    fleet.check(began)
    assert names == []
    fleet.check(began + 5.1)
    assert names == ["porch"] and "porch: the camera process does not end and is killed" in caplog.text
    assert told(context, 0) == [Stop()]


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), EOFError()])
def test_a_process_that_the_system_cannot_start_now_is_tried_again_and_leaves_no_descriptor(
    context: FakeContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    fleet = Fleet(lambda: None, ForkServer())
    fleet.found(jobs(config(porch={})))
    camera = named(fleet, "porch")

    def fail(_: FakeProcess) -> None:
        raise error

    monkeypatch.setattr(FakeProcess, "start", fail)
    before = len(list(Path("/dev/fd").iterdir()))
    camera.start(False)
    assert camera.connection is None and camera.due() is not None and camera.starts == 0
    assert "cannot be started, it is tried again" in caplog.text
    monkeypatch.undo()
    camera.start(False)
    assert camera.connection is not None and camera.due() is None
    assert len(list(Path("/dev/fd").iterdir())) <= before + 3


def test_a_camera_whose_engine_is_not_chosen_yet_has_no_job() -> None:
    loaded = config(porch={}, gate={"detector": {"threads": 2}})
    choices = {loaded.cameras["porch"].detector: None}
    assert list(camera_jobs(loaded, choices, Path("spool"), "info")) == ["porch"]


def test_a_camera_that_takes_nothing_never_holds_up_the_hub_and_gets_the_newest_settings_when_it_wakes(
    context: FakeContext,
) -> None:
    fleet = running(porch={})
    camera = named(fleet, "porch")
    for number in range(2000):  # more than the pipe holds
        fleet.apply(jobs(config(porch={"objects": {"min_score": number / 2000}})))
        camera.wish(TakePicture())
    assert len(told(context, 0)) == CameraProcess.MOST_UNHEARD
    process = context.processes[0].end
    assert process is not None
    process.send(Heartbeat(1))
    found: list[object] = []
    wait_until(lambda: found.extend(camera.receive()[0]) or found)  # type: ignore[func-returns-value]
    (adjust,) = told(context, 0)
    assert isinstance(adjust, Adjust) and adjust.camera.objects.min_score == 1999 / 2000
    camera.wish(TakePicture())
    assert told(context, 0) == [TakePicture()]


def test_a_camera_that_is_started_anew_listens_again(context: FakeContext) -> None:
    fleet = running(porch={})
    camera = named(fleet, "porch")
    for _ in range(CameraProcess.MOST_UNHEARD + 1):
        camera.wish(TakePicture())
    fleet.apply(jobs(config(porch={"detect": False})))
    assert told(context, 0) == [TakePicture()] * CameraProcess.MOST_UNHEARD
    end(camera, context.processes[0])
    camera.start(False)
    assert context.processes[1].job.camera.detect is False
    camera.wish(TakePicture())
    assert told(context, 1) == [TakePicture()]


def test_the_fork_server_imports_the_libraries_of_the_chosen_engines_and_no_others(context: FakeContext) -> None:
    loaded = config(porch={}, yard={"detector": {"threads": 2}}, served={"detector": {"threads": 3}})
    choices = {camera.detector: Choice(Engine("openvino", "bf16"), 1.0, None, ()) for camera in loaded.cameras.values()}
    choices |= {loaded.cameras["served"].detector: None}
    Fleet(lambda: None, ForkServer()).found(camera_jobs(loaded, choices, Path("spool"), "info"))
    assert context.imported == ["soteirad.detect.backends.openvino_library"]
