"""A real HTTP server for tests that records what it is asked and misbehaves as told."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[BaseHTTPRequestHandler], None]


def status(code: int, body: bytes = b"ok", **headers: str) -> Answer:
    """Answer with this status; `Retry_After` stands for the header Retry-After."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True


class Receiver:
    """Answers in turn as `script` says, and as `otherwise` says when that has come to its end: with 200."""

    def __init__(self, *script: Answer, context: ssl.SSLContext | None = None,
                 otherwise: Callable[[Asked], Answer] = lambda _: status(200)) -> None:  # fmt: skip
        self.released = threading.Event()
        self._script = list(script)
        self._otherwise = otherwise
        self._asked: list[Asked] = []
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer = receiver._take(Asked(self.command, self.path, dict(self.headers), body))
                answer(self)

            do_GET = do_POST = do_PUT = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # a client that went away in mid-answer

        self._server = Server(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http{'s' if context else ''}://{self.host}"

    def hang(self, handler: BaseHTTPRequestHandler) -> None:
        """Give no answer until the test is over."""
        self.released.wait()
        handler.close_connection = True

    def start(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def then(self, *answers: Answer) -> None:
        """Answer like this next."""
        with self._changed:
            self._script += answers

    def asked(self) -> list[Asked]:
        """Return all requests so far."""
        with self._changed:
            return list(self._asked)

    def wait_for(self, count: int, timeout: float = 30.0) -> list[Asked]:
        """Wait until so many requests have come; fail after `timeout`."""
        with self._changed:
            good = self._changed.wait_for(lambda: len(self._asked) >= count, timeout)
        if not good:
            pytest.fail(f"{len(self._asked)} requests within {timeout} s, not {count}: {self._asked}")
        return self.asked()

    def _take(self, asked: Asked) -> Answer:
        with self._changed:
            self._asked.append(asked)
            self._changed.notify_all()
            scripted = self._script.pop(0) if self._script else None
        return scripted or self._otherwise(asked)
