"""How long a query or mutation may run, and how it is interrupted when it runs longer."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class TimeLimitExceeded(BaseException):
    """Raised inside user code when its time is over; the loader calls it `__pyconvex_limit__`."""


class TimeLimit:
    seconds: float
    expired: bool

    def __init__(self, seconds: float) -> None: ...

    def guard(self, work: Callable[[], T]) -> T:
        """Run `work` under this limit; raises TimeLimitExceeded."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise TimeLimitExceeded when the time is over; every `ctx` call does this."""
        raise NotImplementedError


def progress() -> bool:
    """Whether the call running on this thread is over its time: for SQLite's progress handler (reading connections)."""
    raise NotImplementedError


def guard(work: Callable[[], T], seconds: float) -> T:
    return TimeLimit(seconds).guard(work)
