"""A camera process that is killed: its camera is watched again, and no other camera notices."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from tests.brokers import Mosquitto, Subscriber
from tests.daemon import events, kinds, payloads, write_config
from tests.house import StartDaemon


def test_a_camera_killed_in_mid_visit_is_restarted_its_visit_closed_and_the_other_camera_untouched(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, visit_clip: Path
) -> None:
    clips = {name: Path(shutil.copy(visit_clip, tmp_path / f"{name}.mp4")) for name in ("porch", "yard")}
    cameras = {name: {"source": str(clip), "speed": 5} for name, clip in clips.items()}
    daemon = start_daemon(write_config(tmp_path, broker.port, cameras), "--until-end")
    listener.wait_for(lambda seen: len(events(seen)) == 1)
    others = daemon.camera_pid(clips["yard"])
    os.kill(daemon.camera_pid(clips["porch"]), signal.SIGKILL)
    listener.wait_for(lambda seen: len(events(seen)) >= 2 and events(seen, "yard") != [])
    assert daemon.camera_pid(clips["yard"]) == others
    assert daemon.wait_exit() == 0

    seen = listener.wait_for(lambda seen: payloads(seen, "soteira/status")[-1:] == ["offline"])
    # The restarted process plays its file from the beginning.
    assert kinds(events(seen)) == [
        "entered person", "left person camera_restart", "entered person", "left person",
    ]  # fmt: skip
    assert payloads(seen, "soteira/porch/status")[-4:] == ["online", "offline", "online", "offline"]
    assert kinds(events(seen, "yard")) == ["entered person", "left person"]
    assert payloads(seen, "soteira/yard/status")[-2:] == ["online", "offline"]
    assert payloads(seen, "soteira/yard/status").count("online") == 1
    assert "porch: the camera process ended (killed by signal 9)" in daemon.log()


def test_a_camera_that_hangs_does_not_keep_the_daemon_from_ending(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, visit_clip: Path
) -> None:
    clip = Path(shutil.copy(visit_clip, tmp_path / "porch.mp4"))
    daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": str(clip)}}))
    listener.wait_for(lambda seen: payloads(seen, "soteira/porch/status")[-1:] == ["online"])
    os.kill(daemon.camera_pid(clip), signal.SIGSTOP)
    daemon.stop()
    daemon.wait_until(lambda: not daemon.group(), "no process is left")
    assert "porch: the camera process does not end and is killed" in daemon.log()
