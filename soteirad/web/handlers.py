"""What each route does."""

from __future__ import annotations

import time
from typing import Any

from starlette.responses import PlainTextResponse, Response

from soteirad import __version__
from soteirad.web.answers import TOO_MANY, Failure, jpeg
from soteirad.web.auth import FORGET_COOKIE, Refused, cookie_header
from soteirad.web.box import UnknownCameraError
from soteirad.web.clips import Clip
from soteirad.web.guard import refusal
from soteirad.web.models import Areas, Login, NearMissQuery, StreamQuery, Wish
from soteirad.web.pictures import saved_clip, saved_picture
from soteirad.web.routes import Asked
from soteirad.web.site import Site
from soteirad.web.stream import STEP_S, Stream

LOOK_S = 3.0
"""How long somebody who wants one picture waits for a frame."""
NO_PICTURE_NOW = "there is no picture of this camera now: it is off, or its source gives none"
NO_PICTURE = "there is no such picture: it is gone, or there never was one"
NO_CLIP = "there is no such clip: it is gone, not complete yet, or there never was one"


def healthy(_site: Site, _asked: Asked) -> Response:
    """Say that the web application answers."""
    return PlainTextResponse("ok\n")


def ready(site: Site, _asked: Asked) -> Response:
    """Say whether the daemon watches."""
    why = site.box.ready()
    return PlainTextResponse(f"{why or 'ready'}\n", 503 if why else 200)


def index(site: Site, asked: Asked) -> Response:
    """The page."""
    return site.static.index(asked.if_none_match)


def static_file(site: Site, asked: Asked) -> Response:
    """One of the page's files."""
    return site.static.file(asked.path["name"], asked.query.v or "", asked.if_none_match)


def login(site: Site, asked: Asked) -> Response:
    """Begin a session."""
    body: Login = asked.body
    cookie = site.door.login(body.token, asked.address)
    if isinstance(cookie, Refused):
        raise refusal(cookie)
    return Response(status_code=204, headers={"Set-Cookie": cookie_header(cookie)})


def logout(site: Site, asked: Asked) -> Response:
    """End the session."""
    if asked.cookie is not None:
        site.door.logout(asked.cookie)
    return Response(status_code=204, headers={"Set-Cookie": FORGET_COOKIE})


def session(_site: Site, _asked: Asked) -> dict[str, Any]:
    """Say that whoever asks may."""
    return {"version": __version__}


def cameras(site: Site, _asked: Asked) -> dict[str, Any]:
    """All cameras."""
    return {"cameras": site.box.cameras()}


def set_threshold(site: Site, asked: Asked) -> dict[str, Any]:
    """Change a threshold."""
    wish: Wish = asked.body
    site.box.set(asked.path["camera"], asked.path["setting"], wish.value)
    return {"accepted": True}


def reset_threshold(site: Site, asked: Asked) -> dict[str, Any]:
    """Let a threshold be what the file says."""
    site.box.set(asked.path["camera"], asked.path["setting"], None)
    return {"accepted": True}


def overrides(site: Site, _asked: Asked) -> dict[str, Any]:
    """What was set."""
    return site.box.overrides()


def areas(site: Site, asked: Asked) -> dict[str, Any]:
    """Zones and masks as lines for the file."""
    drawn: Areas = asked.body
    return {"yaml": site.box.check_areas(asked.path["camera"], drawn.model_dump())}


def near_misses(site: Site, asked: Asked) -> dict[str, Any]:
    """What was nearly reported."""
    query: NearMissQuery = asked.query
    wanted = frozenset(query.camera)
    return {"near_misses": [miss for miss in site.box.near_misses() if not wanted or miss["camera"] in wanted]}


def health(site: Site, _asked: Asked) -> dict[str, Any]:
    """How all do."""
    return site.box.health()


def metrics(site: Site, _asked: Asked) -> Response:
    """Figures for Prometheus."""
    from soteirad.web.metrics import CONTENT_TYPE, exposition

    return Response(exposition(site.box), headers={"Content-Type": CONTENT_TYPE})


def snapshot(site: Site, asked: Asked) -> Response:
    """A saved picture."""
    data = saved_picture(site.box.pictures, asked.path["camera"], asked.path["day"], asked.path["file"])
    if data is None:
        raise Failure(404, NO_PICTURE)
    # A later, better picture of the same event may take its place within seconds.
    return jpeg(data, "private, max-age=60")


def clip(site: Site, asked: Asked) -> Clip:
    """A video of a visit, or a part of it."""
    file = saved_clip(site.box.clips, asked.path["camera"], asked.path["day"], asked.path["file"])
    if file is None:
        raise Failure(404, NO_CLIP)
    return Clip(file, site.workers)


def live_picture(site: Site, asked: Asked) -> Response:
    """The picture of one live frame."""
    data = site.box.picture(asked.path["camera"], int(asked.path["seq"]))
    if data is None:
        raise Failure(404, NO_PICTURE)
    return jpeg(data, "private, max-age=60, immutable")


async def latest_picture(site: Site, asked: Asked) -> Response:
    """A picture of now: whoever asks counts as a viewer until there is one."""
    camera = asked.path["camera"]
    if not site.workers.take_place(stream=False):
        raise Failure(503, TOO_MANY, {"Retry-After": "5"})
    try:
        data = await site.workers.wait(lambda: _look_once(site, camera))
    finally:
        site.workers.give_place(stream=False)
    if data is None:
        raise Failure(503, NO_PICTURE_NOW, {"Retry-After": "5"})
    return jpeg(data)


def stream(site: Site, asked: Asked) -> Stream:
    """What happens, as it happens."""
    query: StreamQuery = asked.query
    names = None if query.cameras is None else [name for name in query.cameras.split(",") if name]
    if names is not None:
        _check_names(site, names)
    return Stream(lambda: site.box.viewer(names), site.workers, site.stopping)


def _check_names(site: Site, names: list[str]) -> None:
    known = [camera["name"] for camera in site.box.cameras()]
    for name in names:
        if name not in known:
            raise UnknownCameraError(f"there is no camera of this name: use {', '.join(known)}")


def _look_once(site: Site, camera: str) -> bytes | None:
    deadline = time.monotonic() + LOOK_S
    viewer = site.box.viewer([camera])
    try:
        while (left := deadline - time.monotonic()) > 0 and not site.stopping():
            message = viewer.next(min(left, STEP_S))
            if message is not None and message[0] == "frame":
                data = site.box.picture(camera, message[1]["seq"])
                if data is not None:
                    return data
        return site.box.picture(camera, None)
    finally:
        viewer.close()
