"""The event loop everything runs on, uvloop where it is installed, and work beside it."""

import asyncio
import contextvars
import importlib
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, NoReturn, TypeVar

T = TypeVar("T")

LAST_SECONDS: Final = 0.1
"""How long tasks, and then threads, may take to end after everything else has."""
_THREADS: Final = "pyconvex-work"


def run(main: Coroutine[Any, Any, T], *, stuck: Callable[[T], NoReturn] | None = None) -> T:
    """Run `main` to its end, as `asyncio.run` does, on the fastest loop at hand.

    Args:
        stuck: ends the process, given what `main` returned, when functions of the user do not end after it: a handler
            that swallows its cancellation, or a thread that one has started with `asyncio.to_thread`. Without it, they
            are waited for.
    """
    threads = ThreadPoolExecutor(thread_name_prefix=_THREADS)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        loop = runner.get_loop()
        loop.set_default_executor(threads)
        result = runner.run(main)
        if stuck is not None and not (_tasks_end(loop) and _threads_end(threads)):
            stuck(result)
        return result


def _tasks_end(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether all that is still running ends once it is cancelled."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=LAST_SECONDS))
    for task in left:
        if task.done() and not task.cancelled():
            task.exception()  # seen, so that nothing is said of it: nobody is left to hear
    return all(task.done() for task in left)


def _threads_end(threads: ThreadPoolExecutor) -> bool:
    threads.shutdown(wait=False, cancel_futures=True)
    left = [thread for thread in threading.enumerate() if thread.name.startswith(_THREADS)]
    until = time.monotonic() + LAST_SECONDS
    for thread in left:
        thread.join(max(0, until - time.monotonic()))
    return not any(thread.is_alive() for thread in left)


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
