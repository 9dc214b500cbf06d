"""Sessions of live queries without sockets: what they were told, and the views they got."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyconvex.clock import Clock
from pyconvex.engine.auth.identity import Identity
from pyconvex.engine.live.queries import LiveQueries, LiveResult, View
from pyconvex.settings import Limits
from pyconvex.store.persistence import Persistence

from .deployment import Deployment, deployment

PATIENCE_SECONDS = 20.0


def body_of(result: LiveResult) -> dict[str, Any]:
    """The modification that carries the result, without its type and query id."""
    return json.loads(b"{" + result.tail[1:])


@dataclass(eq=False)
class Watcher:
    """One session. An `eager` one asks for a view whenever it hears that its results are old."""

    live: LiveQueries
    eager: bool = True
    views: list[View] = field(default_factory=list[View])
    told: int = 0
    """How often it heard that."""
    shown: Callable[[View], None] | None = None
    """Called with each view."""

    def __post_init__(self) -> None:
        self.subscriptions = self.live.subscriptions(self._stale, self._view)

    def ask(self, query_id: int, path: str, *, journal: str | None = None, **args: Any) -> None:
        self.subscriptions.add(query_id, path if ":" in path else f"m:{path}", args, journal)

    async def view(self, at_least: int = 0) -> View:
        """Asks for a view; the next one that comes."""
        count = len(self.views)
        self.subscriptions.refresh(at_least)
        await until(lambda: len(self.views) > count)
        return self.views[count]

    async def shows(self, query_id: int, value: Any) -> None:
        """Waits until the query has this value."""
        await until(lambda: bool(self.views) and self.value(query_id) == value)

    def body(self, query_id: int = 0) -> dict[str, Any]:
        return body_of(self.views[-1].results[query_id])

    def value(self, query_id: int = 0) -> Any:
        """The newest value of a query; None as long as there is none."""
        result = self.views[-1].results.get(query_id)
        return None if result is None else body_of(result).get("value")

    def error(self, query_id: int = 0) -> str:
        """The newest error, without the line of the request id."""
        first, _, message = self.body(query_id)["errorMessage"].partition("\n")
        assert first.startswith("[Request ID: ")
        assert first.endswith("] Server Error")
        return message

    def _stale(self) -> None:
        self.told += 1
        if self.eager:
            self.subscriptions.refresh()

    def _view(self, view: View) -> None:
        self.views.append(view)
        if self.shown is not None:
            self.shown(view)


@dataclass
class Live:
    """A deployment with its live queries."""

    deployment: Deployment
    queries: LiveQueries

    def watcher(
        self, path: str = "", /, *, eager: bool = True, identity: Identity | None = None, **args: Any
    ) -> Watcher:
        """A session that has asked query 0, if one is given, and nothing else."""
        watcher = Watcher(self.queries, eager)
        if identity is not None:
            watcher.subscriptions.identify(identity)
        if path:
            watcher.ask(0, path, **args)
        return watcher

    async def value(self, path: str, /, **args: Any) -> Any:
        return await self.deployment.value(path, **args)

    def runs(self, path: str) -> int:
        """How often a query was run for sessions."""
        return sum(1 for cached in self._logged(path) if not cached)

    def answers_from_table(self, path: str) -> int:
        return sum(self._logged(path))

    def load(self, modules: str | Mapping[str, str]) -> None:
        """New code, as a save brings it."""
        self.deployment.load({"m": modules} if isinstance(modules, str) else modules)
        self.queries.reloaded()

    def _logged(self, path: str) -> list[bool]:
        return [
            entry.cached_result
            for entry in self.deployment.completions
            if entry.identifier == f"m:{path}" and entry.caller == "SyncWorker"
        ]


@asynccontextmanager
async def live(
    root: Path,
    modules: str | Mapping[str, str],
    *,
    redact: bool = False,
    limits: Limits | None = None,
    clock: Clock | None = None,
    persistence: Persistence | None = None,
) -> AsyncGenerator[Live]:
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    async with deployment(root, modules, limits=limits, clock=clock, persistence=persistence) as made:
        queries = LiveQueries(made.runner, redact=redact)
        try:
            yield Live(made, queries)
        finally:
            await queries.close()
    assert not problems


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


async def quiet(turns: int = 50) -> None:
    """Lets everything happen that is about to; for what must not."""
    for _ in range(turns):
        await asyncio.sleep(0.001)
