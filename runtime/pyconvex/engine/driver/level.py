"""One function within a call of a FunctionLoop: what it started, what is ready to run, and how it ended."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Coroutine, Iterator
from contextlib import AbstractContextManager, suppress
from time import perf_counter
from types import CoroutineType
from typing import Any, TypeVar

from pyconvex.engine.driver import foreign

from .time_limit import TimeLimitExceeded, trusted

T = TypeVar("T")

CLOSING_SECONDS = 0.3
"""How long to try to end a coroutine that swallows everything."""

_unclosable: list[Coroutine[Any, Any, Any]] = []


class Level:
    """The call itself (`outer` is None), or a `run_query` or `run_mutation` nested in it."""

    __slots__ = (
        "_scope",
        "ended",
        "exit",
        "failed",
        "failures",
        "futures",
        "loop",
        "main",
        "nested",
        "outer",
        "ready",
        "result",
        "swept",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | None = None,
        outer: "Level | None" = None,
        result: "asyncio.Future[Any] | None" = None,
        scope: AbstractContextManager[object] | None = None,
    ) -> None:
        self.loop = loop
        self.outer = outer
        self.result = result
        """What the outer level awaits."""
        self._scope = scope
        self.main: asyncio.Task[Any]
        self.ready: deque[asyncio.Handle] = deque()
        self.nested: deque[Level] = deque()
        """Spawned and not entered yet."""
        self.futures: list[asyncio.Future[Any]] = []
        """Everything that may be left over, or fail unseen."""
        self.failures: list[BaseException] = []
        """Errors that no code of the user can see any more."""
        self.exit: BaseException | None = None
        """A SystemExit or KeyboardInterrupt, from whichever task."""
        self.ended = False
        self.failed = False
        self.swept = False
        """What was left over has been cancelled."""

    def end(self) -> bool:
        """The function itself is over; whether it has failed."""
        self.ended = True
        self.failed = self.exit is not None or self.main.cancelled() or self.main.exception() is not None
        return self.failed

    def failure(self) -> Exception | None:
        """What the function failed with: its own error, else one that nobody saw."""
        error = self.exit or error_of(self.main) or next(self._unseen(), None)
        if error is None:
            return None
        self.forget_failures()
        return foreign.surface(error)

    def enter(self) -> None:
        if self._scope is not None:
            with trusted():
                self._scope.__enter__()

    def leave(self) -> None:
        """Leave the scope and hand the outcome to the outer level."""
        failure = self.failure()
        if self._scope is not None:
            with trusted():
                self._scope.__exit__(failure and type(failure), failure, failure and failure.__traceback__)
        if self.result is None or self.result.done():
            pass  # the outer level was cancelled
        elif failure is None:
            self.result.set_result(self.main.result())
        else:
            self.result.set_exception(failure)
        # Its context names the level: else each nested call would be a cycle for the garbage collector.
        self.futures.clear()
        del self.main

    def pending(self) -> list["asyncio.Future[Any]"]:
        return [future for future in self.futures if not future.done()]

    def forget_failures(self) -> None:
        """Mark them as seen: asyncio reports the others when they are freed, which may be to a call that goes on."""
        for future in self.futures:
            if future.done() and not future.cancelled():
                future.exception()

    def _unseen(self) -> Iterator[BaseException]:
        yield from self.failures
        for future in self.futures:
            unseen = future._log_traceback  # pyright: ignore[reportPrivateUsage]  # where asyncio keeps it
            error = error_of(future) if unseen else None
            if error is not None:
                yield error


current_level: contextvars.ContextVar[Level | None] = contextvars.ContextVar("pyconvex_level", default=None)
"""The nested level that a context belongs to; None at the top."""


def error_of(future: "asyncio.Future[Any]") -> BaseException | None:
    """What a finished future ended with, a cancellation too; with its traceback."""
    if not future.cancelled():
        return future.exception()
    try:
        future.result()
    except asyncio.CancelledError as cancelled:
        return cancelled


def hand_over(call: "asyncio.Future[T]", twin: "asyncio.Future[T]", level: Level, *, write: bool) -> None:
    """Settle `twin` as `call` ended. A failed write counts even when its twin was cancelled."""
    error = None if call.cancelled() else call.exception()
    if twin.done():
        if error is not None and write:
            level.failures.append(error)
    elif call.cancelled():
        twin.cancel()
    elif error is not None:
        level.futures.append(twin)
        twin.set_exception(error)
    else:
        twin.set_result(call.result())


def close_coroutine(future: "asyncio.Future[Any]") -> None:
    """End a task that has swallowed its cancellation, under the caller's time limit.

    Python's own way, GeneratorExit, is swallowed by `except:` as well; this exception is not, and what
    swallows even this meets the limit's hail.
    """
    until = perf_counter() + CLOSING_SECONDS
    coroutine = _open_coroutine(future)
    while coroutine is not None and perf_counter() < until:
        with suppress(BaseException):
            coroutine.throw(TimeLimitExceeded)
        coroutine = _open_coroutine(future)


def keep_if_open(future: "asyncio.Future[Any]") -> None:
    """Keep what could not be closed for as long as the process lives: freeing it would run it, with no limit."""
    coroutine = _open_coroutine(future)
    if coroutine is not None:
        _unclosable.append(coroutine)
    if isinstance(future, asyncio.Task):
        future._log_destroy_pending = False  # pyright: ignore[reportAttributeAccessIssue]  # as asyncio itself does


def _open_coroutine(future: "asyncio.Future[Any]") -> Coroutine[Any, Any, Any] | None:
    coroutine = future.get_coro() if isinstance(future, asyncio.Task) else None
    return coroutine if isinstance(coroutine, CoroutineType) and coroutine.cr_frame else None
