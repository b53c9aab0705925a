"""systemd: readiness, status line and watchdog, when started by it; nothing otherwise."""

from __future__ import annotations

import os
import time

import sdnotify


class Notifier:
    """Sends systemd the daemon's state. `watchdog` is fed by the hub's loop, so a hub that hangs is noticed."""

    def __init__(self) -> None:
        self._systemd = sdnotify.SystemdNotifier()
        self._status = ""
        self._watchdog_due = 0.0
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        self._watchdog_s = int(microseconds) / 1e6 if microseconds.isdigit() else 0.0

    def ready(self) -> None:
        """The daemon watches; a broker or camera that is away does not matter."""
        self._systemd.notify("READY=1")

    def reloading(self) -> None:
        """A new configuration is read; `ready` ends it."""
        self._systemd.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The daemon ends."""
        self._systemd.notify("STOPPING=1")

    def status(self, text: str) -> None:
        """Show one line in `systemctl status`, if it changed."""
        if text != self._status:
            self._status = text
            self._systemd.notify(f"STATUS={text}")

    def watchdog(self, now: float) -> None:
        """Tell systemd that the loop turned; at most twice per watchdog interval. `now` is monotonic seconds."""
        if self._watchdog_s and now >= self._watchdog_due:
            self._watchdog_due = now + self._watchdog_s / 3
            self._systemd.notify("WATCHDOG=1")
