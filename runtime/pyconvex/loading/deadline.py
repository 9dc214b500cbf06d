"""Running the top level of user modules under a time limit, and without letting it start threads.

The work runs in a thread of its own. A loop in Python is ended by an exception raised in that thread; a call that
never returns to Python (a long `time.sleep`, a connection that hangs) is left behind, and its thread ends when it
does return. Either way the caller learns which line was running.
"""

import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_GRACE_SECONDS = 0.1
_LIBRARY = Path(threading.__file__).parent
_STARTERS = tuple(str(_LIBRARY / name) for name in ("threading.py", "concurrent", "asyncio", "multiprocessing"))


class LoadInterrupted(BaseException):
    """Raised in the loading thread when its time is up. No handler in user code catches it (see `source.py`)."""


class ThreadAtImport(RuntimeError):
    """A user module started a thread while it was being imported."""


class Overdue(Exception):
    """The time was up; `frames` are what was running then, innermost first, as (absolute file, line)."""

    def __init__(self, frames: tuple[tuple[str, int], ...]) -> None:
        super().__init__("the time for loading is up")
        self.frames = frames


class _Worker(threading.Thread, Generic[T]):
    """Runs `work` once; a late interrupt is swallowed rather than shown as a crashed thread."""

    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(name="pyconvex-load", daemon=True)
        self.value: T | None = None
        self.error: BaseException | None = None
        self._work = copy_context().run
        self._function = work
        self._lock = threading.Lock()
        self._finished = False

    def run(self) -> None:
        try:
            try:
                self.value = self._work(self._function)
            except BaseException as error:
                self.error = error
            with self._lock:
                self._finished = True
        except LoadInterrupted:
            pass

    def interrupt(self) -> None:
        """Raise LoadInterrupted in the thread, unless its work is done.

        Decided under the lock that `run` marks its end with: an interrupt that comes just before is delivered by the
        time the lock is free again. It is never withdrawn with a NULL: Python 3.11 and 3.12 would then look for it in
        every thread for ever, which halves their speed.
        """
        import ctypes  # most loads end in time

        with self._lock:
            if not self._finished:
                # https://docs.python.org/3/c-api/init.html#c.PyThreadState_SetAsyncExc
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self.ident or 0), ctypes.py_object(LoadInterrupted)
                )

    def frames(self) -> tuple[tuple[str, int], ...]:
        frame = sys._current_frames().get(self.ident or 0)  # pyright: ignore[reportPrivateUsage] - its public way
        return tuple((frame.f_code.co_filename, frame.f_lineno) for frame in _outwards(frame))


def run_within(seconds: float, work: Callable[[], T]) -> T:
    """`work()` in a thread of its own, in a copy of the current context.

    Raises:
        Overdue: it took longer than `seconds`. The thread is interrupted and, if it is stuck outside Python, left.
        BaseException: whatever `work` raised.
    """
    worker = _Worker(work)
    worker.start()
    worker.join(seconds)
    if worker.is_alive():
        frames = worker.frames()
        worker.interrupt()
        worker.join(_GRACE_SECONDS)
        if worker.is_alive():
            threading.Thread(target=_pursue, args=(worker,), name="pyconvex-load-end", daemon=True).start()
        raise Overdue(frames)
    if worker.error is not None:
        raise worker.error
    assert worker.value is not None, "work returns something"
    return worker.value


def _pursue(worker: _Worker[Any]) -> None:
    """Interrupt until it ends: a `finally` may have gone on looping, a call in C not have returned yet."""
    while worker.is_alive():
        worker.interrupt()
        worker.join(_GRACE_SECONDS)


_start_before = threading.Thread.start
"""What was in place when the first import began: others replace it too."""
_guards: dict[int, str] = {}
_guards_lock = threading.Lock()


@contextmanager
def no_threads_from(folder: str) -> Generator[None]:
    """While this thread imports, code below `folder` may not start threads; libraries that it imports may.

    A thread started at import would go on with the old modules after every reload, and keep them alive.
    """
    global _start_before
    ident = threading.get_ident()
    with _guards_lock:
        if not _guards:
            _start_before, threading.Thread.start = threading.Thread.start, _start
        _guards[ident] = folder + os.sep
    try:
        yield
    finally:
        with _guards_lock:
            del _guards[ident]
            if not _guards:
                threading.Thread.start = _start_before


def _start(self: threading.Thread) -> None:
    folder = _guards.get(threading.get_ident())
    if folder is not None and _starter(sys._getframe(1)).startswith(folder):  # pyright: ignore[reportPrivateUsage] - inspect.currentframe is slower and the same
        raise ThreadAtImport("a thread cannot be started while modules are loaded")
    _start_before(self)


def _starter(frame: FrameType) -> str:
    """The file that asked for a thread: the nearest one that is not of the library's own threading modules."""
    for outer in _outwards(frame):
        if not outer.f_code.co_filename.startswith(_STARTERS):
            return outer.f_code.co_filename
    return ""


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
