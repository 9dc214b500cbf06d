"""One attempt at a scheduled function: https://docs.convex.dev/scheduling/scheduled-functions#error-handling

A mutation and its job's success are one transaction: whoever attempts it, and however often, it takes effect once. An
action is marked as begun in a transaction of its own before it begins, and never attempted again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from pyconvex.clock import request_id, sleep
from pyconvex.engine.actions import is_users, run_action
from pyconvex.engine.auth.identity import ANONYMOUS
from pyconvex.engine.boundary import accept_arguments, shown_path
from pyconvex.engine.conflicts import MutationConflict
from pyconvex.engine.execution import Call, Caller, Execution
from pyconvex.engine.failures import describe
from pyconvex.engine.jobs import jobs
from pyconvex.engine.jobs.jobs import LOST, Phase
from pyconvex.engine.logs.reports import report
from pyconvex.engine.paths import not_found
from pyconvex.engine.transactions import run_mutation
from pyconvex.errors import BareError, DeveloperError
from pyconvex.functions.function import Function, Kind
from pyconvex.store.persistence import Conflict, StoreFailed
from pyconvex.store.usage import UNLIMITED
from pyconvex.values.ids import DocumentId, encode_id

if TYPE_CHECKING:
    from pyconvex.engine.jobs.jobs import Job
    from pyconvex.engine.runner import Runner
    from pyconvex.loading.registry import Registry
    from pyconvex.store.transaction import Transaction
    from pyconvex.values.value import Value

SETTLE_SECONDS: Final = (0.5, 60.0)
"""The shortest and the longest pause between attempts to write down how an action ended."""
_RUNNABLE: Final = (Kind.MUTATION, Kind.ACTION)


async def run_job(runner: Runner, job: Job) -> None:
    """Attempts a job that is due. Afterwards it has ended, unless it was somebody else's.

    Raises what was not the function's fault, such as `MutationConflict` and `StoreFailed`; then the job still waits.
    """
    with runner.versions.lease() as registry:
        function = registry.find(job.name)
        await _Attempt(_execution(runner, registry, job, function), job).run(function)


async def give_up(runner: Runner, id: DocumentId) -> None:
    """Ends an action whose process is gone: nobody knows how far it came."""
    services = runner.services

    async def end(transaction: Transaction) -> Job | None:
        ended = await jobs.end(transaction, id, Phase.RUNNING, LOST, services.clock.now_ms())
        return await jobs.look_up(transaction, id) if ended else None

    job = (await services.store.mutate(end, limits=UNLIMITED, patient=True)).value
    if job is not None:
        with runner.versions.lease() as registry:
            report(_execution(runner, registry, job, registry.find(job.name), Kind.ACTION), error=LOST)


class _Gone(Exception):
    """The job does not wait any more: it was canceled, or another node was quicker."""


class _Attempt:
    """One attempt at one job. For `run_mutation` it is what surrounds the function in its transaction."""

    def __init__(self, execution: Execution, job: Job) -> None:
        self._execution = execution
        self._job = job
        self._store = execution.services.store
        self._clock = execution.services.clock

    async def run(self, function: Function | None) -> None:
        execution, job = self._execution, self._job
        try:
            runnable = _runnable(function, execution.identifier)
            execution.visibility = runnable.visibility
            arguments = accept_arguments(execution, runnable, job.args, self._store.table_name)
        except DeveloperError as error:
            await self._fail(error)
            return
        if runnable.kind is Kind.MUTATION:
            await self._run_mutation(runnable, arguments)
        elif await self._begin_action():
            await self._run_action(runnable, arguments)

    async def begin(self, transaction: Transaction) -> None:
        if not await jobs.take(transaction, self._job.id):
            raise _Gone

    async def end(self, transaction: Transaction, execution: Execution, value: Value) -> None:
        await jobs.end(transaction, self._job.id, Phase.WAITING, None, self._clock.now_ms())

    async def _run_mutation(self, function: Function, arguments: dict[str, Value]) -> None:
        execution = self._execution
        try:
            await run_mutation(execution, function, arguments, self._job.args, around=self)
        except _Gone:
            return
        except Exception as error:
            if is_users(error, execution) and not is_conflict(error):
                await self._fail(error)
                return
            conflict = error.with_whom if isinstance(error, MutationConflict) else None
            report(execution, error=describe(error, execution.registry).text, will_retry=True, conflict=conflict)
            raise
        report(execution)

    async def _run_action(self, function: Function, arguments: dict[str, Value]) -> None:
        execution = self._execution
        try:
            await run_action(execution, function, arguments)
        except asyncio.CancelledError:
            report(execution, error="Cancelled: the deployment was stopped")
            await self._settle(LOST)
            raise
        except Exception as error:
            failure = describe(error, execution.registry)
            report(execution, error=failure.text, hint=failure.hint)
            await self._settle(failure.message)
        else:
            report(execution)
            await self._settle(None)

    async def _begin_action(self) -> bool:
        begun = await self._store.mutate(
            lambda transaction: jobs.take(transaction, self._job.id, self._store.node), limits=UNLIMITED, patient=True
        )
        return begun.value

    async def _fail(self, error: Exception) -> None:
        """Ends a job that waits, and of which nothing was kept, with its error."""
        failure = describe(error, self._execution.registry)
        await self._end(Phase.WAITING, failure.message)
        report(self._execution, error=failure.text, hint=failure.hint)

    async def _settle(self, error: str | None) -> None:
        """Writes down how an action ended, however long that takes."""
        pause, longest = SETTLE_SECONDS
        while True:
            try:
                await self._end(Phase.RUNNING, error)
                return
            except (StoreFailed, Conflict):
                await sleep(self._clock, pause)
                pause = min(2 * pause, longest)

    async def _end(self, phase: Phase, error: str | None) -> None:
        await self._store.mutate(
            lambda transaction: jobs.end(transaction, self._job.id, phase, error, self._clock.now_ms()),
            limits=UNLIMITED,
            patient=True,
        )


def is_conflict(error: BaseException) -> bool:
    """Whether a mutation only has to be run again: others were quicker every time."""
    return isinstance(error, Conflict | MutationConflict)


def _execution(
    runner: Runner, registry: Registry, job: Job, function: Function | None, kind: Kind = Kind.MUTATION
) -> Execution:
    """`kind` is that of a function that is not there any more."""
    call = Call(Caller.SCHEDULER, ANONYMOUS, request_id(runner.services.clock), job=encode_id(job.id))
    path = function.path if function else job.name.replace(".js:", ":")
    return Execution(runner.services, registry, call, function.kind if function else kind, shown_path(path))


def _runnable(function: Function | None, path: str) -> Function:
    if function is None:
        raise not_found(path, "function")
    if function.kind not in _RUNNABLE:
        raise BareError(
            "UnsupportedFunctionType",
            f"Unsupported function type: {path} is a {function.kind.udf_type}. "
            "Only mutations and actions can be scheduled.",
        )
    return function
