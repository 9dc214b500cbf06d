"""Commands of the CLI run in this process: the engine is imported once instead of once per command."""

import contextlib
import io
import os
import sys
from collections.abc import Generator, Mapping
from pathlib import Path

from pyconvex_cli.command_line import execute

from .dev import Ran


def command(*arguments: str, folder: Path, environment: Mapping[str, str] | None = None, stdin: str = "") -> Ran:
    """Run one command in `folder`, as `support.dev.pyconvex` does in a process of its own."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        _environ({"NO_COLOR": "1", **(environment or {})}),
        _stdin(stdin),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        exit_code = execute(arguments)
    return Ran(exit_code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _environ(changes: Mapping[str, str]) -> Generator[None, None, None]:
    before = dict(os.environ)
    for name in before:
        if name.startswith(("PYCONVEX_", "CONVEX_")):
            del os.environ[name]
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _stdin(text: str) -> Generator[None, None, None]:
    before, sys.stdin = sys.stdin, io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = before
