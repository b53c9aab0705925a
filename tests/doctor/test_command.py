"""`soteirad doctor` as an owner types it, beside a daemon that works."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from soteirad.doctor.patient import works_on
from tests.brokers import Mosquitto, Subscriber, free_port
from tests.command import typed
from tests.daemon import payloads, write_config
from tests.house import StartDaemon
from tests.rtsp_server import RtspServer
from tests.waiting import wait_until


def test_beside_a_working_daemon_it_finds_all_well_and_disturbs_nothing(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, entry_clip: Path, start_daemon: StartDaemon
) -> None:
    server = RtspServer(user="viewer", password="geheim-1")  # noqa: S106 - a test's
    server.start(entry_clip, loop=True)
    try:
        web = {"listen": f"127.0.0.1:{free_port()}"}
        config = write_config(tmp_path, broker.port, {"porch": {"source": server.url}}, web=web)
        config.chmod(0o600)
        daemon = start_daemon(config)
        daemon.wait_log("porch: online")
        assert works_on(tmp_path / "state") is True
        done = typed("doctor", "-c", config, "--fast", "--json")
    finally:
        server.kill()
    found = json.loads(done.stdout)["findings"]
    fails = [finding for finding in found if finding["verdict"] == "fail"]
    assert done.returncode == 0 and not fails, fails
    texts = {finding["what"]: finding["text"] for finding in found}
    assert texts["porch"].startswith("640x360 H.264")
    assert texts["soteira/status"] == "it says online"
    assert texts["homeassistant/..."] == "all 2 announcements for Home Assistant are there"
    assert "the page answers" in texts[web["listen"]]
    assert texts[str(tmp_path / "state" / "journal.sqlite3")] == "whole"
    assert "geheim-1" not in done.stdout + done.stderr
    assert daemon.running and "lost the MQTT broker" not in daemon.log()
    assert payloads(listener.messages(), "soteira/status") == ["online"]
    daemon.stop()
    assert works_on(tmp_path / "state") is False


def test_where_the_system_does_not_tell_of_locks_it_is_not_known_whether_a_daemon_works(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert works_on(state) is False
    (state / "spool").mkdir(parents=True)
    (state / "spool" / ".hub").touch()
    assert works_on(state) is False
    assert works_on(state, tmp_path / "no-locks") is None


def test_a_file_with_mistakes_is_a_finding_and_an_unknown_check_is_wrong_usage(tmp_path: Path) -> None:
    path = tmp_path / "soteira.yaml"
    path.write_text("cameras: {porch: {sorce: 1}}\n")
    done = typed("doctor", "-c", path, "--only", "machine")
    assert done.returncode == 1 and "FAIL" in done.stdout and "Machine" in done.stdout
    longer = [line for line in done.stdout.splitlines() if len(line) > 80]
    assert all(max(map(len, line.split())) > 60 for line in longer), "only a path that has to stay whole is longer"
    assert "\x1b" not in done.stdout and done.stderr == ""
    wrong = typed("doctor", "-c", path, "--only", "everything")
    assert wrong.returncode == 2 and "homeassistant" in wrong.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_ctrl_c_while_a_camera_is_looked_at_ends_all_without_a_word(tmp_path: Path) -> None:
    silent = ("rtsp://192.0.2.77/x", "rtsp://192.0.2.78/x")  # RFC 5737: nobody is there
    config = write_config(tmp_path, 1883, {f"camera_{n}": {"source": source} for n, source in enumerate(silent)})
    # Who runs the tests in the background has Ctrl-C ignored.
    code = "import signal; signal.signal(2, signal.default_int_handler); from soteirad.cli import main; main()"
    command = [sys.executable, "-c", code, "doctor", "-c", str(config)]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as doctor:
        looks: set[str] = set()

        def two_look() -> bool:
            for task in Path(f"/proc/{doctor.pid}/task").iterdir():
                for child in (task / "children").read_text().split():
                    if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                        looks.add(child)
            return len(looks) == 2

        wait_until(two_look)
        os.killpg(doctor.pid, signal.SIGINT)
        said = doctor.communicate()
        assert doctor.returncode == 130 and b"Traceback" not in b"".join(said)
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in looks))


def test_nothing_that_only_the_doctor_needs_is_loaded_by_the_daemon() -> None:
    code = "import sys, soteirad.hub.hub, soteirad.camera; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in loaded if name.startswith(("soteirad.doctor", "soteirad.mqtt.visit"))]
