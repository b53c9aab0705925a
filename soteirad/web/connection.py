"""One browser's connection: how many there may be, and how long each may keep others waiting."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import socket
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from soteirad.web.answers import TOO_MANY

MOST_CONNECTIONS = 48
"""More than all places of streams, downloads and live video together: the page itself is answered beside them."""
HEAD_S = 10.0
"""Until the head of a request has to be there, and how long an idle connection is kept."""
STUCK_S = 30.0
"""How long somebody may not read, or not acknowledge, what is sent."""
LARGEST_HEAD = 16 * 1024


WEBSOCKET_VERSION = b"13"
_KEY_BYTES = 16


class Place(asyncio.Protocol):
    """What a connection keeps to, whether it speaks HTTP or, later, WebSocket: it may be cut, and must be read from."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    connections: set[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stuck_timer: asyncio.TimerHandle | None = None
        self.idle_since = self.loop.time()

    @property
    def trusted(self) -> bool:
        """Whether somebody who has shown the secret is being answered."""
        raise NotImplementedError

    def cut(self) -> None:
        """End it at once."""
        self.connections.discard(self)
        self.transport.abort()

    def pause_writing(self) -> None:
        """The browser does not read: for so long, and no longer."""
        super().pause_writing()
        stop(self._stuck_timer)
        self._stuck_timer = self.loop.call_later(STUCK_S, self.cut)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        stop(self._stuck_timer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        stop(self._stuck_timer)
        if self.transport is not None:
            super().connection_lost(exc)


class Connection(Place, H11Protocol):
    """uvicorn's connection with limits of its own.

    Whoever sends nothing, or does not read, is cut off. When all places are taken, a new one takes the place of the one
    that has been there longest without a request under way of somebody who has shown the secret: strangers keep nobody
    out, whether they hold connections open, send slowly or read slowly.

    `is_socket` says whether there is a WebSocket at a path: only there a connection becomes one.
    """

    def __init__(self, *args: Any, is_socket: Callable[[str], bool], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_socket = is_socket
        self._idle_timer: asyncio.TimerHandle | None = None
        self._upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, or refuse."""
        if len(self.connections) >= MOST_CONNECTIONS:
            idle = [c for c in self.connections if isinstance(c, Place) and not c.trusted]
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

    def data_received(self, data: bytes) -> None:
        """Take what was sent; the time for a head goes on until it is complete."""
        if self.transport is None or self.transport.is_closing():
            return
        super().data_received(data)
        if self.busy:
            stop(self._idle_timer)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if not self.busy and not self._upgraded:
            self._be_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        stop(self._idle_timer)
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Go on as a WebSocket, which has the transport and its limits from now on."""
        stop(self._idle_timer)
        stop(self._stuck_timer)
        self._upgraded = True
        super().handle_websocket_upgrade(event)
        successor: Any = self.transport.get_protocol()
        successor.scope["headers"] = self.headers  # as they were sent: the handshake's parser drops and recodes some
        if self.flow.write_paused:  # by an answer before, of which the successor will only hear that it was read
            successor.pause_writing()

    def _should_upgrade(self) -> bool:
        """Say whether this request begins a WebSocket; any other upgrade is left alone, as if it had not been asked."""
        return self._is_socket(self.scope["path"]) and begins_websocket(self.scope)

    def _notice_loss(self) -> None:
        """A device that fell silent, as phones do, keeps its place for so long, and not for a quarter of an hour."""
        option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
        if option is not None:
            with contextlib.suppress(OSError):
                self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, option, round(1000 * STUCK_S))

    def _be_idle(self) -> None:
        stop(self._idle_timer)
        self.idle_since = self.loop.time()
        self._idle_timer = self.loop.call_later(HEAD_S, self._cut_if_idle)

    def _cut_if_idle(self) -> None:
        if not self.busy:
            self.cut()


def begins_websocket(scope: Any) -> bool:
    """Say whether a request's head is a whole and right beginning of a WebSocket (RFC 6455, 4.2.1), and has no body."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name, []).append(value)
    tokens = b",".join(found.get(b"connection", ())).lower().split(b",")
    return (
        (scope["method"], scope["http_version"]) == ("GET", "1.1")
        and b"upgrade" in [token.strip() for token in tokens]
        and [value.lower() for value in found.get(b"upgrade", ())] == [b"websocket"]
        and found.get(b"sec-websocket-version") == [WEBSOCKET_VERSION]
        and _is_key(found.get(b"sec-websocket-key", ()))
        and found.get(b"content-length", [b"0"]) == [b"0"]
        and b"transfer-encoding" not in found
        and _is_readable(found)
    )


def _is_key(values: Any) -> bool:
    try:
        return len(values) == 1 and len(base64.b64decode(values[0], validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _is_readable(headers: dict[bytes, list[bytes]]) -> bool:
    """Say whether the parser of handshakes can read the headers that it decodes: it stumbles over others."""
    try:
        for name in (b"connection", b"sec-websocket-extensions", b"sec-websocket-protocol"):
            b"".join(headers.get(name, ())).decode("ascii")
        return bool(headers[b"host"][0].decode("idna"))
    except (UnicodeError, KeyError):
        return False


def stop(timer: asyncio.TimerHandle | None) -> None:
    """Let a timer not go off."""
    if timer is not None:
        timer.cancel()


def _refusal() -> bytes:
    body = json.dumps({"error": TOO_MANY}).encode()
    head = ("HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncache-control: no-store\r\n"
            f"retry-after: 5\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n")  # fmt: skip
    return head.encode() + body
