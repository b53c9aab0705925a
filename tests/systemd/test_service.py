"""The service under a real systemd, from its start to its end, and what brings it back."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from soteirad.service.layout import UNIT, Layout
from tests.daemon import events, payloads
from tests.systemd.appliance import COMMAND, Appliance, run
from tests.systemd.house import SECRETS, House

pytestmark = pytest.mark.systemd
WATCHDOG = "[Service]\nWatchdogSec=3\nTimeoutAbortSec=2\n"


def test_it_starts_says_that_it_is_ready_and_how_it_is(house: House) -> None:
    appliance = house.appliance
    appliance.start()
    assert (appliance.show("ActiveState"), appliance.show("SubState")) == ("active", "running")
    appliance.wait_status("2 cameras, 2 online, ")
    assert appliance.show("User") == appliance.show("Group") == "soteira"


def test_what_happens_is_published_and_in_the_journal_and_counted_in_the_status_line(
    house: House, appliance: Appliance
) -> None:
    seen = house.listener.wait_for(lambda seen: bool(events(seen)) and bool(events(seen, "yard")))
    published = {event["id"] for camera in ("porch", "yard") for event in events(seen, camera)}
    assert published <= journaled()
    appliance.wait_for("as many in the status line", lambda: counted(appliance) == len(journaled()))


def counted(appliance: Appliance) -> int:
    return int(appliance.show("StatusText").split(", ")[2].split()[0])


def journaled() -> set[str]:
    with contextlib.closing(sqlite3.connect(f"file:{Layout().state}/journal.sqlite3?mode=ro", uri=True)) as journal:
        return {row[0] for row in journal.execute("SELECT id FROM events")}


def test_secrets_come_as_credentials_and_are_in_no_environment(appliance: Appliance) -> None:
    environments = {pid: Path(f"/proc/{pid}/environ").read_bytes() for pid in appliance.processes()}
    assert len(environments) >= 4, "hub, fork server and two cameras"
    assert b"CREDENTIALS_DIRECTORY=" in environments.pop(appliance.pid)
    for secret in SECRETS.values():
        assert all(secret.encode() not in text for text in environments.values())
        assert secret not in appliance.log()
    for name in (b"NOTIFY_SOCKET", b"WATCHDOG_", b"CREDENTIALS_DIRECTORY"):
        assert all(name not in text for text in environments.values()), f"{name!r} was inherited"


def test_a_reload_is_seen_by_systemd_and_starts_a_new_camera_only(house: House, appliance: Appliance) -> None:
    before, since = set(appliance.processes()), appliance.cursor()
    document = house.configuration()
    # Two threads are another engine, which has to be proven: that takes long enough to be seen.
    document["cameras"]["gate"] = {"source": house.yard.url, "detector": {"threads": 2, "backend": "onnx"}}
    appliance.configure(document)
    run("systemctl", "reload", "--no-block", UNIT)
    appliance.wait_for("ActiveState=reloading", lambda: appliance.show("ActiveState") == "reloading", 10.0)
    appliance.wait_for("a reload in the status line", lambda: "; trying what runs" in appliance.show("StatusText"))
    appliance.wait_status("3 cameras, 3 online, ")
    assert appliance.show("ActiveState") == "active"
    assert before < set(appliance.processes())
    assert "started gate" in appliance.log(since)


def test_a_bad_configuration_at_a_reload_changes_nothing(appliance: Appliance) -> None:
    hub, since = appliance.pid, appliance.cursor()
    appliance.configure("cameras: {porch: {sauce: x}}")
    run("systemctl", "reload", UNIT)
    appliance.wait_for("the old one stays", lambda: "the old one stays in force" in appliance.log(since))
    assert (appliance.pid, appliance.show("ActiveState")) == (hub, "active")
    assert "cameras.porch.sauce" in appliance.log(since)


def test_a_reload_comes_back_when_it_is_done_even_if_the_hub_is_slow_to_hear(appliance: Appliance) -> None:
    since = appliance.cursor()
    appliance.configure("cameras: {porch: {sauce: x}}")
    os.kill(appliance.pid, signal.SIGSTOP)
    with subprocess.Popen(("systemctl", "reload", UNIT)) as reload:
        with contextlib.suppress(subprocess.TimeoutExpired):
            reload.wait(0.4)
        os.kill(appliance.pid, signal.SIGCONT)
        assert reload.wait(60.0) == 0
    assert "the old one stays in force" in appliance.log(since)


def test_an_installation_restarts_it_only_if_something_changed_that_it_has_from_its_start(appliance: Appliance) -> None:
    before, secret = appliance.pid, appliance.layout.secrets / "SOTEIRA_PORCH"
    run(str(COMMAND), "install")
    assert appliance.pid == before
    other = secret.with_name("new")
    other.write_text(secret.read_text())
    os.utime(other, (0, 0))
    other.rename(secret)
    run(str(COMMAND), "install", timeout=180)
    assert appliance.pid not in (0, before)
    appliance.wait_status("2 online")


def test_a_hub_that_is_killed_is_back_soon_and_its_cameras_end_by_themselves(
    house: House, appliance: Appliance
) -> None:
    hub, since, restarts = appliance.pid, appliance.cursor(), int(appliance.show("NRestarts"))
    os.kill(hub, signal.SIGKILL)
    appliance.wait_for("a new hub", lambda: int(appliance.show("NRestarts")) == restarts + 1)
    appliance.wait_status("2 online")
    assert appliance.pid != hub
    # Killed by systemd they could not have written down what the hub had not answered.
    assert "with signal SIGKILL" not in appliance.log(since)


def test_what_a_dead_hub_did_not_answer_is_journaled_and_published_by_the_next_one(
    house: House, appliance: Appliance
) -> None:
    spool = appliance.layout.state / "spool"
    os.kill(appliance.pid, signal.SIGSTOP)
    appliance.wait_for("an event in the spool", lambda: any(spool.glob("*.json")))
    waiting = {path.stem.partition("-")[2] for path in spool.glob("*.json")}
    os.kill(appliance.pid, signal.SIGKILL)
    house.listener.wait_for(
        lambda seen: waiting <= {event["id"] for camera in ("porch", "yard") for event in events(seen, camera)}
    )
    assert waiting <= journaled()


def test_a_hub_that_hangs_is_noticed_by_the_watchdog(appliance: Appliance) -> None:
    appliance.drop_in("watchdog.conf", WATCHDOG)
    try:
        appliance.restart()
        appliance.wait_status("2 online")
        hub, since = appliance.pid, appliance.cursor()
        os.kill(hub, signal.SIGSTOP)
        appliance.wait_for("a new hub", lambda: appliance.pid not in (0, hub), 20.0)
        appliance.wait_status("2 online")
        assert "Watchdog timeout" in appliance.log(since)
    finally:
        appliance.without("watchdog.conf")


def test_a_hub_that_hangs_and_does_not_hear_is_killed(appliance: Appliance) -> None:
    appliance.drop_in("watchdog.conf", WATCHDOG)
    try:
        appliance.restart()
        appliance.wait_status("2 online")
        hub, since = appliance.pid, appliance.cursor()
        os.kill(hub, signal.SIGSTOP)
        appliance.wait_for("the watchdog", lambda: "Watchdog timeout" in appliance.log(since), 20.0)
        while appliance.pid == hub:  # systemd wakes it to let it end
            with contextlib.suppress(ProcessLookupError):
                os.kill(hub, signal.SIGSTOP)
        appliance.wait_status("2 online")
        assert "with signal SIGKILL" in appliance.log(since)
    finally:
        appliance.without("watchdog.conf")


def test_a_wrong_configuration_at_the_start_is_final(appliance: Appliance) -> None:
    appliance.stop()
    appliance.configure("cameras: {porch: {sauce: x}}")
    assert run("systemctl", "start", UNIT, check=False).returncode != 0
    appliance.wait_for("the state failed", lambda: appliance.show("ActiveState") == "failed")
    assert appliance.show("ExecMainStatus") == "1" and appliance.show("NRestarts") == "0"
    assert "cameras.porch.sauce: this key is not known" in appliance.log()


def test_what_may_pass_is_tried_for_ever(appliance: Appliance) -> None:
    appliance.stop()
    appliance.drop_in("fails.conf", "[Service]\nExecStart=\nExecStart=/bin/sh -c 'exit 75'\nRestartSec=0.1\n")
    try:
        run("systemctl", "start", UNIT, check=False)
        appliance.wait_for("more than systemd's usual five", lambda: int(appliance.show("NRestarts")) > 7)
    finally:
        appliance.without("fails.conf")
        appliance.stop()


def test_it_ends_in_time_says_offline_and_leaves_no_process(house: House, appliance: Appliance) -> None:
    since, began = appliance.cursor(), time.monotonic()
    run("systemctl", "stop", UNIT)
    assert time.monotonic() - began < 5.0, "a requirement"
    assert appliance.processes() == [] and appliance.show("Result") == "success"
    house.listener.wait_for(lambda seen: payloads(seen, "soteira/status")[-1] == "offline")
    assert "with signal SIGKILL" not in appliance.log(since) and "Traceback" not in appliance.log()


def test_what_an_earlier_version_kept_under_a_dynamic_user_is_taken_over(appliance: Appliance) -> None:
    appliance.stop()
    appliance.drop_in("dynamic.conf", "[Service]\nDynamicUser=yes\n")
    appliance.start()
    appliance.stop()
    assert appliance.layout.state.is_symlink()
    before = journaled()
    appliance.without("dynamic.conf")
    appliance.start()
    assert appliance.layout.state.is_dir() and not appliance.layout.state.is_symlink()
    assert before and before <= journaled()
