"""The entry point of the `pyconvex` script: gets this process ready for one command line, and runs it."""

import gc
import io
import sys
from typing import Final

YOUNG_OBJECTS: Final = 100_000
"""More than a start makes: they are modules, functions and classes, and none of them is garbage."""


def main() -> None:
    """Runs the command line of this process, and ends it with the exit code."""
    # first of all: to look at what is being imported, again and again, took 25 ms until `dev` serves
    gc.set_threshold(YOUNG_OBJECTS)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ✔ shows ?, instead of a traceback
    from pyconvex_cli.command_line import execute

    sys.exit(execute(sys.argv[1:]))
