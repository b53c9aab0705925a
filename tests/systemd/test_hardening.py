"""What the service may do, and what it may not: tried by a process of the service itself, with each drop-in."""

from __future__ import annotations

import grp
import json
import os
from pathlib import Path

import pytest

from tests.systemd.appliance import Appliance, run
from tests.systemd.house import House

pytestmark = pytest.mark.systemd
PROBE = Path("/usr/local/lib/soteira-probe.py")
ALLOWED = ("write the state folder", "write the cache folder", "write /tmp", "read the configuration",
           "open an IPv6 socket")  # fmt: skip
DEVICES = {"/dev/video0": (81, 0, "video"), "/dev/dri/renderD128": (226, 128, "render")}
HIDDEN = "No such file or directory"
FORBIDDEN = "Operation not permitted"


def probe(appliance: Appliance) -> dict[str, str]:
    """Start the service with the probe before it, and return what that found."""
    PROBE.parent.mkdir(parents=True, exist_ok=True)
    PROBE.write_text((Path(__file__).parent / "probe.py").read_text())
    since = appliance.cursor()
    appliance.drop_in("probe.conf", f"[Service]\nExecStartPre=/opt/soteira/bin/python -I {PROBE}\n")
    try:
        appliance.restart()
    finally:
        appliance.without("probe.conf")
    (found,) = [line for line in appliance.log(since).splitlines() if line.startswith("probe: ")]
    return {name: str(value) for name, value in json.loads(found.removeprefix("probe: ")).items()}


@pytest.fixture(scope="module")
def devices() -> None:
    """Devices by name only: no driver is behind them."""
    run("groupadd", "--system", "--force", "render")
    for path, (major, minor, group) in DEVICES.items():
        Path(path).parent.mkdir(exist_ok=True)
        os.mknod(path, 0o600 | 0o020000, os.makedev(major, minor))
        os.chown(path, 0, grp.getgrnam(group).gr_gid)
        Path(path).chmod(0o660)


@pytest.fixture(scope="module")
def plain(house: House, devices: None) -> dict[str, str]:
    """What the probe finds without any drop-in."""
    house.settle()
    return probe(house.appliance)


def test_a_process_of_the_service_may_do_what_it_needs_and_nothing_else(plain: dict[str, str]) -> None:
    found = plain
    attempts = {name: what for name, what in found.items() if " " in name and name != "processes of others"}
    assert {name for name, what in attempts.items() if what == "done"} == set(ALLOWED), attempts
    assert found["processes of others"] == "0"
    assert found["credentials"] == "SOTEIRA_MQTT SOTEIRA_PORCH"
    assert found["core"] == "0"
    assert found["open /dev/video0"] == found["open /dev/dri/renderD128"] == HIDDEN


def test_each_process_is_locked_in_and_watches_all_the_same(house: House, appliance: Appliance) -> None:
    processes = appliance.processes()
    assert len(processes) >= 4
    for pid in processes:
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        locks = {name: status[name] for name in ("NoNewPrivs", "Seccomp", "CapEff", "CapPrm", "CapBnd")}
        assert locks == {"NoNewPrivs": "1", "Seccomp": "2", **dict.fromkeys(("CapEff", "CapPrm", "CapBnd"), "0" * 16)}
        assert "0" not in status["Uid"].split() + status["Gid"].split()
        mounts = [line.split() for line in Path(f"/proc/{pid}/mounts").read_text().splitlines()]
        places = {place for _, place, kind, options, *_ in mounts if "rw" in options.split(",") and kind == "overlay"}
        assert places == {"/var/lib/soteira", "/var/cache/soteira", "/var/tmp"}, places
    count = len(house.listener.messages())
    house.listener.wait_for(lambda seen: any("/event" in m.topic for m in seen[count:]))


@pytest.mark.parametrize("name", ["usb", "gpu", "nvidia"])
def test_with_devices_it_sees_only_those_that_are_granted_and_watches(
    name: str, appliance: Appliance, plain: dict[str, str]
) -> None:
    appliance.grant(name)
    try:
        granted = probe(appliance)
        appliance.wait_status("2 online")
    finally:
        appliance.revoke(name)
    device = {"usb": "/dev/video0"}.get(name, "/dev/dri/renderD128")
    group = grp.getgrnam(DEVICES[device][2]).gr_gid
    assert str(group) in granted["groups"].split() and str(group) not in plain["groups"].split()
    assert granted[f"open {device}"] != HIDDEN
    changed = {name for name, what in plain.items() if granted[name] != what}
    assert changed <= {"groups", "devices", "open /dev/video0", "open /dev/dri/renderD128", "open /dev/kmsg",
                       *(["write a program"] if name == "nvidia" else [])}, changed  # fmt: skip
    assert granted["open /dev/kmsg"] in (HIDDEN, FORBIDDEN, "Permission denied")


def test_openvino_works_with_its_drop_in_only_and_each_time_the_engine_is_chosen_anew(appliance: Appliance) -> None:
    if not list(Path("/opt/soteira/lib").glob("python3*/site-packages/openvino")):
        pytest.skip("OpenVINO is not installed in /opt/soteira: nothing was learned")
    assert "MemoryDenyWriteExecute): the drop-in openvino.conf allows it" in chosen(appliance)
    appliance.grant("openvino")
    try:
        assert "detector nanodet-g-416: openvino" in chosen(appliance)
    finally:
        appliance.revoke("openvino")
    assert "detector nanodet-g-416: onnx" in chosen(appliance)
    appliance.wait_status("2 online")


def chosen(appliance: Appliance) -> str:
    """Start it, and return what it says of the engine that it took."""
    since = appliance.cursor()
    appliance.restart()
    (line,) = [line for line in appliance.log(since).splitlines() if "hub: detector" in line]
    return line


