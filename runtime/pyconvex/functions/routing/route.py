"""One HTTP route and its forms."""

from collections.abc import Awaitable, Callable, MutableMapping
from enum import StrEnum
from typing import Any, TypeAlias

from msgspec import Struct

from pyconvex.errors import Place
from pyconvex.functions.fetch.request import PathParams
from pyconvex.functions.function import RegisteredFunction

from .middleware import Layered, Middleware

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI 3 application (https://asgi.readthedocs.io/en/latest/specs/main.html): `await app(scope, receive, send)`."""

Handler: TypeAlias = "RegisteredFunction[..., Any] | AsgiApp"

METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
"""Methods that routes can have. HEAD runs GET."""

ANY_METHOD = "*"
"""The method of a mount."""


class RouteForm(StrEnum):
    """The forms of a route, the one that wins first."""

    EXACT = "exact"
    PATTERN = "pattern"
    PREFIX = "prefix"
    MOUNT = "mount"


class Route(Struct, frozen=True):
    """One registered route; `path` is as shown: `/users`, `/users/{id:int}`, `/files/*`.

    `place` is the `route(...)` or `mount(...)` call, with the file as the loader compiled it. `middleware` is the
    route's own, the outermost first. `max_body_bytes` is what a request's body may have; None for the deployment's
    limit `http_request_bytes`.
    """

    path: str
    method: str
    handler: Handler
    place: Place
    form: RouteForm
    middleware: tuple[Middleware, ...] = ()
    max_body_bytes: int | None = None
    layered: Layered | None = None
    """The handler inside all middleware that applies to it, set when the router is frozen; None without any."""

    @property
    def prefix(self) -> str:
        """What a path has to begin with, for a prefix or mount."""
        return self.path[:-1]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Match(Struct, frozen=True):
    """The route that won, what its parameters are, and in words why it won."""

    route: Route
    path_params: PathParams
    why: str
