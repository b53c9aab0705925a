"""Facts of machines that are not here, and a Mac's programs as strict as the real ones are known to be."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from soteirad.install.facts import Facts, Program, Service, Shipped
from soteirad.install.machine import Account
from soteirad.install.places import Entry
from soteirad.install.plan import Plan, Run, Step
from soteirad.service.layout import LABEL, Layout
from soteirad.service.programs import Ran

L = Layout()
COMMAND = "/opt/soteira/bin/soteirad"
UID = 995
UNIT = """[Unit]
Description=a camera daemon

[Service]
ExecStart=/usr/bin/env soteirad run --config /etc/soteira.yaml
"""
USB = "[Service]\nDeviceAllow=char-video4linux rw\nSupplementaryGroups=video render\n"
SHIPPED = Shipped(b"cameras: {}\n", UNIT, {"gpu": "[Service]\nDeviceAllow=char-drm rw\n", "usb": USB}, "u soteira -\n",
                  b"", b"")  # fmt: skip
SOTEIRA = Account("soteira", UID, UID, "/var/lib/soteira", "/usr/sbin/nologin")
OWN = b"cameras: {porch: {source: rtsp://10.0.0.7/}}\n"


def a_file(content: bytes = b"", mode: int = 0o644, uid: int = 0, gid: int = 0, changed: float = 0.0) -> Entry:
    return Entry("file", uid, gid, mode, changed, content)


def a_folder(mode: int = 0o755, uid: int = 0, gid: int = 0, empty: bool = True) -> Entry:
    return Entry("folder", uid, gid, mode, empty=empty)


def bare(**changes: Any) -> Facts:
    """A machine with systemd where nothing of Soteira's is yet."""
    facts = Facts(
        L,
        Program("1.2.0", (COMMAND,), (Path("/opt/soteira"),)),
        SHIPPED,
        groups=frozenset({"video", "render"}),
        tools=frozenset({"systemctl", "systemd-sysusers", "useradd", "userdel", "groupdel"}),
        service=Service("running", 252),
        names={0: "root", UID: "soteira", 1000: "bob"},
        hiders=(Path("/home"), Path("/root")),
    )
    return replace(facts, **changes)


def steps_about(plan: Plan, what: str) -> list[Step]:
    return [step for step in plan.steps if what == step.what] or [step for step in plan.steps if what in step.what]


def the_step(plan: Plan, what: str) -> Step:
    (step,) = steps_about(plan, what)
    return step


def commands(plan: Plan) -> list[tuple[str, ...]]:
    return [action.command for step in plan.steps for action in step.actions if isinstance(action, Run)]


RECORDS = {
    "/Users": {"UniqueID", "PrimaryGroupID", "UserShell", "NFSHomeDirectory", "RealName", "Password", "IsHidden"},
    "/Groups": {"PrimaryGroupID", "RealName", "Password"},
}


class Mac:
    """dscl, dscacheutil and launchctl of a Mac: what they are not known to take, they refuse."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.records: dict[str, dict[str, str]] = {
            "/Users/root": {"UniqueID": "0"},
            "/Users/nobody": {"UniqueID": "-2"},
            "/Users/_other": {"UniqueID": "399"},
            "/Groups/wheel": {"PrimaryGroupID": "0"},
        }
        self.loaded: dict[str, dict[str, Any]] = {}
        self.disabled: set[str] = set()
        self.ending = 0
        self.waited = 0.0
        self.ran: list[tuple[str, ...]] = []
        self.check, self.check_of = Ran(0), ""

    def find(self, program: str) -> str | None:
        return {"dscl": "/usr/bin/dscl", "launchctl": "/bin/launchctl"}.get(program)

    def wait(self, seconds: float) -> None:
        self.waited += seconds

    def run(self, command: Sequence[str], text: str = "", timeout: float = 60.0) -> Ran:
        program, *arguments = command
        assert text == "", "none of these reads anything"
        if program == "env":
            self.check_of = arguments[0]
            return self.check
        if not {"-list", "print", "print-disabled"} & set(arguments):
            self.ran.append(tuple(command))
        return {"dscl": self._dscl, "launchctl": self._launchctl, "dscacheutil": self._cache}[program](*arguments)

    def user(self, name: str) -> Account | None:
        record = self.records.get(f"/Users/{name}")
        return (
            None if record is None else Account(name, int(record["UniqueID"]), int(record.get("PrimaryGroupID", "20")))
        )

    def gid(self, name: str) -> int | None:
        record = self.records.get(f"/Groups/{name}")
        return None if record is None else int(record["PrimaryGroupID"])

    def user_name(self, uid: int) -> str | None:
        named = (path for path, record in self.records.items() if record.get("UniqueID") == str(uid))
        return next((path.rpartition("/")[2] for path in named), None)

    @staticmethod
    def _cache(*arguments: str) -> Ran:
        assert arguments == ("-flushcache",)
        return Ran(0)

    def _dscl(self, node: str, verb: str, path: str, key: str = "", value: str = "") -> Ran:
        assert node == "." and path.startswith("/")
        kind, _, name = path.rpartition("/")
        if verb == "-list":
            assert path in RECORDS and key in RECORDS[path]
            rows = [(other.rpartition("/")[2], record[key]) for other, record in self.records.items()
                    if other.startswith(f"{path}/") and key in record]  # fmt: skip
            return Ran(0, "\n".join(f"{row}      {number}" for row, number in rows))
        assert kind in RECORDS and re.fullmatch(r"_?[a-z]+", name), path
        if verb == "-delete" and not key:
            return Ran(0) if self.records.pop(path, None) else Ran(56, "eDSRecordNotFound")
        assert verb == "-create"
        if not key:
            self.records.setdefault(path, {})
            return Ran(0)
        assert key in RECORDS[kind] and value != "" and path in self.records
        if key in {"UniqueID", "PrimaryGroupID"}:
            assert 200 <= int(value) < 500, "numbers of services lie there"
        self.records[path][key] = value
        return Ran(0)

    def _launchctl(self, verb: str, *arguments: str) -> Ran:
        domain, _, label = arguments[-1].rpartition("/")
        if verb == "bootstrap":
            return self._bootstrap(*arguments)
        if verb == "print-disabled":
            rows = "".join(f'\t\t"{name.rpartition("/")[2]}" => disabled\n' for name in self.disabled)
            return Ran(0, f"disabled services = {{\n{rows}}}")
        assert label == LABEL and re.fullmatch(r"system|gui/\d+", domain), arguments
        target = arguments[-1]
        if verb == "enable":
            self.disabled.discard(target)
        elif verb == "disable":
            self.disabled.add(target)
        elif verb == "kickstart":
            assert arguments[0] == "-k" and target in self.loaded
        elif verb == "bootout":
            self.ending = 2
            return Ran(0) if self.loaded.pop(target, None) else Ran(3, "Boot-out failed: 3: No such process")
        else:
            assert verb == "print"
            return Ran(0 if target in self.loaded else 113)
        return Ran(0)

    def _bootstrap(self, domain: str, plist: str) -> Ran:
        document = plistlib.loads(Path(plist).read_bytes())
        target = f"{domain}/{document['Label']}"
        if self.ending:  # the one before has not ended
            self.ending -= 1
            return Ran(5, "Bootstrap failed: 5: Input/output error")
        if target in self.disabled or target in self.loaded:
            return Ran(5, "Bootstrap failed: 5: Input/output error")
        found = Path(plist).stat()
        assert found.st_uid == 0 and not found.st_mode & 0o022, "launchd refuses files that others may change"
        for key in ("StandardOutPath", "StandardErrorPath"):
            assert (self._root / document[key].lstrip("/")).parent.is_dir(), "launchd makes no folders"
        self.loaded[target] = document
        return Ran(0)
