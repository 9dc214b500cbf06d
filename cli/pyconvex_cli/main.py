"""The `pyconvex` command: parses, runs one command, and turns whatever ended it into an exit code.

0 done · 1 the user's code or data · 2 usage · 3 port or disk · 130 Ctrl-C.

Only what parsing needs is imported here: commands import the engine, the server and the watcher when they run.
"""

import io
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pyconvex import __version__
from pyconvex.errors import LoadFailed, PyconvexError, StartFailed
from pyconvex.settings import BadSetting
from pyconvex_cli.commands.admin_key import admin_key
from pyconvex_cli.commands.codegen import codegen
from pyconvex_cli.commands.dev import dev
from pyconvex_cli.commands.env import env
from pyconvex_cli.commands.functions import functions
from pyconvex_cli.commands.init import init
from pyconvex_cli.commands.limits import limits
from pyconvex_cli.commands.logs import logs
from pyconvex_cli.commands.routes import routes
from pyconvex_cli.commands.run import run
from pyconvex_cli.console import console
from pyconvex_cli.usage import WrongUsage

DONE, USERS, USAGE, MACHINE, INTERRUPTED = 0, 1, 2, 3, 130

app = typer.Typer(
    help="Convex for Python developers: serve the functions of a convex/ folder.",
    epilog="Example: pyconvex init chat && cd chat && pyconvex dev",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "PYCONVEX",
        "max_content_width": 100,
    },
)


def _version(wanted: bool) -> None:
    if wanted:
        console.data(f"pyconvex {__version__}")
        raise typer.Exit


@app.callback()
def pyconvex(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            allow_from_autoenv=False,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Convex for Python developers: serve the functions of a convex/ folder."""
    del version


app.command(epilog="Example: pyconvex init chat --template messages")(init)
app.command(epilog="Example: pyconvex dev --port 4000 --limit action_seconds=20")(dev)
app.command(epilog="Example: pyconvex routes --match 'GET /getAuthorMessages/Ada'")(routes)
app.command(epilog="Example: pyconvex functions --json > spec.json")(functions)
app.command(epilog="Example: pyconvex logs -n 50 --status 5xx --function /sendImage")(logs)
app.command(epilog="""Example: pyconvex run messages:send '{"author": "Ada", "body": "hi"}'""")(run)
app.add_typer(env, name="env")
app.command(epilog="Example: pyconvex limits --limit action_seconds=20")(limits)
app.command(
    "admin-key", epilog="Example: pyconvex functions --url http://127.0.0.1:3210 --admin-key $(pyconvex admin-key)"
)(admin_key)
app.command(epilog="Example: pyconvex codegen --check")(codegen)


def main() -> None:
    """The entry point of the `pyconvex` script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ✔ shows ?, instead of a traceback
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Runs one command line; answers with its exit code."""
    try:
        return app(list(arguments), prog_name="pyconvex", standalone_mode=False) or DONE
    except typer.TyperException as error:
        return _usage(error)
    except LoadFailed as failed:
        from pyconvex_cli.local import report_failure

        report_failure(console, failed, Path.cwd(), verbose="--verbose" in arguments or "-v" in arguments)
        return USERS
    except PyconvexError as error:
        console.error(_sentence(error), hint=error.hint)
        return _code_of(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, `head` perhaps, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def _sentence(error: PyconvexError) -> str:
    return f"{error.place}: {error.message}" if error.place else error.message


def _code_of(error: PyconvexError) -> int:
    if isinstance(error, BadSetting | WrongUsage):
        return USAGE
    return MACHINE if isinstance(error, StartFailed) else USERS


def _usage(error: typer.TyperException) -> int:
    """What was typed wrong, in one sentence, and the nearest that would have been right."""
    if type(error).__name__ == "NoArgsIsHelpError":
        console.say(error.format_message())
        return USAGE
    message = error.format_message().rstrip(".")
    parts = re.fullmatch(
        r"(?P<what>.+?)(?:\. (?P<mean>Did you mean .+)| \(Possible options: (?P<options>.+)\))?", message, re.DOTALL
    )
    assert parts is not None, "every text matches"
    what, hint = parts["what"], parts["mean"]
    if parts["options"]:
        hint = f"did you mean {parts['options']}?"
    console.error(what[:1].lower() + what[1:], hint=hint and hint[:1].lower() + hint[1:])
    return error.exit_code
