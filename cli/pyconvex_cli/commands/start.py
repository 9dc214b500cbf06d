"""`pyconvex start`: the flags; what it does is in `pyconvex_cli.production` and `pyconvex_cli.workers`."""

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from pyconvex.errors import PyconvexError
from pyconvex.settings import Settings
from pyconvex_cli import flags
from pyconvex_cli.project import find_project, project_settings
from pyconvex_cli.usage import WrongUsage

if TYPE_CHECKING:
    from pyconvex_cli.json_lines import JsonLines

BEGAN = time.perf_counter()


def start(
    ctx: typer.Context,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", envvar="PYCONVEX_HOST", help="Address to listen on; 0.0.0.0 is all of them. [127.0.0.1]"
        ),
    ] = None,
    port: Annotated[
        str | None, typer.Option(metavar="PORT", envvar="PYCONVEX_PORT", help="Port of the client API. [3210]")
    ] = None,
    site_port: Annotated[
        str | None,
        typer.Option(
            metavar="PORT", envvar="PYCONVEX_SITE_PORT", help="Port of HTTP actions. [3211, or the one after --port]"
        ),
    ] = None,
    database: flags.Database = None,
    storage: flags.Storage = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", envvar="PYCONVEX_DATA", help="Folder of what is kept here. [.pyconvex]"),
    ] = None,
    cloud_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="PYCONVEX_CLOUD_URL",
            help="Where clients reach the client API, behind a load balancer for example. [host and port]",
        ),
    ] = None,
    site_url: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar="PYCONVEX_SITE_URL", help="Where they reach HTTP actions. [host and port]"),
    ] = None,
    trusted_proxy: flags.TrustedProxies = None,
    allowed_host: flags.AllowedHosts = None,
    workers: Annotated[
        str | None,
        typer.Option(metavar="N", envvar="PYCONVEX_WORKERS", help="Processes to serve with, on PostgreSQL. [1]"),
    ] = None,
    drain_seconds: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS",
            envvar="PYCONVEX_DRAIN_SECONDS",
            help="After SIGTERM, go on serving for so long while /health says 503. [0]",
        ),
    ] = None,
    shutdown_seconds: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS",
            envvar="PYCONVEX_SHUTDOWN_SECONDS",
            help="At the end, let requests and jobs in progress take so long. [10]",
        ),
    ] = None,
    limit: flags.Limits = None,
    verbose: flags.Verbose = False,
) -> None:
    """Serve the project in production: no watching, errors redacted, logs as JSON on standard output."""
    # all of these are read through the context, with the environment and pyproject.toml
    del host, port, site_port, database, storage, data, cloud_url, site_url, workers, drain_seconds, shutdown_seconds
    del limit, trusted_proxy, allowed_host, verbose
    project = find_project()
    settings = project_settings(ctx, project)
    if settings.workers > 1:
        _check_workers(settings)

    from pyconvex_cli.events import Events
    from pyconvex_cli.inherited import Inherited
    from pyconvex_cli.json_lines import JsonLines, take_stdout
    from pyconvex_cli.production import serve
    from pyconvex_cli.workers import serve_with_workers

    inherited, lines = Inherited.take(), JsonLines(take_stdout())
    events = Events(lines, None if inherited is None else inherited.number)
    try:
        if inherited is None and settings.workers > 1:
            code = serve_with_workers(project, settings, events)
        else:
            code = serve(project, settings, events, inherited, BEGAN, stuck=lambda code: _leave_at_once(code, lines))
    except PyconvexError as error:
        events.failed(error)
        raise
    finally:
        lines.close()
    raise typer.Exit(code)


def _check_workers(settings: Settings) -> None:
    from pyconvex.host.database import is_shared

    given = f"{settings.origin('workers')} is {settings.workers}"
    if not is_shared(settings.database):
        raise WrongUsage(
            f"{given}, but only one process can serve a SQLite database",
            hint="keep the documents in PostgreSQL: --database postgresql://USER:PASSWORD@HOST/DATABASE",
        )
    if sys.platform == "win32":
        raise WrongUsage(f"{given}, but Windows cannot share a listening socket", hint="start several servers instead")


def _leave_at_once(code: int, lines: "JsonLines") -> NoReturn:
    """Everything is closed; functions that do not end go with the process."""
    lines.close()
    os._exit(code)
