"""`pyconvex routes --match "POST /x"`: which route gets a request, and why, or which one it may have meant."""

import json as json_text
from typing import TYPE_CHECKING

from pyconvex_cli.console import Console
from pyconvex_cli.usage import WrongUsage

if TYPE_CHECKING:
    from pyconvex.functions.routing.route import Match
    from pyconvex.loading.registry import Registry


def parsed_request(text: str) -> tuple[str, str, str]:
    """Method, path and query of `POST /x?y=1`; GET for a path alone. Raises `WrongUsage`."""
    from pyconvex.functions.fetch.url import URL, pathname
    from pyconvex.functions.routing.route import METHODS

    method, _, path = text.strip().rpartition(" ")
    method = method.strip().upper() or "GET"
    path, _, query = path.partition("#")[0].partition("?")
    if method not in (*METHODS, "HEAD") or not path.startswith("/"):
        raise WrongUsage(f'{text!r} is not a request such as "POST /sendImage"')
    return method, pathname(path), URL(f"http://host/?{query}").search.removeprefix("?")


def report_match(console: Console, registry: "Registry", request: str, *, json: bool) -> int:
    """Say which route of `registry` gets `request`; answers with the exit code."""
    method, path, _ = parsed_request(request)
    router = registry.router
    found = router.match(path, method) if router else None
    if found is None:
        return _report_miss(console, registry, method, path, json=json)
    console.data(_match_json(registry, found) if json else _match_lines(console, registry, found))
    return 0


def _report_miss(console: Console, registry: "Registry", method: str, path: str, *, json: bool) -> int:
    from pyconvex.functions.routing.misses import explain_miss
    from pyconvex.loading.registry import route_place

    miss = explain_miss(registry.router.table, path, method) if registry.router else None
    if json:
        console.data("null")
    elif miss is None:
        console.error(f"no route for {method} {path}")
    else:
        place = str(route_place(registry, miss.nearest))
        console.error(f"no route for {method} {path}; the nearest is {miss.text(place)}")
    return 1


def _match_json(registry: "Registry", found: "Match") -> str:
    from pyconvex.loading.registry import handler_name, route_place

    route = found.route
    return json_text.dumps(
        {
            "method": route.method,
            "path": route.path,
            "handler": handler_name(registry, route),
            "place": str(route_place(registry, route)),
            "form": route.form,
            "pathParams": dict(found.path_params),
            "why": found.why,
        }
    )


def _match_lines(console: Console, registry: "Registry", found: "Match") -> list[str]:
    from pyconvex.loading.registry import handler_name, route_place

    paint = console.out.paint
    return [
        f"{paint('name', str(found.route))} → {handler_name(registry, found.route)}",
        f"   {paint('link', str(route_place(registry, found.route)))}",
        f"   {paint('muted', 'why')} {found.why}",
        *(f"   {name} = {value!r}" for name, value in found.path_params.items()),
    ]
