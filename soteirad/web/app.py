"""The application: the table's routes behind the guard."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Iterable
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from soteirad.errors import SoteiraError
from soteirad.web.answers import Failure, JsonAnswer
from soteirad.web.box import UnknownCameraError, WishError
from soteirad.web.guard import Guard
from soteirad.web.routes import Asked, Route
from soteirad.web.site import Site

logger = logging.getLogger(__name__)

MOST_PROBLEMS = 5
_ONLY_SOCKET = "there is a WebSocket at this address, version 13 of it, and nothing else: open it as one"
_NOWHERE = "there is nothing at this address: /api/openapi.json lists what there is"


def make_app(site: Site, routes: Iterable[Route], names: frozenset[str]) -> ASGIApp:
    """Return the application. `names` are those by which this machine may be asked."""
    routes = list(routes)
    app = Starlette(
        routes=_endpoints(site, routes),
        exception_handlers={HTTPException: _elsewhere},
    )
    app.router.redirect_slashes = False
    return Guard(app, site.door, names, [(route.method, route.path) for route in routes if route.open])


def is_socket(routes: Iterable[Route], path: str) -> bool:
    """Say whether there is a WebSocket at a path."""
    return any(re.fullmatch(re.sub(r"{\w+}", "[^/]+", route.path), path) for route in routes if route.socket)


def _endpoints(site: Site, routes: list[Route]) -> list[BaseRoute]:
    """One for each path: so that a wrong method is told from a wrong path."""
    by_path: dict[str, dict[str, Route]] = {}
    for route in routes:
        by_path.setdefault(route.path, {})[route.method] = route
    endpoints: list[BaseRoute] = [
        StarletteRoute(path, _Endpoint(site, found), methods=list(found)) for path, found in by_path.items()
    ]
    sockets = [route for route in routes if route.socket]
    return [*endpoints, *(WebSocketRoute(r.path, _Endpoint(site, {r.method: r})) for r in sockets)]


class _Endpoint:
    """All that may be done at one path."""

    def __init__(self, site: Site, routes: dict[str, Route]) -> None:
        self._site = site
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope.get("method", "GET")  # a WebSocket's scope has none
        method = "GET" if asked == "HEAD" else asked
        if method not in self._routes:
            raise HTTPException(405, headers={"Allow": ", ".join(self._routes)})
        began = False

        async def note_begin(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            answer = await self._answer(self._routes[method], scope, receive)
            await answer(scope, receive, note_begin)
        except Exception as error:
            failure = _failure(error, f"{asked} {scope['raw_path'].decode('latin-1')}")
            if not began:
                await failure.answer()(scope, receive, send)

    async def _answer(self, route: Route, scope: Scope, receive: Receive) -> ASGIApp:
        if route.socket and scope["type"] == "http":
            raise Failure(426, _ONLY_SOCKET, {"Upgrade": "websocket", "Connection": "Upgrade",
                                              "Sec-WebSocket-Version": "13"})  # fmt: skip
        request = HTTPConnection(scope)
        asked = Asked(
            path=_path(route, request),
            query=None if route.query is None else _query(route.query, request),
            body=None if route.body is None else _body(route.body, request, await Request(scope, receive).body()),
            address=request.state.address,
            cookie=request.state.cookie,
            if_none_match=request.headers.get("if-none-match", ""),
        )
        if inspect.iscoroutinefunction(route.handler):
            found = await route.handler(self._site, asked)
        elif route.quick:
            found = route.handler(self._site, asked)
        else:
            found = await self._site.workers.short(lambda: route.handler(self._site, asked))
        return JsonAnswer(found, route.status) if isinstance(found, dict) else found


def _path(route: Route, request: HTTPConnection) -> dict[str, str]:
    """Return the parts of the path. Raises Failure for those that cannot be."""
    found = {name: str(value) for name, value in request.path_params.items()}
    for name, schema in route.parameters.items():
        text = found[name]
        wrong = len(text) > schema.get("maxLength", len(text)) or text not in schema.get("enum", (text,))
        pattern = schema.get("pattern")
        if wrong or (pattern is not None and not re.fullmatch(pattern.removeprefix("^").removesuffix("$"), text)):
            choices = f": use {', '.join(schema['enum'])}" if "enum" in schema else f": {_NOWHERE}"
            raise Failure(404, f"there is no such {name}{choices}")
    return found


def _query(model: type[BaseModel], request: HTTPConnection) -> BaseModel:
    """Return the query. Raises Failure."""
    given: dict[str, Any] = {}
    for name in request.query_params:
        values = request.query_params.getlist(name)
        if _is_list(model, name):
            given[name] = values
        elif len(values) == 1:
            given[name] = values[0]
        else:
            raise Failure(422, f"{name[:40]}: this may be given only once")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise Failure(422, _problems(error)) from None


def _is_list(model: type[BaseModel], name: str) -> bool:
    field = model.model_fields.get(name)
    return field is not None and get_origin(field.annotation) is list and bool(get_args(field.annotation))


def _body(model: type[BaseModel], request: HTTPConnection, data: bytes) -> BaseModel:
    """Return the body. Raises Failure."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Failure(415, "this kind of data is not taken: send JSON, with `Content-Type: application/json`")
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        if any(line["type"] == "json_invalid" for line in error.errors(include_url=False)):
            raise Failure(400, "this is no JSON: look for a missing quote or bracket") from None
        raise Failure(422, _problems(error)) from None


def _problems(error: ValidationError) -> str:
    lines = error.errors(include_url=False, include_input=False, include_context=False)
    told = [f"{'.'.join(map(str, line['loc']))[:100] or 'body'}: {line['msg'][:200]}" for line in lines[:MOST_PROBLEMS]]
    return "; ".join(told)


def _failure(error: Exception, what: str) -> Failure:
    """Return how an error is told to whoever asked; a fault of ours is told in the log in full."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, WishError):
        return Failure(404 if isinstance(error, UnknownCameraError) else 422, str(error))
    if isinstance(error, SoteiraError):
        return Failure(503, str(error))
    logger.error("%s failed: this is a fault in Soteira", what, exc_info=error)
    return Failure(500, "this is a fault in Soteira: its log says more")


async def _elsewhere(_request: Request, error: Exception) -> Response:
    """Answer for what is in no table."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    text = {404: _NOWHERE, 405: "this cannot be done here: /api/openapi.json lists what can"}.get(status, str(error))
    return Failure(status, text, getattr(error, "headers", None)).answer()
