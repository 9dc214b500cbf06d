"""Which route answers a request. An exact path beats one with parameters, those beat prefixes and mounts.

Built once for each version of the app; a look-up does not get slower with the number of routes.
"""

from collections.abc import Callable, Iterator

from msgspec import Struct

from pyconvex.functions.fetch.request import NO_PARAMS

from .pattern import Pattern
from .route import ANY_METHOD, METHODS, Match, Route, RouteForm

_EXACT = "the exact path"
_PATTERN = "the path with parameters (no exact path matches)"
_PREFIX = "the longest prefix"
_MOUNT = "the longest mount"

_Patterns = list[tuple[Pattern, Route]]


class _Method(Struct):
    """The routes of one method that are not exact.

    `patterns` go by what stands before their first parameter's segment, as far as that is one segment; those that
    begin with a parameter are under None. `lengths` are the lengths of the prefixes, the longest first.
    """

    patterns: dict[str | None, _Patterns] = {}
    prefixes: dict[str, Match] = {}
    lengths: list[int] = []


class RouteTable:
    """The routes of a router, arranged for look-ups."""

    def __init__(self) -> None:
        self._exact: dict[tuple[str, str], Match] = {}
        self._methods: dict[str, _Method] = {method: _Method() for method in METHODS}
        self._mounts: dict[str, Route] = {}

    def match(self, path: str, method: str) -> Match | None:
        """The route that wins, what its parameters are, and why; None without any.

        Args:
            path: as sent, percent-encoded, without the query.
        """
        if method == "HEAD":
            method = "GET"
        if found := self._exact.get((method, path)):
            return found
        routes = self._methods.get(method)
        if routes is None:
            return None
        if routes.patterns and (found := _among(routes.patterns, path)):
            return found
        for length in routes.lengths:
            if found := routes.prefixes.get(path[:length]):
                return found
        return None

    def methods_at(self, path: str) -> tuple[str, ...]:
        """The methods that have a route at `path`."""
        return tuple(method for method in METHODS if self.match(path, method) is not None)

    def add(self, route: Route) -> None:
        """Take a route in; no route of its method has the same path (`at`)."""
        match route.form:
            case RouteForm.EXACT:
                self._exact[route.method, route.path] = Match(route, NO_PARAMS, _EXACT)
            case RouteForm.PATTERN:
                pattern = Pattern(route.path)
                group = self._methods[route.method].patterns.setdefault(_first_segment(route.path), [])
                group.append((pattern, route))
                group.sort(key=lambda entry: entry[0].rank)
            case RouteForm.PREFIX:
                self._add_below(route.method, Match(route, NO_PARAMS, _PREFIX))
            case RouteForm.MOUNT:
                self._mounts[route.prefix] = route
                for method in METHODS:
                    self._add_below(method, Match(route, NO_PARAMS, _MOUNT))

    def at(self, method: str, path: str, form: RouteForm) -> Route | None:
        """The route of `method` that matches the same requests as a path or prefix (as shown) of this form."""
        match form:
            case RouteForm.EXACT:
                found = self._exact.get((method, path))
            case RouteForm.PATTERN:
                shape = Pattern(path).shape
                group = self._methods[method].patterns.get(_first_segment(path), ())
                return next((route for pattern, route in group if pattern.shape == shape), None)
            case RouteForm.PREFIX:
                found = self._methods[method].prefixes.get(path[:-1])
            case RouteForm.MOUNT:
                return self._mounts.get(path[:-1])
        return found.route if found is not None and found.route.form is form else None

    def change(self, changed: Callable[[Route], Route]) -> None:
        """Replace every route by what `changed` makes of it: the same path, method and form."""
        routes = self.routes
        self.__init__()
        for route in routes:
            self.add(changed(route))

    @property
    def routes(self) -> tuple[Route, ...]:
        """Exact paths by path and method, paths with parameters likewise, prefixes by method and prefix, mounts."""
        exact = sorted((match.route for match in self._exact.values()), key=_by_path)
        patterns = sorted((route for _, route in self.patterns), key=_by_path)
        below = (match.route for routes in self._methods.values() for match in routes.prefixes.values())
        prefixes = sorted(
            (route for route in below if route.form is RouteForm.PREFIX), key=lambda route: (route.method, route.path)
        )
        mounts = sorted(self._mounts.values(), key=_by_path)
        return (*exact, *patterns, *prefixes, *mounts)

    @property
    def patterns(self) -> Iterator[tuple[Pattern, Route]]:
        """The paths with parameters."""
        for routes in self._methods.values():
            for group in routes.patterns.values():
                yield from group

    def _add_below(self, method: str, match: Match) -> None:
        """A prefix beats a mount of the same length, whichever comes first."""
        routes = self._methods[method]
        prefix = match.route.prefix
        if match.route.method == ANY_METHOD and prefix in routes.prefixes:
            return
        routes.prefixes[prefix] = match
        routes.lengths = sorted({len(each) for each in routes.prefixes}, reverse=True)


def _among(patterns: dict[str | None, _Patterns], path: str) -> Match | None:
    """A literal first segment is more specific than a parameter, so its patterns are tried first."""
    end = path.find("/", 1)
    for group in (patterns.get(path if end < 0 else path[:end]), patterns.get(None)):
        for pattern, route in group or ():
            params = pattern.match(path)
            if params is not None:
                return Match(route, params, _PATTERN)
    return None


def _first_segment(path: str) -> str | None:
    """`/users` of `/users/{id}`; None when the first segment has a parameter."""
    end = path.find("/", 1)
    segment = path if end < 0 else path[:end]
    return None if "{" in segment else segment


def _by_path(route: Route) -> tuple[str, str]:
    return route.path, route.method
