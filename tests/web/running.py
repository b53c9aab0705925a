"""The real web server with a box that is made up, on a free port, and a client."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from soteirad.config.section import from_plain
from soteirad.config.web import WebConfig
from soteirad.web.server import WebServer
from soteirad.web.token import read_token
from tests.brokers import free_port
from tests.web.box import FakeBox

ANSWER_S = 10.0
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Reads no certificates, which takes longer than all else."""


class Running:
    """A server that runs, and who asks it."""

    def __init__(self, folder: Path, events: int = 12, **config: Any) -> None:
        self.folder = folder
        self.box = FakeBox(folder, events)
        self.port = free_port()
        self.config = from_plain(WebConfig, {"listen": f"127.0.0.1:{self.port}", **config})
        self.server = WebServer(self.config, folder)
        self.http = httpx2.Client(base_url=self.url, timeout=ANSWER_S, verify=NO_TLS, trust_env=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        found = read_token(self.folder)
        assert found is not None
        return found

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """Ask with the bearer token."""
        return self.http.get(path, headers={**self.bearer, **headers})

    def login(self, secret: str | None = None) -> str:
        """Begin a session and return its cookie header."""
        answer = self.http.post("/api/login", json={"token": secret or self.token})
        self.http.cookies.clear()
        assert answer.status_code == 204, answer.text
        return answer.headers["set-cookie"].split(";")[0]

    def connect(self) -> socket.socket:
        """Open a plain connection."""
        return socket.create_connection(("127.0.0.1", self.port), ANSWER_S)

    def raw(self, head: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        """Send a request byte for byte; its connection is closed after the answer."""
        with self.connect() as connection:
            lines = head.strip().replace("\n", "\r\n")
            connection.sendall(f"{lines}\r\nConnection: close\r\n\r\n".encode() + body)
            return read_answer(connection)

    def ask_raw(self, target: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Ask for a target exactly as it is written, with the bearer token."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Authorization: Bearer {self.token}"]
        return self.raw("\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items())]))

    def start(self) -> Running:
        self.box.create()
        self.server.bind()
        self.server.start(self.box)
        return self

    def stop(self) -> None:
        self.http.close()
        self.server.stop()


@contextmanager
def running(folder: Path, **config: Any) -> Iterator[Running]:
    """Run a server for a while."""
    found = Running(folder, **config)
    try:
        yield found.start()
    finally:
        found.stop()


def stream_head(site: Running) -> bytes:
    """Return a request for the stream, byte for byte."""
    return f"GET /api/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {site.token}\r\n\r\n".encode()


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of what comes until the other end closes."""
    data = b""
    while part := connection.recv(65536):
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return int(lines[0].split(" ")[1]), headers, body


def error_of(answer: httpx2.Response) -> str:
    """Return the sentence of a refusal."""
    document = answer.json()
    assert set(document) == {"error"}
    return str(document["error"])


def parts_of(answer: httpx2.Response) -> Iterator[tuple[str, Any]]:
    """Yield the messages of a stream: name and data."""
    name = ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))
