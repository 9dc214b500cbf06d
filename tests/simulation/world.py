"""One life of a deployment: callers that swap, somebody who watches, and what goes wrong meanwhile."""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from random import Random
from typing import Final

from pyconvex.settings import Limits
from pyconvex.store.persistence import Conflict, Persistence, StoreFailed
from pyconvex.store.store import Store

from .loop import Crash, SeededClock, SeededLoop
from .ring import RING_SIZE, SCHEMA, Abandoned, build, counts, note, notes, ring_length, some_number, swap

CALLERS: Final = 6
SWAPS: Final = 5
"""Of each caller."""
LOOKS: Final = 4
_LIVES_MAX: Final = 4


class RingBroken(AssertionError):
    """What a serial order of the swaps can never lead to."""


class Engine(ABC):
    """What is left of a database when its processes die, and how to open it in the next life."""

    @abstractmethod
    def processes(self, loop: SeededLoop, chance: Random) -> list[tuple[Persistence, SeededClock]]:
        """The processes of a life; callers are spread over them."""

    @abstractmethod
    def died(self) -> None:
        """All processes are gone: nothing of them reaches the database any more."""


class World:
    """Callers on a database that lives and dies by a seed.

    Args:
        crashes: the chance that a life ends with a kill, at each step of a caller.
    """

    def __init__(self, seed: int, engine: Engine, *, crashes: float = 0.02) -> None:
        self.history: list[tuple[object, ...]] = []
        """All that was answered, in its order, with the time."""
        self._engine = engine
        self._chance = Random(seed)
        self._crashes = crashes
        self._loop = SeededLoop(self._chance)
        self._acknowledged: Counter[int] = Counter()
        self._unknown: set[int] = set()
        """Callers whose last swap was on its way when the process died."""
        self._numbers = count(1)
        self._noted: set[int] = set()
        self._may_be_noted: set[int] = set()
        """The same and those of which nobody knows."""

    def run(self) -> None:
        """All lives until every caller has done his swaps.

        Raises:
            RingBroken: the store is not serializable, or has lost or doubled something.
        """
        crashes_left = _LIVES_MAX - 1
        while True:
            try:
                self._loop.run(self._life(crashes_left), self._engine.died)
            except Crash:
                crashes_left -= 1
            else:
                assert self._loop.errors == []
                return

    async def _life(self, crashes_left: int) -> None:
        self._crashes_now = self._crashes if crashes_left else 0.0
        stores = [
            Store(persistence, Limits(), clock)
            for persistence, clock in self._engine.processes(self._loop, self._chance)
        ]
        for store in stores:
            await store.open()
        if not self.history:
            await _surely(lambda: stores[0].activate(SCHEMA))
            await _surely(lambda: stores[0].mutate(build))
            self._happened("built")
        for store in stores:
            await _surely(partial(store.activate, SCHEMA))
        await self._settle(stores[0])
        callers = [self._caller(stores[number % len(stores)], number) for number in range(CALLERS)]
        await asyncio.gather(*callers, *[self._watch(store) for store in stores])
        await self._settle(stores[0])
        for store in stores:
            await store.close()

    async def _caller(self, store: Store, caller: int) -> None:
        while self._acknowledged[caller] < SWAPS:
            await self._pause()
            await (self._swap(store, caller) if self._chance.random() < 0.6 else self._note(store))

    async def _swap(self, store: Store, caller: int) -> None:
        number = some_number(self._chance)
        self._unknown.add(caller)
        try:
            committed = await store.mutate(partial(swap, number=number, caller=caller, pause=self._pause))
        except (Conflict, StoreFailed) as error:
            self._happened("refused", caller, error.code)
        else:
            self._acknowledged[caller] += 1
            self._happened("swapped", caller, number, committed.ts)
        self._unknown.discard(caller)

    async def _note(self, store: Store) -> None:
        number = next(self._numbers)
        fails, patience = self._chance.random() < 0.2, self._chance.choice([None, None, None, 0.001])
        self._may_be_noted.add(number)
        try:
            async with asyncio.timeout(patience):
                await store.mutate(partial(note, number=number, pause=self._pause, fails=fails))
        except TimeoutError:
            self._happened("went away", number)
            if fails:
                self._may_be_noted.discard(number)
        except (Abandoned, StoreFailed) as error:
            self._may_be_noted.discard(number)
            self._happened("not noted", number, type(error).__name__)
        else:
            self._noted.add(number)
            self._happened("noted", number)

    async def _watch(self, store: Store) -> None:
        for _ in range(LOOKS):
            await asyncio.sleep(self._chance.uniform(0, 0.02))
            await self._look(store)

    async def _look(self, store: Store) -> dict[int, int]:
        async with store.snapshot() as transaction:
            length = await ring_length(transaction, self._pause)
            counted = await counts(transaction)
            self._happened("seen", length, transaction.ts, counted)
        if length != RING_SIZE:
            raise RingBroken(f"the ring has {length} of {RING_SIZE}")
        return counted

    async def _settle(self, store: Store) -> None:
        """Hold the counts against what was acknowledged; from here on nothing is unknown."""
        counted = await self._look(store)
        for caller in range(CALLERS):
            expected = {self._acknowledged[caller], self._acknowledged[caller] + (caller in self._unknown)}
            if counted.get(caller, 0) not in expected:
                raise RingBroken(f"caller {caller} has {counted.get(caller, 0)} swaps instead of {expected}")
            self._acknowledged[caller] = counted.get(caller, 0)
        self._unknown.clear()
        async with store.snapshot() as transaction:
            noted = await notes(transaction)
        if not self._noted <= noted.keys() <= self._may_be_noted or set(noted.values()) - {2}:
            raise RingBroken(f"notes {noted} instead of {self._noted} to {self._may_be_noted}")

    async def _pause(self) -> None:
        """A moment in which others may go on, or the process may be killed."""
        kind = self._chance.random()
        if kind < self._crashes_now:
            self._happened("crash")
            self._loop.crash()
            await asyncio.sleep(1)
        elif kind < 0.3:
            await asyncio.sleep(self._chance.expovariate(1000))
        elif kind < 0.6:
            await asyncio.sleep(0)

    def _happened(self, *what: object) -> None:
        self.history.append((round(self._loop.time(), 9), *what))


async def _surely(steps: Callable[[], Awaitable[object]]) -> None:
    while True:
        try:
            await steps()
        except StoreFailed:
            continue
        return
