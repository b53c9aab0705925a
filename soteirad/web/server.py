"""The web server: a socket that is taken early, and one thread that serves."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from soteirad.config.web import WebConfig
from soteirad.errors import WebError, WebTaken
from soteirad.web.box import Box
from soteirad.web.token import ensure_token

logger = logging.getLogger(__name__)

BACKLOG = 64
STOP_S = 2.0
TICK_S = 1.0
_PRIVILEGED = 1024


class WebServer:
    """Serves the page of one box. `storage` is the folder that holds the token.

    `bind`, then `start`, then `stop`; each from the hub's thread. A change of the configuration needs a new one, with
    which all sessions end.
    """

    def __init__(self, config: WebConfig, storage: Path) -> None:
        self._config = config
        self._storage = storage
        self._socket: socket.socket | None = None
        self._server: Any = None  # a class that exists only once uvicorn is loaded
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, once it is bound."""
        if self._socket is None:
            return self._config.address
        host, port = self._socket.getsockname()[:2]
        return host, port

    def bind(self) -> None:
        """Take the port; who asks now waits for `start`. Raises WebError when it cannot be had."""
        host, port = self._config.address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = _listen(family, host, port)
        except OSError as error:
            kind = WebTaken if error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL) else WebError
            raise kind(f"web.listen: {self._config.listen} cannot be used: {_reason(error, port)}") from None

    def start(self, box: Box) -> None:
        """Serve in a thread of its own. Raises StorageError when the token cannot be written, or read."""
        if self._socket is None:
            self.bind()
        password = self._config.password
        secret = ensure_token(self._storage) if password is None else password.get_secret_value()
        self._server = _make_server(self._config, box, secret, password is not None)
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = STOP_S) -> None:
        """End all streams and connections, within `timeout` seconds. Twice, or without `start`, does nothing."""
        if self._server is not None:
            self._server.end()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive() and self._server is not None:
                self._server.force_exit = True
        if self._socket is not None:
            self._socket.close()
        self._socket = self._server = self._thread = None

    @property
    def running(self) -> bool:
        """Whether the thread lives."""
        return self._thread is not None and self._thread.is_alive()

    def _serve(self) -> None:
        server = self._server
        assert server is not None and self._socket is not None  # noqa: S101 - start made them
        try:
            server.run([self._socket])
        except Exception:
            if not server.should_exit:  # else it ends too late, and its socket was closed meanwhile
                logger.exception("the page has failed: this is a fault in Soteira; the cameras are watched as before")


def _listen(family: int, host: str, port: int) -> socket.socket:
    taken = socket.socket(family, socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # [::] is everybody, as 0.0.0.0 is
        taken.bind((host, port))
        taken.listen(BACKLOG)
        taken.setblocking(False)
    except BaseException:
        taken.close()
        raise
    return taken


def _reason(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program listens there; is a second soteirad running? Choose another port, or end that program"
    if error.errno in (errno.EACCES, errno.EPERM):
        text = f"this user may not listen on port {port}"
        return text + (f"; choose one from {_PRIVILEGED} up" if port < _PRIVILEGED else "")
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address; use one of its own, 127.0.0.1 or 0.0.0.0"
    return error.strerror or str(error)


def _make_server(config: WebConfig, box: Box, secret: str, guessable: bool) -> Any:
    """Only here the libraries are loaded."""
    import uvicorn

    from soteirad.web.app import is_socket, make_app
    from soteirad.web.auth import Doorkeeper
    from soteirad.web.connection import HEAD_S, LARGEST_HEAD, STUCK_S, Connection
    from soteirad.web.hosts import known_names
    from soteirad.web.site import Site
    from soteirad.web.static import Static
    from soteirad.web.table import API, PAGE
    from soteirad.web.websocket import LARGEST_MESSAGE, PING_S, WebSocket
    from soteirad.web.workers import Workers

    class Server(uvicorn.Server):
        """uvicorn's, without a hand on the signals: they are the hub's."""

        loop: asyncio.AbstractEventLoop | None = None

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Leave all signals alone."""
            yield

        async def main_loop(self) -> None:
            """Wait until told to end; uvicorn's own looks ten times a second, day and night."""
            self.ending, self.loop = asyncio.Event(), asyncio.get_running_loop()
            while not await self.on_tick(0):  # which also sets the date that answers carry
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self.ending.wait(), TICK_S)

        def end(self) -> None:
            """End soon. May be called from any thread."""
            self.should_exit = True
            if self.loop is not None:
                with contextlib.suppress(RuntimeError):  # it has ended by itself
                    self.loop.call_soon_threadsafe(self.ending.set)

        def run(self, sockets: list[socket.socket] | None = None) -> None:
            """Serve until told to end."""
            try:
                super().run(sockets)
            finally:
                workers.stop()

    workers = Workers()
    site = Site(box, Doorkeeper(secret, guessable), Static(), workers, lambda: server.should_exit)
    app = make_app(site, (*PAGE, *API), known_names(config.hosts))
    connection: Any = partial(Connection, is_socket=partial(is_socket, API))
    server = Server(uvicorn.Config(
        app, http=connection, loop="asyncio", lifespan="off", interface="asgi3", log_config=None,
        log_level="critical", access_log=False, proxy_headers=False, server_header=False, date_header=True,
        timeout_keep_alive=round(HEAD_S), timeout_graceful_shutdown=1, h11_max_incomplete_event_size=LARGEST_HEAD,
        backlog=BACKLOG, ws=WebSocket, ws_max_size=LARGEST_MESSAGE, ws_ping_interval=PING_S, ws_ping_timeout=STUCK_S,
        ws_per_message_deflate=False,  # video does not get smaller
    ))  # fmt: skip
    return server
