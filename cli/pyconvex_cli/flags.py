"""Flags that several commands share, so that they read alike everywhere."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show whole tracebacks and every detail.")]
Limits = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="NAME=VALUE",
        envvar="PYCONVEX_LIMITS",
        help="Set a limit, for example action_seconds=20; repeatable. `pyconvex limits` lists them.",
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        envvar="PYCONVEX_DATABASE",
        help="Keep documents there: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE. [SQLite in .pyconvex]",
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        envvar="CONVEX_SELF_HOSTED_URL",
        help="Talk to the deployment at this address instead of this project's own.",
    ),
]
AdminKey = Annotated[
    str | None,
    typer.Option(
        "--admin-key", metavar="KEY", envvar="CONVEX_SELF_HOSTED_ADMIN_KEY", help="The admin key that goes with --url."
    ),
]
