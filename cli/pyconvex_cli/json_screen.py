"""`pyconvex dev --json`: one JSON object per line on stdout, each with `type` and `ts` (seconds since 1970)."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from pyconvex import __version__
from pyconvex.engine.logs.logs import to_wire
from pyconvex.errors import Problem
from pyconvex.http.admin_api import describe
from pyconvex_cli.console import Console
from pyconvex_cli.foreign_lines import plain
from pyconvex_cli.screen import Surroundings

if TYPE_CHECKING:
    from pyconvex.engine.driver.watchdog import Blocked
    from pyconvex.engine.logs.logs import LogEntry
    from pyconvex.host import Reloaded


class JsonScreen:
    """The events of `Screen`, as JSON."""

    def __init__(self, console: Console, around: Surroundings) -> None:
        self._console = console
        self._around = around

    def opened(self) -> None:
        urls = self._around.urls
        self._event(
            "opened",
            version=__version__,
            project=self._around.root.name,
            data=self._around.data or None,
            database=self._around.database or None,
            storage=self._around.storage or None,
            url=urls[0] if urls else None,
            siteUrl=urls[1] if urls else None,
        )

    def ready(self, reloaded: "Reloaded", seconds: float) -> None:
        self._warn(reloaded.warnings)
        self._event("ready", tookMs=round(seconds * 1000, 1), **describe(reloaded.registry))

    def reloaded(self, reloaded: "Reloaded", files: Sequence[str]) -> None:
        self._warn(reloaded.warnings)
        changes = {
            "functions": asdict(reloaded.changes.functions),
            "routes": asdict(reloaded.changes.routes),
            "auth": asdict(reloaded.changes.auth),
            "schema": asdict(reloaded.schema),
        }
        self._event("reloaded", files=list(files), tookMs=round(reloaded.took_ms, 1), **changes)

    def failed(self, problems: Sequence[Problem], files: Sequence[str], still: float | None) -> None:
        described = [problem_json(each) for each in problems]
        self._event("failed", files=list(files), problems=described, stillServing=still)

    def logged(self, entry: "LogEntry") -> None:
        self._event("log", entry=to_wire(entry, structured=True))

    def blocked(self, blocked: "Blocked") -> None:
        self._event("blocked", place=str(blocked.place), seconds=blocked.seconds, function=blocked.function)

    def output(self, command: str, line: str) -> None:
        self._event("output", command=command, text=plain(line))

    def ended(self, command: str, code: int, hint: str | None) -> None:
        self._event("ended", command=command, exitCode=code, hint=hint)

    def note(self, text: str) -> None:
        self._event("note", text=text)

    def close(self) -> None:
        self._event("stopped")

    def _warn(self, warnings: Sequence[Problem]) -> None:
        if warnings:
            self._event("warnings", problems=[problem_json(each) for each in warnings])

    def _event(self, type: str, **fields: Any) -> None:
        self._console.event(type, ts=round(time.time(), 3), **fields)


def problem_json(problem: Problem) -> dict[str, Any]:
    """One problem for programs."""
    return {
        "code": problem.code,
        "message": problem.message,
        "place": str(problem.place) if problem.place else None,
        "also": [str(place) for place in problem.also],
        "hint": problem.hint,
        "documents": [each._asdict() for each in problem.documents],
    }
