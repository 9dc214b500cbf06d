"""The event loop everything runs on, uvloop where it is installed, and work beside it."""

import asyncio
import contextvars
import importlib
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end, as `asyncio.run` does, on the fastest loop at hand."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        return importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return None


async def in_daemon_thread(work: Callable[[], T]) -> T:
    """What `work()` returns, called in a thread of its own and in a copy of the context.

    Unlike with `asyncio.to_thread`, a loop that ends does not wait for it: user code may hang in there.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(value)  # pyright: ignore[reportArgumentType]  # a T where there is no error
        else:
            done.set_exception(error)

    def run_work() -> None:
        value, error = None, None
        try:
            value = context.run(work)
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run_work, name="pyconvex-reload", daemon=True).start()
    return await done
