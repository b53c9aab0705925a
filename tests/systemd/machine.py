"""A machine with a real systemd in namespaces of its own, on this machine's files: run a command in it.

    python -m tests.systemd.machine boot COMMAND ...    # systemd is pid 1, and the network is a loopback
    python -m tests.systemd.machine build COMMAND ...   # no systemd, and this machine's network: to install something

What it writes is gone at its end, but for what it writes to `/opt/soteira`: that is the folder APPLIANCE, as if it had
been installed there. Needs root. Memory and processor limits are not enforced in it, and it has no devices.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.shared_data import CHECKOUT

APPLIANCE = CHECKOUT / ".cache" / "appliance"
BOOT_S = 30.0
TARGET = "soteira-machine.target"

_ROOT = """
set -eu
mount -t tmpfs -o mode=0755 tmpfs "$work"
mkdir "$work/upper" "$work/scratch" "$work/root"
root=$work/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/scratch" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mkdir -p "$root/opt/soteira" && mount --bind "$appliance" "$root/opt/soteira"
for folder in "$checkout" "$venv" "$python"; do
  mkdir -p "$root$folder" && mount --bind "$folder" "$root$folder"
done
"""
_BUILD = """
mount --rbind /dev "$root/dev"
exec chroot "$root" /usr/bin/env -C "$checkout" "$@"
"""
_BOOT = """
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mkdir -p "$root/etc/systemd/system"
printf '[Unit]\nWants=systemd-journald.service\nAfter=systemd-journald.service\n' > "$root/etc/systemd/system/$target"
# What this machine's own systemd would start is not ours.
rm -rf "$root/etc/systemd/system/"*.wants "$root/etc/soteira.yaml" "$root/var/lib/soteira"
# Credentials reach a service through mounts that spread; in a container systemd leaves this to who made it.
mount --make-rshared "$root"
exec env -i container=soteira-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  chroot "$root" /lib/systemd/systemd --unit="$target" --log-target=journal --show-status=no
"""


def main() -> int:
    """Run one command in a machine; returns its exit code."""
    kind, *command = sys.argv[1:]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # nothing may be left behind
    APPLIANCE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="soteira-machine-") as work:
        if kind == "build":
            return subprocess.run(_unshare(work, _ROOT + _BUILD, ["-m"], command), check=False).returncode
        return _booted(work, command)


def _booted(work: str, command: Sequence[str]) -> int:
    group = _cgroups() / f"soteira-machine-{os.getpid()}"
    group.mkdir()
    kinds = ["-m", "-p", "-f", "-n", "-u", "-i", "-C", "--kill-child"]
    boot = f'echo $$ > "{group}/cgroup.procs"; exec "$@"'
    machine = subprocess.Popen(["sh", "-c", boot, "boot", *_unshare(work, _ROOT + _BOOT, kinds, [])],
                               stdin=subprocess.DEVNULL)  # fmt: skip
    try:
        enter = ["nsenter", "-t", str(_first(machine)), "-m", "-p", "-n", "-u", "-i", "-C", "-r"]
        _wait_until_up(machine, enter)
        there = [*enter, "env", "-C", str(CHECKOUT), *command]
        return subprocess.run(there, check=False).returncode
    finally:
        machine.kill()
        machine.wait()
        _remove(group)


def _unshare(work: str, script: str, kinds: list[str], command: Sequence[str]) -> list[str]:
    names = {"work": work, "appliance": APPLIANCE, "checkout": CHECKOUT, "venv": sys.prefix,
             "python": sys.base_prefix, "target": TARGET}
    values = [f"{name}={value}" for name, value in names.items()]
    return ["env", *values, "unshare", *kinds, "--propagation", "private", "sh", "-c", script, "machine", *command]


def _cgroups() -> Path:
    """Return where the second kind of control groups is mounted."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    raise SystemExit("this machine has no control groups of the second kind (cgroup2): nothing was tried")


def _first(machine: subprocess.Popen[bytes]) -> int:
    """Return systemd's pid, as it is seen from outside."""
    children = Path(f"/proc/{machine.pid}/task/{machine.pid}/children")
    deadline = time.monotonic() + BOOT_S
    while time.monotonic() < deadline and machine.poll() is None:
        found = children.read_text().split()
        if found:
            return int(found[0])
        threading.Event().wait(0.05)
    raise SystemExit("namespaces cannot be made here (in a container? run it on the machine itself): nothing was tried")


def _wait_until_up(machine: subprocess.Popen[bytes], enter: list[str]) -> None:
    deadline = time.monotonic() + BOOT_S
    while time.monotonic() < deadline and machine.poll() is None:
        told = subprocess.run([*enter, "systemctl", "is-active", TARGET], capture_output=True, text=True, check=False)
        if told.stdout.strip() == "active":
            return
        threading.Event().wait(0.1)
    raise SystemExit(f"systemd did not start here: {told.stderr.strip() or 'it ended'}")


def _remove(group: Path) -> None:
    """Remove the control groups of a machine that is gone, as soon as its last process has ended."""
    deadline = time.monotonic() + BOOT_S
    while group.exists() and time.monotonic() < deadline:
        for folder in [*sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True), group]:
            with contextlib.suppress(OSError):
                folder.rmdir()
        threading.Event().wait(0.05)


if __name__ == "__main__":
    sys.exit(main())
