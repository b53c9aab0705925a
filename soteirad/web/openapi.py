"""The OpenAPI document, made from the table of routes and its models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from soteirad import __version__
from soteirad.web.auth import COOKIE
from soteirad.web.models import Problem
from soteirad.web.routes import Route

OPENAPI = "3.1.0"
_ALWAYS = (400, 408, 413, 414, 421, 500, 503)
"""Any route may answer these."""
_CLOSED = (401, 403, 429)
"""... and these, if it needs the secret."""
_REF = "#/components/schemas/{model}"
_ABOUT = (
    "What Soteira's page uses. Everything but the login needs a session's cookie or `Authorization: Bearer TOKEN`; "
    "what changes something needs the header `X-Soteira: 1` too, if it comes with the cookie. Times are ISO 8601, UTC."
)


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the document of these routes."""
    found: set[type[BaseModel]] = {Problem, *(model for route in routes for model in _models(route))}
    models = sorted(found, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": OPENAPI,
        "info": {"title": "Soteira", "version": __version__, "description": _ABOUT, "license": {"name": "Apache-2.0"}},
        "security": [{"session": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _models(route: Route) -> list[type[BaseModel]]:
    return [m for m in (route.body, route.answer) if isinstance(m, type)]


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": route.summary,
        "responses": {str(route.status): _good(route), **{str(status): _bad(status) for status in _refusals(route)}},
    }
    if route.about:
        operation["description"] = route.about
    parameters = _path_parameters(route) + _query_parameters(route)
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        schema = {"$ref": _REF.format(model=route.body.__name__)}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if route.open:
        operation["security"] = []
    for status, media in route.other.items():
        operation["responses"][str(status)] = {"description": HTTPStatus(status).phrase, "content": {media: {}}}
    return operation


def _good(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if isinstance(route.answer, str):
        found["content"] = {route.answer: {"schema": {"type": "string"}} if route.answer.startswith("text/") else {}}
    elif route.answer is not None:
        found["content"] = {"application/json": {"schema": {"$ref": _REF.format(model=route.answer.__name__)}}}
    return found


def _bad(status: int) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=Problem.__name__)}
    return {"description": HTTPStatus(status).phrase, "content": {"application/json": {"schema": schema}}}


def _refusals(route: Route) -> list[int]:
    found = {*_ALWAYS, *route.errors}
    if not route.open:
        found.update(_CLOSED)
    if route.socket:
        found.add(426)
    if route.method != "GET":
        found.add(403)
    if route.body is not None:
        found.update((401, 415, 422) if route.open else (415, 422))
    if route.query is not None:
        found.add(422)
    return sorted(found)


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", route.path)
    return [{"name": name, "in": "path", "required": True, "schema": route.parameters[name]} for name in names]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = route.query.model_json_schema()
    needed = schema.get("required", ())
    found = []
    for name, about in schema["properties"].items():
        described = {key: value for key, value in about.items() if key not in ("title", "default", "description")}
        if "anyOf" in described:  # what is not given is null in the model; on the wire there is no null
            [described] = [choice for choice in described["anyOf"] if choice != {"type": "null"}]
        if about.get("default") is not None:
            described["default"] = about["default"]
        parameter = {"name": name, "in": "query", "required": name in needed, "schema": described}
        if text := about.get("description") or described.pop("description", None):
            parameter["description"] = text
        found.append(parameter)
    return found
