"""systemd: readiness, status line and watchdog, when started by it; nothing otherwise."""

from __future__ import annotations

import contextlib
import os
import socket
import time

SEND_WITHIN_S = 0.5
"""systemd takes a datagram at once; one that does not must not hold up the hub."""


class Notifier:
    """Sends systemd the daemon's state. `watchdog` is fed by the hub's loop, so a hub that hangs is noticed."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self._status = ""
        self._watchdog_due = 0.0
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        self._watchdog_s = int(microseconds) / 1e6 if microseconds.isdigit() else 0.0

    def ready(self) -> None:
        """The daemon watches; a broker or camera that is away does not matter."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A new configuration is read; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The daemon ends."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Show one line in `systemctl status`, if it changed."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def watchdog(self, now: float) -> None:
        """Tell systemd that the loop turned; at most twice per watchdog interval. `now` is monotonic seconds."""
        if self._watchdog_s and now >= self._watchdog_due:
            self._watchdog_due = now + self._watchdog_s / 3
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        """Send one datagram (sd_notify(3)); without systemd, or if it is gone, nothing happens."""
        if not self._address.startswith(("/", "@")):
            return
        # An @ stands for the zero byte with which addresses begin that are not in the file system.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(SEND_WITHIN_S)
            sender.sendto(text.encode(), address)
