"""Loading a project's functions without serving them: for `routes`, `functions` and `codegen`."""

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pyconvex.errors import LoadFailed, Place, StartFailed
from pyconvex.settings import Settings
from pyconvex_cli.console import Console
from pyconvex_cli.deployment import Refused, Unreachable, reach
from pyconvex_cli.problems import problem_lines
from pyconvex_cli.project import find_project

if TYPE_CHECKING:
    from pyconvex.loading.excerpt import Excerpt
    from pyconvex.loading.loader import Loaded


def load_folder(ctx: typer.Context, project: Path, settings: Settings) -> "Loaded":
    """Loads the functions of `project`. Raises `LoadFailed`."""
    from pyconvex.loading.loader import Loader

    _borrow_variables(ctx, project, settings)
    loader = Loader(project / settings.functions, limits=settings.limits)
    with contextlib.redirect_stdout(sys.stderr):  # what a module prints is none of our data
        return loader.load()


def disk_excerpts(project: Path) -> "Callable[[Place], Excerpt | None]":
    """Code frames from the files of a project as they are now, for what no loaded version holds the text of."""

    def find(place: Place) -> "Excerpt | None":
        from pyconvex.loading.excerpt import excerpt

        try:
            text = (project / place.file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        return excerpt({place.file: text}, place)

    return find


def report_failure(console: Console, failed: LoadFailed, *, verbose: bool = False) -> None:
    """Every problem of the current project with its code frame, on stderr."""
    console.say(problem_lines(failed.problems, disk_excerpts(find_project()), console.err, verbose=verbose))


def _borrow_variables(ctx: typer.Context, project: Path, settings: Settings) -> None:
    """Modules may read the deployment's variables while they load, so this process gets them too."""
    if settings.database == "sqlite" and not (project / settings.data / "data.sqlite3").exists():
        return
    with contextlib.suppress(StartFailed, Unreachable, Refused), reach(ctx, None, None) as deployment:
        os.environ.update(deployment.get("/api/list_environment_variables")["environmentVariables"])
