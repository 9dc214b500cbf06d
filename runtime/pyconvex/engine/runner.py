"""Runs the functions of a deployment for whoever asks: the client API, the command line, HTTP, tests, other functions.

A query runs on one snapshot, a mutation in one transaction that may be run again, an action on the event loop with a
time limit. Each leaves one entry in the log.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Set
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from pyconvex.engine.actions import execute
from pyconvex.engine.boundary import check_callable, shown_path
from pyconvex.engine.database.access import access_of
from pyconvex.engine.database.cursors import Cursors
from pyconvex.engine.database.pagination import Journal
from pyconvex.engine.deadlines import Deadlines
from pyconvex.engine.execution import Call, Execution
from pyconvex.engine.failures import Failure, describe
from pyconvex.engine.files.file_removals import FileRemovals
from pyconvex.engine.files.upload_tokens import UploadTokens
from pyconvex.engine.http_execution import HttpExecution
from pyconvex.engine.jobs.outstanding import Outstanding
from pyconvex.engine.logs.reports import report
from pyconvex.engine.paths import check_path, not_found
from pyconvex.engine.permits import action_permits
from pyconvex.engine.services import Services
from pyconvex.engine.transactions import Done
from pyconvex.errors import DeveloperError, Place, RequestRefused
from pyconvex.functions.function import Function, Kind, Visibility

if TYPE_CHECKING:
    from pyconvex.clock import Clock
    from pyconvex.engine.database.access import AccessReport
    from pyconvex.engine.environment import Environment, Urls
    from pyconvex.engine.logs.logs import LogBook
    from pyconvex.engine.transactions import Around
    from pyconvex.engine.versions import Versions
    from pyconvex.files.storage import FileStorage
    from pyconvex.functions.routing.middleware import Runnable
    from pyconvex.loading.registry import Registry
    from pyconvex.settings import Limits
    from pyconvex.store.keys import ReadSet
    from pyconvex.store.persistence import Reader
    from pyconvex.store.store import Store
    from pyconvex.values.value import Value


class Outcome(Struct):
    """How a call ended. `failure` is None for a success, whose result is `value`."""

    value: Value = None
    failure: Failure | None = None
    error: Exception | None = None
    """The exception behind `failure`, for callers in the same process."""
    log_lines: list[str] = field(default_factory=list[str])
    """`[LOG] 'a' 42`, of the function and of the queries and mutations it called in its own transaction."""
    ts: int | None = None
    """Nanoseconds: the snapshot of a query, the commit of a mutation; None for an action."""
    journal: str | None = None
    """To be given to the next run of the same query; None where it read no page."""
    access: AccessReport | None = None
    """What it read and wrote, if that was asked for, and it came to run at all."""
    reads: ReadSet | None = None
    """The ranges that a query or mutation has read; None where it did not come to run."""
    variables_read: Set[str] = frozenset()
    """Names of the environment variables that it asked for."""
    identity_read: bool = False
    """Whether it asked who is calling."""


class Runner:
    """The way into user code. What it is given is shared by all calls."""

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
        secret: bytes,
    ) -> None:
        outstanding = Outstanding(store, limits, clock)
        self.services = Services(
            store,
            files,
            environment,
            logs,
            limits,
            clock,
            urls,
            Cursors(secret),
            outstanding,
            UploadTokens(secret, clock),
            FileRemovals(files),
            Deadlines(limits.transaction_seconds),
        )
        self.versions = versions
        self._permits = action_permits(limits.concurrent_actions)

    async def call(
        self,
        path: str,
        args: object,
        call: Call,
        *,
        kind: Kind | None = None,
        internal: bool = False,
        text_for_missing: str = "public function",
        journal: str | None = None,
        observed: bool = False,
        around: Around | None = None,
        version: AbstractContextManager[Registry] | None = None,
        view: Reader | None = None,
    ) -> Outcome:
        """Runs the function called `path` on the current version, and answers how it ended.

        Args:
            path: `messages:send`, in either spelling; `messages` means its default function.
            args: the object of arguments, or a list that holds at most that (None: no arguments).
            kind: what the caller takes the function for; None when any will do.
            internal: whether the caller may run internal functions.
            text_for_missing: `"public function"` or `"function"`, for the message about one that is not there.
            journal: what an earlier run of this query with these arguments left behind (`Outcome.journal`): a page
                of it then covers the same interval again.
            observed: whether to report what it reads and writes (`Outcome.access`), which takes some more time.
            around: what else to do in a mutation's transaction.
            version: a lease on the version to use in the place of the current one.
            view: what a query reads in, in the place of a snapshot of its own; the caller opens and ends it.

        Raises:
            RequestRefused: 400 for what is no path, 429 when too many actions run, 500 and 503 when it was not the
                function's fault.
        """
        with version or self.versions.lease() as registry:
            function = registry.find(path)
            if function is None:
                check_path(path)
            known = kind or (function.kind if function else Kind.QUERY)
            execution = Execution(self.services, registry, call, known, shown_path(function.path if function else path))
            execution.observed = observed
            execution.view = view
            if journal is not None:
                execution.journal = Journal(journal)
            try:
                if function is None or not check_callable(function, kind, internal):
                    raise not_found(path, text_for_missing)
            except DeveloperError as error:
                report(execution, error=error.message)
                return _failed(execution, error)
            try:
                # Directly where no place has to be waited for: each layer costs.
                if function.kind is Kind.ACTION:
                    value, ts = await self._permitted(execution, function, args)
                else:
                    value, ts = await execute(execution, function, args, around)
            except Done as done:
                return Outcome(done.value, log_lines=done.log_lines, ts=done.ts)
            except Exception as error:
                if not isinstance(error, DeveloperError) and error is not execution.raised:
                    raise
                return _failed(execution, error)
            return Outcome(
                value,
                log_lines=execution.log_texts,
                ts=ts,
                journal=_journal(execution, failed=False),
                access=access_of(execution, value) if observed else None,
                reads=execution.reads,
                variables_read=execution.variables_read,
                identity_read=execution.identity_read,
            )

    async def inline(self, kind: Kind, fn: Callable[[Any], Any], call: Call) -> Value:
        """Runs `fn(ctx)` as a function of that kind on the current version, for tests.

        Raises what `fn` raises; then nothing of it was kept.
        """
        code = getattr(inspect.unwrap(fn), "__code__", None)
        place = Place(code.co_filename, code.co_firstlineno) if code is not None else Place("<inline>", 1)
        function = Function("<inline>", kind, Visibility.INTERNAL, None, None, fn, place)
        with self.versions.lease() as registry:
            execution = Execution(self.services, registry, call, kind, function.path)
            value, _ts = await self._permitted(execution, function, {})
            return value

    def http_action(
        self,
        registry: Registry,
        function: Runnable | None,
        call: Call,
        identifier: str,
        *,
        request: str | None = None,
    ) -> HttpExecution:
        """One request to an HTTP action, to be entered with `async with`.

        Args:
            registry: the version that the route was found in; the caller holds its lease.
            function: the handler; None for a mounted application.
            identifier: method and route as declared, `GET /profile/*`.
            request: method and path as they came, `GET /profile/17`.
        """
        execution = Execution(self.services, registry, call, Kind.HTTP_ACTION, identifier)
        return HttpExecution(execution, self._permits, function, request)

    def http_unmatched(
        self, registry: Registry, call: Call, request: str, *, status: int, note: str | None = None
    ) -> None:
        """Logs a request that no route took. `note` may say which route is nearest."""
        execution = Execution(self.services, registry, call, Kind.HTTP_ACTION, request)
        report(execution, status=status, request=request, note=note)

    async def _permitted(self, execution: Execution, function: Function, args: object) -> tuple[Value, int | None]:
        if function.kind is not Kind.ACTION:
            return await execute(execution, function, args)
        try:
            await self._permits.acquire()
        except RequestRefused as refused:
            report(execution, error=refused.message, hint=refused.hint)
            raise
        try:
            return await execute(execution, function, args)
        finally:
            self._permits.release()


def _failed(execution: Execution, error: Exception) -> Outcome:
    return Outcome(
        failure=describe(error, execution.registry),
        error=error,
        log_lines=execution.log_texts,
        journal=_journal(execution, failed=True),
        access=access_of(execution) if execution.observed else None,
        reads=execution.reads,
        variables_read=execution.variables_read,
        identity_read=execution.identity_read,
    )


def _journal(execution: Execution, *, failed: bool) -> str | None:
    journal = execution.journal
    return None if journal is None or execution.kind is not Kind.QUERY else journal.after(failed=failed)
