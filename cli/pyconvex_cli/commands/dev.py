"""`pyconvex dev`: the flags; what they do is in `pyconvex_cli.dev`."""

import os
import sys
import time
from typing import Annotated, NoReturn

import typer

from pyconvex_cli import flags
from pyconvex_cli.console import Console
from pyconvex_cli.project import find_project, project_settings
from pyconvex_cli.usage import WrongUsage

BEGAN = time.perf_counter()


def dev(
    ctx: typer.Context,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", envvar="PYCONVEX_HOST", help="Address to listen on. [127.0.0.1]")
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(
            metavar="PORT", envvar="PYCONVEX_PORT", help="Port of the client API. [3210, else the next free one]"
        ),
    ] = None,
    site_port: Annotated[
        str | None,
        typer.Option(
            metavar="PORT", envvar="PYCONVEX_SITE_PORT", help="Port of HTTP actions. [3211, else the next free one]"
        ),
    ] = None,
    database: flags.Database = None,
    storage: flags.Storage = None,
    trusted_proxy: flags.TrustedProxies = None,
    allowed_host: flags.AllowedHosts = None,
    limit: flags.Limits = None,
    once: Annotated[bool, typer.Option("--once", help="Load once, write what is generated, and stop.")] = False,
    until_success: Annotated[
        bool, typer.Option("--until-success", help="Stop after the first version that loads.")
    ] = False,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND", help="Run a command beside it once all is ready, such as 'npm run dev'; ends with it."
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option(metavar="FN", help="Call a function once all is ready, for example to seed data.")
    ] = None,
    tail_logs: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            envvar="PYCONVEX_TAIL_LOGS",
            help="Show log rows: always, pause-on-deploy or disable. [pause-on-deploy]",
        ),
    ] = None,
    no_codegen: Annotated[bool, typer.Option("--no-codegen", help="Leave convex/_generated alone.")] = False,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="Keep all data in memory; nothing is left behind.")
    ] = False,
    json: flags.Json = False,
    verbose: flags.Verbose = False,
) -> None:
    """Serve the project, and swap in new code at every save."""
    # read through the context, with the environment and pyproject.toml
    del host, port, site_port, database, storage, trusted_proxy, allowed_host, limit, tail_logs
    if once and until_success:
        raise WrongUsage("--once and --until-success exclude each other")
    if start is not None and (once or until_success):
        raise WrongUsage("--start needs a server that stays, which --once and --until-success do not leave")
    project = find_project()
    settings = project_settings(ctx, project)

    from pyconvex.host import run as run_loop
    from pyconvex_cli.dev import RESTART, DevOptions, develop

    options = DevOptions(
        once=once,
        until_success=until_success,
        start=start,
        run=run,
        codegen=not no_codegen,
        ephemeral=ephemeral,
        json=json,
        verbose=verbose,
    )
    # the streams as they are now: while functions run, `sys.stdout` catches what they print
    own = Console(sys.stdout, sys.stderr)
    code = run_loop(develop(project, settings, options, own, BEGAN), stuck=_leave_at_once)
    if code == RESTART:
        _begin_anew()
    raise typer.Exit(code)


def _leave_at_once(code: int) -> NoReturn:
    """Everything is closed; functions that do not end go with the process."""
    from pyconvex_cli.dev import RESTART

    if code == RESTART:
        _begin_anew()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _begin_anew() -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, sys.orig_argv)
