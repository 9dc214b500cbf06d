"""The event loop of one query or mutation."""

import asyncio
import contextvars
from collections.abc import Coroutine
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from pyconvex.engine.time_limit import TimeLimit

T = TypeVar("T")


class FunctionLoop(asyncio.AbstractEventLoop):
    limit: TimeLimit
    """`loop.limit.check()` belongs into every ctx call."""

    def __init__(self, limit_seconds: float) -> None:
        raise NotImplementedError

    async def run(self, main: Coroutine[Any, Any, T], *, context: contextvars.Context | None = None) -> T:
        """Drive `main` to its end. Errors: what the handler raised, or a DeveloperError for every other exit."""
        raise NotImplementedError

    def spawn(self, main: Coroutine[Any, Any, T], *, context: contextvars.Context) -> asyncio.Future[T]:
        """A nested run_query/run_mutation: nothing else of the caller goes on until it (and what it started) ended."""
        raise NotImplementedError

    def adopt(self, future: asyncio.Future[T], *, write: bool = False) -> asyncio.Future[T]:
        """The twin, on this loop, of an outstanding call of the real loop."""
        raise NotImplementedError

    def turn(self) -> asyncio.Future[None] | None:
        """After about 5 ms without giving way: a future that lets the real loop run; else None."""
        raise NotImplementedError


def current_function_loop() -> FunctionLoop | None:
    raise NotImplementedError


def trusted() -> AbstractContextManager[None]:
    """Engine code below a handler: not watched and not interrupted. Never across an `await`."""
    raise NotImplementedError
