"""Live video: what one viewer is given, over a WebSocket, until one of both ends goes away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from starlette.types import Message, Receive, Scope, Send

from soteirad.web.answers import Failure, as_json
from soteirad.web.box import VideoViewer
from soteirad.web.models import LiveQuery
from soteirad.web.routes import Asked
from soteirad.web.site import Site

if TYPE_CHECKING:
    from soteirad.messages import StreamName

MOST_VIEWERS = 16
"""As many as have places among the connections beside the other pages."""
SESSION_S = 2.0
"""How often it is looked whether the session is still there by which somebody came in."""
STILL_S = 10.0
"""How often somebody to whom there is nothing to say hears that the machine is still there: browsers notice no silence
by themselves."""
CLOSE_S = 1.0
"""How long somebody who does not read is given to hear why it ends."""
GOING_AWAY, POLICY = 1001, 1008
ABOUT = """\
A WebSocket, which sends and takes nothing: a message from the browser ends it. From a browser it needs the session's \
cookie and the page's own `Origin`. Messages, in this order:
* text `{"kind": "start", "codec": "avc1.42c01e", "width": 640, "height": 360, "encoded": false}`, then one binary \
message, the head of an MP4 (`ftyp` and `moov`); again whenever the stream begins anew, its times near 0 then. \
`encoded` says that it is encoded on the machine;
* binary messages: a fragment each (`moof` and `mdat`). The first after a head is a key frame; who comes later \
gets at once what there is since the last one. A slow viewer loses pictures and goes on with a later key frame;
* text `{"kind": "overlay", "at": 12.345, "values": {...}}`: what is drawn over the picture that is shown at that \
time of the fragments, as in the `frame` of `/api/stream`;
* text `{"kind": "gone", "reason": "..."}`: there is no video now; a `start` follows when there is again;
* text `{"kind": "still"}`: nothing has come for a while, and the machine is still there."""
_TOO_MANY = f"live video is watched {MOST_VIEWERS} times already: close one and try again"


def live(site: Site, asked: Asked) -> Live:
    """Live video of a camera."""
    query: LiveQuery = asked.query
    return Live(site, asked.path["camera"], query.stream, asked.cookie)


class Live:
    """One who watches. `cookie` is that of the session by which he came in, or None for a bearer token.

    It takes no thread: the viewer wakes the loop when there is something.
    """

    def __init__(self, site: Site, camera: str, stream: StreamName, cookie: str | None) -> None:
        self._site = site
        self._camera = camera
        self._stream = stream
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket. Raises Failure, or WishError, before it is accepted."""
        if len(self._site.watching) >= MOST_VIEWERS:
            raise Failure(503, _TOO_MANY, {"Retry-After": "5"})
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody watches any more
                loop.call_soon_threadsafe(news.set)

        viewer = self._site.box.video(self._camera, self._stream, wake)
        self._site.watching.add(viewer)
        try:
            await receive()  # that it begins
            with contextlib.suppress(OSError):  # who went away need not hear more
                await send({"type": "websocket.accept"})
                await _first(self._pump(viewer, news, send), _said(receive, send), self._session_ends(send))
        finally:
            viewer.close()
            self._site.watching.discard(viewer)

    async def _pump(self, viewer: VideoViewer, news: asyncio.Event, send: Send) -> None:
        loop = asyncio.get_running_loop()
        told = loop.time()
        while not viewer.closed and not self._site.stopping():
            news.clear()
            found = viewer.next()
            for part in found:
                await send(_as_message(part))
            if found:
                told = loop.time()
                continue
            if loop.time() - told >= STILL_S:
                await send(_as_message({"kind": "still"}))
                told = loop.time()
            timer = loop.call_later(STILL_S, news.set)
            await news.wait()
            timer.cancel()
        await _close(send, GOING_AWAY, "the machine ends live video")

    async def _session_ends(self, send: Send) -> None:
        while self._cookie is None or self._site.door.session(self._cookie):
            await asyncio.sleep(SESSION_S)
        await _close(send, POLICY, "the session has ended: log in again")


async def _said(receive: Receive, send: Send) -> None:
    if (await receive())["type"] == "websocket.receive":
        await _close(send, POLICY, "nothing is to be said here")


async def _close(send: Send, code: int, reason: str) -> None:
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(send({"type": "websocket.close", "code": code, "reason": reason}), CLOSE_S)


async def _first(*works: Coroutine[Any, Any, None]) -> None:
    """Do all at once until the first of them is done; raises what that raises."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _as_message(part: dict[str, Any] | bytes) -> Message:
    if isinstance(part, bytes):
        return {"type": "websocket.send", "bytes": part}
    return {"type": "websocket.send", "text": as_json(part)}
