"""`ctx.scheduler` (https://docs.convex.dev/scheduling/scheduled-functions).

In a mutation, scheduling is a write like any other: it takes effect with the commit, and is undone with the rest. In
an action it takes effect at once, whatever becomes of the action.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyconvex.engine.boundary import module_path, refuse_positional
from pyconvex.engine.execution import Caller, Execution
from pyconvex.engine.jobs import jobs
from pyconvex.engine.paths import find_function
from pyconvex.errors import DeveloperError
from pyconvex.functions.references import function_path, snake
from pyconvex.loading.registry import Registry, canonical_path
from pyconvex.values.ids import DocumentId, InvalidId, decode_id
from pyconvex.values.size import size_of
from pyconvex.values.value import convert

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pyconvex.engine.actions import ActionRun
    from pyconvex.engine.answers import Answer
    from pyconvex.engine.transactions import Run
    from pyconvex.functions.function import Function
    from pyconvex.store.transaction import Transaction
    from pyconvex.values.value import Value

YEARS_MAX: Final = 5
_YEAR_MS: Final = 365 * 86_400_000.0


class _Order(NamedTuple):
    """A function to be scheduled; times are in milliseconds since 1970."""

    name: str
    args: dict[str, Value]
    due: float
    now: float


class MutationScheduler:
    """`ctx.scheduler` of a mutation."""

    __slots__ = ("_run",)

    def __init__(self, run: Run) -> None:
        self._run = run

    def run_after(self, delay: float | timedelta, fn: Any, /, *positional: Any, **args: Any) -> Answer[str]:
        """Schedules `fn(**args)`; answers the id of its document in `_scheduled_functions`.

        Args:
            delay: milliseconds or a `timedelta`, from the start of this mutation. 0 is right after the commit.
            fn: a reference, the registered function itself, or a path; public or internal, a mutation or an action.

        Raises:
            DeveloperError: `InvalidDelay`; `FunctionNotFound`; more than a mutation may schedule.
        """
        return self._run.write("ctx.scheduler.run_after", self._run_after(delay, fn, positional, args))

    def run_at(self, when: float | datetime, fn: Any, /, *positional: Any, **args: Any) -> Answer[str]:
        """As `run_after`, for a moment; one that is past is due at once.

        Args:
            when: milliseconds since 1970, or a `datetime`. Without a time zone it is in that of the machine, as
                everywhere in Python.

        Raises:
            DeveloperError: as for `run_after`, with `InvalidTime`.
        """
        return self._run.write("ctx.scheduler.run_at", self._run_at(when, fn, positional, args))

    def cancel(self, id: str, /) -> Answer[None]:
        """Cancels what has not begun. An action that runs goes on, but what it schedules from now on never runs.

        Raises:
            DeveloperError: `InvalidScheduledFunctionId`; `SelfCanceled` for the mutation that is running.
        """
        return self._run.write("ctx.scheduler.cancel", self._cancel(id))

    async def _run_after(self, delay: object, fn: object, positional: tuple[Any, ...], args: dict[str, Any]) -> str:
        execution = self._run.execution
        due = execution.started_ms + _delay_ms(delay)
        return await self._place(_order(execution, fn, positional, args, due, execution.started_ms))

    async def _run_at(self, when: object, fn: object, positional: tuple[Any, ...], args: dict[str, Any]) -> str:
        execution = self._run.execution
        return await self._place(_order(execution, fn, positional, args, _time_ms(when), execution.started_ms))

    async def _place(self, order: _Order) -> str:
        return await _placed(self._run.transaction, self._run.execution, order)

    async def _cancel(self, id: object) -> None:
        document, execution = _job_id(id), self._run.execution
        if _is_of_own_job(execution) and id == execution.call.job:
            raise DeveloperError("SelfCanceled", "A mutation cannot cancel itself")
        await jobs.cancel(self._run.transaction, document, execution.started_ms)


class ActionScheduler:
    """`ctx.scheduler` of an action: the same methods, each of which is a transaction of its own."""

    __slots__ = ("_run",)

    def __init__(self, run: ActionRun) -> None:
        self._run = run

    def run_after(self, delay: float | timedelta, fn: Any, /, *positional: Any, **args: Any) -> Awaitable[str]:
        """Schedules `fn(**args)`, durably; the delay is from now."""

        async def schedule() -> str:
            now = self._now()
            return await self._place(_order(self._run.execution, fn, positional, args, now + _delay_ms(delay), now))

        return self._run.operation("schedule", schedule)

    def run_at(self, when: float | datetime, fn: Any, /, *positional: Any, **args: Any) -> Awaitable[str]:
        """As `run_after`, for a moment."""

        async def schedule() -> str:
            return await self._place(_order(self._run.execution, fn, positional, args, _time_ms(when), self._now()))

        return self._run.operation("schedule", schedule)

    def cancel(self, id: str, /) -> Awaitable[None]:
        """Cancels what has not begun."""

        async def cancel() -> None:
            document, store = _job_id(id), self._run.execution.services.store
            await store.mutate(lambda transaction: jobs.cancel(transaction, document, self._now()))

        return self._run.operation("schedule.cancel", cancel)

    async def _place(self, order: _Order) -> str:
        execution = self._run.execution
        store = execution.services.store
        return (await store.mutate(lambda transaction: _placed(transaction, execution, order))).value

    def _now(self) -> float:
        return self._run.execution.services.clock.now_ms()


def _order(
    execution: Execution, fn: object, positional: tuple[Any, ...], args: dict[str, Any], due: float, now: float
) -> _Order:
    refuse_positional(positional)
    if abs(due - now) > YEARS_MAX * _YEAR_MS:
        where = "future" if due > now else "past"
        raise DeveloperError("InvalidTime", f"The function is scheduled for more than {YEARS_MAX} years in the {where}")
    function = _target(execution.registry, fn)
    accepted = convert(args)
    assert isinstance(accepted, dict), "keyword arguments convert to an object"
    return _Order(module_path(function.path), accepted, due, now)


async def _placed(transaction: Transaction, execution: Execution, order: _Order) -> str:
    transaction.usage.schedule(size_of(order.args))
    await execution.services.outstanding.check(transaction)
    canceled = await _is_of_canceled_job(transaction, execution)
    return await jobs.add(
        transaction, name=order.name, args=order.args, due=order.due, now=order.now, canceled=canceled
    )


def _is_of_own_job(execution: Execution) -> bool:
    """Whether this transaction is that of a scheduled mutation, so that it ends with the job."""
    root = execution.root
    return root.caller is Caller.SCHEDULER and root.is_transaction


async def _is_of_canceled_job(transaction: Transaction, execution: Execution) -> bool:
    """Whether a scheduled action asks for this, or asks somebody to, that was canceled meanwhile."""
    job = execution.call.job
    if job is None or _is_of_own_job(execution):
        return False
    return await jobs.phase_of(transaction, decode_id(job)) is jobs.Phase.DONE


def _target(registry: Registry, fn: object) -> Function:
    named = function_path(fn)
    if not isinstance(named, str):
        return find_function(registry, named)
    function = registry.find(named)
    if function is not None:
        return function
    module, _, name = canonical_path(named).partition(":")
    if snake(module) not in map(snake, registry.modules):
        raise DeveloperError("FunctionNotFound", f"Attempted to schedule function at nonexistent path: {module}.py")
    raise DeveloperError(
        "FunctionNotFound",
        f"Attempted to schedule function, but no exported function {name} found in the file: {module}.py. "
        "Did you forget to export it?",
        hint="Define it at the top level of the module, as a mutation or an action; HTTP actions cannot be scheduled.",
    )


def _delay_ms(delay: object) -> float:
    if isinstance(delay, timedelta):
        delay = delay / timedelta(milliseconds=1)
    if isinstance(delay, bool) or not isinstance(delay, int | float):
        raise _invalid_delay("a number")
    milliseconds = _float(delay)
    if not math.isfinite(milliseconds):
        raise _invalid_delay("a finite number")
    if milliseconds < 0:
        raise _invalid_delay("non-negative")
    return milliseconds


def _time_ms(when: object) -> float:
    if isinstance(when, datetime):
        when = when.timestamp() * 1000
    if isinstance(when, bool) or not isinstance(when, int | float) or not math.isfinite(moment := _float(when)):
        raise DeveloperError(
            "InvalidTime",
            "The invoke time must be a datetime or a timestamp",
            hint="Give milliseconds since 1970, or a `datetime`.",
        )
    return moment


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _invalid_delay(what: str) -> DeveloperError:
    return DeveloperError("InvalidDelay", f"`delay` must be {what}", hint="Give milliseconds, or a `timedelta`.")


def _job_id(id: object) -> DocumentId:
    try:
        if isinstance(id, str) and jobs.is_job_id(document := decode_id(id)):
            return document
    except InvalidId:
        pass
    raise DeveloperError(
        "InvalidScheduledFunctionId",
        "Invalid scheduled function ID. The ID must be an ID on the '_scheduled_functions' table.",
    )
