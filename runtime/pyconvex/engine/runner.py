"""Runs the functions of a deployment for whoever asks: the client API, the command line, HTTP, tests, other functions.

A query runs on one snapshot, a mutation in one transaction that may be run again, an action on the event loop with a
time limit. Each leaves one entry in the log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import BareError, DeveloperError, PyconvexError, RequestRefused
from ..functions.function import Function, Kind, RegisteredFunction, Visibility
from ..errors import Place
from .actions import ActionPermits, run_action
from .boundary import accept_arguments, check_callable, shown_path
from .execution import Call, Caller, Execution
from .failures import Failure, describe
from .http_execution import HttpExecution
from .paths import check_path
from .reports import report
from .services import Services
from .transactions import run_mutation, run_query

if TYPE_CHECKING:
    from ..clock import Clock
    from ..files.storage import FileStorage
    from ..loading.registry import Registry
    from ..settings import Limits
    from ..store.store import Store
    from ..values.value import Value
    from .environment import Environment, Urls
    from .logs import LogBook
    from .versions import Versions


@dataclass(slots=True)
class Outcome:
    """How a call ended. `failure` is None for a success, whose `value` is the result."""

    value: Value = None
    failure: Failure | None = None
    error: BaseException | None = None
    """The exception behind `failure`, for callers in the same process."""
    log_lines: list[str] = field(default_factory=list[str])
    """`[LOG] 'a' 42`, of the function and of the queries and mutations it called in its own transaction."""
    ts: int | None = None
    """Nanoseconds: the snapshot of a query, the commit of a mutation."""


class Runner:
    """The way into user code. Everything it is given is shared by all calls."""

    def __init__(
        self,
        store: Store,
        files: FileStorage,
        environment: Environment,
        logs: LogBook,
        limits: Limits,
        clock: Clock,
        versions: Versions,
        urls: Urls,
    ) -> None:
        self.services = Services(store, files, environment, logs, limits, clock, urls)
        self.versions = versions
        self.permits = ActionPermits(limits.concurrent_actions)

    async def call(
        self,
        path: str,
        args: object,
        call: Call,
        *,
        kind: Kind | None = None,
        internal: bool = False,
        text_for_missing: str = "public function",
    ) -> Outcome:
        """Runs the function called `path` for a client, and answers how it ended.

        Args:
            path: `messages:send`, in either spelling; `messages` means its default function.
            args: the object of arguments, or a list that holds at most that (None: no arguments).
            kind: what the caller takes the function for; None when any will do.
            internal: whether the caller may run internal functions.
            text_for_missing: `"public function"` or `"function"`, for the message about one that is not there.

        Raises:
            RequestRefused: 400 for what is no path, 429 when too many actions run, 500 and 503 when it was not the function's fault.
        """
        with self.versions.lease() as registry:
            function = registry.find(path)
            if function is None:
                check_path(path)
            known = kind or (function.kind if function else Kind.QUERY)
            identifier = shown_path(function.path if function else path)
            execution = Execution(self.services, registry, call, known, identifier)
            try:
                if function is None or not check_callable(function, kind, internal):
                    raise _missing(path, text_for_missing)
                value = await self.execute(execution, function, args)
            except DeveloperError as error:
                pass
            raise NotImplementedError

    async def inline(self, kind: Kind, fn: Callable[[Any], Any], call: Call) -> Value:
        """Runs `fn(ctx)` as a function of that kind on the current version, for tests.

        Raises what `fn` raises; then nothing of it was kept.
        """
        raise NotImplementedError

    def http_action(
        self,
        registry: Registry,
        function: RegisteredFunction[..., Any] | None,
        call: Call,
        identifier: str,
        *,
        request: str | None = None,
    ) -> HttpExecution:
        """One request to an HTTP action (`function` is None for a mounted application), as a context manager.

        Args:
            registry: the version the route was found in; the caller holds its lease.
            identifier: method and route as declared, `GET /profile/*`.
            request: method and path as they came, `GET /profile/17`.

        Entering raises `RequestRefused` 429 `TooManyConcurrentRequests` when no place is free for 10 seconds.
        """
        raise NotImplementedError
