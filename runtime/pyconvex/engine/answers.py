"""What calls of `ctx` hand back in a query or mutation.

A call acts when it is made, so a forgotten `await` loses nothing; what it hands back is an awaitable that is finished
as a rule.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from types import FrameType
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Answer(Generic[T]):
    """A finished call: a value, or the error to raise where it is awaited.

    It has a coroutine's methods, so `asyncio.create_task`, `gather` and `TaskGroup` take it.
    """

    __slots__ = ("_error", "_steps", "_value")

    def __init__(self, value: T | None = None, error: BaseException | None = None) -> None:
        self._value = value
        self._error = error
        self._steps: Generator[Any, Any, T] | None = None

    def __await__(self) -> Generator[Any, Any, T]:
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # it is a T where there is no error
        yield  # a generator is the quickest awaitable there is

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


class TurnTaking(Answer[T]):
    """An answer to a function that has run for some milliseconds: awaiting it lets everybody else have a turn."""

    __slots__ = ("_turn",)

    def __init__(self, value: T, turn: Awaitable[None]) -> None:
        super().__init__(value)
        self._turn = turn

    def __await__(self) -> Generator[Any, Any, T]:
        yield from self._turn.__await__()
        return (yield from super().__await__())


class Pending(Answer[T]):
    """An answer that its function has to account for when it ends: of a write, of a nested call, of a failed read.

    `name` is what was called, such as `ctx.db.insert`, in the line that `caller` was at. `future` is there while the
    call still runs; `turn` is a turn for everybody else, to be waited for. One that only `reads` may be forgotten.
    """

    __slots__ = ("_code", "_instruction", "_turn", "awaited", "future", "name", "reads")

    def __init__(
        self,
        name: str,
        caller: FrameType,
        value: T | None = None,
        error: BaseException | None = None,
        future: asyncio.Future[T] | None = None,
        turn: Awaitable[None] | None = None,
        *,
        reads: bool = False,
    ) -> None:
        # Without super().__init__(): every write makes one of these.
        self._value = value
        self._error = error
        self._steps = None
        self._turn = turn
        self._code = caller.f_code
        self._instruction = caller.f_lasti
        self.name = name
        self.future = future
        self.reads = reads
        self.awaited = False

    @property
    def failed(self) -> bool:
        """Whether it is known already that awaiting this raises."""
        return self._error is not None

    @property
    def file(self) -> str:
        return self._code.co_filename

    @property
    def line(self) -> int | None:
        # Worked out for those who ask: nearly all calls are awaited, and nobody asks.
        lines = (line for start, end, line in self._code.co_lines() if start <= self._instruction < end)
        return next(lines, self._code.co_firstlineno)

    def __await__(self) -> Generator[Any, Any, T]:
        self.awaited = True
        if self.future is not None:
            return (yield from self.future.__await__())
        if self._turn is not None:
            yield from self._turn.__await__()
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # it is a T where there is no error
