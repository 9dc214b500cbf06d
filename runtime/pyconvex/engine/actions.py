"""Actions while they run, and every function that is not called from inside a transaction.

https://docs.convex.dev/functions/actions
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pyconvex.engine.boundary import accept_arguments, accept_result, check_kind, refuse_positional, shown_path
from pyconvex.engine.conflicts import MutationConflict
from pyconvex.engine.context import ActionCtx
from pyconvex.engine.database.access import add_call
from pyconvex.engine.driver.foreign import surface
from pyconvex.engine.execution import Caller, Execution, current
from pyconvex.engine.failures import describe
from pyconvex.engine.logs.logs import Level
from pyconvex.engine.logs.reports import report, warn_near_time
from pyconvex.engine.outages import refusal, system_error
from pyconvex.engine.paths import find_function
from pyconvex.engine.transactions import Done, check_depth, run_mutation, run_query
from pyconvex.errors import BareError, DeveloperError, RequestRefused
from pyconvex.functions.function import Function, Kind
from pyconvex.store.persistence import StoreFailed

if TYPE_CHECKING:
    from pyconvex.engine.transactions import Around
    from pyconvex.values.value import Value

T = TypeVar("T")

DANGLING_HELP: Final = "https://docs.convex.dev/functions/actions#dangling-promises"


async def execute(
    execution: Execution, function: Function, given: object, around: Around | None = None
) -> tuple[Value, int | None]:
    """Runs `function` to its end and logs it; answers its result and, of a transaction, the timestamp (ns).

    Raises what the function raised; `RequestRefused` when the fault is not its own. Raises `Done`, and logs nothing,
    when the mutation was run before, as `around` it says.
    """
    execution.visibility = function.visibility
    try:
        value, ts = await _run(execution, function, given, around)
    except Done:
        raise
    except asyncio.CancelledError:
        report(execution, error="Cancelled: the caller ended first")
        raise
    except Exception as error:
        failure = describe(error, execution.registry)
        conflict = error.with_whom if isinstance(error, MutationConflict) else None
        report(execution, error=failure.text, hint=failure.hint, conflict=conflict)
        if is_users(error, execution):
            raise
        raise (refusal(error) if isinstance(error, StoreFailed) else system_error()) from error
    report(execution)
    return value, ts


def is_users(error: Exception, execution: Execution) -> bool:
    """Whether the function, or who called it, is to hear of `error`; otherwise the deployment itself failed."""
    if isinstance(error, StoreFailed):
        return False
    return error is execution.raised or isinstance(error, DeveloperError | RequestRefused)


def _run(
    execution: Execution, function: Function, given: object, around: Around | None
) -> Coroutine[Any, Any, tuple[Value, int | None]]:
    arguments = accept_arguments(execution, function, given, execution.services.store.table_name)
    if function.kind is Kind.QUERY:
        return run_query(execution, function, arguments, given)
    if function.kind is Kind.MUTATION:
        return run_mutation(execution, function, arguments, given, around=around)
    return run_action(execution, function, arguments)


async def run_action(execution: Execution, function: Function, arguments: dict[str, Value]) -> tuple[Value, None]:
    """Runs an action in the running task, under the limit `action_seconds`; it has no timestamp."""
    run = ActionRun(execution)

    async def handle() -> Value:
        returned = function.handler(ActionCtx(run), **arguments)
        if hasattr(returned, "__await__"):
            returned = await returned
        return accept_result(execution, function, returned, execution.services.store.table_name)

    token = current.set(execution)
    try:
        return await limited(execution, handle()), None
    finally:
        current.reset(token)
        run.end()


async def limited(execution: Execution, work: Coroutine[Any, Any, T], *, until: float | None = None) -> T:
    """Awaits user code of an action. Whatever it ends with is an `Exception` afterwards.

    Args:
        until: when its time is over, on the event loop's clock; by default `action_seconds` from now.
    """
    seconds = execution.services.limits.action_seconds
    limit = None
    try:
        # Much that actions do never waits: the timer is set for what does.
        waiting = work.send(None)
        limit = asyncio.timeout_at(asyncio.get_running_loop().time() + seconds if until is None else until)
        async with limit:
            return await _Rest(work, waiting)
    except StopIteration as stop:
        return stop.value
    except Exception as error:
        if isinstance(error, TimeoutError) and limit is not None and limit.expired():
            raise _raised(execution, timed_out(seconds), error) from error
        execution.raised = error
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise  # the caller is gone: this is not the function's doing
        raise _raised(execution, surface(error), error) from error
    except BaseException as error:
        raise _raised(execution, surface(error), error) from error


class _Rest(Generic[T]):
    """What is left of a coroutine that has begun, and waits for `waiting`."""

    __slots__ = ("_waiting", "_work")

    def __init__(self, work: Coroutine[Any, Any, T], waiting: Any) -> None:
        self._work = work
        self._waiting = waiting

    def __await__(self) -> Generator[Any, Any, T]:
        work, waiting = self._work, self._waiting
        try:
            while True:
                try:
                    sent = yield waiting
                except BaseException as error:
                    waiting = work.throw(error)
                else:
                    waiting = work.send(sent)
        except StopIteration as stop:
            return stop.value


def _raised(execution: Execution, error: Exception, cause: BaseException) -> Exception:
    execution.raised = error
    return error.with_traceback(cause.__traceback__)


def timed_out(seconds: float) -> BareError:
    return BareError("FunctionTimeout", f"Function execution timed out (maximum duration: {seconds:g}s)")


class Operation(Generic[T]):
    """A call of an action's `ctx`: it begins when it is awaited, and ends with the action at the latest.

    It has a coroutine's methods, so `asyncio.create_task`, `gather` and `TaskGroup` take it.
    """

    __slots__ = ("_run", "_steps", "_work", "name", "task")

    def __init__(self, run: ActionRun, name: str, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self.name = name
        self.task: asyncio.Task[Any] | None = None
        self._run = run
        self._work = work
        self._steps: Generator[Any, Any, T] | None = None

    def __await__(self) -> Generator[Any, Any, T]:
        self.task = asyncio.current_task()
        try:
            return (yield from self._work().__await__())
        finally:
            self._run.operations.discard(self)

    def send(self, value: Any) -> Any:
        return self._started().send(value)

    def throw(self, *error: Any) -> Any:
        return self._started().throw(*error)

    def close(self) -> None:
        if self._steps is not None:
            self._steps.close()

    def _started(self) -> Generator[Any, Any, T]:
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps


class ActionRun:
    """One action on its way through its handler; its `ctx` acts through this."""

    __slots__ = ("execution", "operations")

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self.operations: set[Operation[Any]] = set()
        """What was called and has not ended."""

    def operation(self, name: str, work: Callable[[], Coroutine[Any, Any, T]]) -> Operation[T]:
        """`work` as something to await; `name` is what the warning about a forgotten one calls it."""
        if self.execution.ended:
            raise DeveloperError(
                "FunctionEnded",
                f"`ctx` of {self.execution.identifier} was used after the function had ended.",
                hint="Use each `ctx` only inside the call it was made for.",
            )
        operation = Operation(self, name, work)
        self.operations.add(operation)
        return operation

    def call(
        self, name: str, kind: Kind, fn: object, positional: Sequence[Any], arguments: dict[str, Any]
    ) -> Operation[Any]:
        """Runs another function: a query or mutation in a transaction of its own, or an action."""
        refuse_positional(positional)
        return self.operation(name, lambda: self._called(kind, fn, arguments))

    def end(self) -> None:
        """The handler is done, and the response is sent: what still runs is cancelled, and warned about."""
        execution = self.execution
        execution.ended = True
        services = execution.services
        warn_near_time(execution, services.clock.monotonic() - execution.started, services.limits.action_seconds)
        dangling = list(self.operations)
        if not dangling:
            return
        names = ", ".join(operation.name for operation in dangling)
        plural = "" if len(dangling) == 1 else "s"
        self.execution.lines.add_system(
            Level.WARN,
            f"{len(dangling)} unawaited operation{plural}: [{names}]. Async operations should be awaited or they "
            f"might not run. See {DANGLING_HELP} for more information.",
            "warning:UnawaitedOperations",
        )
        mine = asyncio.current_task()
        for operation in dangling:
            if operation.task is not None and operation.task is not mine:
                operation.task.cancel()

    async def _called(self, kind: Kind, fn: object, arguments: dict[str, Any]) -> Value:
        caller = self.execution
        function = find_function(caller.registry, fn)
        check_kind(function, kind)
        check_depth(caller)
        child = Execution(
            caller.services, caller.registry, caller.call, kind, shown_path(function.path), caller=Caller.ACTION
        )
        child.parent_id = caller.id
        child.depth = caller.depth + 1
        child.observed = caller.observed
        try:
            value, _ts = await execute(child, function, arguments)
        finally:
            add_call(caller, child)
        return value
