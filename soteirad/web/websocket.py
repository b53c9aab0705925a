"""A connection that has become a WebSocket: uvicorn's, with the limits that every connection has here."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto.utilities import LocalProtocolError

from soteirad.web.connection import Place

PING_S = 15.0
"""How often somebody from whom nothing comes, as is right, is asked whether he is still there."""
LARGEST_MESSAGE = 4096
"""Nothing is expected from a browser."""
MOST_UNSENT = 128 * 1024
"""What the system holds of what is not under way yet. It would take megabytes, which for a slow browser are many
seconds: what waits should wait where it can give way to newer pictures."""


class WebSocket(Place, WSProtocol):
    """One WebSocket, from its request on.

    It counts among the connections; until the guard trusts it, a newcomer may have its place. Who does not read, or
    does not answer a ping, is cut.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scope: Any = {"state": {}}

    def connection_made(self, transport: Any) -> None:
        """Take over from the connection that was asked."""
        super().connection_made(transport)
        option = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Linux
        if option is not None:
            with contextlib.suppress(OSError):
                transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, option, MOST_UNSENT)

    @property
    def trusted(self) -> bool:
        """Whether somebody who has shown the secret is being served."""
        return bool(self.scope["state"].get("trusted")) and not self.close_sent

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self.connections.add(self)  # uvicorn takes it out itself, and stumbles if `cut` did
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what was sent, unless this is over."""
        if self.transport.is_closing() or self.response_started:
            return
        try:
            super().data_received(data)
        except LocalProtocolError:  # rubbish, when we have said the last word already
            self.cut()

    def handle_ping(self, event: Any) -> None:
        """Answer, unless the other end does not read its answers: they would pile up."""
        if self.writable.is_set():
            super().handle_ping(event)

    def keepalive_timeout(self) -> None:
        """No answer to a ping: nobody is there, and what still waits need not be sent."""
        self.cut()

    async def send(self, message: Any) -> None:
        """Send, once the other end reads. Raises an OSError when nothing can be sent any more."""
        await self.writable.wait()
        if self.close_sent:  # by ourselves; uvicorn takes this for a fault
            raise ClientDisconnected
        await super().send(message)
