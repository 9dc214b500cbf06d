"""The `pyconvex` command: parses, runs one command, and turns whatever ended it into an exit code.

0 done · 1 the user's code or data · 2 usage · 3 port or disk · 130 Ctrl-C.

Only what parsing needs is imported here: commands import the engine, the server and the watcher when they run.
"""

import contextlib
import os
import re
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from pyconvex.errors import LoadFailed, PyconvexError, StartFailed
from pyconvex_cli.commands import admin_key, codegen, dev, env, functions, init, limits, logs, routes, run
from pyconvex_cli.console import Console
from pyconvex_cli.project import NoProject
from pyconvex_cli.text import first_lower

DONE, USERS, USAGE, MACHINE, INTERRUPTED = 0, 1, 2, 3, 130

app = typer.Typer(
    name="pyconvex",
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
