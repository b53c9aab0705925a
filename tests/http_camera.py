"""A camera that sends MJPEG over HTTP, as cheap ones and browsers do, and single pictures when it is asked."""

from __future__ import annotations

import base64
import hashlib
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import quote
from urllib.request import parse_http_list, parse_keqv_list

from tests.clips import FPS

VIDEO, SNAPSHOT = "/video", "/snapshot.jpg"
REALM = "camera"


class HttpCamera:
    """Shows its pictures in real time from its start: the same to everybody, for ever or, without `loop`, once to each.

    With `user` and `password` it wants to know them, by `auth`.
    """

    def __init__(self, pictures: Sequence[bytes], *, fps: float = FPS, loop: bool = True, user: str = "",
                 password: str = "", auth: Literal["digest", "basic"] = "digest") -> None:  # fmt: skip
        self._pictures = list(pictures)
        self._fps = fps
        self._loop = loop
        self._account = (user, password)
        self._auth = auth
        self._nonce = secrets.token_hex(8)
        self._refusal = 0
        self._ended, self._running = threading.Event(), threading.Event()
        self._running.set()
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self.requests: Counter[str] = Counter()
        """How often each path was asked for, whatever the answer; a refused login counts like any other."""
        self.served: Counter[str] = Counter()
        """How often each path was answered with pictures."""
        camera = self

        class Handler(_Handler):
            owner = camera

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def url(self) -> str:
        """The address of the video, with user name and password if it wants them."""
        return self.url_for(VIDEO, *self._account)

    @property
    def snapshot_url(self) -> str:
        """The address of a single picture."""
        return self.url_for(SNAPSHOT, *self._account)

    def url_for(self, path: str, user: str = "", password: str = "") -> str:
        """An address that need not be right."""
        account = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
        return f"http://{account}127.0.0.1:{self._server.server_address[1]}{path}"

    def __enter__(self) -> HttpCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def freeze(self) -> None:
        """Hang: connections stay open and are accepted, but nothing is sent."""
        self._running.clear()

    def thaw(self) -> None:
        """Go on after `freeze`, with the picture of now."""
        self._running.set()

    def refuse(self, status: int) -> None:
        """Answer new requests with this status; 0 ends that. Running videos go on."""
        self._refusal = status

    def hang_up(self) -> None:
        """Cut all connections; new ones are served."""
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """End it."""
        self._ended.set()
        self._running.set()
        self.hang_up()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _index(self) -> int:
        return int((time.monotonic() - self._began) * self._fps)

    def _allowed(self, handler: BaseHTTPRequestHandler) -> bool:
        user, password = self._account
        if not user:
            return True
        kind, _, value = handler.headers.get("Authorization", "").partition(" ")
        if self._auth == "basic":
            return kind == "Basic" and base64.b64decode(value).decode() == f"{user}:{password}"
        if kind != "Digest":
            return False
        said = parse_keqv_list(parse_http_list(value))
        secret = _md5(f"{user}:{REALM}:{password}")
        asked = _md5(f"{handler.command}:{said['uri']}")
        between = f"{said['nc']}:{said['cnonce']}:{said['qop']}:" if "qop" in said else ""
        right = _md5(f"{secret}:{self._nonce}:{between}{asked}")
        return said.get("username") == user and said["uri"] == handler.path and said["response"] == right

    def _challenge(self) -> str:
        if self._auth == "basic":
            return f'Basic realm="{REALM}"'
        return f'Digest realm="{REALM}", nonce="{self._nonce}", qop="auth"'

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        path = handler.path.partition("?")[0]
        with self._lock:
            self.requests[path] += 1
            self._connections.add(handler.connection)
        try:
            self._running.wait()
            if self._refusal:
                _empty(handler, self._refusal)
            elif not self._allowed(handler):
                _empty(handler, 401, ("WWW-Authenticate", self._challenge()))
            elif path not in (VIDEO, SNAPSHOT):
                _empty(handler, 404)
            else:
                with self._lock:
                    self.served[path] += 1
                (self._video if path == VIDEO else self._snapshot)(handler)
        except OSError:
            pass  # the client has gone
        finally:
            with self._lock:
                self._connections.discard(handler.connection)

    def _snapshot(self, handler: BaseHTTPRequestHandler) -> None:
        picture = self._pictures[self._index() % len(self._pictures)]
        handler.send_response(200)
        handler.send_header("Content-Type", "image/jpeg")
        handler.send_header("Content-Length", str(len(picture)))
        handler.end_headers()
        handler.wfile.write(picture)

    def _video(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
        handler.end_headers()
        index = first = self._index()
        while self._loop or index - first < len(self._pictures):
            picture = self._pictures[(index if self._loop else index - first) % len(self._pictures)]
            head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            handler.wfile.write(head.encode() + picture + b"\r\n")
            index += 1
            if self._ended.wait(max(0.0, self._began + index / self._fps - time.monotonic())):
                return
            if not self._running.is_set():
                self._running.wait()
                index = max(index, self._index()) if self._loop else index


class _Handler(BaseHTTPRequestHandler):
    owner: HttpCamera

    def do_GET(self) -> None:
        self.owner.answer(self)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _empty(handler: BaseHTTPRequestHandler, status: int, *heads: tuple[str, str]) -> None:
    handler.send_response(status)
    for name, value in (*heads, ("Content-Length", "0")):
        handler.send_header(name, value)
    handler.end_headers()


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
