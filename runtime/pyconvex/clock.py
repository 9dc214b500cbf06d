"""Time and chance as arguments, so that a simulation can replay both from a seed."""

import asyncio
import heapq
import itertools
import os
import time
from collections.abc import Callable
from typing import Final, Protocol

_VARIANTS: Final = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


class Alarm(Protocol):
    """Something that is going to be called at its time, unless it is cancelled before."""

    def cancel(self) -> None: ...


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

    def alarm(self, at_ms: float, ring: Callable[[], None]) -> Alarm:
        """Call `ring` once, on the running event loop, when `now_ms()` has come to `at_ms`.

        This is the one way to wait for a moment, so that whoever moves the clock moves everything that waits. When
        the machine's clock is set, it rings early or late by as much.
        """
        ...


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

    def alarm(self, at_ms: float, ring: Callable[[], None]) -> Alarm:
        return asyncio.get_running_loop().call_later(max(at_ms - self.now_ms(), 0.0) / 1000, ring)


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
        self._alarms: list[_ManualAlarm] = []
        self._set = itertools.count()

    def now_ms(self) -> float:
        return self._now_ns / 1_000_000

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, seconds: float) -> None:
        self._now_ns += int(seconds * 1_000_000_000)
        self._ring()

    def move_to(self, at_ms: float) -> None:
        """Advance until `now_ms()` is at least `at_ms`; never back."""
        self._now_ns = max(self._now_ns, int(at_ms * 1_000_000))
        while self.now_ms() < at_ms:  # a float of milliseconds is coarser than a nanosecond
            self._now_ns += 100
        self._ring()

    def alarm(self, at_ms: float, ring: Callable[[], None]) -> Alarm:
        alarm = _ManualAlarm(at_ms, next(self._set), ring)
        heapq.heappush(self._alarms, alarm)
        self._ring()
        return alarm

    def _ring(self) -> None:
        while self._alarms and self._alarms[0].at_ms <= self.now_ms():
            alarm = heapq.heappop(self._alarms)
            if alarm.ring is not None:
                alarm.ring()


class _ManualAlarm:
    __slots__ = ("at_ms", "number", "ring")

    def __init__(self, at_ms: float, number: int, ring: Callable[[], None]) -> None:
        self.at_ms = at_ms
        self.number = number
        self.ring: Callable[[], None] | None = ring

    def __lt__(self, other: "_ManualAlarm") -> bool:
        return (self.at_ms, self.number) < (other.at_ms, other.number)

    def cancel(self) -> None:
        self.ring = None


def request_id(clock: Clock) -> str:
    """A request id as Convex writes it: 16 lower-case hex digits."""
    return clock.random_bytes(8).hex()


def execution_id(clock: Clock) -> str:
    """A random UUID (version 4) that names one execution of one function."""
    # Written out, as every call needs one: `uuid.UUID` takes three times as long.
    digits = clock.random_bytes(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANTS[digits[16]]}{digits[17:20]}-{digits[20:]}"


async def sleep(clock: Clock, seconds: float) -> None:
    """`asyncio.sleep` by `clock`."""
    over = asyncio.Event()
    alarm = clock.alarm(clock.now_ms() + seconds * 1000, over.set)
    try:
        await over.wait()
    finally:
        alarm.cancel()
