"""The event loop of one query or mutation, driven by hand on the real loop's own thread.

On SQLite everything `ctx` offers answers at once, so a call runs straight through. Where the store has to
be waited for, the call goes idle on an outstanding call of the real loop (`adopt`), which `run` awaits
before it drives on. Idle with nothing outstanding means that the handler awaits something foreign: that is
the error "use an action", and so determinism comes by itself. `asyncio.gather`, `TaskGroup`, `timeout`,
queues and locks work inside: time stands still, and timers never fire.
"""

import asyncio
import contextvars
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractContextManager, suppress
from functools import partial
from math import inf
from typing import Any, NoReturn, TypeVar, cast

from pyconvex.engine.driver import foreign

from .guard import NotInQueriesOrMutations
from .level import Level, close_coroutine, current_level, error_of, hand_over, keep_if_open
from .time_limit import FunctionTimeout, TimeLimit, TimeLimitExceeded, trusted

__all__ = ["FunctionLoop", "current_function_loop", "trusted"]

T = TypeVar("T")

TURN_SECONDS = 0.005
"""A call that has run for this long lets the real loop run at its next `ctx` call."""

LAST_WORDS_SECONDS = 0.05
"""User code time of the `finally` blocks of a call that is over."""

# How asyncio itself switches loops; both names are in `asyncio.events.__all__`.
_get_running_loop = asyncio._get_running_loop  # pyright: ignore[reportPrivateUsage]
_set_running_loop = asyncio._set_running_loop  # pyright: ignore[reportPrivateUsage]

_swap_current_task = cast(
    "Callable[[asyncio.AbstractEventLoop, asyncio.Task[Any] | None], asyncio.Task[Any] | None] | None",
    # From 3.14 on the current task is one per thread, no longer one per loop.
    getattr(asyncio.tasks, "_swap_current_task", None) if sys.version_info >= (3, 14) else None,
)


class FunctionLoop(asyncio.AbstractEventLoop):
    """Drives one top-level query or mutation. `limit.check()` belongs at the start of every `ctx` call."""

    def __init__(self, limit_seconds: float) -> None:
        self.limit = TimeLimit(limit_seconds)
        self._root = self._level = Level()
        self._spawned: list[Level] = []
        self._outstanding: dict[asyncio.Future[Any], bool] = {}
        """Calls of the real loop, by whether they write. One leaves when its result is delivered, not when it is
        done, which is a turn earlier: in between the call would look idle with nothing outstanding."""
        self._leftovers: list[asyncio.Future[Any]] = []
        self._real: asyncio.AbstractEventLoop
        self._wake: asyncio.Future[None] | None = None
        self._finished = False
        self._given_up: Exception | None = None
        self._task_factory: Any = None

    async def run(self, main: Coroutine[Any, Any, T], *, context: contextvars.Context | None = None) -> T:
        """Drive `main` on the running loop's thread until it and everything it started has ended.

        Raises what the handler raised, or a failure nobody awaited. FunctionTimeout: it ran too long.
        NotDeterministic: it awaits something foreign. FunctionExited: SystemExit, CancelledError and the like.
        What `give_up` was given.
        CancelledError: the task that runs this was cancelled; the handler's `finally` blocks have run then.
        """
        self._real = asyncio.get_running_loop()
        root = self._root
        root.main = asyncio.Task(main, loop=self, name="pyconvex", context=context)
        root.futures.append(root.main)
        try:
            self._pump(self.limit, self._drain)
            while not self._finished:
                if not self._outstanding:
                    raise self._stuck()
                await self._delivery()
                if self._given_up is not None:
                    raise self._given_up
                self._pump(self.limit, self._drain)
            if len(root.futures) == 1 and not root.failed and not root.failures:
                return root.main.result()
            failure = root.failure()
            if failure is None:
                return root.main.result()
        except BaseException as ending:
            await self._abandon()
            if isinstance(ending, TimeLimitExceeded):
                raise self._timeout(ending) from ending
            raise
        finally:
            if self._leftovers:
                self._close_leftovers()
            # Else every call would be a cycle for the garbage collector.
            root.futures.clear()
            del root.main
        raise failure

    def spawn(
        self,
        main: Coroutine[Any, Any, T],
        *,
        context: contextvars.Context,
        scope: AbstractContextManager[object] | None = None,
    ) -> "asyncio.Future[T]":
        """A nested `run_query` or `run_mutation` in `context`, which must be one of its own.

        When the calling function next gives way, nothing else of it goes on until the nested one, and everything
        that one started, has ended. `scope` (a sub-transaction) is around exactly that, and left with the failure.
        """
        with trusted():
            result: asyncio.Future[T] = self.create_future()
            outer = self._level
            level = Level(self, outer, result, scope)
            context.run(current_level.set, level)
            self._spawned.append(level)
            level.main = asyncio.Task(main, loop=self, name="pyconvex-nested", context=context)
            level.futures.append(level.main)
            outer.nested.append(level)
            outer.futures.append(result)
        return result

    def adopt(self, future: "asyncio.Future[T]", *, write: bool = False) -> "asyncio.Future[T]":
        """The twin, on this loop, of an outstanding call of the real loop.

        A failed function cancels what it still reads. A write is always waited for, also when nobody awaits
        the twin, and its error fails the function.
        """
        with trusted():
            twin: asyncio.Future[T] = self.create_future()
            level = self._level

            def deliver(call: "asyncio.Future[T]") -> None:
                self._outstanding.pop(call, None)
                hand_over(call, twin, level, write=write)
                self._wake_up()

            self._outstanding[future] = write
            future.add_done_callback(deliver)
        return twin

    def turn(self) -> "asyncio.Future[None] | None":
        """After 5 ms without giving way: a future to await, which lets the real loop run once; else None."""
        if self.limit.running_seconds < TURN_SECONDS:
            return None
        with trusted():
            turn: asyncio.Future[None] = self._real.create_future()
            self._real.call_soon(turn.set_result, None)
        return self.adopt(turn, write=True)

    def give_up(self, error: Exception) -> None:
        """Called from the real loop: end the call with `error`, whatever it waits for.

        Not one that a debugger has stopped: then it was a person who took the time.
        """
        if self.limit.left < inf:
            self._given_up = error
            self._wake_up()

    # --- driving

    def _pump(self, limit: TimeLimit, work: Callable[[], None]) -> None:
        """Run user code, with this loop in the real one's place. Nothing is interrupted outside the guard."""
        real = self._real
        hooks = sys.get_asyncgen_hooks()
        adopts = hooks[0] is not None or hooks[1] is not None
        task = _swap_current_task(real, None) if _swap_current_task else None
        if adopts:
            sys.set_asyncgen_hooks(None, None)  # else the real loop would adopt the user's generators
        _set_running_loop(self)
        try:
            limit.guard(work)
        finally:
            _set_running_loop(real)
            if adopts:
                sys.set_asyncgen_hooks(*hooks)
            if _swap_current_task:
                _swap_current_task(real, task)

    def _drain(self) -> None:
        """Run until the call has ended, waits for outstanding calls, or waits for nothing that could come."""
        limit = self.limit
        while not limit.expired:
            level = self._level
            if level.nested:
                self._level = level.nested.popleft()
                self._level.enter()
            elif level.ready:
                try:
                    _run(level.ready.popleft())
                except (SystemExit, KeyboardInterrupt) as exit_:
                    level.exit = exit_
                if not level.ended and (level.main.done() or level.exit is not None) and level.end():
                    # After a failure all else stops at once; what a success forgot runs on.
                    self._cancel(level)
            elif self._outstanding or not self._close(level):
                return

    def _close(self, level: Level) -> bool:
        """Leave a level in which nothing can go on; whether there is more to drain."""
        if not level.ended:
            return False
        pending = level.pending() if len(level.futures) > 1 else ()
        if pending and not level.swept:
            self._cancel(level)
            return True
        self._leftovers += pending
        if level.outer is None:
            self._finished = True
            return False
        self._level = level.outer
        self._spawned.remove(level)
        level.leave()
        return True

    def _cancel(self, level: Level) -> None:
        level.swept = True
        for nested in level.nested:
            self._cancel(nested)
        for future in level.pending():
            future.cancel()
        if level is self._root:
            self._cancel_reads()

    def _cancel_reads(self) -> None:
        for call, writes in tuple(self._outstanding.items()):
            if not writes:
                call.cancel()

    # --- waiting for the real loop

    async def _delivery(self) -> None:
        """Wait until an outstanding call delivers; one wake-up however many do in the same turn."""
        self._wake = self._real.create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # --- giving up

    def _stuck(self) -> foreign.NotDeterministic:
        futures = [future for level in self._levels() for future in reversed(level.futures)]
        return foreign.stuck([task for task in futures if isinstance(task, asyncio.Task) and not task.done()])

    def _timeout(self, ending: TimeLimitExceeded) -> FunctionTimeout:
        """The error for the caller, with the traceback of the user's code where the interrupt hit it."""
        errors = [error_of(future) for level in self._levels() for future in level.futures if future.done()]
        hit = next((error for error in errors if isinstance(error, TimeLimitExceeded)), ending)
        return FunctionTimeout(self.limit.seconds).with_traceback(hit.__traceback__)

    async def _abandon(self) -> None:
        """Cancel everything and let `finally` blocks run here, where they are watched, rather than when freed."""
        with suppress(TimeLimitExceeded):
            self._pump(TimeLimit(LAST_WORDS_SECONDS), self._last_words)
        for level in self._levels():
            self._leftovers += level.pending()
            level.forget_failures()
        self._cancel_reads()
        try:
            while self._outstanding and self._given_up is None:
                await self._delivery()
        finally:
            for call in tuple(self._outstanding):
                call.cancel()  # cancelled once more, or given up: then not even writes are waited for

    def _last_words(self) -> None:
        for level in self._levels():
            self._cancel(level)
        while level := next((level for level in self._levels() if level.ready), None):
            with suppress(SystemExit, KeyboardInterrupt):
                _run(level.ready.popleft())

    def _close_leftovers(self) -> None:
        """End what has swallowed its cancellation: it is never waited for, and freed it would run on unwatched."""
        for future in self._leftovers:
            with suppress(TimeLimitExceeded):
                self._pump(TimeLimit(LAST_WORDS_SECONDS), partial(close_coroutine, future))
            keep_if_open(future)
        self._leftovers.clear()

    def _levels(self) -> list[Level]:
        """The levels that are open, innermost first."""
        return [*reversed(self._spawned), self._root]

    # --- what asyncio asks of an event loop

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        level = self._level_of(context) if self._spawned else self._level
        level.ready.append(handle)
        return handle

    def _level_of(self, context: contextvars.Context | None) -> Level:
        if context is None or not self._spawned:
            return self._level
        level = context.get(current_level)
        return level if level is not None and level.loop is self else self._root

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Accepted, so that `asyncio.timeout` works; as time stands still, only what is due already runs."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        if when <= self.time():
            self._level_of(context).ready.append(timer)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def time(self) -> float:
        return 0.0

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        **options: Any,
    ) -> "asyncio.Task[T]":
        if self._spawned and context is not None and context.get(current_level) is not self._level:
            context.run(current_level.set, self._level)
        if sys.version_info < (3, 12):
            options.pop("eager_start", None)
        if self._task_factory is not None:
            task = self._task_factory(self, coro, name=name, context=context, **options)
        else:
            task = asyncio.Task(coro, loop=self, name=name or "pyconvex", context=context, **options)
        self._level.futures.append(task)
        return task

    def set_task_factory(self, factory: Any) -> None:
        self._task_factory = factory

    def get_task_factory(self) -> Any:
        return self._task_factory

    def is_running(self) -> bool:
        return not self._finished

    def is_closed(self) -> bool:
        return False

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """An error that nobody can see any more, in a callback or a freed future, fails its function."""
        error = context.get("exception")
        if isinstance(error, BaseException) and not isinstance(error, TimeLimitExceeded):
            self._level.failures.append(error)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)


def _run(handle: asyncio.Handle) -> None:
    # What every event loop does, with a call less for each step of each task.
    if not handle._cancelled:  # pyright: ignore[reportPrivateUsage]
        handle._run()  # pyright: ignore[reportPrivateUsage]


def current_function_loop() -> FunctionLoop | None:
    """The loop of the query or mutation whose code is running, None outside of one."""
    loop = _get_running_loop()
    return loop if isinstance(loop, FunctionLoop) else None


def _refuse(what: str) -> Callable[..., NoReturn]:
    def refused(*_args: object, **_options: object) -> NoReturn:
        raise NotInQueriesOrMutations(what)

    return refused


_REFUSED = {
    "sockets": "create_connection create_server create_datagram_endpoint create_unix_connection create_unix_server "
    "connect_accepted_socket start_tls sendfile sock_accept sock_connect sock_recv sock_recv_into sock_recvfrom "
    "sock_recvfrom_into sock_sendall sock_sendfile sock_sendto add_reader remove_reader add_writer remove_writer "
    "getaddrinfo getnameinfo connect_read_pipe connect_write_pipe",
    "threads": "run_in_executor set_default_executor call_soon_threadsafe",
    "processes": "subprocess_exec subprocess_shell",
    "signals": "add_signal_handler remove_signal_handler",
}
for _what, _methods in _REFUSED.items():
    for _method in _methods.split():
        setattr(FunctionLoop, _method, _refuse(_what))
