"""An installed Soteira in a machine (see `machine.py`): its files, its service, and what systemd says of it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from soteirad.resources import resource
from soteirad.service.layout import SECRET_PREFIX, UNIT, USER, Layout
from tests.daemon import until

COMMAND = Path("/opt/soteira/bin/soteirad")
ACTIVE_S = 120.0
"""Much more than it takes, for machines that are busy."""


class Appliance:
    """The service of this machine. The machine is thrown away afterwards, so nothing is cleaned up."""

    def __init__(self) -> None:
        self.layout = Layout()
        self.by_itself = False
        """Whether `soteirad install` does it."""

    def install(self) -> None:
        """Install it by its own command, or do what that does where it is not there yet."""
        self.by_itself = run(str(COMMAND), "install", "--help", check=False).returncode == 0
        if self.by_itself:
            self._install()
            return
        run("groupadd", "--system", USER)
        run("useradd", "--system", "--gid", USER, "--no-create-home", "--shell", "/usr/sbin/nologin", USER)
        self.layout.secrets.mkdir(parents=True, mode=0o700)
        self.layout.command.symlink_to(COMMAND)
        self.layout.unit.write_text(shipped("soteirad.service"))
        self.layout.drop_ins.mkdir()
        self.reread()

    def configure(self, document: Mapping[str, Any] | str) -> bool:
        """Write the configuration; returns whether it was another one."""
        text = document if isinstance(document, str) else yaml.safe_dump(dict(document))
        before = self.layout.config.read_text() if self.layout.config.exists() else ""
        self.layout.config.write_text(text)
        self.layout.config.chmod(0o640)
        run("chown", f"root:{USER}", str(self.layout.config))
        return text != before

    def keep_secrets(self, values: Mapping[str, str]) -> None:
        """Put secrets into their folder, and hand them to the service."""
        for name, value in values.items():
            assert name.startswith(SECRET_PREFIX)
            file = self.layout.secrets / name
            file.write_text(value + "\n")
            file.chmod(0o600)
        if self.by_itself:
            self._install()
        else:
            lines = [f"LoadCredential={name}:{self.layout.secrets / name}" for name in values]
            self.drop_in("secrets.conf", "\n".join(["[Service]", *lines, ""]))

    def grant(self, name: str) -> None:
        """Add a shipped drop-in."""
        if self.by_itself:
            self._install("--with", name)
        else:
            self.drop_in(f"{name}.conf", shipped(f"{name}.conf"))

    def revoke(self, name: str) -> None:
        """Take a shipped drop-in away."""
        self._install("--without", name) if self.by_itself else self.without(f"{name}.conf")

    def drop_in(self, name: str, text: str) -> None:
        """Add a drop-in with this text."""
        (self.layout.drop_ins / name).write_text(text)
        self.reread()

    def without(self, *names: str) -> None:
        """Take drop-ins away."""
        for name in names:
            (self.layout.drop_ins / name).unlink()
        self.reread()

    def reread(self) -> None:
        """Let systemd read all units again."""
        run("systemctl", "daemon-reload")

    def start(self) -> None:
        """Start it; systemd says that it is ready."""
        done = run("systemctl", "start", UNIT, check=False, timeout=180)
        if done.returncode:
            pytest.fail(f"it does not start: {done.stderr}\n{self.log()}")

    def restart(self) -> None:
        """End it and start it again."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """End it."""
        run("systemctl", "stop", UNIT)
        run("systemctl", "reset-failed", UNIT, check=False)

    def show(self, name: str) -> str:
        """Return what systemd knows of the service under this name."""
        return run("systemctl", "show", "-P", name, UNIT).stdout.strip()

    @property
    def pid(self) -> int:
        """The hub's process."""
        return int(self.show("MainPID"))

    def processes(self) -> list[int]:
        """Return all processes of the service, as this machine numbers them."""
        group = self.show("ControlGroup")
        if not group:
            return []
        try:
            return [int(pid) for pid in Path(f"/sys/fs/cgroup{group}/cgroup.procs").read_text().split()]
        except FileNotFoundError:
            return []

    def wait_for(self, what: str, holds: Callable[[], bool], timeout: float = ACTIVE_S) -> float:
        """Wait until something holds, and return how long that took."""
        began = time.monotonic()
        if not until(holds, timeout):
            pytest.fail(f"not within {timeout:.0f} s: {what}\n{self.log()}")
        return time.monotonic() - began

    def wait_status(self, text: str, timeout: float = ACTIVE_S) -> None:
        """Wait until the status line holds this text."""
        self.wait_for(f"{text!r} in the status line ({self.show('StatusText')!r})",
                      lambda: text in self.show("StatusText"), timeout)  # fmt: skip

    def log(self, since: str = "") -> str:
        """Return what the service said, and systemd of it; `since` is a cursor."""
        run("journalctl", "--sync")
        after = ["--after-cursor", since] if since else []
        return run("journalctl", "--no-pager", "-o", "cat", "-u", UNIT, *after).stdout

    def cursor(self) -> str:
        """Return where the log is now."""
        run("journalctl", "--sync")
        return run("journalctl", "--show-cursor", "-n", "0").stdout.partition("-- cursor: ")[2].strip()
    def _install(self, *options: str) -> None:
        run(str(COMMAND), "install", "--no-start", *options)
        self.reread()


def shipped(name: str) -> str:
    """Return a file of the folder systemd."""
    return (resource("systemd") / name).read_text()


def run(*command: str, check: bool = True, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run a command in this machine: of Soteira what is installed, not this checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, cwd="/",
                          env=environment)  # fmt: skip
    if check and done.returncode:
        pytest.fail(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr or done.stdout}")
    return done
