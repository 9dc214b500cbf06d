"""The event loop everything runs on, uvloop where it is installed."""

import asyncio
import importlib
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
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
