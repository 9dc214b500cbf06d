"""`pyconvex run --watch`: each new result of a query, until Ctrl-C."""

import json as json_text
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import typer

from pyconvex.errors import LoadFailed, PyconvexError
from pyconvex_cli.commands.run import available_for, show
from pyconvex_cli.console import console
from pyconvex_cli.deployment import Deployment, Unreachable, address_of
from pyconvex_cli.local import report_failure
from pyconvex_cli.project import find_project, project_settings

WATCH = "/api/pyconvex/watch"
RETRY_SECONDS = 1.0


def follow(
    ctx: typer.Context,
    url: str | None,
    admin_key: str | None,
    call: dict[str, Any],
    acting_as: str,
    *,
    json: bool,
) -> None:
    """Print the results of `call`: of the running deployment, or of one in this process, which follows saves too.

    A server that stops is waited for.

    Raises `FunctionFailed` when there is no such query to begin with, and what `reach` raises.
    """
    printer = _Printer(call["path"], json=json)
    remote = address_of(ctx, url, admin_key)
    if remote is None:
        with _opened(ctx) as deployment:
            printer.follow(deployment, call, acting_as)
        return
    while True:
        try:
            if remote is not None:
                printer.follow(remote, call, acting_as)
        except Unreachable:
            if not printer.begun:
                raise
        printer.lost()
        time.sleep(RETRY_SECONDS)
        remote = address_of(ctx, url, admin_key)


@contextmanager
def _opened(ctx: typer.Context) -> Generator[Deployment, None, None]:
    from pyconvex_cli.embedded import embedded  # it imports the whole engine

    project = find_project()

    def failed(error: LoadFailed) -> None:
        report_failure(console, error)

    opened = embedded(project, project_settings(ctx, project), load=True)
    with opened as deployment, deployment.following_saves(failed):
        yield deployment


class _Printer:
    """Prints answers as they come. A query that fails may succeed later, so failures are only told of."""

    def __init__(self, path: str, *, json: bool) -> None:
        self.begun = False
        """There was a result."""
        self._path = path
        self._json = json
        self._lost = False

    def follow(self, deployment: Deployment, call: dict[str, Any], acting_as: str) -> None:
        """Until the deployment stops."""
        for answer in deployment.stream(WATCH, call, acting_as=acting_as):
            if not self.begun:
                self._check(deployment, answer)
            self.begun, self._lost = True, False
            self._print(answer)

    def lost(self) -> None:
        """The server is gone."""
        if not self._lost:
            self._talk("the server has stopped; waiting for it to come back")
        self._lost = True

    def _check(self, deployment: Deployment, answer: dict[str, Any]) -> None:
        """Raises `FunctionFailed` for what is no query: waiting would not make it one."""
        if answer["status"] == "success":
            self._talk(f"watching {self._path} of {deployment.name}; Ctrl-C ends it")
        elif "Could not find" in answer["errorMessage"]:
            show(self._path, answer, hint=available_for(deployment, answer))
        elif "Trying to execute" in answer["errorMessage"]:
            show(self._path, answer, hint="only queries can be watched: leave out --watch")

    def _print(self, answer: dict[str, Any]) -> None:
        if self._json:
            console.data(json_text.dumps(answer, ensure_ascii=False))
            return
        self._talk(time.strftime("%H:%M:%S"))
        try:
            show(self._path, answer)
        except PyconvexError as error:
            console.error(error.message, hint=error.hint)
        else:
            if answer["value"] is None:
                console.data("null")  # where a single call prints nothing, this is news

    def _talk(self, text: str) -> None:
        if not self._json:
            console.say(console.err.paint("muted", text))
