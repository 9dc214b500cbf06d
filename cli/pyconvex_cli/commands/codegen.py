"""`pyconvex codegen`: `convex/_generated`, without a deployment."""

from typing import Annotated

import typer

from pyconvex_cli import flags
from pyconvex_cli.console import console
from pyconvex_cli.project import find_project, project_settings
from pyconvex_cli.wording import counted


def codegen(
    ctx: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 when something is out of date.")
    ] = False,
    limit: flags.Limits = None,
) -> None:
    """Write convex/_generated, the types for editors."""
    del limit
    project = find_project()
    settings = project_settings(ctx, project)

    from pyconvex_cli.generated import outdated, write_generated
    from pyconvex_cli.local import load_folder

    functions = project / settings.functions
    files = load_folder(ctx, project, settings).generated
    changed = outdated(functions, files) if check else write_generated(functions, files)
    shown = f"{settings.functions}/_generated"
    if check and changed:
        console.error(f"out of date in {shown}: {', '.join(changed)}", hint="run `pyconvex codegen`")
        raise typer.Exit(1)
    console.done(f"{shown} is up to date" if not changed else f"wrote {counted(len(changed), 'file')} in {shown}")
