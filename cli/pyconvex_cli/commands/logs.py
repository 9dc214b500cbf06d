"""`pyconvex logs`: what happened, and what happens."""

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyconvex_cli import flags
from pyconvex_cli.console import console
from pyconvex_cli.deployment import Deployment, Refused, Remote, Unreachable, address_of, reach

if TYPE_CHECKING:
    from pyconvex.engine.logs.logs import LogEntry
    from pyconvex_cli.log_filter import LogFilter

HISTORY_MAX = 10_000
HISTORY_BEFORE_FOLLOWING = 10
HISTORY_STOPPED = 100
RETRY_SECONDS = 1.0
SHORT_POLL_SECONDS = 0.5


def logs(
    ctx: typer.Context,
    history: Annotated[
        int | None,
        typer.Option("--history", "-n", metavar="COUNT", min=0, help="Show this many entries of the past first. [10]"),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Show what is newer: 10m, 2h, 3d or 2026-11-22T12:00.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Go on showing what happens, where a server runs.")
    ] = True,
    function: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this function or route; a part of its name is enough.")
    ] = None,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Only query, mutation, action or http.")] = None,
    level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="Only lines of this level or above: DEBUG, INFO, WARN, ERROR.")
    ] = None,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="Only answers such as 404 or 5xx; ok or error for functions.")
    ] = None,
    request_id: Annotated[str | None, typer.Option(metavar="ID", help="Only this request.")] = None,
    grep: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Only what matches this regular expression.")
    ] = None,
    success: Annotated[
        bool | None, typer.Option("--success/--no-success", help="Only what succeeded, or only what failed.")
    ] = None,
    json: flags.Json = False,
    url: flags.Url = None,
    admin_key: flags.AdminKey = None,
) -> None:
    """Show what happened and what happens. Looks back across restarts, and works without a running server."""
    from pyconvex_cli.log_filter import log_filter, moment

    wanted = log_filter(
        function=function,
        kind=kind,
        level=level,
        status=status,
        request_id=request_id,
        grep=grep,
        success=success,
    )
    newer_than = 0.0 if since is None else moment(since, time.time()) * 1000
    with reach(ctx, url, admin_key) as deployment:
        follows = follow and deployment.live
        count = history if history is not None else _default_count(since, follows)
        log = deployment.get("/api/pyconvex/logs", history=_asked(count, wanted), since=newer_than)
        printer = _Printer(wanted, deployment, json=json)
        printer.show(log["entries"], count)
    if follows:
        console.say(console.err.paint("muted", f"watching the log of {deployment.name}"))
        _follow(ctx, url, admin_key, printer, log["newCursor"])
        return
    printer.show_rest()
    if not printer.shown:
        console.say("nothing in the log" + ("" if wanted.is_empty else " matches"))


def _default_count(since: str | None, follows: bool) -> int:
    if since is not None:
        return HISTORY_MAX
    return HISTORY_BEFORE_FOLLOWING if follows else HISTORY_STOPPED


def _asked(count: int, wanted: "LogFilter") -> int:
    """The server does not filter: with a filter, `count` matches may be anywhere in what it has."""
    return min(count, HISTORY_MAX) if wanted.is_empty or count == 0 else HISTORY_MAX


def _follow(ctx: typer.Context, url: str | None, admin_key: str | None, printer: "_Printer", cursor: float) -> None:
    """Until Ctrl-C. A server that stops is waited for: `dev` may come back on another port."""
    lost = False
    while True:
        remote = address_of(ctx, url, admin_key)
        try:
            while True:
                entries, cursor = _poll(remote, cursor, briefly=printer.holds)
                lost = False
                printer.show(entries)
        except Unreachable:
            printer.show_rest()
            if not lost:
                console.say(console.err.paint("muted", "the server has stopped; waiting for it to come back"))
            lost = True
            time.sleep(RETRY_SECONDS)


def _poll(remote: Remote | None, cursor: float, *, briefly: bool) -> tuple[list[dict[str, Any]], float]:
    """What is newer than `cursor`, and the next cursor; waits for it, or only `briefly`."""
    if remote is None:
        raise Unreachable("Unreachable", "nothing is running")
    remote.timeout = SHORT_POLL_SECONDS if briefly else Remote.TIMEOUT
    try:
        answer = remote.get("/api/stream_function_logs", cursor=cursor)
    except TimeoutError:
        return [], cursor
    except Refused as refused:
        if refused.status < 500:
            raise
        # a server that stops answers so to whoever is waiting
        raise Unreachable("Unreachable", refused.message) from None
    return answer["entries"], answer["newCursor"]


class _Printer:
    """Entries as they come from the server, to what is printed."""

    def __init__(self, wanted: "LogFilter", deployment: Deployment, *, json: bool) -> None:
        from pyconvex_cli.log_rows import Gatherer

        self.shown = False
        self._wanted = wanted
        self._json = json
        self._gatherer = Gatherer()
        self._names = _names(deployment)
        self._day = ""

    @property
    def holds(self) -> bool:
        """Whether some entries wait for the rest of their request."""
        return self._gatherer.holds

    def show(self, entries: Iterable[dict[str, Any]], newest: int = sys.maxsize) -> None:
        """Print the newest of those that are wanted."""
        import msgspec

        from pyconvex.engine.logs.logs import Completion, Progress

        decoded = (msgspec.convert(entry, Completion | Progress, strict=False) for entry in entries)
        wanted = [entry for each in decoded if (entry := self._wanted.apply(each)) is not None]
        wanted = wanted[-newest:] if newest else []
        if self._json:
            self._print_json(wanted)
            return
        now = time.monotonic()
        for entry in wanted:
            if request := self._gatherer.add(entry, now):
                self._print(request)
        for request in self._gatherer.overdue(now):
            self._print(request)

    def show_rest(self) -> None:
        """Print what was held back."""
        for request in self._gatherer.overdue(float("inf")):
            self._print(request)

    def _print_json(self, entries: Iterable["LogEntry"]) -> None:
        import json

        from pyconvex.engine.logs.logs import to_wire

        for entry in entries:
            self.shown = True
            console.data(json.dumps(to_wire(entry, structured=True), ensure_ascii=False))

    def _print(self, request: "list[LogEntry]") -> None:
        from pyconvex_cli.log_rows import Layout, request_lines

        layout = Layout.fitting(self._names or [entry.identifier for entry in request], console.out)
        day = time.strftime("%Y-%m-%d", time.localtime(request[0].timestamp))
        if not self.shown:
            console.say(layout.header())
        if day != (self._day or time.strftime("%Y-%m-%d")):
            console.say(layout.paint("muted", f"── {day} ──"))
        self._day = day
        self.shown = True
        console.data(request_lines(request, layout))


def _names(deployment: Deployment) -> list[str]:
    """Of functions and routes, so that the columns fit them."""
    if not deployment.live:
        return []
    from pyconvex_cli.inventory import Inventory

    inventory = Inventory.of_json(deployment.get("/api/pyconvex/deployment"))
    return [each.path for each in inventory.functions] + [f"{each.method} {each.path}" for each in inventory.routes]
