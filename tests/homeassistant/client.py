"""Home Assistant's own interfaces, REST and websocket, as its user interface and its apps use them."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

PATIENCE_S = 30.0


class RefusedError(Exception):
    """Home Assistant answered, but with no."""


class Client:
    """One Home Assistant at `url`; `token` is empty until somebody has logged in."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url
        self.token = token
        self._address = urlsplit(url)

    def get(self, path: str) -> Any:
        """Ask for JSON. Raises `RefusedError`, or OSError where nobody answers."""
        return json.loads(self.raw("GET", path))

    def post(self, path: str, body: Any = None, form: Mapping[str, str] | None = None) -> Any:
        """Post JSON or a form and return the JSON that comes back. Raises as `get` does."""
        return json.loads(self.raw("POST", path, body, form))

    def raw(self, method: str, path: str, body: Any = None, form: Mapping[str, str] | None = None) -> bytes:
        """Return the body of the answer. Raises as `get` does."""
        heads = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = None
        if form is not None:
            data, heads["Content-Type"] = urlencode(form), "application/x-www-form-urlencoded"
        elif body is not None:
            data, heads["Content-Type"] = json.dumps(body), "application/json"
        connection = http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, data, heads)
            answer = connection.getresponse()
            content = answer.read()
        except http.client.HTTPException as error:  # it was stopped in mid-answer
            raise ConnectionError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise RefusedError(f"{method} {path}: {answer.status} {content.decode(errors='replace')[:500]}")
        return content

    def command(self, kind: str, **fields: Any) -> Any:
        """Send one websocket command and return its result. Raises `RefusedError`, or OSError where nobody answers."""
        with self.socket() as socket:
            return ask(socket, 1, kind, **fields)

    def socket(self) -> ClientConnection:
        """Open a websocket and log in."""
        address = f"ws://{self._address.netloc}/api/websocket"
        socket = connect(address, proxy=None, max_size=None, open_timeout=PATIENCE_S)
        json.loads(socket.recv(PATIENCE_S))  # it begins with auth_required
        socket.send(json.dumps({"type": "auth", "access_token": self.token}))
        answer = json.loads(socket.recv(PATIENCE_S))
        if answer["type"] != "auth_ok":
            socket.close()
            raise RefusedError(f"websocket: {answer}")
        return socket


def ask(socket: ClientConnection, number: int, kind: str, **fields: Any) -> Any:
    """Send a command on an open websocket and wait for its result."""
    socket.send(json.dumps({"id": number, "type": kind, **fields}))
    while True:
        answer = json.loads(socket.recv(PATIENCE_S))
        if answer.get("id") == number and answer["type"] == "result":
            if not answer["success"]:
                raise RefusedError(f"{kind}: {answer['error']}")
            return answer["result"]


@dataclass(frozen=True)
class Change:
    """A state as Home Assistant wrote it; an entity that was removed has the state None."""

    entity_id: str
    state: str | None
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Changes:
    """Every state that Home Assistant writes while this is open, in order: what polling may miss."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._changed = threading.Condition()
        self._seen: list[Change] = []
        self._socket: ClientConnection | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Changes:
        self._socket = self._client.socket()
        ask(self._socket, 1, "subscribe_events", event_type="state_changed")
        self._thread = threading.Thread(target=self._read, args=(self._socket,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._socket is not None and self._thread is not None
        self._socket.close()
        self._thread.join()

    def of(self, entity_id: str) -> list[Change]:
        """Return what was written of one entity so far."""
        with self._changed:
            return [change for change in self._seen if change.entity_id == entity_id]

    def states(self, entity_id: str) -> list[str | None]:
        """Return the states of one entity so far, each once as long as it lasted."""
        states = [change.state for change in self.of(entity_id)]
        return [state for index, state in enumerate(states) if index == 0 or states[index - 1] != state]

    def wait(
        self, entity_id: str, holds: Callable[[list[Change]], object], timeout: float = PATIENCE_S
    ) -> list[Change]:
        """Wait until `holds` is true of what was written of one entity, and return that; fail after `timeout` s."""
        with self._changed:
            good = self._changed.wait_for(lambda: holds(self.of(entity_id)), timeout)
        if not good:
            pytest.fail(f"not within {timeout} s; what was written of {entity_id}: {self.of(entity_id)}")
        return self.of(entity_id)

    def _read(self, socket: ClientConnection) -> None:
        try:
            for text in socket:
                data = json.loads(text).get("event", {}).get("data")
                if data is not None:
                    self._take(data["entity_id"], data["new_state"])
        except ConnectionClosed:
            pass  # Home Assistant ends, or this does

    def _take(self, entity_id: str, new: Mapping[str, Any] | None) -> None:
        change = Change(entity_id, None) if new is None else Change(entity_id, new["state"], new["attributes"])
        with self._changed:
            self._seen.append(change)
            self._changed.notify_all()
