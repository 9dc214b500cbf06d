"""A deployment in memory without ports: the real engine under functions that a test writes as text."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

from pyconvex.clock import Clock, SystemClock
from pyconvex.engine import environment
from pyconvex.engine.auth.identity import ANONYMOUS, Identity
from pyconvex.engine.driver import guard
from pyconvex.engine.driver.determinism import SUBSTITUTES
from pyconvex.engine.driver.time_limit import TimeLimitExceeded
from pyconvex.engine.environment import Environment, Urls
from pyconvex.engine.execution import Call, Caller
from pyconvex.engine.logs import console
from pyconvex.engine.logs.logs import Completion, LogBook, LogEntry
from pyconvex.engine.runner import Outcome, Runner
from pyconvex.engine.secret import deployment_secret
from pyconvex.engine.versions import Versions
from pyconvex.files.local import LocalFiles
from pyconvex.loading.loader import Loader
from pyconvex.loading.registry import empty_registry
from pyconvex.loading.source import LIMIT_NAME
from pyconvex.settings import Limits
from pyconvex.store.persistence import Persistence
from pyconvex.store.sqlite.persistence import SqlitePersistence
from pyconvex.store.store import Store

new_database: ContextVar[Callable[[Clock], Persistence]] = ContextVar(
    "new_database", default=lambda clock: SqlitePersistence(None, clock=clock)
)
"""Where deployments keep their documents that are not told where. Suites for every engine set it."""

REQUEST_ID = "0123456789abcdef"
HEADER = """\
import asyncio
import os
from pyconvex.server import action, http_action, internal_mutation, internal_query, mutation, query
from pyconvex.server import Blob, Request, Response
from pyconvex.values import ConvexError, Int64, undefined, v
from ._generated.api import api, internal
"""
HEADER_LINES = HEADER.count("\n")


@dataclass
class Deployment:
    """The parts, and short ways to call functions."""

    root: Path
    runner: Runner
    store: Store
    logs: LogBook
    environment: Environment
    versions: Versions
    files: LocalFiles
    limits: Limits
    entries: list[LogEntry] = field(default_factory=list[LogEntry])

    def call_by(self, identity: Identity = ANONYMOUS, caller: Caller = Caller.TESTER) -> Call:
        return Call(caller, identity, REQUEST_ID)

    async def call(self, path: str, /, *, identity: Identity = ANONYMOUS, **args: Any) -> Outcome:
        """Calls `path` (of module `m` when it names none), internal functions too."""
        named = path if ":" in path else f"m:{path}"
        return await self.runner.call(named, args, self.call_by(identity), internal=True)

    async def value(self, path: str, /, *, identity: Identity = ANONYMOUS, **args: Any) -> Any:
        outcome = await self.call(path, identity=identity, **args)
        assert outcome.failure is None, outcome.failure.text
        return outcome.value

    async def error(self, path: str, /, *, identity: Identity = ANONYMOUS, **args: Any) -> str:
        """The message of a call that fails."""
        outcome = await self.call(path, identity=identity, **args)
        assert outcome.failure is not None, f"{path} succeeded with {outcome.value!r}"
        return outcome.failure.message

    @property
    def completions(self) -> list[Completion]:
        return [entry for entry in self.entries if isinstance(entry, Completion)]

    def load(self, modules: Mapping[str, str]) -> None:
        """Writes the modules (`{"m": "..."}`), each below `HEADER`, loads them and serves them from now on."""
        for name, text in modules.items():
            path = self.root / "convex" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text if name in ("schema", "http") else HEADER + dedent(text))
        loader = Loader(
            self.root / "convex",
            builtins={"print": console.function_print, LIMIT_NAME: TimeLimitExceeded},
            substitutes=SUBSTITUTES,
            limits=self.limits,
        )
        with self.environment.visible():
            loaded = loader.load()
        self.versions.swap(loaded.registry, loaded.retire)


@asynccontextmanager
async def deployment(
    root: Path,
    modules: str | Mapping[str, str] = "",
    *,
    limits: Limits | None = None,
    clock: Clock | None = None,
    persistence: Persistence | None = None,
) -> AsyncGenerator[Deployment]:
    """A deployment that serves `modules`; a single text is the module `m`."""
    limits, clock, urls = limits or Limits(), clock or SystemClock(), Urls()
    guard.install([root])
    environment.install()
    store = Store(persistence or new_database.get()(clock), limits, clock)
    await store.open()
    variables = Environment(store, limits, urls)
    await variables.open()
    logs, versions, files = (
        LogBook(clock),
        Versions(empty_registry(root, root / "convex")),
        LocalFiles(root / "files", clock=clock),
    )
    secret, _ = await deployment_secret(store, clock, "tests")
    runner = Runner(store, files, variables, logs, limits, clock, versions, urls, secret)
    made = Deployment(root, runner, store, logs, variables, versions, files, limits)
    logs.subscribe(made.entries.append)
    with console.captured():
        made.load({"m": modules} if isinstance(modules, str) else modules)
        await store.activate(versions.current.schema)
        try:
            yield made
        finally:
            await store.close()
