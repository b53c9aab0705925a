"""A camera process that is killed: its camera is watched again, and no other camera notices."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.brokers import Mosquitto, Subscriber
from tests.daemon import events, kinds, payloads, write_config
from tests.fault_report import Measured
from tests.house import StartDaemon


@pytest.mark.fault(
    "a camera process is killed in mid-visit",
    "its visit is closed, it starts again, no other camera notices",
)
def test_a_camera_killed_in_mid_visit_is_restarted_its_visit_closed_and_the_other_camera_untouched(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, visit_clip: Path,
    measured: Measured,
) -> None:  # fmt: skip
    clips = {name: Path(shutil.copy(visit_clip, tmp_path / f"{name}.mp4")) for name in ("porch", "yard")}
    cameras = {name: {"source": str(clip), "speed": 5} for name, clip in clips.items()}
    daemon = start_daemon(write_config(tmp_path, broker.port, cameras), "--until-end")
    listener.wait_for(lambda seen: len(events(seen)) == 1)
    others = daemon.camera_pid(clips["yard"])
    victim = daemon.camera_pid(clips["porch"])
    killed = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    listener.wait_for(lambda seen: len(events(seen)) >= 2 and events(seen, "yard") != [])
    assert daemon.camera_pid(clips["yard"]) == others
    assert daemon.wait_exit() == 0

    seen = listener.wait_for(lambda seen: payloads(seen, "soteira/status")[-1:] == ["offline"])
    # The restarted process plays its file from the beginning.
    assert kinds(events(seen)) == [
        "entered person", "left person camera_restart", "entered person", "left person",
    ]  # fmt: skip
    assert payloads(seen, "soteira/porch/status")[-4:] == ["online", "offline", "online", "offline"]
    back = next(m.time for m in seen if (m.topic, m.payload) == ("soteira/porch/status", b"online") and m.time > killed)
    measured(f"online again in {back - killed:.1f} s")
    assert kinds(events(seen, "yard")) == ["entered person", "left person"]
    assert payloads(seen, "soteira/yard/status")[-2:] == ["online", "offline"]
    assert payloads(seen, "soteira/yard/status").count("online") == 1
    assert "porch: the camera process ended (killed by signal 9)" in daemon.log()


@pytest.mark.fault(
    "a camera process hangs while the daemon is stopped",
    "the daemon ends within 5 s and leaves no process",
)
def test_a_camera_that_hangs_does_not_keep_the_daemon_from_ending(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, visit_clip: Path,
    measured: Measured,
) -> None:  # fmt: skip
    clip = Path(shutil.copy(visit_clip, tmp_path / "porch.mp4"))
    daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": str(clip)}}))
    listener.wait_for(lambda seen: payloads(seen, "soteira/porch/status")[-1:] == ["online"])
    os.kill(daemon.camera_pid(clip), signal.SIGSTOP)
    asked = time.monotonic()
    daemon.stop()
    measured(f"ended in {time.monotonic() - asked:.1f} s")
    daemon.wait_until(lambda: not daemon.group(), "no process is left")
    assert "porch: the camera process does not end and is killed" in daemon.log()
