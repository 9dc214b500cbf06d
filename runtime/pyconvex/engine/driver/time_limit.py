"""How long a query or mutation may run, and how it is interrupted when it runs longer.

On the main thread a kernel timer (`setitimer`) and a signal handler do it: the handler runs between two
bytecodes of the main thread itself, so "is a call still inside its guard?" is decided at delivery, and a
late signal falls through. On other threads, on Windows and where someone else owns SIGALRM, `patrol` does it.

`TimeLimit.expired` is the truth; the exception only gets us out of the user's code. It can be lost (Python
swallows what is raised in `__del__`), so the loop and every `ctx` call look at `expired` again.
"""

import atexit
import inspect
import logging
import os
import signal
import threading
import weakref
from collections.abc import Callable
from math import inf
from threading import get_ident
from time import perf_counter
from types import FrameType, TracebackType
from typing import TypeVar
from weakref import WeakSet

from pyconvex.engine.driver import debugger, patrol
from pyconvex.errors import BareError

T = TypeVar("T")

REFIRE_SECONDS = 0.02
"""A call that swallowed its interrupt gets the next one after this long."""

HAIL_SECONDS = 50e-6
"""From then on they come this close, until one falls between two rounds of what swallows them."""

_DELICATE = frozenset(
    (
        logging.__file__,
        threading.__file__,
        weakref.__file__,
        inspect.getfile(WeakSet[object]().__class__),
        "<frozen importlib._bootstrap>",
    )
)
"""Code that takes locks without `with`, or whose errors Python swallows: the interrupt waits until it is left."""

_SHORTEST_ALARM_SECONDS = 1e-6  # zero would mean never
_LONGEST_ALARM_SECONDS = 3600.0
_MAIN_THREAD = threading.main_thread().ident


class TimeLimitExceeded(BaseException):
    """Raised inside user code when its time is over.

    Not an `Exception`, so that `except Exception` lets it pass; before anything broader the loader inserts
    `except __pyconvex_limit__: raise`, which is this class.
    """


class FunctionTimeout(BareError):
    """A query or mutation ran longer than it may (`query_seconds`, `mutation_seconds`)."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            "FunctionTimeout",
            f"Function execution timed out (maximum duration: {seconds:g}s)",
            hint="read less (an index, `take`), compute less, or do the long part in an action",
        )


class _Thread(threading.local):
    """What runs on this thread now."""

    limit: "TimeLimit | None" = None
    """The limit whose guard is on the stack: user code runs, unless it is shielded."""
    shield: int = 0
    """Above zero while engine code runs on top of the user's."""
    watch: patrol.Watch | None = None
    """Only where the patrol does the interrupting."""


here = _Thread()


class TimeLimit:
    """The time that one call may spend in user code, in all the pieces it is run in."""

    __slots__ = ("due", "expired", "left", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.left = seconds
        self.due = inf
        self.expired = False

    @property
    def used_seconds(self) -> float:
        """Time spent inside `guard` so far, up to when it last returned."""
        return self.seconds - self.left

    @property
    def running_seconds(self) -> float:
        """Time since the current `guard` was entered."""
        return perf_counter() - (self.due - self.left)

    def guard(self, work: Callable[[], T]) -> T:
        """Run `work`. Time between two guards does not count; inside another guard that one's limit holds.

        Raises TimeLimitExceeded when the time is over, whatever `work` made of the interrupt.
        """
        thread = here
        if thread.limit is not None:
            return work()
        if self.expired:
            raise TimeLimitExceeded
        # CPython looks for signals only at function entries, after calls into C and at jumps back. So nothing is
        # raised between the return of `work` and `limit = None`, nor before the first statement of the except clause.
        try:
            now = perf_counter()
            self.due = due = now + self.left
            thread.limit = self
            if get_ident() == _MAIN_THREAD and (now < alarm.at <= due or alarm.set(due)):
                value = work()
            else:
                value = self._patrolled(work)
            thread.limit = None
        except BaseException as failure:
            thread.limit = None
            self.left = self.due - perf_counter()
            if self.expired and not isinstance(failure, TimeLimitExceeded):
                raise TimeLimitExceeded from failure
            raise
        self.left = self.due - perf_counter()
        if self.expired:
            raise TimeLimitExceeded
        return value

    def check(self) -> None:
        """Raise TimeLimitExceeded when the time is over. Every `ctx` call does this first."""
        if self.expired:
            raise TimeLimitExceeded

    def _patrolled(self, work: Callable[[], T]) -> T:
        with trusted():
            watch = patrol.Watch(self, TimeLimitExceeded)
        try:
            try:
                here.watch = watch
                watch.arm()
                value = work()
            finally:
                watch.end()
                here.watch = None
        except TimeLimitExceeded:
            # It may have landed in the lines above. It is fired once, so here nothing can land any more.
            watch.end()
            here.watch = None
            raise
        return value


def guard(work: Callable[[], T], seconds: float) -> T:
    """Run `work` for at most `seconds`; raises TimeLimitExceeded."""
    return TimeLimit(seconds).guard(work)


def progress() -> bool:
    """Whether the call on this thread is over its time.

    For SQLite's progress handler on reading connections: returning True ends the statement. Never on a
    connection that writes, where SQLite would roll back the whole batch.
    """
    limit = here.limit
    return limit is not None and limit.expired


class _Trusted:
    """Engine code on top of a handler's frames: not interrupted, and not watched by `guard`'s audit hook."""

    __slots__ = ()

    def __enter__(self) -> None:
        watch = here.watch
        if watch is not None:
            watch.disarm()
        here.shield += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        thread = here
        thread.shield = shield = thread.shield - 1
        limit = thread.limit
        if shield or limit is None:
            return
        if thread.watch is not None:
            thread.watch.arm()
        if limit.expired:
            raise TimeLimitExceeded


TRUSTED = _Trusted()
"""`with TRUSTED:` around engine code that a handler has called; nests. Never across an `await`.

When the time runs out meanwhile, TimeLimitExceeded is raised on leaving.
"""


def trusted() -> _Trusted:
    return TRUSTED


class _Alarm:
    """The process's one kernel timer. It is set ahead and left alone: a server that is busy sets it once a second."""

    def __init__(self) -> None:
        self.at = 0.0
        """When it rings next; in the past when it is not set."""
        self.ringing = False

    def set(self, due: float) -> bool:
        """Ring at `due` and every 20 ms from then on; False when SIGALRM is not ours to use."""
        if not self._owned():
            return False
        now = perf_counter()
        delay = min(max(due - now, _SHORTEST_ALARM_SECONDS), _LONGEST_ALARM_SECONDS)
        signal.setitimer(signal.ITIMER_REAL, delay, REFIRE_SECONDS)
        self.at = now + delay
        return True

    def hail(self) -> None:
        """Ring very soon and very often, at irregular distances."""
        now = perf_counter()
        soon = now % HAIL_SECONDS  # the last digits of the clock are chance enough
        signal.setitimer(signal.ITIMER_REAL, max(soon, _SHORTEST_ALARM_SECONDS), HAIL_SECONDS)
        self.at = now + soon

    def stop(self) -> None:
        """Ring no more. Needed before `os.exec*` and at exit, where the signal would kill the process."""
        if self.at:
            self.at = 0.0
            signal.setitimer(signal.ITIMER_REAL, 0)

    def forget(self) -> None:
        self.at = 0.0

    def _owned(self) -> bool:
        if not hasattr(signal, "SIGALRM"):
            return False
        owner = signal.getsignal(signal.SIGALRM)
        if owner is signal.SIG_DFL:
            signal.signal(signal.SIGALRM, _rang)
            return True
        return owner is _rang


alarm = _Alarm()


def _rang(_signal: int, frame: FrameType | None) -> None:
    if alarm.ringing:
        return  # this very handler was interrupted
    alarm.ringing = True
    try:
        interrupts = _expires(frame)
    finally:
        alarm.ringing = False
    if interrupts:
        raise TimeLimitExceeded


def _expires(frame: FrameType | None) -> bool:
    """Whether to interrupt `frame` now; sees to it that the alarm rings again when it has to."""
    thread = here
    limit = thread.limit
    now = perf_counter()
    if limit is None:
        alarm.stop()
        return False
    if now < limit.due:
        alarm.set(limit.due)
        return False
    if debugger.attached(frame):
        limit.due = inf
        return False
    swallowed, limit.expired = limit.expired, True
    delicate = frame is not None and frame.f_code.co_filename in _DELICATE
    if thread.shield:
        alarm.at = now + REFIRE_SECONDS
        return False
    if swallowed or delicate:
        alarm.hail()
    else:
        alarm.at = now + REFIRE_SECONDS
    return not delicate


atexit.register(alarm.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=alarm.forget)  # a child inherits no timer
