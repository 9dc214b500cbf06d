"""Time and chance as arguments, so that a simulation can replay both from a seed."""

import os
import time
from typing import Final, Protocol

_VARIANT: Final = "89ab"


class Clock(Protocol):
    def now_ms(self) -> float:
        """Milliseconds since 1970, UTC, with a fraction."""
        ...

    def now_ns(self) -> int:
        """Nanoseconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def random_bytes(self, count: int) -> bytes: ...


class SystemClock:
    """The machine's own time and randomness."""

    def now_ms(self) -> float:
        return time.time_ns() / 1_000_000

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.perf_counter()

    def random_bytes(self, count: int) -> bytes:
        if count > _POOLED_BYTES_MAX:
            return os.urandom(count)
        try:
            return _pools[count].pop()
        except LookupError:
            drawn = os.urandom(count * _POOLED)
            _pools.setdefault(count, []).extend(drawn[at : at + count] for at in range(count, len(drawn), count))
            return drawn[:count]


_POOLED = 256
_POOLED_BYTES_MAX = 16
_pools: dict[int, list[bytes]] = {}
"""Randomness for ids, drawn in advance: a request takes two of them, and a system call costs more than all else of it.
Taking one off the list is atomic, so threads never share one; processes neither."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)


class ManualClock(SystemClock):
    """Time that moves only when told to; chance stays the machine's."""

    def __init__(self, now_ms: float | None = None) -> None:
        self._now_ns = int((time.time() * 1000 if now_ms is None else now_ms) * 1_000_000)

    def now_ms(self) -> float:
        return self._now_ns / 1_000_000

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, seconds: float) -> None:
        self._now_ns += int(seconds * 1_000_000_000)


def request_id(clock: Clock) -> str:
    """A request id as Convex writes it: 16 lower-case hex digits."""
    return clock.random_bytes(8).hex()


def execution_id(clock: Clock) -> str:
    """A random UUID (version 4) that names one execution of one function."""
    # Written out, as every call needs one: `uuid.UUID` takes three times as long.
    digits = clock.random_bytes(16).hex()
    variant = _VARIANT[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
