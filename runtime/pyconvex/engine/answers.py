"""What calls of `ctx` hand back.

In a query or mutation a call acts when it is made, so a forgotten `await` loses nothing; the answer is an awaitable
that is finished as a rule. In an action a call begins when it is awaited.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import CodeType, TracebackType
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")


class Answer(Coroutine[Any, Any, T]):
    """A finished call. It is also a coroutine, so that `asyncio.create_task` and `TaskGroup` take it."""

    __slots__ = ("_error", "_steps", "_value")

    def __init__(self, value: T | None = None, error: BaseException | None = None) -> None:
        self._value = value
        self._error = error
        self._steps: Generator[Any, Any, T] | None = None

    def __await__(self) -> Generator[Any, Any, T]:
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # without an error it is a T
        yield  # makes this a generator: the quickest kind of finished awaitable

    def send(self, value: Any) -> Any:
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.send(value)

    def throw(self, *error: Any) -> Any:
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.throw(*error)

    def close(self) -> None:
        if self._steps is not None:
            self._steps.close()


class TurnTaking(Answer[T]):
    """A finished call of a function that has run for long: awaiting it lets the rest of the process have a turn."""

    __slots__ = ("_turn",)

    def __init__(self, answer: Answer[T], turn: Awaitable[None]) -> None:
        super().__init__(answer._value, answer._error)
        self._turn = turn

    def __await__(self) -> Generator[Any, Any, T]:
        yield from self._turn.__await__()
        return (yield from super().__await__())


class Pending(Answer[T]):
    """A call that has to be accounted for when its function ends: a write, a nested call, or a failed read."""

    __slots__ = ("_code", "_future", "_line", "awaited", "name")
