"""An event loop without a machine: time jumps to the next timer, and whatever is ready runs in the seed's order."""

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from contextvars import Context
from random import Random
from typing import Any, TypeVar

from pyconvex.clock import SystemClock

T = TypeVar("T")

_BEGINNING_NS = 1_767_225_600_000_000_000


class Crash(Exception):
    """The simulated process was killed."""


class SeededLoop(asyncio.AbstractEventLoop):
    """What is ready together runs in any order; what it makes ready runs after all of it."""

    def __init__(self, chance: Random) -> None:
        self.errors: list[dict[str, Any]] = []
        """What asyncio would have logged."""
        self._chance = chance
        self._ready: list[asyncio.Handle] = []
        self._timers: list[asyncio.TimerHandle] = []
        self._now = 0.0
        self._crashed = False

    def run(self, steps: Coroutine[Any, Any, T], died: Callable[[], object]) -> T:
        """Run a coroutine to its end. When that is a bad one, `died` closes what the dead process has open.

        Raises:
            Crash: `crash` was called; nothing runs after that.
        """
        asyncio._set_running_loop(self)
        try:
            task = self.create_task(steps)
            while not task.done():
                self._turn()
                if self._crashed:
                    raise Crash
            return task.result()
        except BaseException:
            died()
            self._bury()
            raise
        finally:
            asyncio._set_running_loop(None)

    def crash(self) -> None:
        """Whatever has been begun will never go on."""
        self._crashed = True

    def _turn(self) -> None:
        if not self._ready:
            assert self._timers, "everybody waits for somebody"
            self._now = max(self._now, self._timers[0].when())
        while self._timers and self._timers[0].when() <= self._now:
            self._ready.append(heapq.heappop(self._timers))
        turn, self._ready = self._ready, []
        self._chance.shuffle(turn)
        for place, handle in enumerate(turn):
            if not handle.cancelled():
                handle._run()
            if self._crashed:
                self._ready += turn[place + 1 :]
                break

    def _bury(self) -> None:
        """End the tasks of the dead, of whom nothing reaches the disk any more."""
        self._crashed = False
        while tasks := [task for task in asyncio.all_tasks(self) if not task.done()]:
            for task in tasks:
                task.cancel()
            self._turn()
        self._ready.clear()
        self._timers.clear()
        self.errors.clear()

    # --- what asyncio asks of a loop

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, timer)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> "asyncio.Task[Any]":
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)


class SeededClock(SystemClock):
    """The loop's time; it moves a little whenever somebody looks, as work takes time."""

    def __init__(self, loop: SeededLoop, chance: Random, began: float) -> None:
        self._loop = loop
        self._chance = chance
        self._began = began
        self._worked = 0.0

    def monotonic(self) -> float:
        self._worked += self._chance.random() * 0.0005
        return self._loop.time() + self._worked

    def now_ns(self) -> int:
        return _BEGINNING_NS + int((self._began + self.monotonic()) * 1_000_000_000)

    def now_ms(self) -> float:
        return self.now_ns() / 1_000_000

    def random_bytes(self, count: int) -> bytes:
        return self._chance.randbytes(count)
