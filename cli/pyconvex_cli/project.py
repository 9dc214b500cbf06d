"""The user's project: where it is, and its settings."""

import os
from pathlib import Path

import typer

from pyconvex.settings import Settings, resolve_settings
from pyconvex_cli.usage import WrongUsage

_SETTING_FLAGS = {
    "host": "host",
    "port": "port",
    "site_port": "site_port",
    "database": "database",
    "storage": "storage",
    "tail_logs": "tail_logs",
    "data": "data",
    "cloud_url": "cloud_url",
    "site_url": "site_url",
    "trusted_proxy": "trusted_proxies",
    "allowed_host": "allowed_hosts",
    "workers": "workers",
    "drain_seconds": "drain_seconds",
    "shutdown_seconds": "shutdown_seconds",
    "limit": "limits",
}


class NoProject(WrongUsage):
    """The command needs a project and there is none here."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"there is no convex/ folder in {folder} or above it",
            hint="start a project with `pyconvex init`, or change to the folder that holds convex/",
        )


def find_project(start: Path | None = None) -> Path:
    """The nearest folder, from `start` (the current one) upwards, that is a project. Raises `NoProject`."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if _is_project(folder, named_here=folder == here):
            return folder
        if (folder / ".git").exists():
            break
    raise NoProject(here)


def project_settings(ctx: typer.Context, project: Path) -> Settings:
    """The settings of `project`; what the command line of `ctx` gave comes first. Raises `BadSetting`."""
    flags = {
        setting: ctx.params.get(parameter)
        for parameter, setting in _SETTING_FLAGS.items()
        if (source := ctx.get_parameter_source(parameter)) is not None and source.name == "COMMANDLINE"
    }
    return resolve_settings(project, flags, os.environ)


def _is_project(folder: Path, *, named_here: bool) -> bool:
    functions = folder / (os.environ.get("PYCONVEX_FUNCTIONS") or "convex")
    if named_here and functions.is_dir():
        return True
    if functions.is_dir() and next(functions.glob("*.py"), None) is not None:
        return True
    try:
        return "[tool.pyconvex" in (folder / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
