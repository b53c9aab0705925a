"""The guard before the application: hosts, headers, sizes, and who may enter."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from soteirad.web.answers import Failure
from soteirad.web.auth import COOKIE, Doorkeeper, Refused
from soteirad.web.hosts import is_known, is_same

logger = logging.getLogger(__name__)

LARGEST_BODY = 64 * 1024
BODY_S = 10.0
"""A body of 64 kB that takes longer is not worth waiting for."""
LONGEST_QUERY = 8 * 1024
WRITES = ("POST", "PUT", "DELETE", "PATCH")
CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
       "media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")  # fmt: skip
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
"""On every answer. Answers that say nothing of caching get `no-store`."""

_MISDIRECTED = (
    "this machine does not go by the name that was asked for: use its address, or add the name to web.hosts in the "
    "configuration file"
)
_NO_ENTRY = "this needs the token or the password: log in, or send it as `Authorization: Bearer ...`"
_WRONG_BEARER = "this token or password is wrong: `soteirad config` on the machine prints the right one"
_FOREIGN = "this request was made by a page of another address: make it from Soteira's own page, or with a bearer token"
_NOBODY = "this WebSocket does not say whose page opens it: send `Origin`, as browsers do, or use a bearer token"
_TOO_LARGE = f"this request is too large: at most {LARGEST_BODY // 1024} kB are taken"
_NO_HEADER = "this request changes something and lacks the header `X-Soteira: 1`: add it, or use a bearer token"


class Guard:
    """Lets a request through to the application, or answers it.

    `names` mean this machine; `open_routes` (method, path) need no secret.

    What it found out is left in the scope's state: `address` of the client, `cookie` of its session or None, and
    whether it is `trusted`.
    """

    def __init__(self, app: ASGIApp, door: Doorkeeper, names: frozenset[str],
                 open_routes: Iterable[tuple[str, str]]) -> None:  # fmt: skip
        self._app = app
        self._door = door
        self._names = names
        self._open = frozenset(open_routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] not in ("http", "websocket"):
            return
        began, status = time.monotonic(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                _add_headers(message)
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        try:
            self._check(scope)
            if scope["type"] == "http":
                body = await _body(scope, receive)
                if body is None:
                    return
                receive = _given(body, receive)
            await self._app(scope, receive, send_with_headers)
        except Failure as failure:
            await failure.answer()(scope, receive, send_with_headers)
        took_ms = 1000 * (time.monotonic() - began)
        path = scope["raw_path"].decode("latin-1")  # as it was sent: decoded, it might have lines of its own
        logger.debug("%s %s -> %d in %.0f ms", _method(scope), path, status, took_ms)

    def _check(self, scope: Scope) -> None:
        """Raise Failure for a request that may not pass."""
        headers = _Headers(scope)
        host = headers.one("host")
        if host is None or not is_known(host, self._names):
            raise Failure(421, _MISDIRECTED)
        if len(scope["query_string"]) > LONGEST_QUERY:
            raise Failure(414, "this address is too long: ask for less at once")
        origin = headers.one("origin")
        only_own = _method(scope) in WRITES or (scope["type"] == "websocket" and headers.bearer() is None)
        if only_own and origin is not None and not is_same(origin, host):
            raise Failure(403, _FOREIGN)
        client = scope.get("client")
        state: dict[str, Any] = scope.setdefault("state", {})
        state["address"] = client[0] if client else ""
        state["cookie"] = self._session(headers)
        state["trusted"] = state["cookie"] is not None
        if not self._is_open(_method(scope), scope["path"]):
            self._check_secret(scope, headers, state)

    def _check_secret(self, scope: Scope, headers: _Headers, state: dict[str, Any]) -> None:
        """Raise Failure for a request of somebody who may not enter."""
        bearer, socket = headers.bearer(), scope["type"] == "websocket"
        if bearer is not None:
            refused = self._door.bearer(bearer, state["address"])
            if refused is not None:
                raise refusal(refused)
            state["trusted"] = True
            if socket:
                state["cookie"] = None  # it came in without, and goes on when that session ends
        elif state["cookie"] is None:
            raise Failure(401, _NO_ENTRY, {"WWW-Authenticate": "Bearer"})
        elif socket and headers.one("origin") is None:
            # Any page may open one here, and browsers send the cookie along: only `Origin` tells whose page it is.
            raise Failure(403, _NOBODY)
        elif _method(scope) in WRITES and headers.one("x-soteira") != "1":
            raise Failure(403, _NO_HEADER)

    def _session(self, headers: _Headers) -> str | None:
        cookie = headers.cookie(COOKIE)
        return cookie if cookie is not None and self._door.session(cookie) else None

    def _is_open(self, method: str, path: str) -> bool:
        if method == "HEAD":
            method = "GET"
        return (method, path) in self._open or (method == "GET" and path.startswith("/static/"))


def _method(scope: Scope) -> str:
    """Return a request's method; a WebSocket's scope has none, since it is always the same."""
    return str(scope.get("method", "GET"))


def refusal(refused: Refused) -> Failure:
    """Return what somebody is told who may not enter."""
    if refused.wait_s is None:
        return Failure(401, _WRONG_BEARER, {"WWW-Authenticate": "Bearer"})
    text = f"the token or password was wrong too often: wait {refused.wait_s} seconds and try again"
    return Failure(429, text, {"Retry-After": str(refused.wait_s)})


class _Headers:
    """A request's headers; those that must not be there twice are not found then."""

    def __init__(self, scope: Scope) -> None:
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]

    def one(self, name: str) -> str | None:
        found = [value for key, value in self._headers if key == name.encode()]
        # Passwords may have any letters, which arrive as UTF-8.
        return found[0].decode("utf-8", "surrogateescape") if len(found) == 1 else None

    def bearer(self) -> str | None:
        kind, _, secret = (self.one("authorization") or "").partition(" ")
        return secret.strip() if kind.lower() == "bearer" else None

    def cookie(self, name: str) -> str | None:
        # Not SimpleCookie: browsers send the cookies of all programs on this machine, whatever their port, and one
        # that it cannot read would hide ours.
        for part in (self.one("cookie") or "").split(";"):
            key, _, value = part.strip().partition("=")
            if key == name:
                return value.strip('"')
        return None


def _add_headers(message: MutableMapping[str, Any]) -> None:
    headers = list(message.get("headers", ()))
    there = {name.lower() for name, _ in headers}
    wanted = {**HEADERS, "cache-control": "no-store"}
    headers += [(k.encode(), v.encode()) for k, v in wanted.items() if k.encode() not in there]
    message["headers"] = headers


async def _body(scope: Scope, receive: Receive) -> bytes | None:
    """Return a request's whole body; None if whoever asked is gone. Raises Failure if it is too large or late."""
    length = _Headers(scope).one("content-length")
    if length is not None and length.isdecimal() and int(length) > LARGEST_BODY:
        raise Failure(413, _TOO_LARGE, {"Connection": "close"})
    parts = bytearray()

    async def read() -> bytes | None:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None  # what would be done for them is lost, and takes others' places meanwhile
            parts.extend(message.get("body", b""))
            if len(parts) > LARGEST_BODY:
                raise Failure(413, _TOO_LARGE, {"Connection": "close"})
            if not message.get("more_body", False):
                return bytes(parts)

    try:
        return await asyncio.wait_for(read(), BODY_S)
    except asyncio.TimeoutError:
        raise Failure(408, "the request did not come to its end: send it again", {"Connection": "close"}) from None


def _given(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read, and then what comes after it."""
    given = False

    async def receive_body() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_body
