"""The stream: what happens, as server-sent events, until the browser goes away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.types import Receive, Scope, Send

from soteirad.web.answers import TOO_MANY, Failure, as_json
from soteirad.web.box import Viewer
from soteirad.web.workers import Workers

HEARTBEAT_S = 15.0
STEP_S = 0.5
"""How long a worker thread waits at a time, and so how long one may be lost to a browser that is gone."""
RETRY_MS = 2000


class Stream:
    """An answer that goes on: the messages of one viewer. `stopping` says that the server ends."""

    def __init__(self, look: Callable[[], Viewer], workers: Workers, stopping: Callable[[], bool]) -> None:
        self._look = look
        self._workers = workers
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] == "HEAD":
            await _begin(send)
            await send({"type": "http.response.body", "body": b""})
            return
        if not self._workers.take_place(stream=True):
            raise Failure(503, TOO_MANY, {"Retry-After": "5"})
        try:
            viewer = self._look()
            try:
                await self._run(viewer, receive, send)
            finally:
                viewer.close()
        finally:
            self._workers.give_place(stream=True)

    async def _run(self, viewer: Viewer, receive: Receive, send: Send) -> None:
        await _begin(send)
        await until_gone(self._pump(viewer, send), receive, viewer.close)

    async def _pump(self, viewer: Viewer, send: Send) -> None:
        await send(_part(f"retry: {RETRY_MS}\n\n"))
        told = time.monotonic()
        while not self._stopping():
            message = await self._workers.wait(lambda: viewer.next(STEP_S))
            now = time.monotonic()
            if message is not None:
                kind, data = message
                await send(_part(f"event: {kind}\ndata: {as_json(data)}\n\n"))
                told = now
            elif now - told >= HEARTBEAT_S:
                await send(_part(": still there\n\n"))
                told = now
        await send({"type": "http.response.body", "body": b""})


async def _begin(send: Send) -> None:
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store"),
               (b"x-accel-buffering", b"no")]  # fmt: skip
    await send({"type": "http.response.start", "status": 200, "headers": headers})


def _part(text: str) -> dict[str, object]:
    return {"type": "http.response.body", "body": text.encode(), "more_body": True}


async def until_gone(pump: Coroutine[Any, Any, None], receive: Receive,
                     on_end: Callable[[], None] = lambda: None) -> None:  # fmt: skip
    """Send by `pump` until it has sent all, or nobody takes it any more; then `on_end` is called. Raises as `pump`."""
    sending = asyncio.create_task(pump)
    gone = asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
        on_end()
    finally:
        for task in (sending, gone):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone
    with contextlib.suppress(asyncio.CancelledError):
        await sending


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
