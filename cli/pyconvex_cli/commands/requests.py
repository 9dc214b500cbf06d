"""`pyconvex requests`: what came in."""

import json as json_text
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyconvex_cli import flags
from pyconvex_cli.console import console
from pyconvex_cli.deployment import reach

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_COUNT = 20


def requests(
    ctx: typer.Context,
    id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="Show this one whole; the beginning of an id is enough, or `last`."),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", "-n", metavar="COUNT", min=1, help="Show this many of the newest.")
    ] = DEFAULT_COUNT,
    path: Annotated[
        str | None, typer.Option(metavar="PATH", help="Only requests for this path; a part of it is enough.")
    ] = None,
    method: Annotated[str | None, typer.Option(metavar="METHOD", help="Only this method.")] = None,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="Only answers such as 404 or 5xx; several with commas.")
    ] = None,
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets", help="With ID, show headers and fields that hold secrets too.")
    ] = False,
    json: flags.Json = False,
    url: flags.Url = None,
    admin_key: flags.AdminKey = None,
) -> None:
    """Show the last requests to HTTP actions, which `dev` keeps, or one of them whole. `replay` sends one again."""
    from pyconvex_cli.request_view import matcher

    wanted = matcher(path=path, method=method, status=status)
    with reach(ctx, url, admin_key) as deployment:
        if id is not None:
            query = {"secrets": "true"} if show_secrets else {}
            _show_one(deployment.get("/api/pyconvex/request", id=id, **query), json=json)
            return
        kept = deployment.get("/api/pyconvex/requests")["requests"]
    _show_list([each for each in kept if wanted(each)][-count:], json=json, any_kept=bool(kept))


def _show_list(found: "Sequence[dict[str, Any]]", *, json: bool, any_kept: bool) -> None:
    if json:
        console.data(json_text.dumps(found, indent=2))
    elif found:
        from pyconvex_cli.request_view import request_table

        console.data(request_table(found, console.out))
    elif any_kept:
        console.say("no request that is kept matches")
    else:
        console.say("no requests yet: `pyconvex dev` keeps those to HTTP actions")


def _show_one(request: dict[str, Any], *, json: bool) -> None:
    from pyconvex_cli.request_view import request_lines, with_body_text

    if json:
        console.data(json_text.dumps(with_body_text(request), indent=2, ensure_ascii=False))
    else:
        console.data(request_lines(request, console.out))
