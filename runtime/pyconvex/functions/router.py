"""HTTP routes: which handler answers which path and method (https://docs.convex.dev/functions/http-actions)."""

import difflib
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, Final, overload

from pyconvex.errors import Place, caller_place

from .cors import Cors
from .fetch.request import NO_PARAMS, Request
from .fetch.response import Response
from .function import AsyncFunction, described
from .route import ANY_METHOD, METHODS, AsgiApp, Handler, Match, Pattern, Route, RouteError, RouteForm
from .route_rules import (
    as_http_action,
    check_path,
    check_prefix,
    checked_handler,
    checked_method,
    checked_text,
    has_parameters,
    is_registered,
)


class _Absent(Enum):
    HANDLER = "no handler given"


_NO_HANDLER: Final = _Absent.HANDLER
_EXACT = "the exact path"
_PATTERN = "the path with parameters (no exact path matches)"
_PREFIX = "the longest prefix"
_MOUNT = "the longest mount"


class HttpRouter:
    """The routes of an app; `http.py` makes one with `http_router()` and exports it as `default`.

    An exact path beats one with parameters, parameters beat prefixes and mounts, the longest prefix wins, and a
    prefix beats a mount of the same length. Paths are compared as they were sent: case-sensitive, not decoded.

    Args:
        cors: answers preflights and adds headers for every route.
    """

    def __init__(self, cors: Cors | None = None) -> None:
        self.cors = cors
        self._exact: dict[tuple[str, str], Match] = {}
        self._patterns: dict[str, list[tuple[Pattern, Route]]] = {}
        self._prefixes: dict[str, list[Match]] = {}
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
    ) -> None: ...
    @overload
    def route(
        self, *, method: str, path: str | None = None, path_prefix: str | None = None
    ) -> Callable[[Callable[[Any, Request], Awaitable[Response]]], AsyncFunction[[Request], Response]]: ...
    def route(
        self,
        *,
        method: object = None,
        handler: object = _NO_HANDLER,
        path: object = None,
        path_prefix: object = None,
    ) -> Any:
        """Register a route; without `handler`, return a decorator that registers what it decorates.

        Args:
            path: an exact path, or one with parameters: `/users/{id}`, `/users/{id:int}`, `/files/{rest:path}`.
            path_prefix: what the path begins with; ends with `/`.
            method: GET, POST, PUT, DELETE, OPTIONS or PATCH. HEAD runs GET.
            handler: an HTTP action.

        Raises:
            RouteError: no valid route, or one that is there already; it says which.
        """
        return self._route(caller_place(), method, handler, path, path_prefix)

    def mount(self, prefix: str, app: AsgiApp) -> None:
        """Serve an ASGI application (FastAPI, Starlette, ...) below `prefix`, which ends with `/`.

        Inside it `current_ctx()` is the ActionCtx of the request.

        Raises:
            RouteError: no valid prefix, one that is mounted already, or no ASGI application.
        """
        place = caller_place()
        try:
            self._check_open()
            check_prefix(checked_text(prefix, "prefix"), "prefix")
            self._check_free(ANY_METHOD, None, prefix)
            if is_registered(app) or not callable(app):
                raise RouteError(
                    "NotAnAsgiApp",
                    f"mount('{prefix}', ...) takes an ASGI application, not {described(app)}",
                    hint="for an HTTP action write `http.route(path_prefix=..., method=..., handler=...)`",
                )
        except RouteError as error:
            error.place = place
            raise
        self._add_prefix(Route(f"{prefix}*", ANY_METHOD, app, place, RouteForm.MOUNT))

    def lookup(self, path: str, method: str) -> tuple[Handler, str, str] | None:
        """The handler for a request, the method it is registered under, and its path as shown; None without a route.

        Args:
            path: as sent, percent-encoded, without the query.
        """
        found = self.match(path, method)
        if found is None:
            return None
        route = found.route
        return route.handler, _registered(method) if route.method == ANY_METHOD else route.method, route.path

    def match(self, path: str, method: str) -> Match | None:
        """Like `lookup`, with the path parameters and the reason."""
        method = _registered(method)
        if found := self._exact.get((method, path)):
            return found
        for pattern, route in self._patterns.get(method, ()):
            params = pattern.match(path)
            if params is not None:
                return Match(route, params, _PATTERN)
        return self._longest(path, method)

    def methods_at(self, path: str) -> tuple[str, ...]:
        """The methods that have a route at `path`."""
        return tuple(method for method in METHODS if self.match(path, method) is not None)

    def nearest(self, path: str, method: str) -> Route | None:
        """The route that a request without one may have meant: other method, letter case, slash, or a slip."""
        if methods := self.methods_at(path):
            found = self.match(path, methods[0])
            return None if found is None else found.route
        wanted = _plain(path)
        same_method_first = sorted(self.routes, key=lambda route: route.method != _registered(method))
        for route in same_method_first:
            if _plain(route.path.removesuffix("*")) == wanted:
                return route
        close = difflib.get_close_matches(wanted[:200], [_plain(route.path) for route in same_method_first], 1, 0.6)
        return next((route for route in same_method_first if close and _plain(route.path) == close[0]), None)

    @property
    def routes(self) -> tuple[Route, ...]:
        """Exact paths by path and method, paths with parameters likewise, prefixes by method and prefix, mounts."""
        exact = sorted((match.route for match in self._exact.values()), key=lambda route: (route.path, route.method))
        patterns = sorted(
            (route for group in self._patterns.values() for _, route in group),
            key=lambda route: (route.path, route.method),
        )
        prefixes = sorted(
            (match.route for group in self._prefixes.values() for match in group),
            key=lambda route: (route.form is RouteForm.MOUNT, route.method, route.path),
        )
        return (*exact, *patterns, *prefixes)

    def get_routes(self) -> list[tuple[str, str, Handler]]:
        """`(path, method, handler)` of every route; prefixes as `/prefix/*`, mounts with the method `*`."""
        return [(route.path, route.method, route.handler) for route in self.routes]

    @property
    def pending(self) -> tuple[Place, ...]:
        """Where `route()` was called without a handler and has decorated nothing yet."""
        return tuple(self._pending.values())

    def freeze(self) -> None:
        """Refuse further routes: from now on, requests are served with these."""
        self._is_frozen = True

    def __repr__(self) -> str:
        return f"<HttpRouter with {len(self.routes)} routes>"

    def _route(self, place: Place, method: object, handler: object, path: object, path_prefix: object) -> Any:
        try:
            self._check_open()
            if handler is None:
                raise RouteError(
                    "RouteWithoutHandler",
                    "route requires handler",
                    hint="pass an HTTP action as handler=, or leave handler out to decorate a function",
                )
            checked = checked_method(method)
            exact, prefix = self._checked_path(checked, path, path_prefix)
            if handler is not _NO_HANDLER:
                self._add(checked, exact, prefix, checked_handler(handler), place)
                return None
        except RouteError as error:
            error.place = error.place or place
            raise
        return self._decorator(checked, exact, prefix, place)

    def _decorator(self, method: str, path: str | None, prefix: str | None, place: Place) -> Callable[[object], object]:
        token = object()
        self._pending[token] = place

        def decorate(handler: object) -> object:
            self._pending.pop(token, None)
            try:
                self._check_open()
                registered = as_http_action(handler)
                self._check_free(method, path, prefix)
                self._add(method, path, prefix, registered, place)
            except RouteError as error:
                error.place = place
                raise
            return registered

        return decorate

    def _check_open(self) -> None:
        if self._is_frozen:
            raise RouteError(
                "RouterFrozen",
                "routes cannot be added while requests are served",
                hint="call route() at the top level of http.py; a save serves the new routes",
            )

    def _checked_path(self, method: str, path: object, prefix: object) -> tuple[str | None, str | None]:
        if path is not None and prefix is not None:
            raise RouteError(
                "PathAndPrefix",
                "Invalid httpRouter route: cannot contain both 'path' and 'path_prefix'",
                hint="keep `path` for one exact path, or `path_prefix` for everything below it",
            )
        if path is not None:
            checked = checked_text(path, "path")
            check_path(checked)
        elif prefix is not None:
            checked = checked_text(prefix, "path_prefix")
            check_prefix(checked, "path_prefix")
        else:
            raise RouteError(
                "NoPath",
                "Invalid httpRouter route entry: must contain either field 'path' or 'path_prefix'",
                hint="write `path='/...'` or `path_prefix='/.../'`",
            )
        exact, below = (checked, None) if path is not None else (None, checked)
        self._check_free(method, exact, below)
        return exact, below

    def _check_free(self, method: str, path: str | None, prefix: str | None) -> None:
        if path is not None and (other := self._at_path(method, path)):
            raise RouteError(
                "DuplicateRoute",
                f"Path '{path}' for method {method} already in use",
                hint="remove one of the two routes, or give it another method",
                other=other.place,
            )
        if prefix is not None and (other := self._at_prefix(method, prefix)):
            text = f"mount '{prefix}'" if method == ANY_METHOD else f"{method} path_prefix {prefix}"
            raise RouteError(
                "DuplicateRoute",
                f"{text} is already defined",
                hint="remove one of the two routes, or give it another prefix",
                other=other.place,
            )

    def _at_path(self, method: str, path: str) -> Route | None:
        if not has_parameters(path):
            found = self._exact.get((method, path))
            return None if found is None else found.route
        shape = Pattern(path).shape
        return next((route for pattern, route in self._patterns.get(method, ()) if pattern.shape == shape), None)

    def _at_prefix(self, method: str, prefix: str) -> Route | None:
        group = self._prefixes.get(method, ())
        return next((match.route for match in group if match.route.prefix == prefix), None)

    def _add(self, method: str, path: str | None, prefix: str | None, handler: Handler, place: Place) -> None:
        if path is None:
            self._add_prefix(Route(f"{prefix}*", method, handler, place, RouteForm.PREFIX))
        elif has_parameters(path):
            group = self._patterns.setdefault(method, [])
            group.append((Pattern(path), Route(path, method, handler, place, RouteForm.PATTERN)))
            group.sort(key=lambda entry: entry[0].rank)
        else:
            route = Route(path, method, handler, place, RouteForm.EXACT)
            self._exact[method, path] = Match(route, NO_PARAMS, _EXACT)

    def _add_prefix(self, route: Route) -> None:
        group = self._prefixes.setdefault(route.method, [])
        group.append(Match(route, NO_PARAMS, _MOUNT if route.form is RouteForm.MOUNT else _PREFIX))
        group.sort(key=lambda match: -len(match.route.path))

    def _longest(self, path: str, method: str) -> Match | None:
        prefix = next((match for match in self._prefixes.get(method, ()) if path.startswith(match.route.prefix)), None)
        mount = next(
            (match for match in self._prefixes.get(ANY_METHOD, ()) if path.startswith(match.route.prefix)), None
        )
        if prefix is None or mount is None:
            return prefix or mount
        return mount if len(mount.route.path) > len(prefix.route.path) else prefix


def http_router(cors: Cors | None = None) -> HttpRouter:
    """A router without routes yet; `http.py` ends with `default = http`."""
    return HttpRouter(cors)


def _registered(method: str) -> str:
    return "GET" if method == "HEAD" else method


def _plain(path: str) -> str:
    return path.lower().rstrip("/")
