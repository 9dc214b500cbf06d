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
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        envvar="PYCONVEX_STORAGE",
        help="Keep stored files there: FOLDER or s3://BUCKET/PREFIX?endpoint=URL. [.pyconvex/files]",
    ),
]
TrustedProxies = Annotated[
    list[str] | None,
    typer.Option(
        "--trusted-proxy",
        metavar="NETWORK",
        envvar="PYCONVEX_TRUSTED_PROXIES",
        help="Believe the X-Forwarded headers of a proxy there, for example 10.0.0.0/8; repeatable. [none]",
    ),
]
AllowedHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allowed-host",
        metavar="NAME",
        envvar="PYCONVEX_ALLOWED_HOSTS",
        help="Serve only requests for this host, for example *.example.com; repeatable. [any]",
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
