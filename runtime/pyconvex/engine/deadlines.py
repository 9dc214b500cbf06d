"""How long a query or mutation may take in all: waiting for the database, for its turn and for other attempts included.

The time of user code is limited by the driver. This is about the rest, which nothing but the event loop can notice.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING, Self

from pyconvex.engine.driver import debugger
from pyconvex.engine.driver.function_loop import FunctionLoop
from pyconvex.store.persistence import StoreFailed

if TYPE_CHECKING:
    from types import TracebackType


class SystemTimeout(StoreFailed):
    """A query or mutation that was not done within `transaction_seconds`. Nothing of it was kept."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            "SystemTimeoutError",
            f"it took longer than {seconds:g} s, waiting for the database included",
            hint="see what keeps the database busy or locked, read less, or raise the limit `transaction_seconds`",
        )


class Deadlines:
    """The deadlines of all that runs on one event loop.

    One timer does for them: all have the same time, so the oldest is due first.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.open: dict[Deadline, None] = {}
        """Those that have neither passed nor been left, the oldest first."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, *, in_task: bool = True) -> Deadline:
        """The deadline of a call that begins now, to be entered; `in_task` says that one task sees it to its end."""
        loop = self._loop
        if loop is None:  # to ask each time costs a system call
            loop = self._loop = asyncio.get_running_loop()
        deadline = Deadline(self, asyncio.current_task(loop) if in_task else None, loop.time() + self.seconds)
        self.open[deadline] = None
        if self._timer is None:
            self._timer = loop.call_at(deadline.due, self._look, loop)
        return deadline

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        while (oldest := next(iter(self.open), None)) is not None:
            if oldest.due > now:
                self._timer = loop.call_at(oldest.due, self._look, loop)
                return
            del self.open[oldest]
            oldest.pass_()


class Deadline:
    """When one query or mutation, with all its attempts, has to be done.

    Leaving it raises `SystemTimeout` when it passed. A mutation is never ended by it once it is being committed.
    """

    __slots__ = ("_all", "_doing", "_passed", "_task", "due")

    def __init__(self, deadlines: Deadlines, task: asyncio.Task[object] | None, due: float) -> None:
        self._all = deadlines
        self._task = task
        self.due = due
        """By the event loop's clock."""
        self._doing: FunctionLoop | _Doing | None = None
        """The loop that the handler runs in, if it does."""
        self._passed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._all.open.pop(self, None)
        if self._doing is _Doing.CANCELLED and self._task is not None:
            others = self._task.uncancel()
            if not others and isinstance(error, asyncio.CancelledError):
                raise self._error() from error

    def again(self) -> None:
        """The mutation was not committed, and is run again. Raises `SystemTimeout` when it is too late for that."""
        if self._passed:
            raise self._error()
        self._doing = None

    def run(self, loop: FunctionLoop) -> None:
        """The handler runs in `loop` from now on. Raises `SystemTimeout` when it is too late for that."""
        if self._passed:
            raise self._error()
        self._doing = loop

    def ran(self) -> None:
        """The handler has ended."""
        self._doing = None

    def commit(self) -> SystemTimeout | None:
        """The mutation is about to be committed: from now on its outcome is waited for. Or why it may not be."""
        if self._passed:
            return self._error()
        self._doing = _Doing.COMMITTING
        return None

    def pass_(self) -> None:
        """The time is over."""
        if debugger.attached(None):
            return  # it is a person who takes it
        self._passed = True
        doing = self._doing
        if isinstance(doing, FunctionLoop):
            doing.give_up(self._error())
        elif doing is None and self._task is not None and not self._task.cancelling():
            self._doing = _Doing.CANCELLED
            self._task.cancel()

    def _error(self) -> SystemTimeout:
        return SystemTimeout(self._all.seconds)


class _Doing(Enum):
    COMMITTING = auto()
    CANCELLED = auto()
    """Its task, by this."""
