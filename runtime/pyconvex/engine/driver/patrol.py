"""The fallback for time limits: a thread that interrupts other threads with `PyThreadState_SetAsyncExc`.

For every thread but the main one, for Windows, and where someone else owns SIGALRM. It decides when it fires,
not when the exception arrives, so both sides work under one lock, a watch fires once, and disarming lets what
is still on its way arrive. It needs the GIL: one long call into C ends first.
"""

import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from threading import get_ident
from time import perf_counter
from typing import Protocol, cast

from pyconvex.engine.driver import debugger

PERIOD_SECONDS = 0.01


class Limited(Protocol):
    due: float
    """On `time.perf_counter`'s clock."""
    expired: bool


# Only ever `with _lock:`. The interrupt may land between `acquire()` and a `try:`, and the lock stays taken.
_lock = threading.Lock()
_watches: "set[Watch]" = set()
_called = threading.Event()


class Watch:
    """One guarded piece of work of the thread that creates it."""

    __slots__ = ("_armed", "_error", "_thread", "limit")

    def __init__(self, limit: Limited, error: type[BaseException]) -> None:
        self.limit = limit
        self._error = error
        self._thread = get_ident()
        self._armed = False
        _set_async_exc()
        _start()
        _watches.add(self)
        _called.set()

    def arm(self) -> None:
        """From here on the thread may be interrupted, once."""
        with _lock:
            self._armed = not self.limit.expired

    def disarm(self) -> None:
        """After this nothing arrives any more; what was fired before arrives in here."""
        with _lock:
            self._armed = False
        # Withdrawing it instead (`PyThreadState_SetAsyncExc(thread, NULL)`) made Python 3.11 hang under a debugger:
        # it goes on looking for the exception that is gone.
        _take_delivery()

    def end(self) -> None:
        self.disarm()
        _watches.discard(self)

    def look(self, now: float) -> None:
        """Fire if it is time; the caller holds the lock."""
        if self.limit.expired or now < self.limit.due:
            return
        if debugger.attached(sys._current_frames().get(self._thread)):  # pyright: ignore[reportPrivateUsage]  # documented
            return
        self.limit.expired = True
        if self._armed:
            self._armed = False
            _set_async_exc()(self._thread, self._error)


@cache
def _start() -> None:
    threading.Thread(target=_patrol, name="pyconvex-time-limit", daemon=True).start()


def _patrol() -> None:
    while True:
        _called.wait()
        while _watches:
            time.sleep(PERIOD_SECONDS)
            with _lock:
                for watch in tuple(_watches):
                    watch.look(perf_counter())
        _called.clear()
        if _watches:
            _called.set()


def _take_delivery() -> None:
    """Python looks for an exception from another thread whenever a function is entered."""


@cache
def _set_async_exc() -> Callable[[int, type[BaseException]], None]:
    import ctypes  # not needed where signals do the work

    raw = cast("Callable[[object, object], int]", ctypes.pythonapi.PyThreadState_SetAsyncExc)

    def set_async_exc(thread: int, error: type[BaseException]) -> None:
        raw(ctypes.c_ulong(thread), ctypes.py_object(error))

    return set_async_exc
