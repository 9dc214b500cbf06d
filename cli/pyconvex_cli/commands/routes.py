"""`pyconvex routes`: which request reaches what."""

import json as json_text
import shlex
from collections.abc import Sequence
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

_WITH_BODY = ("POST", "PUT", "PATCH")


def routes(
    ctx: typer.Context,
    request: Annotated[
        str | None, typer.Argument(metavar="[REQUEST]", help='The request that --cors is about, such as "POST /x".')
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Look for routes that never match or that browsers cannot call.")
    ] = False,
    match: Annotated[
        str | None, typer.Option(metavar="REQUEST", help='Say which route gets a request such as "POST /x", and why.')
    ] = None,
    cors: Annotated[
        str | None,
        typer.Option(metavar="ORIGIN", help="Say what a browser does with REQUEST from a page of this origin."),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[:VALUE]", help="A header that the page sets, for --cors; repeatable."),
    ] = None,
    credentials: Annotated[
        bool, typer.Option("--credentials", help="The page sends cookies too, for --cors (credentials: include).")
    ] = False,
    send: Annotated[
        bool, typer.Option("--send", help="With --cors, send the request itself even if it may change something.")
    ] = False,
    curl: Annotated[bool, typer.Option("--curl", help="Print a curl command for each route.")] = False,
    json: flags.Json = False,
    url: flags.Url = None,
    admin_key: flags.AdminKey = None,
) -> None:
    """Show the HTTP routes: path, method, handler, place. Works with and without a running server."""
    _check_usage(request, cors, is_local=check or match is not None, url=url)
    if cors is not None and request is not None:
        raise typer.Exit(_cors(ctx, cors, request, header or (), credentials, send, json, url, admin_key))
    if check or match is not None:
        project = find_project()
        from pyconvex_cli.local import load_folder

        loaded = load_folder(ctx, project, project_settings(ctx, project))
        raise typer.Exit(_check(loaded, json) if match is None else _match(loaded, match, json))
    _list(ctx, url, admin_key, curl=curl, json=json)


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


def _check_usage(request: str | None, cors: str | None, *, is_local: bool, url: str | None) -> None:
    if is_local and url is not None:
        raise WrongUsage("--check and --match read the project's files, so they do not go with --url")
    if (request is None) != (cors is None):
        raise WrongUsage(
            'a request is asked about with --match "POST /x", or with --cors ORIGIN "POST /x"'
            if cors is None
            else "--cors needs a request",
            hint='write `pyconvex routes --cors https://my.site "POST /sendImage"`',
        )


def _list(ctx: typer.Context, url: str | None, admin_key: str | None, *, curl: bool, json: bool) -> None:
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


def _match(loaded: "Loaded", request: str, json: bool) -> int:
    from pyconvex_cli.route_match import report_match

    return report_match(console, loaded.registry, request, json=json)


def _cors(
    ctx: typer.Context,
    origin: str,
    request: str,
    headers: Sequence[str],
    credentials: bool,
    send: bool,
    json: bool,
    url: str | None,
    admin_key: str | None,
) -> int:
    from pyconvex_cli.cors_question import examine, page_request
    from pyconvex_cli.cors_report import cors_json, cors_lines
    from pyconvex_cli.route_match import parsed_request
    from pyconvex_cli.site import site_of

    method, path, query = parsed_request(request)
    page = page_request(origin, method, headers, credentials=credentials)
    with site_of(ctx, url, admin_key) as site:
        found = examine(site, page, path, query, send=send)
    console.data(json_text.dumps(cors_json(found), indent=2) if json else cors_lines(found, console.out))
    return 1 if found.allowed is False else 0
