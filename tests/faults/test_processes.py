"""Processes that crash, hang or are orphaned; and what the daemon's owner does to it while it runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import Mosquitto, Subscriber, free_port
from tests.daemon import Daemon, events, kinds, payloads, until, write_config
from tests.house import StartDaemon
from tests.rtsp_server import RtspServer

Measured = Callable[[str], None]
Cameras = dict[str, Path]

CRASH = (
    "decoder or native crash (SIGSEGV) or `kill -9` of a camera process",
    "only that camera restarts, within 5 s; others miss no frame; after 5 crashes in 10 minutes it backs off to 60 s "
    "and says so",
)


@pytest.fixture
def clip_of(tmp_path: Path, visit_clip: Path) -> Callable[[str], Path]:
    """A copy of the clip for each camera, by which its process is known."""
    return lambda name: Path(shutil.copy(visit_clip, tmp_path / f"{name}.mp4"))


def status(listener: Subscriber, name: str) -> list[str]:
    return payloads(listener.messages(), f"soteira/{name}/status")


def wait_online(listener: Subscriber, name: str, times: int = 1) -> None:
    listener.wait_for(lambda _: status(listener, name).count("online") >= times, timeout=40.0)


@pytest.mark.fault(*CRASH)
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL], ids=["SIGSEGV", "SIGKILL"])
def test_a_camera_that_crashes_is_back_soon_and_the_others_miss_no_frame(
    number: signal.Signals, tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    clip_of: Callable[[str], Path], measured: Measured,
) -> None:  # fmt: skip
    clips = {name: clip_of(name) for name in ("porch", "yard")}
    cameras = {name: {"source": str(clip), "fps": 0} for name, clip in clips.items()}
    daemon = start_daemon(write_config(tmp_path, broker.port, cameras), "--until-end")
    for name in cameras:
        wait_online(listener, name)
    threading.Event().wait(2.0)
    os.kill(daemon.camera_pid(clips["porch"]), number)
    began = time.monotonic()
    wait_online(listener, "porch", times=2)
    took = time.monotonic() - began
    assert f"killed by signal {number.value}" in daemon.log()
    dead = [json.loads(text) for text in payloads(listener.messages(), "soteira/porch/diagnostics")]
    assert any(not d["online"] and "the camera process ended" in d["reason"] for d in dead)
    assert daemon.wait_exit() == 0
    seen = listener.wait_for(lambda seen: payloads(seen, "soteira/status")[-1:] == ["offline"])
    assert status(listener, "yard").count("online") == 1
    last = json.loads(payloads(seen, "soteira/yard/diagnostics")[-1])
    assert last["frames"] == last["analysed"] == 180, "all frames of the clip"
    measured(f"{number.name}: watched again after {took:.1f} s; the other camera analysed 180 of 180 frames")


@pytest.mark.fault(*CRASH)
def test_a_camera_that_keeps_crashing_is_started_once_a_minute_and_says_so(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    clip_of: Callable[[str], Path], measured: Measured,
) -> None:  # fmt: skip
    clip = clip_of("porch")
    daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": str(clip)}}))
    for crash in range(1, 6):
        wait_online(listener, "porch", times=crash)
        os.kill(daemon.camera_pid(clip), signal.SIGKILL)
        listener.wait_for(lambda _, n=crash: status(listener, "porch").count("offline") >= n + 1)
    daemon.wait_log("5 times in 10 minutes: it starts again in 60 s")
    listener.wait_for(lambda seen: "5 times in 10 minutes" in payloads(seen, "soteira/porch/diagnostics")[-1])
    assert daemon.log().count("it starts again in 1 s") == 4
    measured("four starts after 1 s each, then one in 60 s, in the log and in diagnostics")
    daemon.stop()


@pytest.mark.fault("camera process hangs (SIGSTOP)", "heartbeat lost for 15 s: killed and restarted")
def test_a_camera_that_hangs_is_killed_and_started_again_and_so_is_one_whose_fork_server_died(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    clip_of: Callable[[str], Path], measured: Measured,
) -> None:  # fmt: skip
    clips = {name: clip_of(name) for name in ("porch", "yard")}
    cameras = {name: {"source": str(clip), "speed": 0.2} for name, clip in clips.items()}
    daemon = start_daemon(write_config(tmp_path, broker.port, cameras))
    for name in cameras:
        wait_online(listener, name)
    before = {name: daemon.camera_pid(clip) for name, clip in clips.items()}
    server = Path(f"/proc/{before['porch']}/stat").read_text().rpartition(")")[2].split()[1]
    os.kill(int(server), signal.SIGKILL)
    os.kill(before["porch"], signal.SIGSTOP)
    began = time.monotonic()
    wait_online(listener, "porch", times=2)
    took = time.monotonic() - began
    assert "gave no sign of life for 1" in daemon.log()
    assert not Path(f"/proc/{before['porch']}").exists() or "Z" in Path(f"/proc/{before['porch']}/stat").read_text()
    assert daemon.camera_pid(clips["yard"]) == before["yard"]
    measured(f"watched again after {took:.0f} s")
    daemon.stop()


@pytest.mark.fault("orphans", "a camera process whose hub died ends itself within 5 s")
def test_camera_processes_of_a_killed_hub_end_by_themselves(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    clip_of: Callable[[str], Path], measured: Measured,
) -> None:  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cameras = {
            "porch": {"source": str(clip_of("porch"))},
            "yard": {"source": f"rtsp://127.0.0.1:{silent.getsockname()[1]}/never-answers"},
        }
        daemon = start_daemon(write_config(tmp_path, broker.port, cameras))
        wait_online(listener, "porch")
        began = time.monotonic()
        daemon.kill()
        measured(f"all gone after {time.monotonic() - began:.1f} s")
    assert daemon.group() == {}


def test_a_process_that_must_end_does_so_even_if_its_main_thread_hangs() -> None:
    program = "from soteirad import camera; camera.ORPHAN_S = 0.2; camera._end_by_force(); import time; time.sleep(60)"
    ended = subprocess.run([sys.executable, "-c", program], check=False, timeout=30)
    assert ended.returncode == 1


class Systemd:
    """The receiving end of systemd's notifications."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def count(self, line: str) -> int:
        """Return how often exactly this was heard."""
        return self.heard.count(line)

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(self.path))
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while line := self._socket.recv(4096).decode():
            self.heard.append(line)


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    receiver = Systemd(tmp_path)
    yield receiver
    receiver.close()


@pytest.mark.fault(
    "one camera cannot be revived",
    "READY all the same; the watchdog is fed as long as hub and MQTT make progress, and not when they do not",
)
def test_systemd_hears_ready_and_its_watchdog_while_a_camera_cannot_be_revived_and_nothing_from_a_hub_that_hangs(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, systemd: Systemd, clip_of: Callable[[str], Path],
    measured: Measured,
) -> None:  # fmt: skip
    clip = clip_of("porch")
    cameras = {"porch": {"source": str(clip)}, "gone": {"source": f"rtsp://127.0.0.1:{free_port()}/x"}}
    config = write_config(tmp_path, broker.port, cameras)
    daemon = Daemon(config, environment={"NOTIFY_SOCKET": str(systemd.path), "WATCHDOG_USEC": "3000000"}).start()
    try:
        wait_online(listener, "porch")
        os.kill(daemon.camera_pid(clip), signal.SIGSTOP)  # it hangs, and is not yet found out
        assert until(lambda: systemd.count("WATCHDOG=1") >= 4, 20.0), systemd.heard
        assert systemd.count("READY=1") == 1
        assert any(line.startswith("STATUS=2 cameras, 1 online") for line in systemd.heard), systemd.heard
        daemon.signal(signal.SIGSTOP)
        fed = systemd.count("WATCHDOG=1")
        threading.Event().wait(3.0)
        assert systemd.count("WATCHDOG=1") == fed
        daemon.signal(signal.SIGCONT)
        assert until(lambda: systemd.count("WATCHDOG=1") > fed, 10.0)
        measured("READY once; the watchdog was fed beside a camera that hung and one that was absent")
        daemon.stop()
    finally:
        daemon.clean_up()


@pytest.mark.fault(
    "SIGHUP", "invalid: keeps running on the old configuration and says why; valid: only changed cameras restart"
)
def test_sighup_restarts_only_the_cameras_whose_section_changed_and_an_invalid_file_changes_nothing(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, systemd: Systemd, clip_of: Callable[[str], Path],
    measured: Measured,
) -> None:  # fmt: skip
    clips = {name: clip_of(name) for name in ("porch", "yard", "shed", "late")}
    slow: dict[str, dict[str, Any]] = {name: {"source": str(clip), "speed": 0.5} for name, clip in clips.items()}
    slow["porch"]["speed"] = 2.0
    first = {name: slow[name] for name in ("porch", "yard", "shed")}
    config = write_config(tmp_path, broker.port, first)
    daemon = Daemon(config, environment={"NOTIFY_SOCKET": str(systemd.path)}).start()
    try:
        for name in first:
            wait_online(listener, name)
        listener.wait_for(lambda seen: "entered person" in kinds(events(seen)))
        before = daemon.camera_pid(clips["yard"])
        second = {"porch": {**slow["porch"], "fps": 5}, "yard": slow["yard"], "late": slow["late"]}
        write_config(tmp_path, broker.port, second)
        daemon.signal(signal.SIGHUP)
        wait_online(listener, "late")
        wait_online(listener, "porch", times=2)
        found = events(listener.wait_for(lambda seen: "left person reload" in kinds(events(seen))))
        assert kinds(found) == ["entered person", "left person reload"]
        assert "started late; restarted porch; stopped shed" in daemon.log()
        assert daemon.camera_pid(clips["yard"]) == before and status(listener, "yard").count("online") == 1
        # What was retained of a camera that is no more is gone.
        for topic in ("soteira/shed/status", "soteira/shed/state"):
            listener.wait_for(lambda seen, topic=topic: payloads(seen, topic)[-1] == "")

        good = config.read_text()
        config.write_text(good.replace("fps: 5", "fsp: 5"))
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("the old one stays in force")
        assert "cameras.porch.fsp: this key is not known" in daemon.log()
        config.write_text(good)
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("nothing changes for the cameras")
        assert daemon.camera_pid(clips["yard"]) == before and "Traceback" not in daemon.log()
        assert until(lambda: sum(line.startswith("RELOADING=1") for line in systemd.heard) == 3, 5.0)
        assert systemd.count("READY=1") == 4
        measured("one restarted, one started, one stopped, one untouched; a typing error changed nothing")
        daemon.stop()
    finally:
        daemon.clean_up()


def test_a_new_broker_prefix_moves_all_that_is_retained_without_touching_a_camera(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    clip_of: Callable[[str], Path],
) -> None:  # fmt: skip
    clip = clip_of("porch")
    cameras = {"porch": {"source": str(clip), "speed": 0.5}}
    daemon = start_daemon(write_config(tmp_path, broker.port, cameras))
    wait_online(listener, "porch")
    before = daemon.camera_pid(clip)
    mqtt = {"host": "127.0.0.1", "port": broker.port, "topic_prefix": "box2"}
    write_config(tmp_path, broker.port, cameras, mqtt=mqtt)
    daemon.signal(signal.SIGHUP)
    listener.wait_for(lambda seen: payloads(seen, "box2/porch/status") == ["online"])
    seen = listener.wait_for(lambda seen: payloads(seen, "box2/porch/state") != [])
    assert payloads(seen, "soteira/status")[-1] == "offline" and payloads(seen, "box2/status") == ["online"]
    assert daemon.camera_pid(clip) == before
    daemon.stop()


@pytest.mark.fault("second SIGTERM", "exits at once")
def test_a_second_sigterm_ends_the_daemon_at_once_and_its_cameras_follow(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    clip_of: Callable[[str], Path], measured: Measured,
) -> None:  # fmt: skip
    clip = clip_of("porch")
    daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": str(clip)}}))
    wait_online(listener, "porch")
    camera = daemon.camera_pid(clip)
    os.kill(camera, signal.SIGSTOP)  # the end would wait for it
    daemon.signal(signal.SIGTERM)
    threading.Event().wait(0.3)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_exit(2.0) == 128 + signal.SIGTERM
    os.kill(camera, signal.SIGCONT)
    assert until(lambda: not daemon.group(), 5.0), daemon.group()
    measured("gone at once; the camera processes followed by themselves")


@pytest.mark.fault("secrets", "a camera process is given its own section and its own secrets only")
def test_no_camera_process_holds_the_secrets_of_another_camera_or_of_the_broker(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, clip_of: Callable[[str], Path], measured: Measured
) -> None:
    camera = RtspServer(user="viewer", password="porch-secret-1")  # noqa: S106
    camera.start(clip_of("porch"), loop=True)
    secrets = {"SOTEIRA_PORCH": "porch-secret-1", "SOTEIRA_YARD": "yard-secret-2", "SOTEIRA_MQTT": "mqtt-secret-3"}
    try:
        address = camera.url_for().removeprefix("rtsp://")
        cameras = {
            "porch": {"source": "rtsp://viewer:{SOTEIRA_PORCH}@" + address},
            "yard": {"source": "rtsp://viewer:{SOTEIRA_YARD}@127.0.0.1:1/x"},
        }
        mqtt = {"host": "127.0.0.1", "port": broker.port, "user": "soteira", "password": "{SOTEIRA_MQTT}"}
        config = write_config(tmp_path, broker.port, cameras, mqtt=mqtt)
        daemon = Daemon(config, environment=secrets).start()
        try:
            wait_online(listener, "porch")
            listener.wait_for(lambda _: payloads(listener.messages(), "soteira/yard/diagnostics") != [])
            held = {pid: {word for word in secrets.values() if holds(pid, word)} for pid in daemon.group()}
            assert held.pop(daemon.process.pid) == set(secrets.values())
            assert sorted(map(sorted, filter(None, held.values()))) == [["porch-secret-1"], ["yard-secret-2"]], held
            measured(f"searched the memory of {len(held)} processes")
            daemon.stop()
        finally:
            daemon.clean_up()
    finally:
        camera.kill()


def holds(pid: int, word: str) -> bool:
    """Say whether a process has a word anywhere in the memory that it can write to, its environment included."""
    text = word.encode()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            places, rights, *_ = line.split()
            if not rights.startswith("rw") or "[v" in line:
                continue
            start, end = (int(place, 16) for place in places.split("-"))
            try:
                memory.seek(start)
                if text in memory.read(end - start):
                    return True
            except (OSError, OverflowError):
                continue
    return False


@pytest.mark.fault("a disk that fails while a camera process dies", "the camera is watched on; nothing is lost")
def test_a_camera_that_dies_while_the_journal_cannot_be_written_is_watched_on_and_its_visit_closed_later(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, entry_clip: Path,
    measured: Measured,
) -> None:  # fmt: skip
    clip = Path(shutil.copy(entry_clip, tmp_path / "porch.mp4"))
    daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": str(clip)}}))
    listener.wait_for(lambda seen: kinds(events(seen)) == ["entered person"])
    with sqlite3.connect(tmp_path / "state" / "journal.sqlite3", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")  # as good as a full disk: nothing can be written
        os.kill(daemon.camera_pid(clip), signal.SIGKILL)
        daemon.wait_log("porch: online", times=2)
        other.execute("ROLLBACK")
    other.close()
    found = events(listener.wait_for(lambda seen: kinds(events(seen)).count("entered person") == 2, timeout=60.0))
    assert kinds(found) == ["entered person", "left person camera_restart", "entered person"]
    measured(", ".join(kinds(found)))
    daemon.stop()
