"""`pyconvex env`: the variables that functions read with `os.environ`."""

import json as json_text
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from pyconvex.errors import PyconvexError
from pyconvex_cli import flags
from pyconvex_cli.console import console
from pyconvex_cli.deployment import Deployment, reach
from pyconvex_cli.usage import WrongUsage, did_you_mean
from pyconvex_cli.wording import counted

env = typer.Typer(
    help="Show and change what functions read with os.environ.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_BUILT_IN = ("CONVEX_CLOUD_URL", "CONVEX_SITE_URL")
_PLAIN = re.compile(r"[A-Za-z0-9_@%+:,./\-=?&]*")


@env.command("list", epilog="Example: pyconvex env list > .env.backup")
def list_(
    ctx: typer.Context,
    names_only: Annotated[bool, typer.Option("--names-only", help="Leave the values out.")] = False,
    json: flags.Json = False,
    url: flags.Url = None,
    admin_key: flags.AdminKey = None,
) -> None:
    """Print all variables as NAME=value, quoted as in a .env file."""
    with reach(ctx, url, admin_key) as deployment:
        variables = _variables(deployment)
    if json:
        console.data(json_text.dumps(list(variables) if names_only else variables, indent=2, ensure_ascii=False))
    elif not variables:
        console.say("no variables are set")
    else:
        console.data(name if names_only else f"{name}={quoted(value)}" for name, value in variables.items())


@env.command("get", epilog="Example: pyconvex env get CLIENT_ORIGIN")
def get(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    url: flags.Url = None,
    admin_key: flags.AdminKey = None,
) -> None:
    """Print the value of one variable."""
    with reach(ctx, url, admin_key) as deployment:
        variables = _variables(deployment)
    if name not in variables:
        raise PyconvexError("NoSuchVariable", f"there is no variable {name}", hint=did_you_mean(name, variables))
    console.data(variables[name])


@env.command("set", epilog="Example: pyconvex env set STRIPE_KEY < key.txt")
def set_(
    ctx: typer.Context,
    assignments: Annotated[
        list[str] | None, typer.Argument(metavar="NAME VALUE | NAME=VALUE…", help="NAME alone reads stdin.")
    ] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from-file", metavar="FILE", help="Set everything in a .env file.")
    ] = None,
    url: flags.Url = None,
    admin_key: flags.AdminKey = None,
) -> None:
    """Set variables: all of them or none. Functions see them at their next call."""
    changes = _changes(assignments or [], from_file)
    with reach(ctx, url, admin_key) as deployment:
        before = _variables(deployment)
        _change(deployment, changes)
    fresh = sum(name not in before for name in changes)
    if len(changes) == 1:
        (name,) = changes
        console.done(
            f"set {name}" if fresh else f"changed {name}" if before[name] != changes[name] else f"{name} was so already"
        )
    else:
        console.done(f"set {counted(len(changes), 'variable')} ({fresh} new)")


@env.command("remove", epilog="Example: pyconvex env remove CLIENT_ORIGIN")
def remove(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME…")],
    url: flags.Url = None,
    admin_key: flags.AdminKey = None,
) -> None:
    """Remove variables; one that is not there is no error."""
    with reach(ctx, url, admin_key) as deployment:
        before = _variables(deployment)
        _change(deployment, dict.fromkeys(names))
    for name in names:
        console.done(f"removed {name}" if name in before else f"{name} was not set")


def quoted(value: str) -> str:
    """`value` as a .env file spells it, so that the output can be read back with --from-file."""
    if _PLAIN.fullmatch(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _variables(deployment: Deployment) -> dict[str, str]:
    return deployment.get("/api/list_environment_variables")["environmentVariables"]


def _change(deployment: Deployment, changes: Mapping[str, str | None]) -> None:
    body = {"changes": [{"name": name, "value": value} for name, value in changes.items()]}
    deployment.post("/api/update_environment_variables", body)


def _changes(assignments: list[str], from_file: Path | None) -> dict[str, str]:
    """What the command line asks for, as name → value."""
    changes = {} if from_file is None else _from_file(from_file)
    match assignments:
        case []:
            pass
        case [name] if "=" not in name:
            changes[name] = _from_stdin(name)
        case [name, value] if "=" not in name:
            changes[name] = value
        case _:
            changes |= dict(_assignment(text) for text in assignments)
    if not changes:
        raise WrongUsage("nothing to set: give NAME VALUE, NAME=VALUE, or --from-file FILE")
    for name in changes:
        if name in _BUILT_IN:
            raise WrongUsage(f'variable "{name}" is built-in and cannot be changed')
    return changes


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise WrongUsage(f"{text!r} is not NAME=VALUE")
    return name, value


def _from_stdin(name: str) -> str:
    if sys.stdin.isatty():
        console.say(f"Type the value of {name}, then Ctrl-D on a line of its own:")
    # what `echo` and `cat` end with is not part of a value
    return sys.stdin.read().removesuffix("\n").removesuffix("\r")


def _from_file(path: Path) -> dict[str, str]:
    from dotenv import dotenv_values

    try:
        with path.open(encoding="utf-8") as file:
            values = dotenv_values(stream=file, interpolate=False)
    except OSError as error:
        raise PyconvexError("CannotRead", f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PyconvexError("CannotRead", f"{path} is not UTF-8 text") from None
    return {name: value for name, value in values.items() if value is not None}
