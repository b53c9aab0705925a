"""systemd: readiness, status line and watchdog, when started by it; nothing otherwise."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping

STATUS_LENGTH = 200
"""Characters of the status line; more is not read in a terminal."""
EXTENSION_S = 120.0
"""How much more time a start or a reload asks for at once."""


class Notifier:
    """Sends systemd the daemon's state. For one thread, which it never holds up: what systemd is too busy to take now
    is sent at a later call. `watchdog` is fed by the hub's loop, so that a hub that hangs is noticed."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._address = ""
        self._waiting: list[str] = []
        self._status = ""
        self._watchdog_s = 0.0
        self._watchdog_due = self._extend_due = float("-inf")

    def start(self, environ: MutableMapping[str, str] = os.environ) -> None:
        """Find systemd, and take what it told us out of `environ`: other processes are not to speak for this one, which
        starts them later."""
        address = environ.get("NOTIFY_SOCKET", "")
        if address.startswith(("/", "@")):
            # An @ stands for the zero byte with which addresses begin that are not in the file system (sd_notify(3)).
            self._address = "\0" + address[1:] if address.startswith("@") else address
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
        microseconds = environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        self._watchdog_s = int(microseconds) / 1e6 if microseconds.isdigit() and ours else 0.0
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
            environ.pop(name, None)

    def ready(self) -> None:
        """The daemon watches; a broker or camera that is away does not matter."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """A new configuration is read; `ready` ends it."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The daemon ends."""
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        """Show one line in `systemctl status`, if it changed."""
        text = " ".join(text.split())
        text = text if len(text) <= STATUS_LENGTH else f"{text[: STATUS_LENGTH - 3]}..."
        if text != self._status:
            self._status = text
            self._tell(f"STATUS={text}")

    @property
    def watchdog_s(self) -> float:
        """How long systemd waits for a sign of life, in seconds; 0: it does not."""
        return self._watchdog_s

    def watchdog(self, now: float) -> None:
        """Tell systemd that the loop turned; three times per watchdog interval. `now` is monotonic seconds."""
        if self._watchdog_s and now >= self._watchdog_due:
            self._watchdog_due = now + self._watchdog_s / 3
            self._tell("WATCHDOG=1")
        elif self._waiting:
            self._send()

    def extend(self, now: float) -> None:
        """Ask for more time to start or reload, as it still makes progress. `now` is monotonic seconds."""
        if now >= self._extend_due:
            self._extend_due = now + EXTENSION_S / 4
            self._tell(f"EXTEND_TIMEOUT_USEC={round(EXTENSION_S * 1e6)}")

    def _tell(self, line: str) -> None:
        kind = line.partition("=")[0]
        # Of what was not sent yet only the newest counts.
        self._waiting = [waiting for waiting in self._waiting if waiting.partition("=")[0] != kind] + [line]
        self._send()

    def _send(self) -> None:
        if self._socket is None:
            self._waiting.clear()
            return
        with contextlib.suppress(OSError):
            while self._waiting:
                self._socket.sendto(self._waiting[0].encode(errors="replace"), self._address)
                del self._waiting[0]
