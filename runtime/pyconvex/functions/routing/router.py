"""HTTP routes: which handler answers which path and method (https://docs.convex.dev/functions/http-actions)."""

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Any, Final, TypeVar, cast, overload

from msgspec import Struct
from msgspec.structs import replace

from pyconvex.errors import Place, caller_place
from pyconvex.functions.fetch.request import Request
from pyconvex.functions.fetch.response import Response
from pyconvex.functions.function import AsyncFunction, RegisteredFunction, described

from .cors import Cors
from .error import RouteError
from .middleware import Middleware, checked_layers, checked_middleware, layered
from .route import ANY_METHOD, AsgiApp, Handler, Match, Route, RouteForm
from .rules import (
    as_http_action,
    check_path,
    check_prefix,
    checked_body_limit,
    checked_handler,
    checked_method,
    checked_text,
    has_parameters,
    is_registered,
)
from .table import RouteTable

M = TypeVar("M", bound=Middleware)


class _Absent(Enum):
    HANDLER = "no handler given"


_NO_HANDLER: Final = _Absent.HANDLER


class _Declared(Struct, frozen=True):
    """A `route(...)` whose handler is not known yet; `path` is as shown."""

    path: str
    method: str
    form: RouteForm
    place: Place
    middleware: tuple[Middleware, ...]
    max_body_bytes: int | None


class HttpRouter:
    """The routes of an app; `http.py` makes one with `http_router()` and exports it as `default`.

    An exact path beats one with parameters, parameters beat prefixes and mounts, the longest prefix wins, and a
    prefix beats a mount of the same length. Paths are compared as they were sent: case-sensitive, not decoded.

    Args:
        cors: answers preflights and adds headers for every route.
    """

    def __init__(self, cors: Cors | None = None) -> None:
        self.cors = cors
        self.table = RouteTable()
        self._middleware: list[Middleware] = []
        self._pending: dict[object, Place] = {}
        self._is_frozen = False

    @overload
    def route(
        self,
        *,
        method: str,
        handler: AsyncFunction[[Request], Response],
        path: str | None = None,
        path_prefix: str | None = None,
        middleware: Sequence[Middleware] = (),
        max_body_bytes: int | None = None,
    ) -> None: ...
    @overload
    def route(
        self,
        *,
        method: str,
        path: str | None = None,
        path_prefix: str | None = None,
        middleware: Sequence[Middleware] = (),
        max_body_bytes: int | None = None,
    ) -> Callable[[Callable[[Any, Request], Awaitable[Response]]], AsyncFunction[[Request], Response]]: ...
    def route(
        self,
        *,
        method: object = None,
        handler: object = _NO_HANDLER,
        path: object = None,
        path_prefix: object = None,
        middleware: object = (),
        max_body_bytes: object = None,
    ) -> Any:
        """Register a route; without `handler`, return a decorator that registers what it decorates.

        Args:
            path: an exact path, or one with parameters: `/users/{id}`, `/users/{id:int}`, `/files/{rest:path}`.
            path_prefix: what the path begins with; ends with `/`.
            method: GET, POST, PUT, DELETE, OPTIONS or PATCH. HEAD runs GET.
            handler: an HTTP action.
            middleware: runs around the handler, inside the router's own (`use`); the first is the outermost.
            max_body_bytes: what a request's body may have here, instead of the deployment's limit
                `http_request_bytes`; more is answered with 413.

        Raises:
            RouteError: no valid route, or one that is there already; it says which.
        """
        place = caller_place()
        with_handler = handler is not _NO_HANDLER
        try:
            self._check_open()
            if handler is None:
                raise RouteError(
                    "RouteWithoutHandler",
                    "route requires handler",
                    hint="pass an HTTP action as handler=, or leave handler out to decorate a function",
                )
            checked = checked_method(method)
            path, form = _checked_path(path, path_prefix)
            self._check_free(checked, path, form)
            limit = checked_body_limit(max_body_bytes)
            declared = _Declared(path, checked, form, place, checked_layers(middleware), limit)
            if with_handler:
                self._add(declared, checked_handler(handler))
        except RouteError as error:
            error.place = place
            raise
        return None if with_handler else self._decorator(declared)

    def use(self, middleware: M) -> M:
        """Run `middleware` around every HTTP action of this router, whether its route comes before or after.

        The first one used is the outermost, and all are outside of the routes' own. It is returned, so this is a
        decorator too: `@http.use`. Requests without a route, preflights that `cors=` answers, and mounted
        applications (which have middleware of their own) do not pass it.

        Raises:
            RouteError: no `async def` of ctx, request and next.
        """
        try:
            self._check_open()
            self._middleware.append(checked_middleware(middleware))
        except RouteError as error:
            error.place = caller_place()
            raise
        return middleware

    def mount(self, prefix: str, app: AsgiApp, *, max_body_bytes: int | None = None) -> None:
        """Serve an ASGI application (FastAPI, Starlette, ...) below `prefix`, which ends with `/`.

        Inside it `current_ctx()` is the ActionCtx of the request. Its lifespan runs while this version of the app is
        served. WebSockets are refused.

        Args:
            max_body_bytes: as for `route`.

        Raises:
            RouteError: no valid prefix, one that is mounted already, or no ASGI application.
        """
        place = caller_place()
        try:
            self._check_open()
            check_prefix(checked_text(prefix, "prefix"), "prefix")
            self._check_free(ANY_METHOD, f"{prefix}*", RouteForm.MOUNT)
            if is_registered(app) or isinstance(app, type) or not callable(app):
                raise RouteError(
                    "NotAnAsgiApp",
                    f"mount('{prefix}', ...) takes an ASGI application, not {described(app)}",
                    hint="for an HTTP action write `http.route(path_prefix=..., method=..., handler=...)`",
                )
            limit = checked_body_limit(max_body_bytes)
        except RouteError as error:
            error.place = place
            raise
        self.table.add(Route(f"{prefix}*", ANY_METHOD, app, place, RouteForm.MOUNT, max_body_bytes=limit))

    def lookup(self, path: str, method: str) -> tuple[Handler, str, str] | None:
        """The handler for a request, the method it is registered under, and its path as shown; None without a route.

        Args:
            path: as sent, percent-encoded, without the query.
        """
        found = self.table.match(path, method)
        if found is None:
            return None
        return found.route.handler, "GET" if method == "HEAD" else method, found.route.path

    def match(self, path: str, method: str) -> Match | None:
        """Like `lookup`, with the path parameters and the reason."""
        return self.table.match(path, method)

    def methods_at(self, path: str) -> tuple[str, ...]:
        """The methods that have a route at `path`."""
        return self.table.methods_at(path)

    @property
    def routes(self) -> tuple[Route, ...]:
        """Exact paths by path and method, paths with parameters likewise, prefixes by method and prefix, mounts."""
        return self.table.routes

    def get_routes(self) -> list[tuple[str, str, Handler]]:
        """`(path, method, handler)` of every route; prefixes as `/prefix/*`, mounts with the method `*`."""
        return [(route.path, route.method, route.handler) for route in self.routes]

    @property
    def middleware(self) -> tuple[Middleware, ...]:
        """What `use` was given, the outermost first."""
        return tuple(self._middleware)

    @property
    def pending(self) -> tuple[Place, ...]:
        """Where `route()` was called without a handler and has decorated nothing yet."""
        return tuple(self._pending.values())

    def freeze(self) -> None:
        """Refuse further routes and middleware: from now on, requests are served with these."""
        self._is_frozen = True
        if self._middleware or any(route.middleware for route in self.routes):
            self.table.change(self._layered)

    def __repr__(self) -> str:
        return f"<HttpRouter with {len(self.routes)} routes>"

    def _decorator(self, declared: _Declared) -> Callable[[object], object]:
        token = object()
        self._pending[token] = declared.place

        def decorate(handler: object) -> object:
            self._pending.pop(token, None)
            try:
                self._check_open()
                registered = as_http_action(handler)
                self._check_free(declared.method, declared.path, declared.form)
            except RouteError as error:
                error.place = declared.place
                raise
            self._add(declared, registered)
            return registered

        return decorate

    def _add(self, declared: _Declared, handler: RegisteredFunction[..., Any]) -> None:
        self.table.add(
            Route(
                declared.path,
                declared.method,
                handler,
                declared.place,
                declared.form,
                declared.middleware,
                declared.max_body_bytes,
            )
        )

    def _layered(self, route: Route) -> Route:
        layers = (*self._middleware, *route.middleware)
        if route.form is RouteForm.MOUNT or not layers:
            return route
        return replace(route, layered=layered(cast("RegisteredFunction[..., Any]", route.handler), layers))

    def _check_open(self) -> None:
        if self._is_frozen:
            raise RouteError(
                "RouterFrozen",
                "routes cannot be added while requests are served",
                hint="call route() at the top level of http.py; a save serves the new routes",
            )

    def _check_free(self, method: str, path: str, form: RouteForm) -> None:
        other = self.table.at(method, path, form)
        if other is None:
            return
        prefix = path.removesuffix("*")
        text, hint = {
            RouteForm.PREFIX: (f"{method} path_prefix {prefix} is already defined", "another prefix"),
            RouteForm.MOUNT: (f"mount '{prefix}' is already defined", "another prefix"),
        }.get(form, (f"Path '{path}' for method {method} already in use", "another method"))
        raise RouteError(
            "DuplicateRoute", text, hint=f"remove one of the two routes, or give it {hint}", other=other.place
        )


def http_router(cors: Cors | None = None) -> HttpRouter:
    """A router without routes yet; `http.py` ends with `default = http`."""
    return HttpRouter(cors)


def _checked_path(path: object, prefix: object) -> tuple[str, RouteForm]:
    """The path as shown, and what it makes of the route."""
    if path is not None and prefix is not None:
        raise RouteError(
            "PathAndPrefix",
            "Invalid httpRouter route: cannot contain both 'path' and 'path_prefix'",
            hint="keep `path` for one exact path, or `path_prefix` for everything below it",
        )
    if path is not None:
        checked = checked_text(path, "path")
        check_path(checked)
        return checked, RouteForm.PATTERN if has_parameters(checked) else RouteForm.EXACT
    if prefix is None:
        raise RouteError(
            "NoPath",
            "Invalid httpRouter route entry: must contain either field 'path' or 'path_prefix'",
            hint="write `path='/...'` or `path_prefix='/.../'`",
        )
    checked = checked_text(prefix, "path_prefix")
    check_prefix(checked, "path_prefix")
    return f"{checked}*", RouteForm.PREFIX
