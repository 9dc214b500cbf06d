"""Work beside the event loop that the process does not wait for when it ends."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_daemon_thread(work: Callable[[], T], name: str) -> T:
    """What `work()` returns, called in a thread of its own and in a copy of the context.

    Unlike with `asyncio.to_thread`, a loop that ends does not wait for it: whatever hangs in there may go on hanging.
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

    threading.Thread(target=run_work, name=name, daemon=True).start()
    return await done
