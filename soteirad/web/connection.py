"""One browser's connection: how many there may be, and how long each may keep others waiting."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from soteirad.web.answers import TOO_MANY

MOST_CONNECTIONS = 32
HEAD_S = 10.0
"""Until the head of a request has to be there, and how long an idle connection is kept."""
STUCK_S = 30.0
"""How long somebody may not read, or not acknowledge, what is sent."""
LARGEST_HEAD = 16 * 1024


class Connection(H11Protocol):
    """uvicorn's connection with limits of its own.

    Whoever sends nothing, or does not read, is cut off. When all places are taken, a new one takes the place of the one
    that has been there longest without a request under way of somebody who has shown the secret: strangers keep nobody
    out, whether they hold connections open, send slowly or read slowly.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle_timer: asyncio.TimerHandle | None = None
        self._stuck_timer: asyncio.TimerHandle | None = None
        self.idle_since = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, or refuse."""
        if len(self.connections) >= MOST_CONNECTIONS:
            idle = [c for c in self.connections if isinstance(c, Connection) and not c.trusted]
            if not idle:
                transport.write(_refusal())
                transport.close()
                return
            min(idle, key=lambda c: c.idle_since).cut()
        super().connection_made(transport)
        self._notice_loss()
        self._be_idle()

    @property
    def trusted(self) -> bool:
        """Whether somebody who has shown the secret is being answered."""
        return self.busy and bool(self.scope["state"].get("trusted"))

    @property
    def busy(self) -> bool:
        """Whether a request is under way whose head is complete."""
        return self.cycle is not None and not self.cycle.response_complete

    def cut(self) -> None:
        """End it at once."""
        self.connections.discard(self)
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what was sent; the time for a head goes on until it is complete."""
        if self.transport is None or self.transport.is_closing():
            return
        super().data_received(data)
        if self.busy:
            self._stop(self._idle_timer)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if not self.busy:
            self._be_idle()

    def pause_writing(self) -> None:
        """The browser does not read: for so long, and no longer."""
        super().pause_writing()
        self._stop(self._stuck_timer)
        self._stuck_timer = self.loop.call_later(STUCK_S, self.cut)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._stop(self._stuck_timer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._stop(self._idle_timer)
        self._stop(self._stuck_timer)
        if self.transport is not None:
            super().connection_lost(exc)

    def _notice_loss(self) -> None:
        """A device that fell silent, as phones do, keeps its place for so long, and not for a quarter of an hour."""
        option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
        if option is not None:
            with contextlib.suppress(OSError):
                self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, option, round(1000 * STUCK_S))

    def _be_idle(self) -> None:
        self._stop(self._idle_timer)
        self.idle_since = self.loop.time()
        self._idle_timer = self.loop.call_later(HEAD_S, self._cut_if_idle)

    def _cut_if_idle(self) -> None:
        if not self.busy:
            self.cut()

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()


def _refusal() -> bytes:
    body = json.dumps({"error": TOO_MANY}).encode()
    head = ("HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncache-control: no-store\r\n"
            f"retry-after: 5\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n")  # fmt: skip
    return head.encode() + body
