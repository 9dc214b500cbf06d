"""One command line: parses it, runs its command, and turns whatever ended that into an exit code.

0 done · 1 the user's code or data · 2 usage · 3 port or disk · 130 Ctrl-C.

Only what parsing needs is imported here: commands import the engine, the server and the watcher when they run.
"""

import importlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from pyconvex import __version__
from pyconvex.errors import LoadFailed, PyconvexError, StartFailed
from pyconvex_cli.console import console

DONE, USERS, USAGE, MACHINE, INTERRUPTED = 0, 1, 2, 3, 130

ABOUT = "Convex for Python developers: serve the functions of a convex/ folder."
EXAMPLES = {
    "init": "pyconvex init chat --template messages",
    "dev": "pyconvex dev --port 4000 --limit action_seconds=20",
    "start": "pyconvex start --host 0.0.0.0 --workers 4 --database postgresql://db/chat",
    "routes": "pyconvex routes --match 'GET /getAuthorMessages/Ada'",
    "functions": "pyconvex functions --json > spec.json",
    "logs": "pyconvex logs -n 50 --status 5xx --function /sendImage",
    "requests": "pyconvex requests --path /stripe --status 4xx",
    "replay": "pyconvex replay last --to-test",
    "run": """pyconvex run messages:send_one '{"author": "Ada", "body": "hi"}'""",
    "env": "pyconvex env set CLIENT_ORIGIN http://localhost:5173",
    "limits": "pyconvex limits --limit action_seconds=20",
    "admin-key": "export CONVEX_SELF_HOSTED_ADMIN_KEY=$(pyconvex admin-key)",
    "codegen": "pyconvex codegen --check",
}
"""The commands in the order of the help, each with an example; they are in `commands/`, in modules of their names."""


def _version(wanted: bool) -> None:
    if wanted:
        console.data(f"pyconvex {__version__}")
        raise typer.Exit


def _no_command(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            allow_from_autoenv=False,  # PYCONVEX_VERSION is a name that containers like
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    del version


def command_line(names: Sequence[str]) -> typer.Typer:
    """The parser with these commands only: what is not asked for is not imported."""
    app = typer.Typer(
        help=ABOUT,
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
    app.callback()(_no_command)
    for name in names:
        attribute = name.replace("-", "_")
        command = getattr(importlib.import_module(f"pyconvex_cli.commands.{attribute}"), attribute)
        example = f"Example: {EXAMPLES[name]}"
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, epilog=example)
        else:
            app.command(name, epilog=example)(command)
    return app


def execute(arguments: Sequence[str]) -> int:
    """Runs one command line; answers with its exit code."""
    try:
        app = command_line([name for name in arguments[:1] if name in EXAMPLES] or list(EXAMPLES))
        return app(list(arguments), prog_name="pyconvex", standalone_mode=False) or DONE
    except typer.TyperException as error:
        return _usage(error)
    except LoadFailed as failed:
        from pyconvex_cli.local import report_failure

        report_failure(console, failed, verbose="--verbose" in arguments or "-v" in arguments)
        return USERS
    except PyconvexError as error:
        console.error(_sentence(error), hint=error.hint)
        return _code_of(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, `head` perhaps, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception:
        traceback.print_exc()
        console.error("this is a bug in pyconvex", hint="please report it, with the lines above")
        return USERS


def _sentence(error: PyconvexError) -> str:
    return f"{error.place}: {error.message}" if error.place else error.message


def _code_of(error: PyconvexError) -> int:
    if error.code in ("BadSetting", "WrongUsage"):
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
