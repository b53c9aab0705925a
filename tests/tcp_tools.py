"""TCP peers that misbehave on purpose: a proxy that falls silent, and a server that says what it is told to."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class _Server:
    """A listener whose connections are served each in a thread of its own."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._peers: list[socket.socket] = []
        self._stopped = False

    def __enter__(self) -> _Server:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        for sock in (self._listener, *self._peers):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        while not self._stopped:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._peers.append(peer)
            threading.Thread(target=self._guarded, args=(peer,), daemon=True).start()

    def _guarded(self, peer: socket.socket) -> None:
        with suppress(OSError, ValueError):  # a peer that is gone, or we are
            self._serve(peer)

    def _serve(self, peer: socket.socket) -> None:
        raise NotImplementedError


class TcpProxy(_Server):
    """Passes bytes on to `port` until it is `silent`: then connections stay open and nothing comes through."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._target = port
        self.silent = False

    def _serve(self, peer: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._target)) as behind, peer:
            self._peers.append(behind)
            other = {peer: behind, behind: peer}
            while not self._stopped:
                for source in select.select([peer, behind], [], [], 0.05)[0]:
                    data = source.recv(65536)
                    if self.silent:
                        continue
                    if not data:
                        return
                    other[source].sendall(data)


class ScriptedServer(_Server):
    """Waits for the first bytes of each connection, then does what `script` says with it, and closes it."""

    def __init__(self, script: Callable[[socket.socket, int], None]) -> None:
        super().__init__()
        self._script = script
        self.connections = 0

    def _serve(self, peer: socket.socket) -> None:
        with peer:
            peer.recv(4096)
            self.connections += 1
            self._script(peer, self.connections)


def wait_for_end(peer: socket.socket) -> bytes:
    """Return all that the peer still sends, when it closes."""
    found = b""
    while data := peer.recv(65536):
        found += data
    return found
