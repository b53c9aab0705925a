"""All routes."""

from __future__ import annotations

from typing import Any, get_args

from soteirad.config.messages import NAME_PATTERN
from soteirad.config.values import LONGEST_NAME
from soteirad.web import handlers as do
from soteirad.web.events import events
from soteirad.web.live import ABOUT, live
from soteirad.web.models import (
    Accepted,
    Areas,
    Cameras,
    Document,
    Events,
    EventsQuery,
    Health,
    Lines,
    LiveQuery,
    Login,
    NearMisses,
    NearMissQuery,
    Overrides,
    Session,
    Setting,
    StaticQuery,
    StreamQuery,
    Wish,
)
from soteirad.web.openapi import document
from soteirad.web.routes import Asked, Route
from soteirad.web.site import Site

_CAMERA: dict[str, Any] = {"type": "string", "pattern": NAME_PATTERN, "maxLength": LONGEST_NAME}
_SETTING: dict[str, Any] = {"enum": list(get_args(Setting))}
_SEQ: dict[str, Any] = {"type": "string", "pattern": "^[0-9]{1,15}$"}
_DAY: dict[str, Any] = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
_FILE: dict[str, Any] = {"type": "string", "pattern": r"^[0-9A-HJKMNP-TV-Z]{26}\.jpg$"}
_CLIP: dict[str, Any] = {"type": "string", "pattern": r"^[0-9A-HJKMNP-TV-Z]{26}(-[0-9]{1,3})?\.mp4$"}
_THRESHOLD = "/api/cameras/{camera}/thresholds/{setting}"
_OF_THRESHOLD = {"camera": _CAMERA, "setting": _SETTING}


def openapi(_site: Site, _asked: Asked) -> dict[str, Any]:
    """The document of the API."""
    return document(API)


PAGE: tuple[Route, ...] = (
    Route("GET", "/", do.index, "The page.", "text/html", open=True, errors=(404,)),
    Route(
        "GET", "/static/{name}", do.static_file, "The page's files.", "*/*", query=StaticQuery, open=True, errors=(404,)
    ),
)
"""For browsers: not in the document."""
API: tuple[Route, ...] = (
    Route("GET", "/healthz", do.healthy, "Whether the web application answers.", "text/plain", open=True, quick=True),
    Route("GET", "/readyz", do.ready, "Whether the daemon watches; 503 with the word why not.", "text/plain", open=True,
          other={503: "text/plain"}),
    Route("POST", "/api/login", do.login, "Begin a session.", None, 204, body=Login, open=True,
          errors=(429,), quick=True),
    Route("POST", "/api/logout", do.logout, "End the session.", None, 204, quick=True),
    Route("GET", "/api/session", do.session, "Whether whoever asks may.", Session, quick=True),
    Route("GET", "/api/cameras", do.cameras, "All cameras.", Cameras),
    Route("PUT", _THRESHOLD, do.set_threshold, "Change a threshold; it lasts until it is changed again.", Accepted, 202,
          body=Wish, errors=(404, 422), parameters=_OF_THRESHOLD),
    Route("DELETE", _THRESHOLD, do.reset_threshold, "Let a threshold be what the file says.", Accepted, 202,
          errors=(404, 422), parameters=_OF_THRESHOLD),
    Route("POST", "/api/cameras/{camera}/areas", do.areas, "Zones and masks as lines for the file.", Lines,
          body=Areas, errors=(404, 422), parameters={"camera": _CAMERA}),
    Route("GET", "/api/cameras/{camera}/picture.jpg", do.latest_picture, "A picture of now.", "image/jpeg",
          errors=(404, 503), parameters={"camera": _CAMERA}),
    Route("GET", "/api/cameras/{camera}/live/{seq}.jpg", do.live_picture, "A live frame's picture, while it is kept.",
          "image/jpeg", errors=(404,), parameters={"camera": _CAMERA, "seq": _SEQ}),
    Route("GET", "/api/cameras/{camera}/live", live, "Live video, over a WebSocket.", None, 101, query=LiveQuery,
          errors=(404,), quick=True, socket=True, parameters={"camera": _CAMERA}, about=ABOUT),
    Route("GET", "/api/overrides", do.overrides, "What was set and is not in the file.", Overrides),
    Route("GET", "/api/stream", do.stream, "What happens, as server-sent events.", "text/event-stream",
          query=StreamQuery, errors=(404, 422, 503)),
    Route("GET", "/api/events", events, "Events, newest first.", Events, query=EventsQuery, errors=(422, 503)),
    Route("GET", "/api/snapshots/{camera}/{day}/{file}", do.snapshot, "A saved picture.", "image/jpeg", errors=(404,),
          parameters={"camera": _CAMERA, "day": _DAY, "file": _FILE}),
    Route("GET", "/api/clips/{camera}/{day}/{file}", do.clip, "A video of a visit; it may be asked for in ranges.",
          "video/mp4", errors=(404, 416, 503), parameters={"camera": _CAMERA, "day": _DAY, "file": _CLIP},
          other={206: "video/mp4"}),
    Route("GET", "/api/near-misses", do.near_misses, "What was nearly reported, newest first.", NearMisses,
          query=NearMissQuery, errors=(422,)),
    Route("GET", "/api/openapi.json", openapi, "This document.", Document),
    Route("GET", "/metrics", do.metrics, "Figures for Prometheus.", "text/plain"),
    Route("GET", "/api/health", do.health, "How the daemon and its cameras do.", Health),
)  # fmt: skip
