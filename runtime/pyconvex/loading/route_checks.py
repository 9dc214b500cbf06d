"""What is legal in a router but hardly meant: routes that never match, routes that browsers cannot call."""

from collections.abc import Iterator

from pyconvex.errors import Problem
from pyconvex.functions.routing.route import METHODS, Route, RouteForm
from pyconvex.functions.routing.router import HttpRouter
from pyconvex.loading.cors_mentions import sends_cors_headers
from pyconvex.loading.registry import Registry, route_place

_PREFLIGHTED = ("POST", "PUT", "DELETE", "PATCH")
_SEGMENT = "~"
"""A path segment that no sensible route names."""


def check_routes(registry: Registry) -> list[Problem]:
    """Warnings for `pyconvex routes --check`.

    - A route that never matches, because others win every path that it could match.
    - A POST, PUT, PATCH or DELETE route that sends CORS headers, so is meant for browsers, but whose preflight
      nobody answers: no OPTIONS route at its path, and no `cors=` on the router.
    """
    router = registry.router
    if router is None:
        return []
    return [*_shadowed(registry, router), *_without_preflight(registry, router)]


def _shadowed(registry: Registry, router: HttpRouter) -> Iterator[Problem]:
    for route in router.routes:
        winners = [router.match(path, method) for path, method in _witnesses(route)]
        if any(match is not None and match.route is route for match in winners):
            continue
        others = list(dict.fromkeys(str(match.route) for match in winners if match is not None))
        places = dict.fromkeys(route_place(registry, match.route) for match in winners if match is not None)
        yield Problem(
            "RouteNeverMatches",
            f"{route} never matches: {' and '.join(others)} {'wins' if len(others) == 1 else 'win'} every path of it",
            place=route_place(registry, route),
            hint="remove it, or narrow the others",
            also=tuple(places),
        )


def _witnesses(route: Route) -> Iterator[tuple[str, str]]:
    """Paths and methods that this route would win if nothing beat it."""
    methods = METHODS if route.form is RouteForm.MOUNT else (route.method,)
    for method in methods:
        match route.form:
            case RouteForm.EXACT:
                yield route.path, method
            case RouteForm.PATTERN:
                for segment, number, rest in ((_SEGMENT, "7", f"{_SEGMENT}/{_SEGMENT}"), ("7", "7", _SEGMENT)):
                    yield _filled(route.path, segment, number, rest), method
            case RouteForm.PREFIX | RouteForm.MOUNT:
                for rest in ("", _SEGMENT, f"{_SEGMENT}/", f"{_SEGMENT}/{_SEGMENT}", "7", f"7/{_SEGMENT}"):
                    yield route.prefix + rest, method


def _filled(path: str, segment: str, number: str, rest: str) -> str:
    """A path of a pattern: `/users/{id:int}` filled with a number."""
    parts: list[str] = []
    for part in path.split("{"):
        parameter, brace, after = part.partition("}")
        if not brace:
            parts.append(part)
            continue
        converter = parameter.partition(":")[2]
        parts.append({"int": number, "path": rest}.get(converter, segment) + after)
    return "".join(parts)


def _without_preflight(registry: Registry, router: HttpRouter) -> Iterator[Problem]:
    if router.cors is not None:
        return
    for route in router.routes:
        if route.method not in _PREFLIGHTED or not sends_cors_headers(route, router.middleware):
            continue
        path = next(_witnesses(route))[0]
        if router.match(path, "OPTIONS") is None:
            yield Problem(
                "NoPreflight",
                f"browsers of other sites cannot call {route}: nothing answers their preflight (OPTIONS)",
                place=route_place(registry, route),
                hint='write `http_router(cors=Cors(origins=["https://my.site"]))`, or add an OPTIONS route',
            )
