"""The service: is it installed as this version ships it, does it start by itself, and does it live?"""

from __future__ import annotations

import os
import plistlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from xml.parsers.expat import ExpatError  # what plistlib lets through

from soteirad.doctor.finding import Finding, doubt, fault, well
from soteirad.doctor.patient import Patient
from soteirad.resources import resource
from soteirad.service.layout import LABEL, UNIT

SHOWN = ("LoadState", "UnitFileState", "ActiveState", "SubState", "Result", "NRestarts", "NeedDaemonReload",
         "ExecMainStatus", "StatusText")  # fmt: skip
INSTALL = "sudo soteirad install"
SEE_LOG = "see what it says: sudo journalctl -u soteirad -n 50"
DAYS = 7
RESULTS = {
    "exit-code": "it ended by itself with exit code {code}",
    "watchdog": "it hung, and systemd ended it",
    "oom-kill": "this machine ran out of memory",
    "signal": "it was killed",
    "core-dump": "it crashed",
    "timeout": "it did not start or end in time",
    "start-limit-hit": "it failed too often",
}


def check(patient: Patient) -> Iterator[Finding]:
    """Yield how the service is."""
    if patient.system == "Darwin":
        yield from _launchd(patient)
    else:
        yield from _systemd(patient)


def _systemd(patient: Patient) -> Iterator[Finding]:
    unit = patient.layout.unit
    if not unit.exists():
        yield doubt(str(unit), "Soteira is not installed as a service: it does not start by itself", INSTALL)
        return
    yield from _file(unit)
    asked = patient.run(["systemctl", "show", UNIT, "--no-pager", f"--property={','.join(SHOWN)}"])
    if asked.code:
        reason = (asked.err.strip().splitlines() or ["no answer"])[0]
        yield doubt("systemd", f"it cannot be asked ({reason})", "on a machine that systemd started this works")
        return
    facts = dict(line.split("=", 1) for line in asked.out.splitlines() if "=" in line)
    if facts.get("NeedDaemonReload") == "yes":
        yield doubt(UNIT, "its file was changed, and systemd has not read that", "sudo systemctl daemon-reload && "
                    "sudo systemctl restart soteirad")  # fmt: skip
    if facts.get("UnitFileState") not in ("enabled", "enabled-runtime"):
        yield doubt(UNIT, "it does not start with the machine", "sudo systemctl enable soteirad")
    yield _active(facts)
    yield from _hung(patient, facts)


def _file(unit: Path) -> Iterator[Finding]:
    """Yield whether the unit is the one that this version ships, and its program is there."""
    try:
        text = unit.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        yield doubt(str(unit), f"it cannot be read ({error.strerror})", f"see what lies there; then: {INSTALL}")
        return
    shipped = resource(f"systemd/{UNIT}").read_text(encoding="utf-8")
    if _settings(text) != _settings(shipped):
        yield doubt(str(unit), "it is not the one that this version ships: of another version, or changed by hand",
                    f"{INSTALL} puts it right; changes of your own belong into a file in {unit}.d/")  # fmt: skip
    else:
        yield well(str(unit), "as this version ships it")
    program = _program(text)
    if program is None:
        yield fault(str(unit), "it has no ExecStart that can be read: it starts nothing", INSTALL)
    elif program.is_absolute() and not os.access(program, os.X_OK):
        yield fault(str(unit), f"it starts {program}, which is not there or no program: was Soteira moved or removed?",
                    INSTALL)  # fmt: skip


def _settings(text: str) -> list[str]:
    """Return the lines that matter; the program's path is this machine's."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and line[0] not in "#;" and not line.startswith("ExecStart=")]


def _program(text: str) -> Path | None:
    found = re.search(r"^ExecStart=[-@:+!]*(.+)$", text, re.MULTILINE)
    try:
        words = shlex.split(found[1]) if found else []
    except ValueError:  # quotes that do not end: systemd starts nothing either
        return None
    return Path(words[0]) if words else None


def _active(facts: dict[str, str]) -> Finding:
    state = facts.get("ActiveState", "unknown")
    if state == "active":
        return well(UNIT, f"it runs ({facts.get('StatusText') or facts.get('SubState', '')})")
    why = RESULTS.get(facts.get("Result", ""), "").format(code=facts.get("ExecMainStatus", "?"))
    if state == "activating" and facts.get("SubState") == "auto-restart":
        return fault(UNIT, f"it fails and is tried again{f': {why}' if why else ''}", SEE_LOG)
    if state in ("activating", "reloading"):
        return well(UNIT, f"it starts ({facts.get('StatusText') or facts.get('SubState', '')})")
    if state == "failed":
        return fault(UNIT, f"it does not run{f': {why}' if why else ''}", SEE_LOG)
    return doubt(UNIT, f"it does not run ({state})", "sudo systemctl start soteirad")


def _hung(patient: Patient, facts: dict[str, str]) -> Iterator[Finding]:
    """Yield how often it had to be started again."""
    log = patient.run(["journalctl", "--unit", UNIT, "--since", f"-{DAYS}d", "--output", "cat", "--quiet", "--no-pager",
                       "--grep", "Watchdog timeout"])  # fmt: skip
    hung = len(log.out.splitlines()) if log.code == 0 else 0
    restarts = facts.get("NRestarts", "0")
    if hung:
        yield doubt(UNIT, f"it hung {hung} time{'s' * (hung != 1)} in {DAYS} days; the watchdog started it again",
                    "please report this with: sudo journalctl -u soteirad")  # fmt: skip
    elif restarts not in ("", "0"):
        yield doubt(UNIT, f"it failed and was started again {restarts} time{'s' * (restarts != '1')} since it was last "
                    "started by hand", SEE_LOG)  # fmt: skip


def _launchd(patient: Patient) -> Iterator[Finding]:
    plist = patient.layout.daemon_plist
    try:
        words = plistlib.loads(plist.read_bytes()).get("ProgramArguments", [])
    except FileNotFoundError:
        yield doubt(str(plist), "Soteira is not installed as a service: it does not start by itself", INSTALL)
        return
    except (OSError, ValueError, plistlib.InvalidFileException, AttributeError, ExpatError) as error:
        yield fault(str(plist), f"it cannot be read ({type(error).__name__})", INSTALL)
        return
    program = Path(words[0]) if words else None
    if program is None or not os.access(program, os.X_OK):
        yield fault(str(plist), f"it starts {program}, which is not there or no program", INSTALL)
    else:
        yield well(str(plist), f"it starts {program}")
    asked = patient.run(["launchctl", "print", f"system/{LABEL}"])
    if asked.code:
        yield doubt(LABEL, "launchd does not know it: it does not run", INSTALL)
        return
    state = re.search(r"^\s*state = (.+)$", asked.out, re.MULTILINE)
    ended = re.search(r"^\s*last exit code = (.+)$", asked.out, re.MULTILINE)
    if state is not None and state[1].strip() == "running":
        yield well(LABEL, "it runs")
    else:
        code = f" (last exit code {ended[1].strip()})" if ended else ""
        yield fault(LABEL, f"it does not run{code}", f"see what it says in {patient.layout.log_folder}")
