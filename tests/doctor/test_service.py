"""The service: the unit's file, and what systemd and launchd say."""

from __future__ import annotations

import plistlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from soteirad.doctor.patient import Patient
from soteirad.doctor.service import SHOWN, check
from soteirad.resources import resource
from soteirad.service.layout import LABEL
from soteirad.service.programs import Ran
from tests.doctor.people import Programs, one, patient, verdicts

SHOW = ("systemctl", "show", "soteirad.service", "--no-pager", f"--property={','.join(SHOWN)}")
LOG = ("journalctl", "--unit", "soteirad.service", "--since", "-7d", "--output", "cat", "--quiet", "--no-pager",
       "--grep", "Watchdog timeout")  # fmt: skip
PRINT = ("launchctl", "print", f"system/{LABEL}")
RUNS = {"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active", "SubState": "running",
        "Result": "success", "NRestarts": "0", "NeedDaemonReload": "no", "ExecMainStatus": "0",
        "StatusText": "2 cameras, 2 online, 7 events"}  # fmt: skip
NO_HANG = Ran(1)


def shipped(program: str = sys.executable) -> str:
    lines = resource("systemd/soteirad.service").read_text().splitlines()
    line = f"ExecStart={program} run --config /etc/soteira.yaml"
    return "\n".join(line if old.startswith("ExecStart=") else old for old in lines) + "\n"


def on_systemd(folder: Path, unit: str | None = None, log: Ran = NO_HANG, **facts: str) -> Patient:
    sick = patient(folder)
    sick.layout.unit.parent.mkdir(parents=True)
    sick.layout.unit.write_text(shipped() if unit is None else unit)
    shown = "".join(f"{name}={value}\n" for name, value in {**RUNS, **facts}.items())
    return replace(sick, run=Programs({SHOW: Ran(0, shown), LOG: log}))


def test_a_service_that_runs_as_this_version_ships_it_is_well(tmp_path: Path) -> None:
    found = list(check(on_systemd(tmp_path)))
    assert verdicts(found) == ["ok", "ok"]
    assert "2 cameras, 2 online, 7 events" in found[1].text


def test_without_a_unit_nothing_else_is_asked(tmp_path: Path) -> None:
    (found,) = check(replace(patient(tmp_path), run=Programs({})))
    assert found.verdict == "warn" and found.remedy == "sudo soteirad install"


def test_comments_and_empty_lines_of_the_unit_do_not_matter_and_its_settings_do(tmp_path: Path) -> None:
    assert "warn" not in verdicts(check(on_systemd(tmp_path / "a", "# of ours\n\n" + shipped())))
    found = one(check(on_systemd(tmp_path / "b", shipped().replace("WatchdogSec=60", "WatchdogSec=6"))), "warn")
    assert "not the one that this version ships" in found.text


@pytest.mark.parametrize("unit", [shipped("/opt/gone/soteirad"), "[Service]\nType=notify\n"])
def test_a_unit_that_starts_nothing_is_a_fault(unit: str, tmp_path: Path) -> None:
    assert one(check(on_systemd(tmp_path, unit)), "fail").remedy == "sudo soteirad install"


@pytest.mark.parametrize(("facts", "verdict", "told"), [
    ({"ActiveState": "failed", "SubState": "failed", "Result": "exit-code", "ExecMainStatus": "1"}, "fail",
     "exit code 1"),
    ({"ActiveState": "activating", "SubState": "auto-restart", "Result": "oom-kill"}, "fail", "out of memory"),
    ({"ActiveState": "failed", "Result": "watchdog"}, "fail", "it hung"),
    ({"ActiveState": "inactive", "SubState": "dead"}, "warn", "it does not run (inactive)"),
    ({"UnitFileState": "disabled"}, "warn", "does not start with the machine"),
    ({"NeedDaemonReload": "yes"}, "warn", "was changed"),
    ({"NRestarts": "3"}, "warn", "started again 3 times"),
])  # fmt: skip
def test_what_systemd_says_is_told(facts: dict[str, str], verdict: str, told: str, tmp_path: Path) -> None:
    assert told in one(check(on_systemd(tmp_path, **facts)), verdict).text


def test_a_service_that_starts_is_well(tmp_path: Path) -> None:
    facts = {"ActiveState": "activating", "SubState": "start", "StatusText": "trying what runs nanodet-g-416 best here"}
    assert verdicts(check(on_systemd(tmp_path, **facts))) == ["ok", "ok"]


def test_hangs_of_the_last_days_are_counted_from_the_log(tmp_path: Path) -> None:
    log = Ran(0, "soteirad.service: Watchdog timeout (limit 1min)!\n" * 2)
    assert "it hung 2 times in 7 days" in one(check(on_systemd(tmp_path, log=log)), "warn").text


def test_a_machine_that_systemd_did_not_start_is_told(tmp_path: Path) -> None:
    sick = on_systemd(tmp_path)
    refused = Ran(1, err="System has not been booted with systemd as init system (PID 1). Can't operate.\n")
    found = one(check(replace(sick, run=Programs({SHOW: refused}))), "warn")
    assert "has not been booted with systemd" in found.text


def on_mac(folder: Path, answers: Mapping[tuple[str, ...], Ran], program: str = sys.executable) -> Patient:
    sick = replace(patient(folder), system="Darwin", run=Programs(answers))
    sick.layout.daemon_plist.parent.mkdir(parents=True)
    sick.layout.daemon_plist.write_bytes(plistlib.dumps({"Label": LABEL, "ProgramArguments": [program, "run"]}))
    return sick


@pytest.mark.parametrize(("answer", "verdict"), [
    (Ran(0, f"system/{LABEL} = {{\n\tstate = running\n\tpid = 412\n\tlast exit code = (never exited)\n}}\n"), "ok"),
    (Ran(0, f"system/{LABEL} = {{\n\tstate = not running\n\tlast exit code = 1\n}}\n"), "fail"),
    (Ran(113, err=f'Could not find service "{LABEL}" in domain for system\n'), "warn"),
])  # fmt: skip
def test_on_macos_launchd_is_asked(answer: Ran, verdict: str, tmp_path: Path) -> None:
    assert verdicts(check(on_mac(tmp_path, {PRINT: answer}))) == ["ok", verdict]


def test_a_plist_that_is_missing_damaged_or_starts_nothing_is_told(tmp_path: Path) -> None:
    found = one(check(on_mac(tmp_path, {PRINT: Ran(113)}, "/opt/gone/soteirad")), "fail")
    assert "/opt/gone/soteirad" in found.text
    sick = on_mac(tmp_path / "b", {})
    sick.layout.daemon_plist.write_bytes(b"<plist")
    assert verdicts(check(sick)) == ["fail"]
    sick.layout.daemon_plist.unlink()
    assert verdicts(check(sick)) == ["warn"]


def test_a_unit_that_makes_no_sense_is_told_and_is_no_fault_of_ours(tmp_path: Path) -> None:
    sick = on_systemd(tmp_path)
    sick.layout.unit.write_text('[Service]\nExecStart="/usr/bin/soteirad run\n')
    assert "starts nothing" in one(check(sick), "fail").text
    sick.layout.unit.unlink()
    sick.layout.unit.mkdir()
    assert "Is a directory" in one(check(sick), "warn").text
