"""A client of the page's API, as scripts use it: with the token, and nothing but the standard library."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.daemon import until
from tests.waiting import PATIENCE_S


class Page:
    """The API of a daemon whose state folder and port are known."""

    def __init__(self, state: Path, port: int) -> None:
        self._state = state
        self.port = port

    @property
    def token_file(self) -> Path:
        """Return where the daemon keeps the token."""
        return self._state / "web-token"

    @property
    def token(self) -> str:
        """Return the token that the daemon made."""
        return self.token_file.read_text(encoding="ascii").strip()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        """Return status and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """Return the JSON of a good answer."""
        status, body = self.ask("GET", path)
        assert status == 200, (path, status, body)
        return json.loads(body)

    def camera(self, name: str = "porch") -> dict[str, Any]:
        """Return one camera."""
        return next(camera for camera in self.get("/api/cameras")["cameras"] if camera["name"] == name)

    def wait_ready(self) -> None:
        """Wait until the daemon watches."""
        def ready() -> bool:
            try:
                return self.ask("GET", "/readyz")[0] == 200
            except OSError:
                return False

        assert until(ready, PATIENCE_S), "the daemon is not ready"

    @contextmanager
    def stream(self, cameras: str) -> Iterator[Stream]:
        """Look at cameras as long as the context lasts."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        connection.request("GET", f"/api/stream?cameras={cameras}", headers={"Authorization": f"Bearer {self.token}"})
        stream = Stream(connection.getresponse())
        try:
            yield stream
        finally:
            connection.close()


class Stream:
    """What came on a stream so far, read by a thread."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        assert answer.status == 200, answer.read()
        self._answer = answer
        self._messages: list[tuple[str, dict[str, Any]]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return all messages of a kind."""
        return [data for name, data in list(self._messages) if name == kind]

    def wait(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait for so many messages of a kind."""
        assert until(lambda: len(self.of(kind)) >= count, PATIENCE_S), f"{count} x {kind}: only {self._messages}"
        return self.of(kind)

    def _read(self) -> None:
        kind = ""
        try:
            while True:
                raw = self._answer.readline()
                if not raw:
                    return
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: "):
                    self._messages.append((kind, json.loads(line[6:])))
        except (OSError, ValueError, AttributeError):  # it was closed
            return
