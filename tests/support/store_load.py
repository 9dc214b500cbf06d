"""Callers that keep some stores busy, and know afterwards what has to be there."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from pyconvex.clock import SystemClock
from pyconvex.settings import Limits
from pyconvex.store.persistence import Committed, StoreFailed
from pyconvex.store.postgres.persistence import PostgresPersistence
from pyconvex.store.store import Store
from pyconvex.store.transaction import Transaction
from pyconvex.values import Value

CALLERS = 8
PATIENCE_SECONDS = 20


class Load:
    """Callers that insert numbers, each number once, and remember which were acknowledged."""

    def __init__(self, stores: list[Store]) -> None:
        self.acknowledged: list[Committed[int]] = []
        self.refused: list[int] = []
        self._stores = stores
        self._next = 0
        self._over = False

    @property
    def begun(self) -> int:
        """The highest number that a caller has begun with."""
        return self._next

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        callers = [asyncio.create_task(self._call(store)) for store in self._stores for _ in range(CALLERS)]
        try:
            yield
        finally:
            self._over = True
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.gather(*callers)

    async def more(self, count: int = 20) -> None:
        """Wait for so many further acknowledgements."""
        wanted = len(self.acknowledged) + count
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.acknowledged) < wanted:
                await asyncio.sleep(0.002)

    async def _call(self, store: Store) -> None:
        while not self._over:
            self._next += 1
            number = self._next

            async def work(transaction: Transaction, number: int = number) -> int:
                if number % 3 == 0:  # some of them read
                    index = transaction.index("notes", "by_creation_time")
                    assert index is None or await transaction.take(index, limit=1) is not None
                await transaction.insert("notes", {"n": number})
                return number

            try:
                self.acknowledged.append(await store.mutate(work))
            except StoreFailed:
                self.refused.append(number)

    async def check(self, store: Store) -> None:
        stored = Counter(await numbers(store))
        assert [number for number, times in stored.items() if times > 1] == []
        assert {committed.value for committed in self.acknowledged} <= stored.keys()
        assert not set(self.refused) & stored.keys()
        stamps = [committed.ts for committed in self.acknowledged]
        assert len(set(stamps)) == len(stamps)


async def numbers(store: Store) -> list[Value]:
    async with store.snapshot() as transaction:
        index = transaction.index("notes", "by_creation_time")
        return [] if index is None else [document["n"] for document in await transaction.take(index)]


async def opened(url: str) -> Store:
    limits = Limits(read_documents=10**6, read_bytes=2**40)
    store = Store(PostgresPersistence(url), limits, SystemClock())
    await store.open()
    return store
