"""`pyconvex limits`: every limit, its value, and where that comes from."""

import json as json_text
from dataclasses import fields
from pathlib import Path

import typer

from pyconvex.settings import Limits, Settings
from pyconvex_cli import flags
from pyconvex_cli.console import console
from pyconvex_cli.project import NoProject, find_project, project_settings
from pyconvex_cli.wording import size


def limits(ctx: typer.Context, limit: flags.Limits = None, json: flags.Json = False) -> None:
    """Show every limit and where its value comes from."""
    del limit  # read through the context, together with the environment and pyproject.toml
    settings = project_settings(ctx, _project())
    if json:
        console.data(json_text.dumps(limits_json(settings), indent=2))
    else:
        console.data(limits_lines(settings))


def _project() -> Path:
    """Outside a project there are still flags and the environment to show."""
    try:
        return find_project()
    except NoProject:
        return Path.cwd()


def limits_json(settings: Settings) -> list[dict[str, object]]:
    return [
        {
            "name": each.name,
            "value": getattr(settings.limits, each.name),
            "from": str(settings.origin(f"limits.{each.name}")),
            "about": each.metadata["about"],
        }
        for each in fields(Limits)
    ]


def limits_lines(settings: Settings) -> list[str]:
    from pyconvex_cli.tables import Cell, table

    rows: list[tuple[Cell, ...]] = []
    for each in fields(Limits):
        origin = str(settings.origin(f"limits.{each.name}"))
        rows.append(
            (
                Cell(each.name),
                Cell(_shown(each.name, getattr(settings.limits, each.name))),
                Cell(origin, "muted" if origin == "default" else "name"),
                Cell(each.metadata["about"], "muted"),
            )
        )
    return table(("Limit", "Value", "From", "What it limits"), rows, console.out, elastic=3)


def _shown(name: str, value: float) -> str:
    if name.endswith("_bytes"):
        return size(int(value))
    return f"{value:g} s" if name.endswith("_seconds") else f"{value:,}"
