"""What a route is: who may ask, and what goes in and out. Starlette's routes and the document are both made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

Method = Literal["GET", "POST", "PUT", "DELETE"]
Handler = Callable[..., Any]


@dataclass(frozen=True)
class Asked:
    """A request that was understood: parts of its path, its query and body, whose they are."""

    path: dict[str, str]
    query: Any = None
    body: Any = None
    address: str = ""
    cookie: str | None = None
    if_none_match: str = ""


@dataclass(frozen=True)
class Route:
    """One route. `handler` is called with the site and what was asked, in a worker thread unless it is `quick`.

    `answer` is a model, or the media type of anything else. `errors` are the statuses that it may refuse with, beside
    those that every route has. `open` needs no secret. A `socket` is a WebSocket, and nothing else.
    """

    method: Method
    path: str
    handler: Handler
    summary: str
    answer: type[BaseModel] | str | None
    status: int = 200
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    errors: tuple[int, ...] = ()
    open: bool = False
    quick: bool = False
    socket: bool = False
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    other: dict[int, str] = field(default_factory=dict)
    """Statuses that are answered with something else than JSON, and its media type."""
    about: str = ""
    """What there is to say beyond the summary."""
