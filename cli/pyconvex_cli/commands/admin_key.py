"""`pyconvex admin-key`: the key that opens this project's deployment to its tools."""

import typer

from pyconvex.errors import PyconvexError
from pyconvex_cli.console import console
from pyconvex_cli.project import find_project, project_settings


def admin_key(ctx: typer.Context) -> None:
    """Print the admin key of this project's deployment."""
    project = find_project()
    settings = project_settings(ctx, project)
    if settings.database.startswith("postgres"):
        from pyconvex_cli.embedded import embedded  # it imports the whole engine

        with embedded(project, settings, load=False) as deployment:
            console.data(deployment.host.admin_key)
        return
    file = project / settings.data / "admin_key"
    try:
        key = file.read_text(encoding="ascii").strip()
    except OSError:
        raise PyconvexError(
            "NoAdminKey",
            "this project has no admin key yet",
            hint="it is made when `pyconvex dev` or `pyconvex start` runs for the first time",
        ) from None
    console.data(key)
