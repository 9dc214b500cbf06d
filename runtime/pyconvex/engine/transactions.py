"""Queries and mutations while they run, and the functions they call inside their own transaction.

https://docs.convex.dev/functions/mutation-functions#transactions
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager, suppress
from contextvars import Context
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pyconvex.engine.answers import Answer, Pending, TurnTaking
from pyconvex.engine.boundary import accept_arguments, accept_result, check_kind, refuse_positional, shown_path
from pyconvex.engine.conflicts import given_up, sent_back
from pyconvex.engine.context import MutationCtx, QueryCtx
from pyconvex.engine.database.access import observe
from pyconvex.engine.driver.function_loop import FunctionLoop
from pyconvex.engine.driver.time_limit import TRUSTED
from pyconvex.engine.execution import Execution, current
from pyconvex.engine.failures import user_file
from pyconvex.engine.logs.logs import Level
from pyconvex.engine.logs.reports import report, warn_near_time
from pyconvex.engine.paths import find_function
from pyconvex.errors import DeveloperError
from pyconvex.functions.function import Function, Kind
from pyconvex.store.observed import ObservedTransaction
from pyconvex.store.persistence import Conflict, StoreFailed
from pyconvex.store.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Sequence

    from pyconvex.engine.deadlines import Deadline
    from pyconvex.values.value import Value

T = TypeVar("T")

SNAPSHOTS_LOST_MAX = 3
"""How often a query runs whose connection to the database breaks each time."""


class Around(Protocol):
    """What is done in a mutation's transaction besides its function: all of it is kept, or nothing."""

    async def begin(self, transaction: Transaction) -> None:
        """May raise `Done`."""
        ...

    async def end(self, transaction: Transaction, execution: Execution, value: Value) -> None: ...


class Done(Exception):
    """A mutation that is not to be run, because it was before: what it returned and logged then.

    Attributes:
        ts: of a snapshot that shows it (ns).
    """

    def __init__(self, value: Value, log_lines: list[str], ts: int) -> None:
        super().__init__("this mutation was run before")
        self.value = value
        self.log_lines = log_lines
        self.ts = ts


async def run_query(
    execution: Execution, function: Function, arguments: dict[str, Value], given: object
) -> tuple[Value, int]:
    """Runs a query on a snapshot of its own; answers its result and the snapshot's timestamp (ns).

    When its connection to the database breaks, it runs again, with arguments made anew from what was `given`. Raises
    `SystemTimeout` after `transaction_seconds`.
    """
    services = execution.services
    kind = ObservedTransaction if execution.observed else Transaction
    if execution.view is not None:
        # Live queries begin in one task and go on in another.
        with services.deadlines.begin(in_task=False) as deadline:
            transaction = await services.store.begin(execution.view, kind)
            value = await _drive(execution, function, transaction, arguments, deadline)
            return value, transaction.ts
    with services.deadlines.begin() as deadline:
        for _ in range(SNAPSHOTS_LOST_MAX):
            async with services.store.snapshot(kind) as transaction:
                try:
                    value = await _drive(execution, function, transaction, arguments, deadline)
                except Exception:
                    if not transaction.lost:
                        raise
                else:
                    if not transaction.lost:
                        return value, transaction.ts
            execution.restart()
            arguments = accept_arguments(execution, function, given, services.store.table_name)
    raise StoreFailed("DatabaseUnreachable", "the connection to the database was lost again and again")


async def run_mutation(
    execution: Execution,
    function: Function,
    arguments: dict[str, Value],
    given: object,
    *,
    around: Around | None = None,
) -> tuple[Value, int]:
    """Runs a mutation until it is committed; answers its result and the commit's timestamp (ns).

    The store may run it several times; from the second on the arguments are made anew from what was `given`, as
    the handler may have changed them. Raises `SystemTimeout` when it was not handed to the database within
    `transaction_seconds`; from then on its outcome is waited for.
    """
    services = execution.services
    deadline = services.deadlines.begin()
    fresh: dict[str, Value] | None = arguments

    async def attempt(transaction: Transaction) -> Value:
        nonlocal fresh
        mine, fresh = fresh, None
        if mine is None:
            deadline.again()
            _begin_again(execution, transaction)
            mine = accept_arguments(execution, function, given, transaction.table_name)
        if around is None:
            return await _drive(execution, function, transaction, mine, deadline)
        await around.begin(transaction)
        value = await _drive(execution, function, transaction, mine, deadline)
        await around.end(transaction, execution, value)
        return value

    kind = ObservedTransaction if execution.observed else Transaction
    try:
        with deadline:
            committed = await services.store.mutate(
                attempt, label=execution.identifier, kind=kind, claim=deadline.commit
            )
    except Conflict as conflict:
        raise given_up(conflict, execution) from conflict
    for then in execution.after_commit:
        await then()
    return committed.value, committed.ts


def _begin_again(execution: Execution, transaction: Transaction) -> None:
    if (conflict := transaction.conflict) is not None:
        error, met = sent_back(conflict, execution)
        report(execution, error=error, will_retry=True, conflict=met)
    execution.retries += 1
    execution.restart()


async def _drive(
    execution: Execution,
    function: Function,
    transaction: Transaction,
    arguments: dict[str, Value],
    deadline: Deadline,
) -> Value:
    limits = execution.services.limits
    seconds = limits.query_seconds if function.kind is Kind.QUERY else limits.mutation_seconds
    loop = FunctionLoop(seconds)
    deadline.run(loop)
    run = Run(execution, function, transaction, loop)
    transaction.pause = loop.turn
    execution.usage = transaction.usage
    execution.reads = transaction.reads
    try:
        value = await loop.run(run.invoke(arguments), context=_context_of(execution))
        warn_near_time(execution, loop.limit.used_seconds, seconds)
        return value
    except Exception as error:
        execution.raised = error
        raise
    finally:
        deadline.ran()
        execution.ended = True
        if isinstance(transaction, ObservedTransaction):
            execution.access = observe(execution, transaction, loop.limit.used_seconds, seconds)


def _context_of(execution: Execution) -> Context:
    """An empty context but for the execution: a replay must not depend on what the caller had set."""
    context = Context()
    context.run(current.set, execution)
    return context


class Run:
    """One query or mutation on its way through its handler; its `ctx` acts through this."""

    __slots__ = ("execution", "function", "loop", "transaction")

    def __init__(self, execution: Execution, function: Function, transaction: Transaction, loop: FunctionLoop) -> None:
        self.execution = execution
        self.function = function
        self.transaction = transaction
        self.loop = loop

    async def invoke(self, arguments: dict[str, Value]) -> Value:
        """The handler from its arguments to its validated result, with everything it forgot to await."""
        execution = self.execution
        ctx = QueryCtx(self) if self.function.kind is Kind.QUERY else MutationCtx(self)
        result = self.function.handler(ctx, **arguments)
        if hasattr(result, "__await__"):
            result = await result
        if execution.pending:
            await self._settle()
        accepted = accept_result(execution, self.function, result, self.transaction.table_name)
        if execution.root is execution:
            self._warn_near_limits()
        return accepted

    def read(self, name: str, work: Coroutine[Any, Any, T]) -> Answer[T]:
        """Does `work` now. `name` is what the user called, and the user is two frames up."""
        self._check_alive(work)
        try:
            with TRUSTED:
                waiting = work.send(None)
        except StopIteration as stop:
            turn = self.loop.turn()
            return Answer(stop.value) if turn is None else TurnTaking(stop.value, turn)
        except Exception as error:
            return self._pend(Pending(name, _caller(), error=error))
        return self._pend(Pending(name, _caller(), future=self._rest(work, waiting, write=False), reads=True))

    def write(self, name: str, work: Coroutine[Any, Any, T]) -> Answer[T]:
        """As `read`, for what must not be forgotten."""
        self._check_alive(work)
        try:
            with TRUSTED:
                waiting = work.send(None)
        except StopIteration as stop:
            return self._pend(Pending(name, _caller(), stop.value, turn=self.loop.turn()))
        except Exception as error:
            return self._pend(Pending(name, _caller(), error=error))
        return self._pend(Pending(name, _caller(), future=self._rest(work, waiting, write=True)))

    def act(self, name: str, work: Callable[[Transaction, str, object], T], table: str, value: object) -> Answer[T]:
        """As `write`, for what never has to wait."""
        self._check_alive()
        try:
            with TRUSTED:
                done = work(self.transaction, table, value)
        except Exception as error:
            return self._pend(Pending(name, _caller(), error=error))
        return self._pend(Pending(name, _caller(), done, turn=self.loop.turn()))

    def call(
        self, name: str, kind: Kind, fn: object, positional: Sequence[Any], arguments: dict[str, Any]
    ) -> Answer[Any]:
        """Runs another function inside this transaction, to its end before anything else here goes on."""
        self._check_alive()
        try:
            refuse_positional(positional)
            function = find_function(self.execution.registry, fn)
            child = self._child(kind, function)
            accepted = accept_arguments(child.execution, function, arguments, self.transaction.table_name)
        except Exception as error:
            return self._pend(Pending(name, _caller(), error=error))
        future = self.loop.spawn(
            child.invoke(accepted),
            context=_context_of(child.execution),
            scope=self._layer(child) if function.kind is Kind.MUTATION else None,
        )
        return self._pend(Pending(name, _caller(), future=future))

    def _child(self, kind: Kind, function: Function) -> Run:
        execution = self.execution
        check_kind(function, kind)
        check_depth(execution)
        child = execution.child(function.kind, shown_path(function.path))
        return Run(child, function, self.transaction, self.loop)

    @contextmanager
    def _layer(self, child: Run) -> Generator[None]:
        """The sub-transaction around `child`: when it raises, what it wrote is undone."""
        with self.transaction.layer():
            yield
        self.execution.after_commit += child.execution.after_commit

    def _check_alive(self, work: Coroutine[Any, Any, Any] | None = None) -> None:
        if self.execution.root.ended:
            if work is not None:
                work.close()
            raise DeveloperError(
                "FunctionEnded",
                f"`ctx` of {self.execution.identifier} was used after the function had ended.",
                hint="Use each `ctx` only inside the call it was made for.",
            )

    def _pend(self, pending: Pending[T]) -> Pending[T]:
        self.execution.pending.append(pending)
        return pending

    def _rest(
        self, work: Coroutine[Any, Any, T], waiting: asyncio.Future[Any] | None, *, write: bool
    ) -> asyncio.Future[T]:
        """The rest of a call whose first step ended in a wait: for a store that answers later, or for a turn."""
        return self.loop.create_task(self._carry_on(work, waiting, write=write))

    async def _carry_on(self, work: Coroutine[Any, Any, T], waiting: asyncio.Future[Any] | None, *, write: bool) -> T:
        try:
            while True:
                await self._settled(waiting, write)
                with TRUSTED:
                    waiting = work.send(None)
        except StopIteration as stop:
            return stop.value
        finally:
            work.close()

    async def _settled(self, waiting: asyncio.Future[Any] | None, write: bool) -> None:
        """Waits for what `work` yielded, as a task would; the error of it is for `work` to see."""
        if waiting is None:
            await asyncio.sleep(0)
            return
        waiting._asyncio_future_blocking = False
        twin = waiting if waiting.get_loop() is self.loop else self.loop.adopt(waiting, write=write)
        with suppress(Exception):
            await twin

    async def _settle(self) -> None:
        """Ends what was begun and never awaited, as Convex does: it happens, and its error is the function's."""
        for pending in self.execution.pending:
            if not pending.awaited:
                if not pending.failed and not pending.reads:
                    self._warn_unawaited(pending)
                await pending

    def _warn_near_limits(self) -> None:
        for near in (*self.transaction.usage.warnings(), *self.transaction.warnings):
            self.execution.lines.add_system(Level.WARN, near.text, f"warning:{near.code}")

    def _warn_unawaited(self, pending: Pending[Any]) -> None:
        shown = user_file(pending.file, str(self.execution.registry.root)) or "a library"
        self.execution.lines.add_system(
            Level.WARN,
            f"`{pending.name}` at {shown}:{pending.line} was not awaited. It was done all the same; "
            f"write `await {pending.name}(...)` to get its result and its errors where they belong.",
            "warning:UnawaitedOperations",
        )


def check_depth(execution: Execution) -> None:
    """Raises `DeveloperError` when `execution` may not call any further function."""
    if execution.depth >= execution.services.limits.call_depth:
        raise DeveloperError(
            "CallDepthExceeded",
            "Cross component call depth limit exceeded. Do you have an infinite loop in your app?",
        )


def _caller() -> FrameType:
    """Where the user called the method of `ctx` that called the method of `Run` that called this."""
    return sys._getframe(3)  # pyright: ignore[reportPrivateUsage] - one call instead of one per frame
