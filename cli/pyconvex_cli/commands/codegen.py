"""`pyconvex codegen`: `convex/_generated`, without a deployment."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from pyconvex.errors import LoadFailed, StartFailed
from pyconvex_cli import flags
from pyconvex_cli.console import console
from pyconvex_cli.project import find_project, project_settings


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
    shown = f"{settings.functions}/_generated"
    try:
        files = load_folder(ctx, project, settings).generated
        changed = outdated(functions, files) if check else write_generated(functions, files)
    except LoadFailed as failed:
        if not check and (changed := write_generated(functions, failed.generated, complete=False)):
            console.done(f"wrote {_listed(shown, changed)}, from the schema alone")
        raise
    except OSError as error:
        raise StartFailed("CannotWrite", f"cannot write {error.filename}: {error.strerror}") from None
    if check and changed:
        console.error(f"out of date: {_listed(shown, changed)}", hint="run `pyconvex codegen`")
        raise typer.Exit(1)
    _report(shown, changed, files)


def _report(folder: str, changed: Sequence[str], files: Mapping[str, str]) -> None:
    for verb, names in (
        ("wrote", [name for name in changed if name in files]),
        ("removed", [name for name in changed if name not in files]),
    ):
        if names:
            console.done(f"{verb} {_listed(folder, names)}")
    if not changed:
        console.done(f"{folder} is up to date")


def _listed(folder: str, names: Sequence[str]) -> str:
    """`convex/_generated/api.pyi and server.pyi`."""
    first = ", ".join(names[:-1])
    return f"{folder}/" + (f"{first} and {names[-1]}" if first else names[-1])
