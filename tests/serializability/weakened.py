"""Stores whose isolation is broken on purpose: what the checker has to notice."""

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeVar, cast

from pyconvex.store.keys import Changes, Commit, KeyRange, ReadSet
from pyconvex.store.persistence import Committed, Persistence, Reader, Row, Work
from pyconvex.store.transaction import Transaction

T = TypeVar("T")


class Whole:
    """A persistence as it is, for others to weaken."""

    def __init__(self, persistence: Persistence) -> None:
        self.inner = persistence

    @property
    def node(self) -> int:
        return self.inner.node

    async def living(self) -> frozenset[int]:
        return await self.inner.living()

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    def snapshot(self) -> AbstractAsyncContextManager[Reader]:
        return self.inner.snapshot()

    def transact(self, work: Work[T], *, patient: bool = False) -> Coroutine[Any, Any, Committed[T]]:
        return self.inner.transact(work, patient=patient)

    def on_commit(self, callback: Callable[[Commit], None]) -> None:
        self.inner.on_commit(callback)

    async def hear(self, ts: int) -> None:
        await self.inner.hear(ts)

    async def lift(self, ts: int) -> None:
        await self.inner.lift(ts)


class Uncertified(Whole):
    """Nobody looks whether what a mutation has read is still so when it is committed."""

    def transact(self, work: Work[T], *, patient: bool = False) -> Coroutine[Any, Any, Committed[T]]:
        async def unread(reader: Reader) -> tuple[T, Changes]:
            value, changes = await work(reader)
            changes.reads = ReadSet()
            return value, changes

        return self.inner.transact(unread, patient=patient)


class StaleReads(Whole):
    """A mutation reads what was there when it was called, not when its turn has come."""

    async def transact(self, work: Work[T], *, patient: bool = False) -> Committed[T]:
        async with self.inner.snapshot() as before:
            return await self.inner.transact(
                lambda reader: work(cast(Reader, _Behind(reader, before))), patient=patient
            )


class MixedSnapshots(Whole):
    """Each read of a query has a snapshot of its own."""

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Reader]:
        async with self.inner.snapshot() as first:
            yield cast(Reader, _Mixed(first, self.inner))


class LeakyLayers(Transaction):
    """A failed sub-transaction leaves its writes."""

    @contextmanager
    def layer(self) -> Generator[None]:
        yield


class _Behind:
    """A `Reader` with the timestamps of one view and the documents of another."""

    def __init__(self, reader: Reader, documents: Reader) -> None:
        self.ts = reader.ts
        self.catalog_ts = reader.catalog_ts
        self._documents = documents

    def __getattr__(self, name: str) -> Any:
        return getattr(self._documents, name)


class _Mixed(_Behind):
    def __init__(self, reader: Reader, persistence: Persistence) -> None:
        super().__init__(reader, reader)
        self._persistence = persistence

    async def get(self, index: int, key: bytes) -> tuple[int, bytes] | None:
        async with self._persistence.snapshot() as now:
            return await now.get(index, key)

    async def scan(self, span: KeyRange, *, reverse: bool, limit: int, bytes_max: int) -> Sequence[Row]:
        async with self._persistence.snapshot() as now:
            return await now.scan(span, reverse=reverse, limit=limit, bytes_max=bytes_max)
