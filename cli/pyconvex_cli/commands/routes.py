"""`pyconvex routes`: which request reaches what."""

import json as json_text
import shlex
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from pyconvex_cli import flags
from pyconvex_cli.console import console
from pyconvex_cli.deployed import deployed
from pyconvex_cli.inventory import RouteInfo
from pyconvex_cli.project import find_project, project_settings
from pyconvex_cli.usage import WrongUsage

if TYPE_CHECKING:
    from pyconvex.loading.loader import Loaded
    from pyconvex.loading.registry import Registry

_WITH_BODY = ("POST", "PUT", "PATCH")


def routes(
    ctx: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Look for routes that never match or that browsers cannot call.")
    ] = False,
    match: Annotated[
        str | None, typer.Option(metavar="REQUEST", help='Say which route gets a request such as "POST /x", and why.')
    ] = None,
    curl: Annotated[bool, typer.Option("--curl", help="Print a curl command for each route.")] = False,
    json: flags.Json = False,
    url: flags.Url = None,
    admin_key: flags.AdminKey = None,
) -> None:
    """Show the HTTP routes: path, method, handler, place. Works with and without a running server."""
    if check or match is not None:
        if url is not None:
            raise WrongUsage("--check and --match read the project's files, so they do not go with --url")
        project = find_project()
        from pyconvex_cli.local import load_folder

        loaded = load_folder(ctx, project, project_settings(ctx, project))
        raise typer.Exit(_check(loaded, json) if match is None else _match(loaded.registry, match, json))
    inventory, addresses = deployed(ctx, url, admin_key)
    if json:
        console.data(json_text.dumps([_json(each) for each in inventory.routes], indent=2))
    elif not inventory.routes:
        console.say("0 routes: convex/http.py says which paths reach which HTTP actions")
    elif curl:
        site = addresses[1] if addresses else "http://127.0.0.1:3211"
        console.data(curl_command(each, site) for each in inventory.routes)
    else:
        from pyconvex_cli.tables import route_table

        console.data(route_table(inventory.routes, console.out))


def curl_command(route: RouteInfo, site: str) -> str:
    """A command to try the route with; what has to be filled in is in capitals."""
    path = route.path.replace("*", "REST") if route.path.endswith("/*") else route.path
    path = path.replace("{", "").replace("}", "").replace(":int", "").replace(":path", "")
    parts = ["curl"]
    if route.method not in ("GET", "*"):
        parts += ["-X", route.method]
    if route.method in _WITH_BODY:
        parts += ["-d", "{}"]
    return shlex.join([*parts, site.rstrip("/") + path])


def _json(route: RouteInfo) -> dict[str, str]:
    return {
        "method": route.method,
        "path": route.path,
        "handler": route.handler,
        "place": route.place,
        "form": route.form,
    }


def _check(loaded: "Loaded", json: bool) -> int:
    from pyconvex.loading.excerpt import excerpt
    from pyconvex.loading.route_checks import check_routes
    from pyconvex_cli.problems import problem_lines
    from pyconvex_cli.wording import counted

    registry = loaded.registry
    warnings = [*loaded.warnings, *check_routes(registry)]
    if json:
        from pyconvex_cli.json_screen import problem_json

        console.data(json_text.dumps([problem_json(each) for each in warnings], indent=2))
        return 1 if warnings else 0
    if warnings:
        console.say(problem_lines(warnings, partial(excerpt, registry.sources), console.err, warning=True))
        return 1
    console.done(
        f"{counted(len(registry.router.routes) if registry.router else 0, 'route')}, nothing to complain about"
    )
    return 0


def _match(registry: "Registry", request: str, json: bool) -> int:
    from pyconvex.functions.route import METHODS
    from pyconvex.loading.registry import handler_name, route_place

    method, _, path = request.strip().rpartition(" ")
    method, path = method.strip().upper() or "GET", path.partition("?")[0]
    if method not in (*METHODS, "HEAD") or not path.startswith("/"):
        raise WrongUsage(f'{request!r} is not a request such as "POST /sendImage"')
    router = registry.router
    found = router.match(path, method) if router else None
    if found is None:
        nearest = router.nearest(path, method) if router else None
        near = f"; the nearest is {nearest} ({route_place(registry, nearest)})" if nearest else ""
        console.data("null") if json else console.error(f"no route for {method} {path}{near}")
        return 1
    handler, place = handler_name(registry, found.route), str(route_place(registry, found.route))
    if json:
        params = dict(found.path_params)
        route = {"method": found.route.method, "path": found.route.path, "handler": handler, "place": place}
        console.data(json_text.dumps({**route, "form": found.route.form, "pathParams": params, "why": found.why}))
        return 0
    paint = console.out.paint
    lines = [
        f"{paint('name', str(found.route))} → {handler}",
        f"   {paint('link', place)}",
        f"   {paint('muted', 'why')} {found.why}",
    ]
    lines += [f"   {name} = {value!r}" for name, value in found.path_params.items()]
    console.data(lines)
    return 0
